/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_KEYLIST_H
#define HOLDFAST_KEYLIST_H
/*
 * All keys of a store in the order of their bytes, for --sort: the store's own order depends on its random seed. Holds the keys
 * only; values are fetched one by one, so that memory stays small.
 */
#include "tool.h"

struct keylist_key {
    size_t offset; /* in bytes.data */
    size_t length;
};

struct keylist {
    struct buffer bytes; /* the keys, one behind the other      */
    struct buffer index; /* struct keylist_key, `count` of them */
    size_t count;
    uint64_t content; /* bytes of all keys and values */
};

/* Start with { .count = 0 }; ended by keylist_free in any case. False: told the user. */
bool keylist_fill(struct keylist *list, hf_store *store, const char *path);
const void *keylist_key(const struct keylist *list, size_t position, size_t *length);
void keylist_free(struct keylist *list);

#endif
