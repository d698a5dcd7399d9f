/* SPDX-License-Identifier: MIT */
/*
 * Bytes as JSON: a string with its escapes if they are valid UTF-8, else an object with base64. What is printed here, json_read.c
 * reads back to the same bytes.
 */
#include "json.h"
#include "tool.h"

#include <string.h>

size_t utf8_sequence(const unsigned char *at, size_t left) {
    if (at[0] < 0x80)
        return 1;
    size_t length = at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] >= 0xa0;
    bool beyond = at[0] == 0xf4 && at[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

static bool is_utf8(const unsigned char *bytes, size_t length) {
    for (size_t i = 0; i < length;) {
        size_t step = utf8_sequence(bytes + i, length - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

static bool is_plain(unsigned char byte) {
    return byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f;
}

static void print_escape(unsigned char byte) {
    static const char from[] = "\"\\\n\t\r\b\f";
    static const char to[] = "\"\\ntrbf";
    const char *found = byte ? strchr(from, byte) : NULL;
    if (found)
        printf("\\%c", to[found - from]);
    else
        printf("\\u%04x", byte);
}

static void print_string(const unsigned char *bytes, size_t length) {
    putchar('"');
    size_t start = 0;
    for (size_t i = 0; i < length; i++) {
        if (is_plain(bytes[i]))
            continue;
        print_bytes(bytes + start, i - start);
        print_escape(bytes[i]);
        start = i + 1;
    }
    print_bytes(bytes + start, length - start);
    putchar('"');
}

void json_print_bytes(const void *bytes, size_t length) {
    if (length == 0)
        bytes = ""; /* no bytes may have no address */
    if (is_utf8(bytes, length)) {
        print_string(bytes, length);
        return;
    }
    fputs("{\"base64\":\"", stdout);
    base64_print(bytes, length);
    fputs("\"}", stdout);
}
