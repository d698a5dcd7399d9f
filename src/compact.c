/* SPDX-License-Identifier: MIT */
/*
 * Room in mode store, where nothing is given up.
 *
 * The reserve is a free run that is never smaller than the largest entry of the stripe, L. Therefore the entry next to it always
 * fits into it, and can be moved to its far end without overlapping itself:
 *
 *     [....reserve....][ E ][hole][ F ]   ->   [ E ][....reserve........hole][ F ]
 *
 * So the reserve travels through the stripe like a bubble and takes in every hole it meets; after one passage in each direction
 * it is all the free room there is. New entries come from holes, or from the reserve while L remains. An insert is refused if
 * less than 2 L would be free: k blocks of the new entry (k <= L) and a reserve of L can then always be had for a replace.
 *
 * Rejected: sliding each entry down over the hole before it. Where holes are smaller than entries none can slide without
 * overlapping itself, and a killed process would leave neither the old nor the new.
 *
 * The passage keeps its direction and place, so that its cost is spread over the writes that need it.
 */
#include "internal.h"

#define QUICK_WORDS 16u

struct stripe {
    const struct hf__region *region;
    struct hf__stripe *header;
    uint32_t number;
};

static uint32_t free_blocks(const struct stripe *stripe) {
    return stripe->region->geometry.blocks - stripe->header->used_blocks;
}

/* False: it was not too large. */
static bool tighten_largest(const struct stripe *stripe) {
    if (!stripe->header->loose)
        return false;
    uint32_t first = stripe->number * hf__slots_of_stripe(stripe->region), largest = 0;
    for (uint32_t slot = first; slot < first + hf__slots_of_stripe(stripe->region); slot++) {
        struct hf__view view;
        uint64_t word = hf__load(hf__slot_at(stripe->region, slot));
        uint32_t blocks = hf__word_blocks(word);
        if (blocks == HF__BLOCKS_LIMIT && hf__view_word(stripe->region, stripe->number, word, &view))
            blocks = view.blocks;
        largest = blocks > largest ? blocks : largest;
    }
    stripe->header->largest = largest;
    stripe->header->loose = 0;
    return true;
}

static uint32_t reserve_for(const struct stripe *stripe, const struct hf__need *need) {
    return need->blocks > stripe->header->largest ? need->blocks : stripe->header->largest;
}

/* Whether the new entry leaves enough free. One no larger than what it replaces always does. */
static bool admitted(const struct stripe *stripe, const struct hf__need *need) {
    uint64_t after = (uint64_t)free_blocks(stripe) + need->replaces;
    uint64_t kept = (HF_PLANTED(RESERVE_ONCE) ? 1 : 2ull) * reserve_for(stripe, need);
    return need->blocks <= need->replaces || after >= need->blocks + kept;
}

static bool admit(const struct stripe *stripe, const struct hf__need *need) {
    if (admitted(stripe, need))
        return true;
    if (hf__expire(stripe->region, stripe->number, need->own, need->now_ms) > 0 && admitted(stripe, need))
        return true;
    return tighten_largest(stripe) && admitted(stripe, need);
}

static uint32_t carve(struct hf__stripe *header, uint32_t blocks) {
    uint32_t at = header->reserve_at;
    header->reserve_at += blocks;
    header->reserve_len -= blocks;
    return at;
}

static uint32_t from_hole(const struct stripe *stripe, uint32_t blocks, uint32_t words) {
    struct hf__range reserve = { stripe->header->reserve_at, stripe->header->reserve_len };
    if (free_blocks(stripe) < reserve.len + blocks)
        return HF__NONE;
    return hf__find_hole(stripe->region, stripe->number, blocks, words, reserve);
}

/* Takes the hole after the reserve into it. */
static void absorb_forwards(const struct stripe *stripe) {
    struct hf__stripe *header = stripe->header;
    uint32_t end = header->reserve_at + header->reserve_len;
    header->reserve_len += hf__next_used(stripe->region, stripe->number, end, stripe->region->geometry.blocks) - end;
}

/* ... and the hole before it, down to the end of the entry that lies there. */
static void absorb_backwards(const struct stripe *stripe, uint32_t end_of_previous) {
    struct hf__stripe *header = stripe->header;
    header->reserve_len += header->reserve_at - end_of_previous;
    header->reserve_at = end_of_previous;
}

static bool entry_at(const struct stripe *stripe, uint32_t at, struct hf__spot *spot) {
    struct hf__place place;
    return hf__spot_of_block(stripe->region, stripe->number, at, spot, &place);
}

enum travel { MOVED, AT_THE_END, STUCK };

/* The entry after the reserve goes to its front. */
static enum travel step_forwards(const struct stripe *stripe) {
    struct hf__stripe *header = stripe->header;
    struct hf__spot spot;
    absorb_forwards(stripe);
    uint32_t at = header->reserve_at, end = at + header->reserve_len;
    if (end >= stripe->region->geometry.blocks)
        return AT_THE_END;
    if (!entry_at(stripe, end, &spot) || spot.view.blocks > header->reserve_len)
        return STUCK;
    header->reserve_at += spot.view.blocks;
    header->reserve_len -= spot.view.blocks;
    hf__move(stripe->region, stripe->number, &spot, at);
    absorb_forwards(stripe);
    return MOVED;
}

/* The entry before the reserve goes to its back. */
static enum travel step_backwards(const struct stripe *stripe) {
    struct hf__stripe *header = stripe->header;
    struct hf__spot spot;
    uint32_t previous = hf__previous_entry(stripe->region, stripe->number, header->reserve_at);
    if (previous == HF__NONE) {
        absorb_backwards(stripe, 0);
        return AT_THE_END;
    }
    if (!entry_at(stripe, previous, &spot))
        return STUCK;
    absorb_backwards(stripe, previous + spot.view.blocks);
    if (spot.view.blocks > header->reserve_len)
        return STUCK;
    header->reserve_len -= spot.view.blocks;
    hf__move(stripe->region, stripe->number, &spot, header->reserve_at + header->reserve_len);
    return MOVED;
}

/* Lets the reserve travel until it has `wanted` blocks; false if it cannot be made so large. Three ends: the rest of the passage
 * it is in, and one in each direction. */
static bool travel_until(const struct stripe *stripe, uint32_t wanted) {
    uint32_t ends = 0;
    while (stripe->header->reserve_len < wanted) {
        enum travel travel = stripe->header->backwards ? step_backwards(stripe) : step_forwards(stripe);
        if (travel == MOVED)
            continue;
        if (travel == STUCK || ++ends == 3)
            return false;
        stripe->header->backwards ^= 1;
    }
    return true;
}

uint32_t hf__compact_room(const struct hf__region *region, uint32_t number, const struct hf__need *need) {
    struct stripe stripe = { region, hf__stripe_at(region, number), number };
    struct hf__stripe *header = stripe.header;
    uint32_t at = HF__NONE;
    if (!admit(&stripe, need))
        return HF__NONE;
    uint32_t reserve = reserve_for(&stripe, need);
    if (header->reserve_len >= reserve)
        at = from_hole(&stripe, need->blocks, QUICK_WORDS);
    if (at == HF__NONE && header->reserve_len >= reserve + need->blocks)
        at = carve(header, need->blocks);
    if (at == HF__NONE && header->reserve_len >= reserve)
        at = from_hole(&stripe, need->blocks, region->geometry.blocks / 64);
    if (at == HF__NONE && travel_until(&stripe, reserve + need->blocks))
        at = carve(header, need->blocks);
    return at;
}
