/* SPDX-License-Identifier: MIT */
#ifndef HF_HASH_H
#define HF_HASH_H
/*
 * From a key to its place, and the checksums.
 *
 *      63            54                47              16 15         0
 *     +----------------+------+-----------------------------+---------+
 *     | stripe, top 10 |      | bucket, 32: multiply-shift  | tag 16  |
 *     +----------------+------+-----------------------------+---------+
 */
#include "region.h"

struct hf__place {
    uint64_t hash;
    uint32_t stripe;
    uint32_t home; /* bucket of the stripe */
    uint32_t tag;
};

static inline struct hf__place hf__locate(const struct hf__region *region, uint64_t hash) {
    struct hf__place place = { .hash = hash };
    place.stripe = (uint32_t)(((hash >> 54) * region->geometry.stripes) >> 10);
    place.home = (uint32_t)(((hash >> 16 & 0xffffffffu) * region->geometry.buckets) >> 32);
    place.tag = (uint32_t)(hash & 0xffff);
    return place;
}

uint64_t hf__hash_key(const struct hf__region *region, const void *key, size_t key_len);

/* An entry's checksum is header ^ body, so that a move, which changes the header alone, need not read the body again. */
uint32_t hf__hash_body(uint64_t key_hash, const void *value, size_t value_len);
uint32_t hf__hash_header(const struct hf__entry *header); /* all but its checksum */
bool hf__checksum_fits(const struct hf__region *region, const struct hf__view *view);

uint64_t hf__hash_superblock(const struct hf__superblock *superblock); /* all but its checksum */

#endif
