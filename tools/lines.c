/* SPDX-License-Identifier: MIT */
/*
 * Lines out of a descriptor, of bounded length, with their numbers. getline was rejected: it has no bound, so a file without
 * newlines would be read into memory whole.
 */
#include "formats.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Moves what is not used yet to the front and makes room behind it; a line may need the limit and its newline. */
static enum line_result make_room(struct lines *lines) {
    struct buffer *buffer = &lines->buffer;
    if (lines->start > 0) {
        memmove(buffer->data, buffer->data + lines->start, buffer->length - lines->start);
        buffer->length -= lines->start;
        lines->start = 0;
    }
    if (buffer->length < buffer->size)
        return LINE_OK;
    if (buffer->length > lines->limit)
        return LINE_TOO_LONG;
    size_t size = buffer->size == 0 ? 1 << 18 : buffer->size * 2;
    errno = ENOMEM;
    return reserve_buffer(buffer, size) ? LINE_OK : LINE_FAILED;
}

static enum line_result read_more(struct lines *lines) {
    enum line_result result = make_room(lines);
    if (result != LINE_OK)
        return result;
    struct buffer *buffer = &lines->buffer;
    ssize_t got;
    do
        got = read(lines->fd, buffer->data + buffer->length, buffer->size - buffer->length);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return LINE_FAILED;
    lines->ended = got == 0;
    buffer->length += (size_t)got;
    return LINE_OK;
}

enum line_result next_line(struct lines *lines, char **line, size_t *length) {
    struct buffer *buffer = &lines->buffer;
    size_t searched = 0; /* bytes of the line that hold no newline */
    const unsigned char *newline = NULL;
    for (;;) {
        size_t left = buffer->length - lines->start;
        if (left > searched)
            newline = memchr(buffer->data + lines->start + searched, '\n', left - searched);
        searched = left;
        if (newline || lines->ended)
            break;
        enum line_result result = read_more(lines);
        if (result != LINE_OK) {
            lines->number++;
            return result;
        }
    }
    if (!newline && searched == 0)
        return LINE_END;
    *line = (char *)buffer->data + lines->start;
    *length = newline ? (size_t)(newline - (unsigned char *)*line) : searched;
    size_t used = *length + (newline != NULL);
    lines->start += used;
    lines->bytes += used;
    lines->number++;
    return *length > lines->limit ? LINE_TOO_LONG : LINE_OK;
}
