/* SPDX-License-Identifier: MIT */
/*
 * The strict reader of one flat JSON object. Decoding never lengthens, so it is done in place. Bounded by the text: no recursion,
 * no allocation, each byte looked at once.
 */
#include "json.h"

#include <string.h>

struct json_reader json_open(char *text, size_t length) {
    return (struct json_reader){.start = text, .at = text, .end = text + length};
}

static bool wrong(struct json_reader *reader, const char *error) {
    if (!reader->error)
        reader->error = error;
    return false;
}

static void skip_space(struct json_reader *reader) {
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\r' || *reader->at == '\n'))
        reader->at++;
}

/* The next character that is no space, if it is this one. */
static bool take(struct json_reader *reader, char character) {
    skip_space(reader);
    if (reader->error || reader->at == reader->end || *reader->at != character)
        return false;
    reader->at++;
    return true;
}

/* ---- Strings -------------------------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits; -1 if they are not. */
static int32_t read_unit(struct json_reader *reader) {
    int32_t unit = 0;
    if (reader->end - reader->at < 4)
        return -1;
    for (int i = 0; i < 4; i++, reader->at++) {
        char digit = *reader->at;
        int value = digit >= '0' && digit <= '9' ? digit - '0'
            : digit >= 'a' && digit <= 'f'       ? digit - 'a' + 10
            : digit >= 'A' && digit <= 'F'       ? digit - 'A' + 10
                                                 : -1;
        if (value < 0)
            return -1;
        unit = unit * 16 + value;
    }
    return unit;
}

/* The code point behind "\u", of one unit or of a surrogate pair; -1 if it is none. */
static int32_t read_code_point(struct json_reader *reader) {
    int32_t first = read_unit(reader);
    if (first < 0xd800 || first > 0xdfff)
        return first;
    if (first > 0xdbff || reader->end - reader->at < 2 || reader->at[0] != '\\' || reader->at[1] != 'u')
        return -1;
    reader->at += 2;
    int32_t second = read_unit(reader);
    return second < 0xdc00 || second > 0xdfff ? -1 : 0x10000 + (first - 0xd800) * 0x400 + (second - 0xdc00);
}

static unsigned char *put_code_point(unsigned char *to, uint32_t point) {
    if (point < 0x80) {
        *to++ = (unsigned char)point;
        return to;
    }
    int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (unsigned char)(lead[more] | point >> (6 * more));
    while (more-- > 0)
        *to++ = (unsigned char)(0x80 | (point >> (6 * more) & 0x3f));
    return to;
}

/* What follows a backslash. NULL: no valid escape. */
static unsigned char *read_escape(struct json_reader *reader, unsigned char *to) {
    static const char from[] = "\"\\/bfnrt";
    static const char into[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->end)
        return NULL;
    char letter = *reader->at++;
    if (letter == 'u') {
        int32_t point = read_code_point(reader);
        return point < 0 ? NULL : put_code_point(to, (uint32_t)point);
    }
    const char *found = letter ? strchr(from, letter) : NULL;
    if (!found)
        return NULL;
    *to = (unsigned char)into[found - from];
    return to + 1;
}

static bool copy_sequence(struct json_reader *reader, unsigned char **to) {
    size_t length = utf8_sequence((unsigned char *)reader->at, (size_t)(reader->end - reader->at));
    for (size_t i = 0; i < length; i++)
        *(*to)++ = (unsigned char)*reader->at++;
    return length > 0;
}

static bool read_string(struct json_reader *reader, struct json_bytes *bytes) {
    if (!take(reader, '"'))
        return wrong(reader, "a string is expected here");
    unsigned char *to = (unsigned char *)reader->at;
    bytes->data = to;
    while (reader->at < reader->end && *reader->at != '"') {
        unsigned char byte = (unsigned char)*reader->at;
        if (byte == '\\') {
            reader->at++;
            to = read_escape(reader, to);
            if (!to)
                return wrong(reader, "not a valid escape");
        } else if (byte < 0x20) {
            return wrong(reader, "a control character in a string must be escaped");
        } else if (!copy_sequence(reader, &to)) {
            return wrong(reader, "not valid UTF-8: such bytes are written as {\"base64\":\"...\"}");
        }
    }
    if (reader->at == reader->end)
        return wrong(reader, "the string does not end");
    reader->at++;
    bytes->length = (size_t)(to - bytes->data);
    return true;
}

/* ---- Objects -------------------------------------------------------------------------------------------------------------- */

bool json_is(const struct json_bytes *name, const char *word) {
    return name->length == strlen(word) && memcmp(name->data, word, name->length) == 0;
}

static bool read_name(struct json_reader *reader, struct json_bytes *name) {
    if (!read_string(reader, name))
        return false;
    return take(reader, ':') || wrong(reader, "a colon is expected here");
}

static bool end_text(struct json_reader *reader) {
    skip_space(reader);
    if (reader->at < reader->end)
        wrong(reader, "more text after the object");
    return false;
}

bool json_next(struct json_reader *reader, struct json_bytes *name) {
    if (reader->error)
        return false;
    if (!reader->any) {
        reader->any = true;
        if (!take(reader, '{'))
            return wrong(reader, "an object is expected here");
        return take(reader, '}') ? end_text(reader) : read_name(reader, name);
    }
    if (take(reader, '}'))
        return end_text(reader);
    return take(reader, ',') ? read_name(reader, name) : wrong(reader, "a comma or the end of the object is expected here");
}

bool json_read_bytes(struct json_reader *reader, struct json_bytes *bytes) {
    if (!take(reader, '{'))
        return read_string(reader, bytes);
    struct json_bytes name;
    if (!read_name(reader, &name))
        return false;
    if (!json_is(&name, "base64"))
        return wrong(reader, "a string or {\"base64\":\"...\"} is expected here");
    if (!read_string(reader, bytes))
        return false;
    bytes->length = base64_decode((char *)bytes->data, bytes->length, bytes->data);
    if (bytes->length == SIZE_MAX)
        return wrong(reader, "not valid base64");
    return take(reader, '}') || wrong(reader, "the end of the base64 object is expected here");
}

bool json_read_number(struct json_reader *reader, uint64_t *number) {
    skip_space(reader);
    char *first = reader->at;
    *number = 0;
    for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++) {
        uint64_t digit = (uint64_t)(*reader->at - '0');
        if (__builtin_mul_overflow(*number, 10, number) || __builtin_add_overflow(*number, digit, number))
            return wrong(reader, "the number has more than 64 bits");
    }
    if (reader->at == first || (*first == '0' && reader->at - first > 1))
        return wrong(reader, "a whole number is expected here");
    return true;
}
