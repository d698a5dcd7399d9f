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

/* Removes every expired entry of the stripe but `own`; how many. Costs nothing while none can have expired. */
uint32_t hf__expire(const struct hf__region *region, uint32_t stripe, uint32_t own, uint64_t *now_ms) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    uint64_t next = UINT64_MAX;
    uint32_t removed = 0;
    if (header->next_expiry == UINT64_MAX || !hf__expired(header->next_expiry, now_ms))
        return 0;
    uint32_t first = stripe * hf__slots_of_stripe(region), end = first + hf__slots_of_stripe(region);
    for (uint32_t slot = first; slot < end; slot++) {
        struct hf__spot spot;
        struct hf__place place;
        if (!hf__spot_of_slot(region, stripe, slot, &spot, &place) || spot.view.expiry == 0)
            continue;
        if (slot != own && hf__expired(spot.view.expiry, now_ms)) {
            hf__unlink(region, &place, &spot, HF__STEP_DROP);
            removed++;
        } else if (spot.view.expiry < next) {
            next = spot.view.expiry;
        }
    }
    header->next_expiry = next;
    hf__count(&header->expirations, removed);
    return removed;
}

/* Every slot a key may have is taken: empties some; false if the mode does not allow it. */
bool hf__room_slot(const struct hf__region *region, const struct hf__place *place, uint64_t *now_ms) {
    if (!region->evicts)
        return hf__expire(region, place->stripe, HF__NO_SLOT, now_ms) > 0;
    hf__evict_slot(region, place);
    return true;
}
