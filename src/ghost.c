/* SPDX-License-Identifier: MIT */
/*
 * The ghosts of a locked stripe: 16-bit tags of keys that left the small ring unread, about as many as the stripe expects
 * entries. Who comes back while his ghost is there is worth a place in the main region.
 *
 * Sets of eight tags, newest first, in an array that nothing else depends on: a lost, doubled or made-up tag sends an entry to
 * the other region, and that is all it does. No tag is 0.
 */
#include "internal.h"

#define WAYS HF__GHOST_WAYS

/* The set comes from other bits of the hash than the tag. */
static uint16_t *set_of(const struct hf__region *region, const struct hf__place *place) {
    uint32_t sets = region->geometry.ghosts / WAYS;
    uint32_t set = (uint32_t)(((place->hash >> 16 & 0xffffffffu) * sets) >> 32);
    return hf__ghosts_at(region, place->stripe) + set * WAYS;
}

static uint16_t tag_of(const struct hf__place *place) {
    return (uint16_t)(place->tag ? place->tag : 1);
}

/* Where in the set the tag stands; WAYS - 1 if it does not and no place is empty: there the oldest stands. */
static uint32_t find(const uint16_t *set, uint16_t tag) {
    uint32_t way = 0;
    while (way < WAYS - 1 && set[way] != tag && set[way] != 0)
        way++;
    return way;
}

void hf__ghost_put(const struct hf__region *region, const struct hf__place *place) {
    if (region->geometry.ghosts == 0)
        return;
    uint16_t *set = set_of(region, place);
    memmove(set + 1, set, find(set, tag_of(place)) * sizeof *set);
    set[0] = tag_of(place);
}

bool hf__ghost_take(const struct hf__region *region, const struct hf__place *place) {
    if (region->geometry.ghosts == 0)
        return false;
    uint16_t *set = set_of(region, place);
    uint32_t way = find(set, tag_of(place));
    if (set[way] != tag_of(place))
        return false;
    memmove(set + way, set + way + 1, (WAYS - 1 - way) * sizeof *set);
    set[WAYS - 1] = 0;
    return true;
}
