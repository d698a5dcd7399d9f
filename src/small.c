/* SPDX-License-Identifier: MIT */
/*
 * Room in mode cache: where a new entry goes, and the small ring.
 *
 *      0            small_blocks                                      blocks
 *     +------------+-------------------------------------------------+
 *     | small ring |                  main region                    |      the heap of one stripe
 *     +------------+-------------------------------------------------+
 *        new entries, in the order they came   entries that were read again (evict.c)
 *
 * Most new entries are never read again, and should not push out those that are. So they go through a ring of an eighth of the
 * heap. Its hand frees the blocks ahead of it, one entry after the other: what was read at least twice is copied to the main
 * region, the rest goes and leaves a ghost. A key that comes back while its ghost is there goes to the main region at once; so do
 * entries larger than half the ring, and any that fit into a hole of it, as all do until it is full.
 *
 * The region of an entry is told by its address. Hands, heat and ghosts are hints, of which any value is valid, and promotion is
 * the move of entry.c: there is nothing here that a killed process could leave to be repaired.
 */
#include "internal.h"

#define PROMOTED_HEAT 2u
#define HOLE_WORDS 16u   /* of the ring's map, searched for a hole                                   */
#define SWEEP_BUCKETS 4u /* looked at for expired entries, before anybody else is evicted */

/* The entry that is being replaced, within the stripe; len 0: none. */
static struct hf__range own_range(const struct hf__region *region, uint32_t stripe, const struct hf__need *need) {
    uint64_t block;
    if (need->replaces == 0 || HF_PLANTED(EVICT_OWN) ||
        !hf__block_of(region, stripe, hf__load(hf__slot_at(region, need->own)), &block))
        return (struct hf__range){ 0, 0 };
    return (struct hf__range){ (uint32_t)(block - hf__first_block(region, stripe)), need->replaces };
}

/* From where on a run of the ring can be freed: not from the middle of an entry, nor over the end. */
static uint32_t place_run(const struct hf__region *region, uint32_t stripe, uint32_t from, uint32_t blocks) {
    uint32_t end = region->geometry.small_blocks;
    if (HF_PLANTED(HANDS_TRUSTED))
        return from;
    if (from < end && hf__next_used(region, stripe, from, end) == from)
        from = hf__next_entry(region, stripe, from, end);
    return from < end && end - from >= blocks ? from : 0;
}

static bool touch(struct hf__range a, struct hf__range b) {
    return a.at < b.at + b.len && b.at < a.at + a.len;
}

/* One entry of the ring leaves it. */
static void leave(const struct hf__region *region, const struct hf__need *need, struct hf__spot *spot,
                  const struct hf__place *place) {
    struct hf__stripe *header = hf__stripe_at(region, place->stripe);
    bool expired = hf__expired(spot->view.expiry, need->now_ms);
    if (!expired && !HF_PLANTED(NONE_PROMOTED) && hf__word_heat(hf__load(hf__slot_at(region, spot->slot))) >= PROMOTED_HEAT) {
        uint32_t at = hf__main_room(region, place->stripe, need, spot->view.blocks);
        if (at != HF__NONE) {
            hf__chill(region, spot->slot);
            hf__move(region, place->stripe, spot, at);
            hf__count(&header->promotions, 1);
            return;
        }
    }
    if (!expired) {
        hf__ghost_put(region, place);
        hf__count(&header->evictions_small, 1);
    }
    hf__count(expired ? &header->expirations : &header->evictions, 1);
    hf__unlink(region, place, spot, HF__STEP_DROP);
}

