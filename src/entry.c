/* SPDX-License-Identifier: MIT */
/* Writing into free blocks of a locked stripe. Every write gets a new stamp, moves too: a reader that began with the old bytes
 * of the blocks finds out by it. */
#include "internal.h"

/* The counter is stored before the number is used: a number is never given twice, whoever is killed. */
uint64_t hf__next_stamp(struct hf__stripe *stripe) {
    uint64_t stamp = stripe->next_stamp;
    if (HF_PLANTED(COUNTER_LATE))
        return stamp;
    hf__publish(&stripe->next_stamp, stamp + 1);
    hf__in_order();
    return stamp;
}

/* Copies an entry into the free blocks at `to` (within the stripe), publishes the copy and frees the source. */
void hf__move(const struct hf__region *region, uint32_t stripe, const struct hf__spot *spot, uint32_t to) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    const struct hf__view *view = &spot->view;
    uint64_t block = hf__first_block(region, stripe) + to;
    struct hf__entry copy;
    memcpy(&copy, view->entry, sizeof copy);
    uint32_t body = copy.checksum ^ hf__hash_header(&copy);
    if (!HF_PLANTED(STAMP_KEPT))
        copy.stamp = hf__next_stamp(header);
    if (HF_PLANTED(VERSION_MOVED))
        copy.version = copy.stamp;
    copy.checksum = body ^ hf__hash_header(&copy);

    hf__mark(region, stripe, to, view->blocks);
    hf__fence_release();
    struct hf__entry *entry = hf__entry_at(region, block);
    hf__copy_in(entry, &copy, sizeof copy);
    hf__copy_in(entry + 1, view->key, hf__padded(view->key_len) + (size_t)view->value_len);
    hf__step(header, HF__STEP_MOVE_COPY);
    uint64_t word = hf__load(hf__slot_at(region, spot->slot));
    hf__publish(hf__slot_at(region, spot->slot), hf__word(hf__word_tag(word), hf__word_heat(word), view->blocks, block));
    hf__step(header, HF__STEP_MOVE_PUBLISH);
    hf__unmark(region, stripe, hf__within(region, stripe, view), view->blocks);
    hf__count(&header->moves, 1);
    hf__step(header, HF__STEP_MOVE_FREE);
}
