/* SPDX-License-Identifier: MIT */
/*
 * Room in the main region of mode cache: CLOCK with a window. (small.c tells what goes there.)
 *
 * A hole near the cursor is taken as it is, and a search that finds none leaves the cursor where it ended, so that searches
 * together come round the region: without that a tenth of it is small holes. Else the hand looks at up to 32 entries ahead, or
 * as many as the new entry needs, and frees the contiguous run with the least heat: its entries move into holes elsewhere if
 * there are any near the cursor, and are dropped if not. Entries that were passed over cool by one. Expired entries cost
 * nothing. All of it is heat bits, hand and cursor, of which any value is valid: a kill costs nothing but a worse choice.
 */
#include "internal.h"

#define WINDOW 32u      /* entries to choose from                                        */
#define QUICK_WORDS 16u /* of the used map, searched for a hole, and more for a larger entry ... */
#define PLENTY 16u      /* ... unless at least 1/16 of the region is free: then all of them     */

/* What an entry costs by its heat; one that has expired costs nothing. */
#define COLD 1u
#define WARM 64u /* more than all that a window has of cold ones */

struct clock {
    const struct hf__region *region;
    struct hf__stripe *header;
    uint32_t stripe;
    uint32_t wanted; /* blocks                                                     */
    bool all;        /* the entry that is being replaced goes, too: nothing else fits */
    const struct hf__need *need;
};

/* What begins at a block: a hole or an entry. */
struct item {
    uint32_t len;
    uint32_t cost;
    bool barrier; /* must not be touched: the entry that is being replaced */
    bool entry;
    struct hf__spot spot;
    struct hf__place place;
};

static bool gone(const struct clock *clock, const struct item *item) {
    return hf__expired(item->spot.view.expiry, clock->need->now_ms);
}

static struct item item_at(const struct clock *clock, uint32_t at) {
    static const uint32_t cost_of_heat[4] = { COLD, 4 * WARM, 16 * WARM, 64 * WARM };
    uint32_t all = clock->region->geometry.blocks;
    struct item item = { .len = hf__next_used(clock->region, clock->stripe, at, all) - at };
    if (item.len > 0)
        return item;
    if (!hf__spot_of_block(clock->region, clock->stripe, at, &item.spot, &item.place)) {
        item.barrier = true;
        item.len = hf__next_entry(clock->region, clock->stripe, at + 1, all) - at;
        return item;
    }
    item.entry = true;
    item.len = item.spot.view.blocks;
    item.barrier = item.spot.slot == clock->need->own && !clock->all && !HF_PLANTED(EVICT_OWN);
    item.cost = gone(clock, &item) ? 0 : cost_of_heat[hf__word_heat(item.spot.word)];
    return item;
}

static uint32_t hand_of(const struct clock *clock) {
    uint32_t hand = clock->header->hand, least = clock->region->geometry.small_blocks;
    return HF_PLANTED(HANDS_TRUSTED) || (hand >= least && hand < clock->region->geometry.blocks) ? hand : least;
}

/* As many as cost little beside the copy of so many blocks. */
static uint32_t quick_words(uint32_t blocks) {
    return QUICK_WORDS + blocks / 4;
}

/* The cheapest run of at least the blocks needed within the window; len 0 if two turns of the hand found none. */
static struct hf__range choose(const struct clock *clock) {
    uint32_t all = clock->region->geometry.blocks, wanted = clock->wanted;
    uint32_t left = hf__next_entry(clock->region, clock->stripe, hand_of(clock), all);
    uint32_t right = left, cost = 0, least = UINT32_MAX, looked = 0, turns = 0;
    uint32_t enough = hf__due(clock->header, clock->need->now_ms) ? 0 : WARM - 1;
    struct hf__range best = { 0, 0 };
    while (least > enough && (best.len == 0 || looked < WINDOW)) {
        if (right - left >= wanted) {
            if (best.len == 0 || cost < least) {
                least = cost;
                best = (struct hf__range){ left, right - left };
            }
            struct item first = item_at(clock, left);
            left += first.len;
            cost -= first.cost < cost ? first.cost : cost;
            continue;
        }
        if (right >= all) {
            if (++turns > 2)
                break;
            left = right = clock->region->geometry.small_blocks;
            cost = 0;
            continue;
        }
        struct item next = item_at(clock, right);
        right += next.len;
        cost += next.cost;
        looked += next.entry;
        if (next.barrier) {
            left = right;
            cost = 0;
        }
    }
    return best;
}

