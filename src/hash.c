/* SPDX-License-Identifier: MIT */
/* xxhash's code becomes part of this object: the library does not link to it. */
#include "hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>
static_assert(XXH_VERSION_NUMBER >= 800, "XXH3 has a fixed result from xxhash 0.8.0 on");

static uint32_t fold(uint64_t hash) {
    return (uint32_t)(hash ^ hash >> 32);
}

uint64_t hf__hash_key(const struct hf__region *region, const void *key, size_t key_len) {
    return XXH3_64bits_withSeed(key, key_len, HF_PLANTED(SEED_IGNORED) ? 0 : region->seed);
}

uint32_t hf__hash_body(uint64_t key_hash, const void *value, size_t value_len) {
    return fold(XXH3_64bits_withSeed(value, value_len, key_hash));
}

uint32_t hf__hash_header(const struct hf__entry *header) {
    return fold(XXH3_64bits(header, offsetof(struct hf__entry, checksum)));
}

bool hf__checksum_fits(const struct hf__region *region, const struct hf__view *view) {
    struct hf__entry header;
    hf__copy_out(&header, view->entry, sizeof header);
    uint64_t key_hash = hf__hash_key(region, view->key, view->key_len);
    return header.checksum == (hf__hash_header(&header) ^ hf__hash_body(key_hash, view->value, view->value_len));
}

uint64_t hf__hash_superblock(const struct hf__superblock *superblock) {
    return XXH3_64bits(superblock, offsetof(struct hf__superblock, checksum));
}
