/* SPDX-License-Identifier: MIT */
#ifndef HF_REGION_H
#define HF_REGION_H
/*
 * The mapping of one file in this process, and the only place that turns a number from the file into a pointer. Everything a
 * pointer is computed from was validated and copied out of the file when it was opened (geometry), or is checked here.
 */
#include "atomics.h"
#include "fault.h"
#include "holdfast.h"
#include "layout.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define HF__TALLIED 16u /* mappings of a process for whose reads its threads have room */

struct hf__region {
    unsigned char *base;
    struct hf__geometry geometry;
    uint64_t seed;
    uint64_t store_id;
    uint64_t created_ms;
    uint32_t map_words;     /* of each of the two maps of one stripe                                */
    uint32_t probes;        /* buckets a key may lie behind its home                                */
    bool mapped_writable;
    bool writable;          /* ... and not in a child in another PID namespace                      */
    bool unverified;        /* read-only: no writer has verified this image, so every get does      */
    bool evicts;            /* mode cache                                                           */
    uint32_t named;         /* opened by a path, so that it can lose its name; set while others look */
    uint32_t *held;         /* one word a stripe: bit 0: a thread of this process holds its lock, ... */
                            /* ... and by the hash of their keys, what it has changed (wait.c)        */
    uint32_t fills;         /* how many fill locks threads of this process hold                     */
    int fd;
    uint64_t device, inode;
    uint64_t recoveries_before; /* in the ring, when this process attached                         */
    uint32_t references;
    uint32_t number;              /* under which threads count reads; HF__TALLIED - 1: they do not keep them  */
    uint64_t *own;                /* tallies of a handle that may not write the file                          */
    struct hf__region *next; /* in the process's list */
};

/* A store may be larger than what a 32-bit program can map: asked once, before anything of it is mapped. */
static inline bool hf__mappable(const struct hf__geometry *geometry) {
    return geometry->file_size <= SIZE_MAX;
}

static inline size_t hf__mapped_size(const struct hf__geometry *geometry) {
    return (size_t)geometry->file_size;
}

static inline struct hf__live *hf__live(const struct hf__region *region) {
    return (struct hf__live *)(void *)(region->base + HF__LIVE_AT);
}

static inline struct hf__verdict *hf__ring_at(const struct hf__region *region, uint64_t sequence) {
    return (struct hf__verdict *)(void *)(region->base + HF__RING_AT) + sequence % HF__RING;
}

/* Any number will do. */
static inline uint64_t *hf__tally_lane(const struct hf__region *region, uint32_t lane) {
    return (uint64_t *)(void *)(region->base + HF__TALLIES_AT) + lane % HF__TALLY_LANES * HF__TALLY_ROOM;
}

static inline struct hf__stripe *hf__stripe_at(const struct hf__region *region, uint32_t stripe) {
    return (struct hf__stripe *)(void *)(region->base + region->geometry.stripes_at) + stripe;
}

static inline struct hf__fill *hf__fill_at(const struct hf__region *region, uint32_t fill) {
    return (struct hf__fill *)(void *)(region->base + region->geometry.fills_at) + fill;
}

static inline struct hf__tombs *hf__tombs_at(const struct hf__region *region, uint32_t stripe) {
    return (struct hf__tombs *)(void *)(region->base + region->geometry.tombs_at) + stripe;
}

/* `bucket` counts within the stripe. */
static inline struct hf__bucket *hf__bucket_at(const struct hf__region *region, uint32_t stripe, uint32_t bucket) {
    return (struct hf__bucket *)(void *)(region->base + region->geometry.index_at) +
           (uint64_t)stripe * region->geometry.buckets + bucket;
}

/* `slot` counts through the store. */
static inline uint64_t *hf__slot_at(const struct hf__region *region, uint32_t slot) {
    struct hf__bucket *buckets = (struct hf__bucket *)(void *)(region->base + region->geometry.index_at);
    return &buckets[slot / HF__SLOTS].slot[slot % HF__SLOTS];
}

static inline uint32_t hf__slots_of_stripe(const struct hf__region *region) {
    return region->geometry.buckets * HF__SLOTS;
}