void hf__chill(const struct hf__region *region, uint32_t slot) {
    uint64_t word = hf__load(hf__slot_at(region, slot));
    if (word & HF__HEAT_MASK)
        hf__swap_if(hf__slot_at(region, slot), word, word & ~HF__HEAT_MASK);
}

static void cool(const struct clock *clock, uint32_t slot) {
    uint64_t word = hf__load(hf__slot_at(clock->region, slot));
    if (word & HF__HEAT_MASK)
        hf__swap_if(hf__slot_at(clock->region, slot), word, word - HF__HEAT_ONE);
}

/* The entries between the hand and the run. */
static void cool_passed(const struct clock *clock, uint32_t from, uint32_t to) {
    struct hf__spot spot;
    struct hf__place place;
    for (uint32_t at = from; (at = hf__next_entry(clock->region, clock->stripe, at, to)) < to; at++)
        if (hf__spot_of_block(clock->region, clock->stripe, at, &spot, &place))
            cool(clock, spot.slot);
}

static void drop(const struct clock *clock, const struct item *item) {
    hf__count(gone(clock, item) ? &clock->header->expirations : &clock->header->evictions, 1);
    hf__unlink(clock->region, &item->place, &item->spot, HF__STEP_DROP);
}

/* Moves or drops every entry of the run. */
static void clear_run(const struct clock *clock, struct hf__range run) {
    for (uint32_t at = run.at; at < run.at + run.len;) {
        struct item item = item_at(clock, at);
        at += item.len;
        if (!item.entry)
            continue;
        uint32_t hole = HF__NONE;
        if (!gone(clock, &item))
            hole = hf__find_hole(clock->region, clock->stripe, item.len, quick_words(item.len), run);
        if (hole == HF__NONE) {
            drop(clock, &item);
            continue;
        }
        hf__move(clock->region, clock->stripe, &item.spot, hole);
        cool(clock, item.spot.slot);
    }
}

/* More is free than the small ring can have: then a hole is worth a longer search. */
static bool plenty(const struct hf__region *region, const struct hf__stripe *header) {
    uint32_t all = region->geometry.blocks, small = region->geometry.small_blocks;
    return all - header->used_blocks >= small + (all - small) / PLENTY;
}

uint32_t hf__main_hole(const struct hf__region *region, uint32_t stripe, uint32_t blocks) {
    uint32_t words = plenty(region, hf__stripe_at(region, stripe)) ? region->geometry.blocks / 64 : quick_words(blocks);
    return hf__find_hole(region, stripe, blocks, words, (struct hf__range){ 0, 0 });
}

uint32_t hf__main_room(const struct hf__region *region, uint32_t stripe, const struct hf__need *need, uint32_t blocks) {
    uint32_t all = region->geometry.blocks, least = region->geometry.small_blocks;
    struct clock clock = { region, hf__stripe_at(region, stripe), stripe, blocks, false, need };
    if (blocks > all - least)
        return HF__NONE;
    uint32_t at = hf__main_hole(region, stripe, blocks);
    if (at != HF__NONE)
        return at;
    uint32_t hand = hand_of(&clock);
    struct hf__range run = choose(&clock);
    if (run.len == 0 && blocks == need->blocks && !need->stays) {
        clock.all = true;
        run = choose(&clock);
    }
    if (run.len == 0)
        return HF__NONE;
    if (run.at < hand)
        cool_passed(&clock, hand, all);
    cool_passed(&clock, run.at < hand ? least : hand, run.at);
    clear_run(&clock, run);
    clock.header->hand = run.at + run.len;
    return run.at;
}

/* All slots that a key may have are taken: the coolest entry of its home bucket goes. */
void hf__evict_slot(const struct hf__region *region, const struct hf__place *place) {
    uint32_t first = (place->stripe * region->geometry.buckets + place->home) * HF__SLOTS, coolest = first;
    for (uint32_t slot = first; slot < first + HF__SLOTS; slot++)
        if (hf__word_heat(hf__load(hf__slot_at(region, slot))) < hf__word_heat(hf__load(hf__slot_at(region, coolest))))
            coolest = slot;
    struct hf__spot spot;
    struct hf__place victim;
    if (!hf__spot_of_slot(region, place->stripe, coolest, &spot, &victim))
        return;
    hf__unlink(region, &victim, &spot, HF__STEP_DROP);
    hf__count(&hf__stripe_at(region, place->stripe)->evictions, 1);
    hf__count(&hf__stripe_at(region, place->stripe)->evictions_slot, 1);
}