/* The next blocks of the ring, freed; HF__NONE if the entry that is being replaced is in the way. */
static uint32_t ring_room(const struct hf__region *region, uint32_t stripe, const struct hf__need *need) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    struct hf__range own = own_range(region, stripe, need);
    struct hf__range run = { place_run(region, stripe, header->small_hand, need->blocks), need->blocks };
    if (touch(run, own))
        run.at = place_run(region, stripe, own.at + own.len, need->blocks);
    if (touch(run, own))
        return HF__NONE;
    uint32_t end = run.at + run.len;
    for (uint32_t at = run.at; (at = hf__next_entry(region, stripe, at, end)) < end; at++) {
        struct hf__spot spot;
        struct hf__place place;
        if (!hf__spot_of_block(region, stripe, at, &spot, &place))
            return HF__NONE;
        leave(region, need, &spot, &place);
    }
    header->small_hand = end;
    return hf__all_free(region, stripe, run.at, run.len) ? run.at : HF__NONE;
}

/* An entry that was replaced stays in its region; a new one goes to the ring unless it is known or has room elsewhere. */
static bool ring_wanted(const struct hf__region *region, uint32_t stripe, const struct hf__need *need) {
    uint32_t small = region->geometry.small_blocks;
    if (need->replaces > 0)
        return need->blocks <= small / 2 && own_range(region, stripe, need).at < small;
    bool known = hf__ghost_take(region, need->place) && !HF_PLANTED(GHOSTS_IGNORED);
    return !known && need->blocks <= small / 2;
}

/* One bucket, in turn: whether it had expired entries. The first expiry of the others is known when all had their turn. */
static bool sweep_bucket(const struct hf__region *region, uint32_t stripe, const struct hf__need *need) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    uint32_t buckets = region->geometry.buckets, bucket = header->sweep < buckets ? header->sweep : 0;
    struct hf__range slots = { (stripe * buckets + bucket) * HF__SLOTS, HF__SLOTS };
    bool found = hf__expire_slots(region, stripe, slots, need->own, need->now_ms, &header->lap_expiry) > 0;
    header->sweep = bucket + 1;
    if (header->sweep == buckets) {
        header->next_expiry = header->lap_expiry;
        header->sweep = 0;
        header->lap_expiry = UINT64_MAX;
    }
    return found;
}

/* Who has expired goes first, once there is no hole: until then he can still be read by those who take what is stale. Whether
 * anybody went. */
static bool sweep(const struct hf__region *region, uint32_t stripe, const struct hf__need *need) {
    const struct hf__stripe *header = hf__stripe_at(region, stripe);
    bool found = false;
    for (uint32_t i = 0; i < SWEEP_BUCKETS && !found && hf__due(header, need->now_ms); i++)
        found = sweep_bucket(region, stripe, need);
    return found;
}

struct hf__range hf__ring_next(const struct hf__region *region, uint32_t stripe) {
    uint32_t end = region->geometry.small_blocks, hand = hf__stripe_at(region, stripe)->small_hand;
    return (struct hf__range){ hand, hand < end ? hf__next_used(region, stripe, hand, end) - hand : 0 };
}

/* A hole of the ring that an entry left when it was replaced. */
static uint32_t ring_hole(const struct hf__region *region, uint32_t stripe, uint32_t blocks) {
    return hf__small_hole(region, stripe, blocks, HOLE_WORDS, hf__ring_next(region, stripe));
}

static uint32_t hole(const struct hf__region *region, uint32_t stripe, const struct hf__need *need, bool ring) {
    uint32_t at = ring && need->replaces > 0 ? HF__NONE : hf__main_hole(region, stripe, need->blocks);
    return at == HF__NONE && ring ? ring_hole(region, stripe, need->blocks) : at;
}

uint32_t hf__evict_room(const struct hf__region *region, uint32_t stripe, const struct hf__need *need) {
    bool ring = ring_wanted(region, stripe, need);
    uint32_t at = hole(region, stripe, need, ring);
    if (at == HF__NONE && sweep(region, stripe, need))
        at = hole(region, stripe, need, ring);
    if (at == HF__NONE && ring)
        at = ring_room(region, stripe, need);
    return at != HF__NONE ? at : hf__main_room(region, stripe, need, need->blocks);
}
