/* SPDX-License-Identifier: MIT */
/*
 * The index of a locked stripe: find a key's slot, empty one, and keep the overflow counts that lead readers from a full bucket
 * to the next. A count is raised before the slot it is for is stored, and lowered after it is cleared.
 */
#include "internal.h"

static uint32_t chain_slot(const struct hf__region *region, const struct hf__place *place, uint32_t step) {
    uint32_t bucket = (place->home + step) % region->geometry.buckets;
    return (place->stripe * region->geometry.buckets + bucket) * HF__SLOTS;
}

static bool holds_key(const struct hf__region *region, const struct hf__place *place, uint64_t word, const void *key,
                      size_t key_len, struct hf__view *view) {
    return word != 0 && hf__word_tag(word) == place->tag && hf__view_word(region, place->stripe, word, view) &&
           view->key_len == key_len && memcmp(view->key, key, key_len) == 0;
}

void hf__find(const struct hf__region *region, const struct hf__place *place, const void *key, size_t key_len,
              struct hf__spot *spot) {
    *spot = (struct hf__spot){ .slot = HF__NO_SLOT };
    bool may_hold = true;
    for (uint32_t step = 0; step < region->probes && (may_hold || spot->slot == HF__NO_SLOT); step++) {
        uint32_t first = chain_slot(region, place, step);
        for (uint32_t slot = first; slot < first + HF__SLOTS; slot++) {
            uint64_t word = hf__load(hf__slot_at(region, slot));
            if (may_hold && holds_key(region, place, word, key, key_len, &spot->view)) {
                spot->slot = slot;
                spot->passed = step;
                spot->word = word;
                return;
            }
            if (word == 0 && spot->slot == HF__NO_SLOT) {
                spot->slot = slot;
                spot->passed = step;
            }
        }
        may_hold = may_hold && (hf__load(hf__slot_at(region, first) + HF__SLOTS) & 0xffffffff) != 0;
    }
}

static void count_overflow(const struct hf__region *region, const struct hf__place *place, uint32_t passed, uint64_t by) {
    for (uint32_t step = 0; step < passed; step++) {
        uint64_t *control = hf__slot_at(region, chain_slot(region, place, step)) + HF__SLOTS;
        hf__publish(control, (hf__load(control) + by) & 0xffffffff);
    }
}

void hf__pass(const struct hf__region *region, const struct hf__place *place, uint32_t passed) {
    count_overflow(region, place, passed, 1);
}

void hf__unpass(const struct hf__region *region, const struct hf__place *place, uint32_t passed) {
    hf__in_order();
    count_overflow(region, place, passed, 0xffffffff);
}

/* Empties a slot and gives back what its entry held. */
void hf__unlink(const struct hf__region *region, const struct hf__place *place, const struct hf__spot *spot,
                enum hf__step emptied) {
    struct hf__stripe *header = hf__stripe_at(region, place->stripe);
    if (HF_PLANTED(HF__BUG_OVERFLOW_EARLY))
        hf__unpass(region, place, spot->passed);
    HF_POINT("unlink");
    hf__publish(hf__slot_at(region, spot->slot), 0);
    hf__step(header, emptied);
    if (!HF_PLANTED(HF__BUG_OVERFLOW_EARLY))
        hf__unpass(region, place, spot->passed);
    hf__step(header, HF__STEP_UNPASSED);
    hf__unmark(region, place->stripe, hf__within(region, place->stripe, &spot->view), spot->view.blocks);
    hf__step(header, emptied == HF__STEP_PUBLISHED ? HF__STEP_FREED : HF__STEP_DROP_FREE);
    hf__count(&header->entries, ~0ull);
}

bool hf__spot_of_word(const struct hf__region *region, uint32_t stripe, uint32_t bucket, uint32_t slot, uint64_t word,
                      struct hf__spot *spot, struct hf__place *place) {
    if (word == 0 || !hf__view_word(region, stripe, word, &spot->view) || hf__load32(&spot->view.entry->slot) != slot)
        return false;
    *place = hf__locate(region, hf__hash_key(region, spot->view.key, spot->view.key_len));
    spot->slot = slot;
    spot->word = word;
    spot->passed = bucket >= place->home ? bucket - place->home : bucket + region->geometry.buckets - place->home;
    return place->stripe == stripe && place->tag == hf__word_tag(word) && spot->passed < region->probes;
}

bool hf__spot_of_slot(const struct hf__region *region, uint32_t stripe, uint32_t slot, struct hf__spot *spot,
                      struct hf__place *place) {
    uint32_t buckets = region->geometry.buckets, bucket = slot / HF__SLOTS - stripe * buckets;
    if (bucket >= buckets || slot / HF__SLOTS < stripe * buckets)
        return false;
    return hf__spot_of_word(region, stripe, bucket, slot, hf__load(hf__slot_at(region, slot)), spot, place);
}

/* The entry whose first block is `at` (within the stripe). */
bool hf__spot_of_block(const struct hf__region *region, uint32_t stripe, uint32_t at, struct hf__spot *spot,
                       struct hf__place *place) {
    uint64_t block = hf__first_block(region, stripe) + at;
    uint32_t slot = hf__load32(&hf__entry_at(region, block)->slot);
    return hf__spot_of_slot(region, stripe, slot, spot, place) && spot->view.block == block;
}
