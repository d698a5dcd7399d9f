/* SPDX-License-Identifier: MIT */
/*
 * Bytes as a dump in JSON Lines: read by `holdfast load`'s own code, line by line until one is wrong. What was read, printed and
 * read again, is the same, and is read to its end.
 */
#include "loading.h"
#include "words.h"

#include <unistd.h>

static uint64_t printed;

static void print(const struct entry *entry) {
    jsonl_print_entry(entry, printed++ % 2);
}

void fuzz_one(const uint8_t *data, size_t size) {
    hf_store *first, *second;
    loading_prepare();
    loading_load(loading_file(data, size), jsonl_load, &first);
    printed = 0;
    jsonl_print_start();
    loading_print_all(first, print);
    jsonl_print_end(printed);
    MUST(loading_load(loading_printed(), jsonl_load, &second));
    loading_compare(first, second, false);
    MUST(hf_close(&first) == HF_OK && hf_close(&second) == HF_OK);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random) {
    static const char *const words[] = {
        "{\"holdfast\":1}\n", "{\"end\":1}\n", "{\"key\":\"k\",\"value\":\"v\"}\n", "{\"base64\":\"", "\"}", "\"key\":",
        "\"value\":", "\"flags\":", "\"expires_ms\":", "\"ttl_ms\":", "\"version\":", "\\u", "\\ud83d\\ude00", "\\udc00", "\\n",
        "\\\"", "\\\\", "\"", "{", "}", ",", ":", "=", "==", "AA==", "18446744073709551615", "4294967295", "4294967296",
        "281474976710655", "0", "\n", " ", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3\xa9", "\xff", "\x7f", NULL,
    };
    return words_mutate(data, size, max, random, words);
}
