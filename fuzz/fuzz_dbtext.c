/* SPDX-License-Identifier: MIT */
/*
 * Bytes as the text of db_dump and mdb_dump: read by `holdfast load`'s own code, line by line until one is wrong. What was read,
 * printed in either of its forms and read again, has the same keys and values, and is read to its end.
 */
#include "loading.h"
#include "words.h"

static void print_bytevalue(const struct entry *entry) {
    dbtext_print_entry(entry, false);
}

static void print_readable(const struct entry *entry) {
    dbtext_print_entry(entry, true);
}

void fuzz_one(const uint8_t *data, size_t size) {
    hf_store *first, *second;
    loading_prepare();
    loading_load(loading_file(data, size), dbtext_load, &first);
    for (int readable = 0; readable < 2; readable++) {
        dbtext_print_start(size, readable);
        loading_print_all(first, readable ? print_readable : print_bytevalue);
        dbtext_print_end();
        MUST(loading_load(loading_printed(), dbtext_load, &second));
        loading_compare(first, second, true);
        MUST(hf_close(&second) == HF_OK);
    }
    MUST(hf_close(&first) == HF_OK);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random) {
    static const char *const words[] = {
        "VERSION=3\n", "format=bytevalue\n", "format=print\n", "type=btree\n", "type=recno\n", "keys=0\n", "mapsize=1048576\n",
        "HEADER=END\n", "DATA=END\n", " 6b6579\n", " 76\n", " key\n", " \\00\\ff\n",
        "\\\\", "\\5c", "\\", " ", "\n", "=", "00", "g", NULL,
    };
    return words_mutate(data, size, max, random, words);
}