static inline struct hf__map *hf__map_at(const struct hf__region *region, uint32_t stripe) {
    return (struct hf__map *)(void *)(region->base + region->geometry.maps_at) + (uint64_t)stripe * region->map_words;
}

/* The tags of a stripe, if the store has any. */
static inline uint16_t *hf__ghosts_at(const struct hf__region *region, uint32_t stripe) {
    return (uint16_t *)(void *)(region->base + region->geometry.ghosts_at) + (uint64_t)stripe * region->geometry.ghosts;
}

/* `block` counts through the store. */
static inline struct hf__entry *hf__entry_at(const struct hf__region *region, uint64_t block) {
    return (struct hf__entry *)(void *)(region->base + region->geometry.heap_at + block * HF__BLOCK);
}

static inline uint64_t hf__first_block(const struct hf__region *region, uint32_t stripe) {
    return (uint64_t)stripe * region->geometry.blocks;
}

static inline void hf__fetch_map(const struct hf__region *region, uint32_t stripe, uint32_t block) {
    hf__fetch_own(hf__map_at(region, stripe) + block / 64);
}

/* ---- Slot words ---- */

static inline uint32_t hf__word_tag(uint64_t word) {
    return (uint32_t)(word >> HF__TAG_SHIFT);
}

static inline uint32_t hf__word_heat(uint64_t word) {
    return (uint32_t)((word & HF__HEAT_MASK) >> HF__HEAT_SHIFT);
}

static inline uint32_t hf__word_blocks(uint64_t word) {
    return (uint32_t)(word >> HF__BLOCKS_SHIFT) & HF__BLOCKS_LIMIT;
}

static inline uint64_t hf__word(uint32_t tag, uint32_t heat, uint32_t blocks, uint64_t block) {
    uint64_t bounded = blocks < HF__BLOCKS_LIMIT ? blocks : HF__BLOCKS_LIMIT;
    if (HF_PLANTED(BLOCKS_WRAP))
        bounded = blocks & HF__BLOCKS_LIMIT;
    return (uint64_t)tag << HF__TAG_SHIFT | (uint64_t)heat << HF__HEAT_SHIFT | bounded << HF__BLOCKS_SHIFT | (block + 1);
}

/* Bit i is set if slot i carries the tag, or is empty and the tag is 0. Without branches: which one it is cannot be foreseen, and
 * a processor that guesses wrong throws away the reads it has begun for the next key. */
#if defined(__SSE2__) && !HF__TSAN
/* An aligned load of 16 bytes reads each 8 of them at once (Intel SDM 3A, 9.1.1: all 16, where there is AVX). */
static inline uint32_t hf__tag_matches(const struct hf__bucket *bucket, uint32_t tag) {
    const float *words = (const float *)(const void *)bucket;
    __m128i low = _mm_castps_si128(_mm_shuffle_ps(_mm_load_ps(words), _mm_load_ps(words + 4), 0xdd)); /* upper halves */
    __m128i high = _mm_castps_si128(_mm_shuffle_ps(_mm_load_ps(words + 8), _mm_load_ps(words + 12), 0xdd));
    __m128i tags = _mm_packs_epi32(_mm_srai_epi32(low, 16), _mm_srai_epi32(high, 16));
    __m128i same = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(same, same)) & ((1u << HF__SLOTS) - 1);
}
#else
static inline uint32_t hf__tag_matches(const struct hf__bucket *bucket, uint32_t tag) {
    uint64_t pattern = (uint64_t)tag << HF__TAG_SHIFT;
    uint32_t matches = 0;
#pragma GCC unroll 7
    for (uint32_t i = HF__SLOTS; i > 0; i--)
        matches = matches * 2 + ((hf__load(&bucket->slot[i - 1]) ^ pattern) < 1ull << HF__TAG_SHIFT);
    return matches;
}
#endif

/* The same entry, whatever its heat. */
static inline bool hf__same_word(uint64_t a, uint64_t b) {
    return ((a ^ b) & ~HF__HEAT_MASK) == 0;
}

