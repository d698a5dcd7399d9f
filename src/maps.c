/* SPDX-License-Identifier: MIT */
/* The two block maps of a locked stripe: which blocks are used, and which are the first of an entry. Derived: recovery rebuilds
 * them from the slots. Blocks count within the stripe. */
#include "internal.h"

#define APART (sizeof(struct hf__map) / sizeof(uint64_t)) /* words of the same map */

/* `count` bits from `bit` on, at least one and all in one word. */
static uint64_t mask_of(uint32_t bit, uint32_t count) {
    return ~0ull >> (64 - count) << bit;
}

/* The first bit in [from, limit) that is set in one of the two maps, whose first word stands at `words`, after every word was
 * xored with `flip`; limit if there is none. */
static uint32_t next_bit(const uint64_t *words, uint64_t flip, uint32_t from, uint32_t limit) {
    if (from >= limit)
        return limit;
    uint32_t index = from / 64;
    uint64_t word = (words[index * APART] ^ flip) & ~0ull << from % 64;
    while (word == 0) {
        if (++index * 64 >= limit)
            return limit;
        word = words[index * APART] ^ flip;
    }
    uint32_t bit = index * 64 + (uint32_t)__builtin_ctzll(word);
    return bit < limit ? bit : limit;
}

uint32_t hf__next_used(const struct hf__region *region, uint32_t stripe, uint32_t from, uint32_t limit) {
    return next_bit(&hf__map_at(region, stripe)->used, 0, from, limit);
}

uint32_t hf__next_free(const struct hf__region *region, uint32_t stripe, uint32_t from, uint32_t limit) {
    return next_bit(&hf__map_at(region, stripe)->used, ~0ull, from, limit);
}

uint32_t hf__next_entry(const struct hf__region *region, uint32_t stripe, uint32_t from, uint32_t limit) {
    return next_bit(&hf__map_at(region, stripe)->first, 0, from, limit);
}

/* The last entry that begins before a block; HF__NONE if there is none. */
uint32_t hf__previous_entry(const struct hf__region *region, uint32_t stripe, uint32_t before) {
    const struct hf__map *map = hf__map_at(region, stripe);
    if (before == 0)
        return HF__NONE;
    uint32_t index = (before - 1) / 64, bit = (before - 1) % 64;
    uint64_t word = map[index].first & ~0ull >> (63 - bit);
    while (word == 0 && index > 0)
        word = map[--index].first;
    return word ? index * 64 + 63 - (uint32_t)__builtin_clzll(word) : HF__NONE;
}

/* A free run of `blocks` that begins in [from, limit), ends before `all` and does not touch `avoid`; HF__NONE. */
static uint32_t hole_between(const struct hf__region *region, uint32_t stripe, uint32_t blocks, uint32_t from, uint32_t limit,
                             struct hf__range avoid, uint32_t all) {
    while ((from = hf__next_free(region, stripe, from, limit)) < limit) {
        if (from - avoid.at < avoid.len) {
            from = avoid.at + avoid.len;
            continue;
        }
        uint32_t end = all - from < blocks ? all : from + blocks;
        if (from < avoid.at && end > avoid.at)
            end = avoid.at;
        end = hf__next_used(region, stripe, from, end);
        if (end - from >= blocks)
            return from;
        from = end;
    }
    return HF__NONE;
}

static bool is_free(const struct hf__region *region, uint32_t stripe, struct hf__range run, struct hf__range avoid) {
    if (run.at < avoid.at + avoid.len && avoid.at < run.at + run.len && !HF_PLANTED(RESERVE_TAKEN))
        return false;
    if (hf__usual(run.at % 64 + run.len <= 64))
        return (hf__map_at(region, stripe)[run.at / 64].used & mask_of(run.at % 64, run.len)) == 0;
    return hf__all_free(region, stripe, run.at, run.len);
}

uint32_t hf__last_hole(const struct hf__region *region, uint32_t stripe, uint32_t blocks, struct hf__range part,
                       struct hf__range avoid) {
    const struct hf__stripe *header = hf__stripe_at(region, stripe);
    struct hf__range hole = { header->hole_at, blocks };
    bool fits = header->hole_len == blocks && hole.at - part.at < part.len && blocks <= part.at + part.len - hole.at &&
                (is_free(region, stripe, hole, avoid) || HF_PLANTED(HOLE_TRUSTED));
    return fits ? hole.at : HF__NONE;
}

/* Next fit in a part of the heap: from its cursor, over at most `words` words of the map and round its end. */
static inline uint32_t next_fit(const struct hf__region *region, uint32_t stripe, uint32_t blocks, uint32_t words,
                                struct hf__range avoid, struct hf__range part, uint32_t *cursor) {
    uint32_t all = part.at + part.len, from = *cursor - part.at < part.len ? *cursor : part.at;
    uint32_t span = words < part.len / 64 ? words * 64 : part.len, at = hf__last_hole(region, stripe, blocks, part, avoid);
    if (at != HF__NONE)
        return at;
    at = blocks <= all - from && is_free(region, stripe, (struct hf__range){ from, blocks }, avoid) ? from : HF__NONE;
    if (!hf__usual(at != HF__NONE))
        at = hole_between(region, stripe, blocks, from, all - from < span ? all : from + span, avoid, all);
    if (at == HF__NONE && all - from < span)
        at = hole_between(region, stripe, blocks, part.at, part.at + span - (all - from), avoid, all);
    if (at == HF__NONE) /* the next search goes on where this one ended */
        hf__store32(cursor, all - from > span ? from + span : part.at + span - (all - from));
    else /* the next hole, for hf__fetch_room, if it can be told from the word at hand */
        hf__store32(cursor, hf__next_free(region, stripe, at + blocks, all - at - blocks < 64 ? all : at + blocks + 64));
    return at;
}

