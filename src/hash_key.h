/* SPDX-License-Identifier: MIT */
#ifndef HF_HASH_KEY_H
#define HF_HASH_KEY_H
/* The hash of a key where a call would be felt: in a get and a put. Longer keys are hashed by hash.c, whose result it is. */
#include "hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t hf__hash_key_here(const struct hf__region *region, const void *key, size_t key_len) {
    if (key_len > 16)
        return hf__hash_key(region, key, key_len);
    return XXH3_64bits_withSeed(key, key_len, HF_PLANTED(SEED_IGNORED) ? 0 : region->seed);
}

#endif
