/* SPDX-License-Identifier: MIT */
/* Room for a new entry: what both modes share. */
#include "internal.h"

uint32_t hf__room(const struct hf__region *region, uint32_t stripe, const struct hf__need *need) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    hf__step(header, HF__STEP_ROOM);
    uint32_t at = region->evicts ? hf__evict_room(region, stripe, need) : hf__compact_room(region, stripe, need);
    if (at == HF__NONE)
        hf__count(&header->refusals, 1);
    else if (need->blocks > header->largest)
        header->largest = need->blocks;
    return at;
}

uint32_t hf__room_at_hand(const struct hf__region *region, uint32_t stripe, uint32_t blocks, uint32_t old) {
    const struct hf__stripe *header = hf__stripe_at(region, stripe);
    uint32_t small = region->geometry.small_blocks;
    struct hf__range ring = { 0, small }, rest = { small, region->geometry.blocks - small };
    struct hf__range avoid = { header->reserve_at, header->reserve_len };
    if (old < small && !HF_PLANTED(RING_HAND_IGNORED))
        avoid = hf__ring_next(region, stripe);
    return hf__last_hole(region, stripe, blocks, old < small ? ring : rest, avoid);
}

bool hf__due(const struct hf__stripe *header, uint64_t *now_ms) {
    return header->next_expiry != UINT64_MAX && hf__expired(header->next_expiry, now_ms);
}

/* The next search for a hole begins where one is about to be. */
static void point_at(const struct hf__region *region, uint32_t stripe, uint32_t at) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    if (at < region->geometry.small_blocks)
        header->small_cursor = at;
    else
        hf__store32(&header->cursor, at);
}

/* Removes the expired entries of some slots but `own`; how many. *next becomes the first expiry of the others, if earlier. */
uint32_t hf__expire_slots(const struct hf__region *region, uint32_t stripe, struct hf__range slots, uint32_t own,
                          uint64_t *now_ms, uint64_t *next) {
    uint32_t removed = 0;
    for (uint32_t slot = slots.at; slot < slots.at + slots.len; slot++) {
        struct hf__spot spot;
        struct hf__place place;
        if (!hf__spot_of_slot(region, stripe, slot, &spot, &place) || spot.view.expiry == 0)
            continue;
        if (slot != own && hf__expired(spot.view.expiry, now_ms)) {
            point_at(region, stripe, hf__within(region, stripe, &spot.view));
            hf__unlink(region, &place, &spot, HF__STEP_DROP);
            removed++;
        } else if (spot.view.expiry < *next) {
            *next = spot.view.expiry;
        }
    }
    hf__count(&hf__stripe_at(region, stripe)->expirations, removed);
    return removed;
}

/* ... of the whole stripe. Costs nothing while none can have expired. */
uint32_t hf__expire(const struct hf__region *region, uint32_t stripe, uint32_t own, uint64_t *now_ms) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    struct hf__range slots = { stripe * hf__slots_of_stripe(region), hf__slots_of_stripe(region) };
    uint64_t next = UINT64_MAX;
    if (!hf__due(header, now_ms))
        return 0;
    uint32_t removed = hf__expire_slots(region, stripe, slots, own, now_ms, &next);
    header->next_expiry = next;
    return removed;
}

/* Every slot a key may have is taken: empties some; false if the mode does not allow it. */
bool hf__room_slot(const struct hf__region *region, const struct hf__place *place, uint64_t *now_ms) {
    if (!region->evicts)
        return hf__expire(region, place->stripe, HF__NO_SLOT, now_ms) > 0;
    hf__evict_slot(region, place);
    return true;
}
