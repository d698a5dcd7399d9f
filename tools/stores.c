/* SPDX-License-Identifier: MIT */
/*
 * Opening stores as the commands want it: with messages that say what to do, with --timeout, and with a word about every
 * recovery that this process had to perform.
 */
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- Recoveries ----------------------------------------------------------------------------------------------------------- */

static uint64_t recoveries;
static struct hf_recovery last_recovery;

static void note_recovery(void *context, const struct hf_recovery *recovery) {
    (void)context;
    recoveries++;
    last_recovery = *recovery;
}

void show_recovery(const struct hf_recovery *recovery, char *text, size_t size) {
    if (recovery->cause == HF_CAUSE_DEATH || recovery->cause == HF_CAUSE_OPEN)
        snprintf(text, size, "stripe %" PRIu32 ": process %" PRIu32 " died in %s at %s: %s, %" PRIu32 " dropped (%" PRIu32 " us)",
                 recovery->stripe, recovery->pid, hf_operation_name(recovery->operation), hf_step_name(recovery->step),
                 hf_verdict_name(recovery->verdict), recovery->dropped, recovery->microseconds);
    else
        snprintf(text, size, "stripe %" PRIu32 ": %s: %s, %" PRIu32 " dropped (%" PRIu32 " us)", recovery->stripe,
                 hf_cause_name(recovery->cause), hf_verdict_name(recovery->verdict), recovery->dropped, recovery->microseconds);
}

static void tell_recoveries(const char *path) {
    char text[256];
    if (recoveries == 1) {
        show_recovery(&last_recovery, text, sizeof text);
        complain(path, "recovered %s", text);
    } else if (recoveries > 1) {
        complain(path, "recovered %" PRIu64 " stripes; 'holdfast log' lists the recoveries", recoveries);
    }
    recoveries = 0;
}

/* ---- Open and close ------------------------------------------------------------------------------------------------------- */

int try_open_store(hf_store **store, const char *path, struct hf_options *options) {
    options->timeout_ms = (uint32_t)tool.timeout_ms;
    options->log = note_recovery;
    return hf_open(store, path, options);
}

void tell_open_failure(const char *path, int result) {
    if (result == HF_NOTFOUND)
        complain(path, "no such store; make it with 'holdfast create %s'", path);
    else
        report_result(path, result);
}

hf_store *open_store(const char *path, enum access access) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = access == TO_READ ? HF_RDONLY : 0;
    hf_store *store = NULL;
    int result = try_open_store(&store, path, &options);
    if (result == HF_OK)
        return store;
    tell_open_failure(path, result);
    return NULL;
}

void close_store(hf_store **store, const char *path) {
    int result = hf_close(store);
    if (result < 0)
        report_result(path, result);
    tell_recoveries(path);
}

/* ---- Reading while others write ------------------------------------------------------------------------------------------- */

bool busy_again(int result, unsigned *attempts) {
    enum { MOST = 3000 };
    if (result != HF_ERR_BUSY || ++*attempts > MOST)
        return false;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return true;
}

uint64_t clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int scan_next(hf_store *store, uint64_t *cursor, uint32_t flags, struct hf_item *item) {
    unsigned attempts = 0;
    int result;
    do
        result = hf_scan(store, cursor, flags, item);
    while (busy_again(result, &attempts));
    return result;
}

/* ---- Buffers -------------------------------------------------------------------------------------------------------------- */

bool reserve_buffer(struct buffer *buffer, size_t size) {
    if (size <= buffer->size)
        return true;
    unsigned char *data = realloc(buffer->data, size);
    if (!data) {
        complain(NULL, "out of memory: %zu bytes are needed", size);
        return false;
    }
    buffer->data = data;
    buffer->size = size;
    return true;
}

void free_buffer(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){NULL, 0, 0};
}

int fetch_value(read_verb *verb, hf_store *store, const void *key, size_t key_len, struct buffer *buffer, struct hf_meta *meta) {
    int result;
    while ((result = verb(store, key, key_len, buffer->data, buffer->size, &buffer->length, meta)) == HF_TRUNCATED) {
        if (!reserve_buffer(buffer, buffer->length))
            return HF_TRUNCATED;
    }
    return result;
}

bool read_all(int fd, size_t limit, struct buffer *buffer) {
    buffer->length = 0;
    while (buffer->length < limit) {
        if (buffer->length == buffer->size) {
            size_t size = buffer->size < 32768 ? 65536 : buffer->size * 2;
            if (!reserve_buffer(buffer, size)) {
                errno = ENOMEM;
                return false;
            }
        }
        size_t room = buffer->size - buffer->length;
        ssize_t got = read(fd, buffer->data + buffer->length, room < limit - buffer->length ? room : limit - buffer->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        buffer->length += (size_t)got;
    }
    return true;
}