/* ... of all but the small ring, ... */
uint32_t hf__find_hole(const struct hf__region *region, uint32_t stripe, uint32_t blocks, uint32_t words,
                       struct hf__range avoid) {
    uint32_t least = region->geometry.small_blocks;
    struct hf__range part = { least, region->geometry.blocks - least };
    return next_fit(region, stripe, blocks, words, avoid, part, &hf__stripe_at(region, stripe)->cursor);
}

/* ... and of the small ring. */
uint32_t hf__small_hole(const struct hf__region *region, uint32_t stripe, uint32_t blocks, uint32_t words,
                        struct hf__range avoid) {
    struct hf__range part = { 0, region->geometry.small_blocks };
    return next_fit(region, stripe, blocks, words, avoid, part, &hf__stripe_at(region, stripe)->small_cursor);
}

void hf__leave_hole(const struct hf__region *region, uint32_t stripe, const struct hf__view *view) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    hf__store32(&header->hole_at, hf__within(region, stripe, view));
    hf__store32(&header->hole_len, view->blocks);
}

void hf__fetch_room(const struct hf__region *region, uint32_t stripe, uint32_t blocks) {
    const struct hf__stripe *header = hf__stripe_at(region, stripe);
    uint32_t at = hf__load32(hf__load32(&header->hole_len) == blocks ? &header->hole_at : &header->cursor);
    if (at >= region->geometry.blocks)
        return;
    hf__fetch_map(region, stripe, at);
    const char *entry = (const char *)hf__entry_at(region, hf__first_block(region, stripe) + at);
    for (uint32_t line = 0; line < 3; line++)
        hf__fetch_own(entry + line * HF__LINE);
}

struct hf__range hf__longest_hole(const struct hf__region *region, uint32_t stripe) {
    uint32_t all = region->geometry.blocks;
    struct hf__range longest = { 0, 0 };
    for (uint32_t from = 0; (from = hf__next_free(region, stripe, from, all)) < all;) {
        uint32_t end = hf__next_used(region, stripe, from, all);
        if (end - from > longest.len)
            longest = (struct hf__range){ from, end - from };
        from = end;
    }
    return longest;
}

bool hf__all_free(const struct hf__region *region, uint32_t stripe, uint32_t at, uint32_t blocks) {
    return hf__next_used(region, stripe, at, at + blocks) == at + blocks;
}

static void fill(struct hf__map *map, uint32_t at, uint32_t blocks, bool set) {
    while (blocks > 0) {
        uint32_t bit = at % 64, count = blocks < 64 - bit ? blocks : 64 - bit;
        uint64_t mask = mask_of(bit, count), word = map[at / 64].used;
        map[at / 64].used = set ? word | mask : word & ~mask;
        at += count;
        blocks -= count;
    }
}

/* Most runs do not cross a word. */
static inline void fill_run(struct hf__map *map, uint32_t at, uint32_t blocks, bool set) {
    uint64_t *word = &map[at / 64].used;
    if (hf__usual(at % 64 + blocks <= 64))
        *word = set ? *word | mask_of(at % 64, blocks) : *word & ~mask_of(at % 64, blocks);
    else
        fill(map, at, blocks, set);
}

void hf__mark(const struct hf__region *region, uint32_t stripe, uint32_t at, uint32_t blocks) {
    struct hf__map *map = hf__map_at(region, stripe);
    fill_run(map, at, blocks, true);
    map[at / 64].first |= 1ull << at % 64;
    hf__count32(&hf__stripe_at(region, stripe)->used_blocks, blocks);
}

/* Marks a run that is wholly free; else false, and nothing is marked. For recovery, which counts by itself. */
bool hf__claim(const struct hf__region *region, uint32_t stripe, uint32_t at, uint32_t blocks) {
    struct hf__map *map = hf__map_at(region, stripe);
    if (at % 64 + blocks <= 64) { /* most do not cross a word */
        uint64_t mask = mask_of(at % 64, blocks);
        if (map[at / 64].used & mask)
            return false;
        map[at / 64].used |= mask;
    } else {
        if (at + blocks > region->geometry.blocks || !hf__all_free(region, stripe, at, blocks))
            return false;
        fill(map, at, blocks, true);
    }
    map[at / 64].first |= 1ull << at % 64;
    return true;
}

/* A free run next to the reserve becomes part of it. */
static void widen_reserve(struct hf__stripe *header, uint32_t at, uint32_t blocks) {
    if (at + blocks == header->reserve_at) {
        header->reserve_at = at;
        header->reserve_len += blocks;
    } else if (header->reserve_at + header->reserve_len == at) {
        header->reserve_len += blocks;
    }
}

void hf__unmark(const struct hf__region *region, uint32_t stripe, uint32_t at, uint32_t blocks) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    struct hf__map *map = hf__map_at(region, stripe);
    fill_run(map, at, blocks, false);
    map[at / 64].first &= ~(1ull << at % 64);
    hf__count32(&header->used_blocks, 0 - blocks);
    if (!region->evicts)
        widen_reserve(header, at, blocks);
}
