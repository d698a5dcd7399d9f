/* SPDX-License-Identifier: MIT */
/*
 * Text into numbers, strictly: the whole text or nothing, no sign where none belongs, no overflow, no dependence on the locale.
 * strtoull was rejected because it takes "-1", leading spaces and a tail. May not print: the caller knows which option it is.
 */
#include "tool.h"

#include <string.h>

static bool add_digit(uint64_t *value, unsigned base, unsigned digit) {
    return !__builtin_mul_overflow(*value, base, value) && !__builtin_add_overflow(*value, digit, value);
}

static bool parse_digits(const char **text, unsigned base, uint64_t *value) {
    const char *at = *text;
    *value = 0;
    for (; *at >= '0' && (unsigned)(*at - '0') < base; at++) {
        if (!add_digit(value, base, (unsigned)(*at - '0')))
            return false;
    }
    bool any = at > *text;
    *text = at;
    return any;
}

bool parse_number(const char *text, uint64_t *value) {
    return parse_digits(&text, 10, value) && *text == '\0';
}

bool parse_octal(const char *text, uint64_t *value) {
    return parse_digits(&text, 8, value) && *text == '\0';
}

bool parse_integer(const char *text, int64_t *value) {
    bool negative = *text == '-';
    uint64_t size;
    if (!parse_number(text + (negative || *text == '+'), &size) || size > (uint64_t)INT64_MAX + negative)
        return false;
    *value = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

bool parse_size(const char *text, uint64_t *bytes) {
    static const char suffixes[] = "KMGT";
    if (!parse_digits(&text, 10, bytes))
        return false;
    if (*text == '\0')
        return true;
    const char *suffix = strchr(suffixes, *text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
    if (!suffix || text[1] != '\0')
        return false;
    return !__builtin_mul_overflow(*bytes, UINT64_C(1) << (10 * (suffix - suffixes + 1)), bytes);
}

/* "1.25" in units of `unit`, in whole numbers, so that floating point rounds nothing; at most 9 digits after the point. */
static bool parse_decimal(const char **text, uint64_t unit, uint64_t *value) {
    uint64_t whole;
    if (!parse_digits(text, 10, &whole) || __builtin_mul_overflow(whole, unit, value))
        return false;
    if (**text != '.')
        return true;
    const char *fraction = ++*text;
    uint64_t numerator;
    if (!parse_digits(text, 10, &numerator) || *text - fraction > 9)
        return false;
    uint64_t denominator = 1;
    for (; fraction < *text; fraction++)
        denominator *= 10;
    return !__builtin_add_overflow(*value, (unit * numerator + denominator - 1) / denominator, value);
}

bool parse_duration(const char *text, uint64_t *milliseconds) {
    static const struct {
        const char *name;
        uint64_t unit;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
    if (strcmp(text, "0") == 0) {
        *milliseconds = 0;
        return true;
    }
    const char *name = text + strspn(text, "0123456789.");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(name, units[i].name) == 0)
            return parse_decimal(&text, units[i].unit, milliseconds) && text == name;
    }
    return false;
}

static int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

bool parse_hex(const char *text, size_t length, unsigned char *bytes) {
    if (length % 2 != 0)
        return false;
    for (size_t i = 0; i < length; i += 2) {
        int high = hex_digit(text[i]);
        int low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i / 2] = (unsigned char)(high << 4 | low);
    }
    return true;
}
