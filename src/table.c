/* SPDX-License-Identifier: MIT */
/*
 * The index of a locked stripe: find a key's slot, empty one, and keep the overflow counts that lead readers from a full bucket
 * to the next. A count is raised before the slot it is for is stored, and lowered after it is cleared.
 */
#include "internal.h"

/* The bucket so many steps behind a key's home; fewer than the stripe has. */
static uint32_t chain_bucket(const struct hf__region *region, const struct hf__place *place, uint32_t step) {
    uint32_t at = place->home + step, buckets = region->geometry.buckets;
    return at < buckets ? at : at - buckets;
}

static bool holds_key(const struct hf__region *region, const struct hf__place *place, uint64_t word, const void *key,
                      size_t key_len, struct hf__view *view) {
    if (!hf__block_of(region, place->stripe, word, &view->block))
        return false;
    hf__fetch_map(region, place->stripe, hf__within(region, place->stripe, view)); /* where its blocks will be freed */
    view->entry = hf__entry_at(region, view->block);
    return hf__view_header(region, place->stripe, word, view) && view->key_len == key_len &&
           hf__same_bytes(view->key, key, key_len);
}

/* The slot of the bucket that holds the key; HF__SLOTS if none does. */
static uint32_t slot_with(const struct hf__region *region, const struct hf__place *place, const struct hf__bucket *bucket,
                          const void *key, size_t key_len, struct hf__spot *spot) {
    for (uint32_t matches = hf__tag_matches(bucket, place->tag); matches; matches &= matches - 1) {
        uint32_t slot = (uint32_t)__builtin_ctz(matches);
        spot->word = hf__load(&bucket->slot[slot]);
        if (holds_key(region, place, spot->word, key, key_len, &spot->view))
            return slot;
    }
    spot->word = 0;
    return HF__SLOTS;
}

static uint32_t empty_slot(const struct hf__bucket *bucket) {
    uint32_t slot = 0;
    while (slot < HF__SLOTS && hf__load(&bucket->slot[slot]) != 0)
        slot++;
    return slot;
}

void hf__find(const struct hf__region *region, const struct hf__place *place, const void *key, size_t key_len,
              struct hf__spot *spot) {
    bool may_hold = true;
    spot->slot = HF__NO_SLOT;
    for (uint32_t step = 0; step < region->probes && (may_hold || spot->slot == HF__NO_SLOT); step++) {
        uint32_t at = chain_bucket(region, place, step), slot = HF__SLOTS;
        struct hf__bucket *bucket = hf__bucket_at(region, place->stripe, at);
        if (may_hold)
            slot = slot_with(region, place, bucket, key, key_len, spot);
        bool found = slot < HF__SLOTS;
        if (!found && spot->slot == HF__NO_SLOT)
            slot = empty_slot(bucket);
        if (slot < HF__SLOTS) {
            spot->slot = (place->stripe * region->geometry.buckets + at) * HF__SLOTS + slot;
            spot->at = &bucket->slot[slot];
            spot->passed = step;
        }
        if (found)
            return;
        may_hold = may_hold && (hf__load(&bucket->control) & 0xffffffff) != 0;
    }
    spot->word = 0;
}

bool hf__likely(const struct hf__region *region, const struct hf__place *place, struct hf__likely *likely) {
    const struct hf__bucket *bucket = hf__bucket_at(region, place->stripe, place->home);
    uint32_t matches = hf__tag_matches(bucket, place->tag);
    if (matches == 0)
        return false;
    uint32_t slot = (uint32_t)__builtin_ctz(matches);
    uint64_t word = hf__load(&bucket->slot[slot]), block;
    if (!hf__block_of(region, place->stripe, word, &block))
        return false;
    likely->slot = (place->stripe * region->geometry.buckets + place->home) * HF__SLOTS + slot;
    likely->at = (uint32_t)(block - hf__first_block(region, place->stripe));
    likely->blocks = hf__word_blocks(word);
    return true;
}

void hf__fetch_likely(const struct hf__region *region, uint32_t stripe, const struct hf__likely *likely) {
    const struct hf__entry *entry = hf__entry_at(region, hf__first_block(region, stripe) + likely->at);
    hf__fetch(entry);
    hf__fetch(entry + 1); /* its key */
    hf__fetch_map(region, stripe, likely->at);
}

static void count_overflow(const struct hf__region *region, const struct hf__place *place, uint32_t passed, uint64_t by) {
    for (uint32_t step = 0; step < passed; step++) {
        uint64_t *control = &hf__bucket_at(region, place->stripe, chain_bucket(region, place, step))->control;
        hf__publish(control, (hf__load(control) + by) & 0xffffffff);
    }
}

void hf__pass(const struct hf__region *region, const struct hf__place *place, uint32_t passed) {
    if (!HF_PLANTED(OVERFLOW_NOT_RAISED))
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
    if (HF_PLANTED(OVERFLOW_EARLY))
        hf__unpass(region, place, spot->passed);
    HF_POINT("unlink");
    if (emptied == HF__STEP_DROP && !HF_PLANTED(DROP_UNNOTED))
        hf__note_drop(region, place, spot->view.version);
    hf__publish(hf__slot_at(region, spot->slot), 0);
    HF_POINT("unlinked");
    if (emptied == HF__STEP_DROP && HF_PLANTED(DROP_UNNOTED))
        hf__note_drop(region, place, spot->view.version);
    hf__step(header, emptied);
    if (!HF_PLANTED(OVERFLOW_EARLY))
        hf__unpass(region, place, spot->passed);
    hf__step(header, HF__STEP_UNPASSED);
    hf__unmark(region, place->stripe, hf__within(region, place->stripe, &spot->view), spot->view.blocks);
    hf__loosen(header, region, spot->view.blocks, 0);
    hf__step(header, emptied == HF__STEP_PUBLISHED ? HF__STEP_FREED : HF__STEP_DROP_FREE);
    hf__count32(&header->entries, UINT32_MAX);
    hf__changed(region, place->stripe, hf__bit_of(place->hash));
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
    if (bucket >= buckets) /* also when the slot lies in an earlier stripe, for the difference wraps */
        return false;
    return hf__spot_of_word(region, stripe, bucket, slot, hf__load(hf__slot_at(region, slot)), spot, place);
}

/* The entry whose first block is `at` (within the stripe), which a damaged map can make the last one, too short for an entry. */
bool hf__spot_of_block(const struct hf__region *region, uint32_t stripe, uint32_t at, struct hf__spot *spot,
                       struct hf__place *place) {
    uint64_t block = hf__first_block(region, stripe) + at;
    if (at + 1 >= region->geometry.blocks)
        return false;
    uint32_t slot = hf__load32(&hf__entry_at(region, block)->slot);
    return hf__spot_of_slot(region, stripe, slot, spot, place) && spot->view.block == block;
}