/* ---- Entries ---- */

#define HF__FETCH 8u /* lines; beyond them the processor sees by itself where a copy goes */

static inline uint32_t hf__padded(uint32_t key_len) {
    return (key_len + 7) & ~7u;
}

static inline uint32_t hf__blocks_for(uint32_t key_len, uint32_t value_len) {
    uint64_t bytes = sizeof(struct hf__entry) + hf__padded(key_len) + (uint64_t)value_len;
    return (uint32_t)((bytes + HF__BLOCK - 1) / HF__BLOCK);
}

/* The block a non-empty word names, if the run it tells lies in the heap of its stripe. */
static inline bool hf__block_of(const struct hf__region *region, uint32_t stripe, uint64_t word, uint64_t *block) {
    *block = (word & HF__BLOCK_MASK) - 1; /* of an empty word: beyond every stripe */
    if (HF_PLANTED(NO_RANGE_CHECK))
        return true;
    uint64_t within = *block - hf__first_block(region, stripe), all = region->geometry.blocks;
    uint32_t blocks = hf__word_blocks(word);
    return within < all && blocks >= 2 && blocks <= all - within;
}

/* Starts to fetch the lines of an entry all at once: where its value lies is known only when its first line is there. */
static inline void hf__fetch_entry(const struct hf__entry *entry, uint32_t blocks) {
    const char *at = (const char *)entry;
    hf__fetch(at);
    hf__fetch(at + HF__LINE);
    hf__fetch(at + blocks * HF__BLOCK - 1);
    if (blocks * HF__BLOCK > 2 * HF__LINE + HF__BLOCK)
        for (uint32_t line = 2; line < HF__FETCH && line * HF__LINE < blocks * HF__BLOCK; line++)
            hf__fetch(at + line * HF__LINE);
}

/* One load of every header field, and where key and value lie. */
struct hf__view {
    struct hf__entry *entry;
    uint64_t block;
    uint32_t blocks;
    uint32_t key_len;
    uint32_t value_len;
    uint32_t flags;
    bool absent; /* the entry says that there is nothing under its key */
    uint64_t version;
    uint64_t expiry;
    const unsigned char *key;
    const unsigned char *value;
};

/* Loads the header of view->entry, which begins at view->block; false if its lengths do not fill the run that the word tells. */
static inline bool hf__view_header(const struct hf__region *region, uint32_t stripe, uint64_t word, struct hf__view *view) {
    struct hf__entry *entry = view->entry;
    uint64_t expiry_and_key_len = hf__load(&entry->expiry_and_key_len);
    view->key_len = (uint32_t)(expiry_and_key_len & (HF__ABSENT - 1));
    view->absent = (expiry_and_key_len & HF__ABSENT) != 0;
    view->expiry = expiry_and_key_len >> 16;
    view->value_len = hf__load32(&entry->value_len);
    view->flags = hf__load32(&entry->flags);
    view->version = hf__load(&entry->version);
    view->blocks = hf__blocks_for(view->key_len, view->value_len);
    view->key = (const unsigned char *)(entry + 1);
    view->value = view->key + hf__padded(view->key_len);
    if (!hf__usual(view->key_len - 1 < HF_KEY_MAX))
        return false;
    uint32_t told = hf__word_blocks(word);
    if (hf__usual(told < HF__BLOCKS_LIMIT))
        return view->blocks == told;
    return view->blocks >= told && view->block + view->blocks <= hf__first_block(region, stripe) + region->geometry.blocks;
}

/* The entry's first block, counted within the stripe. */
static inline uint32_t hf__within(const struct hf__region *region, uint32_t stripe, const struct hf__view *view) {
    return (uint32_t)(view->block - hf__first_block(region, stripe));
}

static inline bool hf__view_word(const struct hf__region *region, uint32_t stripe, uint64_t word, struct hf__view *view) {
    if (!hf__block_of(region, stripe, word, &view->block))
        return false;
    view->entry = hf__entry_at(region, view->block);
    return hf__view_header(region, stripe, word, view);
}

#endif
