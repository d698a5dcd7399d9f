/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_JSON_H
#define HOLDFAST_JSON_H
/*
 * As much JSON as the tool needs: bytes out as strings, and a strict reader of flat objects. A library was rejected because keys
 * and values hold NUL bytes and versions all 64 bits, which most parsers lose.
 *
 * Bytes that are valid UTF-8 are a string; all others are {"base64":"..."}, in both directions.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* To standard output. */
void json_print_bytes(const void *bytes, size_t length);

/* The length of the valid UTF-8 sequence at the start of `left` bytes (left > 0); 0 if there is none. */
size_t utf8_sequence(const unsigned char *at, size_t left);

/* RFC 4648 with padding. Decoding is strict and may be done in place; SIZE_MAX: not base64. */
void base64_print(const void *bytes, size_t length);
size_t base64_decode(const char *text, size_t length, unsigned char *bytes);

/*
 * A reader of one object in text that it decodes in place, so that what it returns stays valid as long as the text.
 *
 *     struct json_reader reader = json_open(text, length);
 *     while (json_next(&reader, &name))
 *         if (json_is(&name, "key")) json_read_bytes(&reader, &key); else ...
 *     if (reader.error) ...
 *
 * After an error every call fails; `error` says why and `at - start` where.
 */
struct json_bytes {
    unsigned char *data;
    size_t length;
};

struct json_reader {
    char *start;
    char *at;
    char *end;
    bool any; /* a field was read, so a comma must come before the next */
    const char *error;
};

struct json_reader json_open(char *text, size_t length);
bool json_next(struct json_reader *reader, struct json_bytes *name); /* false: the object and the text have ended, or error */
bool json_is(const struct json_bytes *name, const char *word);
bool json_read_bytes(struct json_reader *reader, struct json_bytes *bytes); /* a string or {"base64":"..."} */
bool json_read_number(struct json_reader *reader, uint64_t *number);        /* a whole number from 0 to 2^64 - 1 */

#endif
