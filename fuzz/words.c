/* SPDX-License-Identifier: MIT */
/* See words.h. */
#include "words.h"

struct range {
    size_t at, len;
};

/* A line with its newline. */
static struct range any_line(const uint8_t *data, size_t size, uint64_t *random) {
    struct range line = {.at = fuzz_below(random, size)};
    while (line.at > 0 && data[line.at - 1] != '\n')
        line.at--;
    while (line.at + line.len < size && data[line.at + line.len++] != '\n')
        ;
    return line;
}

static size_t replace(uint8_t *data, size_t size, size_t max, struct range old, const void *with, size_t length) {
    if (size - old.len + length > max)
        return size;
    memmove(data + old.at + length, data + old.at + old.len, size - old.at - old.len);
    memcpy(data + old.at, with, length);
    return size - old.len + length;
}

static size_t put_word(uint8_t *data, size_t size, size_t max, uint64_t *random, const char *const *words) {
    size_t count = 0;
    while (words[count])
        count++;
    const char *word = words[fuzz_below(random, count)];
    struct range old = {.at = fuzz_below(random, size + 1)};
    if (fuzz_below(random, 2))
        old.len = fuzz_below(random, size - old.at + 1) % 16;
    return replace(data, size, max, old, word, strlen(word));
}

size_t words_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random, const char *const *words) {
    uint8_t saved[512];
    if (size == 0)
        return put_word(data, size, max, random, words);
    struct range line = any_line(data, size, random), other = any_line(data, size, random);
    switch (fuzz_below(random, 5)) {
    case 0:
        return replace(data, size, max, line, "", 0);
    case 1:
        if (other.len > sizeof saved)
            return size;
        memcpy(saved, data + other.at, other.len);
        line.len = fuzz_below(random, 2) ? line.len : 0;
        return replace(data, size, max, line, saved, other.len);
    default:
        return put_word(data, size, max, random, words);
    }
}
