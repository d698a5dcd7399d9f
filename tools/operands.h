/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_OPERANDS_H
#define HOLDFAST_OPERANDS_H
/*
 * Keys and values of the command line, and how the user sees them again: as they are, in hexadecimal, or as JSON. Shared by the
 * commands on single entries; knows nothing of what they do with them.
 */
#include "tool.h"

struct bytes {
    const void *data;
    size_t length;
};

/* KEY as it was typed, or its bytes if `hex` (decoded in place). False: told the user. */
bool key_operand(char *text, bool hex, struct bytes *key);

/* VALUE: `text`, or standard input if that is NULL or "-" (at most one byte more than the store takes, which the library then
 * refuses). With `hex` it is decoded, white space at its end left out. The bytes live in `buffer` or in `text`. False: told. */
bool value_operand(const char *path, hf_store *store, char *text, bool hex, struct buffer *buffer, struct bytes *value);

/* "no such key: KEY", the KEY as the user wrote it. Returns TOOL_NO. */
int complain_of_key(const char *path, const char *what, const struct bytes *key, bool hex);

/* An entry as get and take print it. */
enum print_style { PRINT_RAW, PRINT_HEX, PRINT_META, PRINT_JSON, PRINT_JSON_META };
enum print_style choose_style(bool json, bool meta, bool hex);
void print_entry(const struct bytes *key, const struct bytes *value, const struct hf_meta *meta, enum print_style style);

/* Whether the value that was read had expired: only hf_get_stale returns one. */
bool is_stale(const struct hf_meta *meta);

/* ,"version":V,"flags":F,"ttl_ms":T,"length":L, and ,"stale":true if it is */
void print_meta_json(const struct hf_meta *meta);

#endif
