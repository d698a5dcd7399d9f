/* SPDX-License-Identifier: MIT */
#ifndef HF_READ_H
#define HF_READ_H
/*
 * The reader's protocol, without a lock. Begin, look and copy, end; what was loaded in between is one real entry if end says so.
 *
 *   begin  1  the word's block run lies in the heap of the stripe
 *          2  load the entry's stamp (acquire)
 *          3  load the slot again (acquire): still the word. Without this a new stamp could be paired with an old body: the word
 *             was loaded, the blocks were freed and reused, and the stamp is already that of their next entry
 *          4  load each header field once; the lengths fill the run
 *   end    5  acquire fence
 *          6  the slot again (acquire): still the word
 *          7  the stamp again: still the stamp. In this order: the word can come back, with the same blocks, only after a new
 *             stamp was stored in them
 */
#include "internal.h"

#define INLINE static inline __attribute__((always_inline)) /* a call in the middle would cost what a get may cost */

struct hf__glance {
    const struct hf__region *region;
    const uint64_t *slot;
    uint64_t word;
    uint64_t stamp;
    bool whole; /* the header makes sense; only hf__glance_end tells whether that means anything */
    struct hf__view view;
};

/* False: the slot changed meanwhile, or names blocks that the stripe does not have (and `glance->view.entry` is NULL). */
INLINE bool hf__glance_begin(const struct hf__region *region, uint32_t stripe, const uint64_t *slot, uint64_t word,
                                    struct hf__glance *glance) {
    glance->region = region;
    glance->slot = slot;
    glance->word = word;
    glance->view.entry = NULL;
    if (!hf__usual(hf__block_of(region, stripe, word, &glance->view.block)))
        return false;
    glance->view.entry = hf__entry_at(region, glance->view.block);
    hf__fetch_entry(glance->view.entry, hf__word_blocks(word));
    glance->stamp = hf__observe(&glance->view.entry->stamp);
    HF_POINT("read:stamp");
    if (!HF_PLANTED(NO_SLOT_RELOAD) && !hf__same_word(hf__observe(slot), word))
        return false;
    glance->whole = hf__view_header(region, stripe, word, &glance->view);
    return true;
}

INLINE bool hf__glance_end(const struct hf__glance *glance) {
    if (HF_PLANTED(NO_VALIDATION))
        return true;
    if (!HF_PLANTED(NO_ACQUIRE_FENCE))
        hf__fence_acquire();
    if (HF_PLANTED(STAMP_FIRST)) {
        bool same = hf__observe(&glance->view.entry->stamp) == glance->stamp;
        HF_POINT("read:end");
        return same && hf__same_word(hf__observe(glance->slot), glance->word);
    }
    if (!hf__same_word(hf__observe(glance->slot), glance->word))
        return false;
    HF_POINT("read:end");
    return hf__load(&glance->view.entry->stamp) == glance->stamp;
}

/* On an image that no writer has verified since a machine crash, only the checksum tells an entry from what was left of one. */
INLINE bool hf__glance_sound(const struct hf__glance *glance) {
    if (!glance->whole || hf__usual(!glance->region->unverified) || HF_PLANTED(CHECKSUM_SKIPPED))
        return glance->whole;
    struct hf__view view = glance->view; /* a copy, so that the glance itself can stay in registers */
    return hf__checksum_fits(glance->region, &view);
}

#endif
