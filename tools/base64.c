/* SPDX-License-Identifier: MIT */
/*
 * Base64 (RFC 4648, with padding), for bytes that JSON strings cannot hold. Decoding takes exactly what encoding prints: no
 * white space, no missing padding, no stray bits at the end, so that no two texts mean the same bytes.
 */
#include "json.h"

#include <stdio.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_print(const void *bytes, size_t length) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        unsigned group = (unsigned)at[i] << 16 | (left > 1 ? (unsigned)at[i + 1] << 8 : 0) | (left > 2 ? at[i + 2] : 0u);
        putc_unlocked(alphabet[group >> 18], stdout);
        putc_unlocked(alphabet[group >> 12 & 63], stdout);
        putc_unlocked(left > 1 ? alphabet[group >> 6 & 63] : '=', stdout);
        putc_unlocked(left > 2 ? alphabet[group & 63] : '=', stdout);
    }
}

/* 64 for what is no digit. */
static unsigned digit_value(char digit) {
    if (digit >= 'A' && digit <= 'Z')
        return (unsigned)(digit - 'A');
    if (digit >= 'a' && digit <= 'z')
        return (unsigned)(digit - 'a' + 26);
    if (digit >= '0' && digit <= '9')
        return (unsigned)(digit - '0' + 52);
    return digit == '+' ? 62 : digit == '/' ? 63 : 64;
}

size_t base64_decode(const char *text, size_t length, unsigned char *bytes) {
    if (length % 4 != 0)
        return SIZE_MAX;
    size_t used = 0;
    for (size_t i = 0; i < length; i += 4) {
        size_t padding = i + 4 < length || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        unsigned group = 0;
        for (size_t j = 0; j < 4; j++) {
            unsigned value = j < 4 - padding ? digit_value(text[i + j]) : 0;
            if (value > 63)
                return SIZE_MAX;
            group = group << 6 | value;
        }
        if (group & ((1u << (8 * padding)) - 1))
            return SIZE_MAX;
        for (size_t j = 0; j < 3 - padding; j++)
            bytes[used++] = (unsigned char)(group >> (16 - 8 * j));
    }
    return used;
}
