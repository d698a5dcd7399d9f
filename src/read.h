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
#include "tally.h"

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

/* ---- One key -------------------------------------------------------------------------------------------------------------- */

/* hf__key_check, where a call would be felt. */
INLINE int hf__key_check_here(const struct hf_store *store, const void *key, size_t key_len) {
    if (!store)
        return hf__fail(HF_ERR_ARGUMENT, "the store is NULL: open it first");
    if (HF_PLANTED(KEY_UNCHECKED))
        return HF_OK;
    if (!key || key_len < 1 || key_len > HF_KEY_MAX)
        return hf__fail(HF_ERR_ARGUMENT, "a key of %zu bytes: keys have 1 to %d", key ? key_len : 0, HF_KEY_MAX);
    return HF_OK;
}

struct hf__want {
    struct hf__place place;
    const void *key;
    size_t key_len;
    void *buffer;
    size_t size;
    bool stale;           /* expired values, too */
    bool *absent;         /* NULL: */
    size_t *value_len;    /* ... */
    struct hf_meta *meta; /* ... not wanted */
};

/* Wherever it is, and however often it changes. Gets a copy, so that who calls it can keep what he wants in registers. */
int hf__get_stable(struct hf_store *store, struct hf__want want);

/* Heat is a hint: one attempt, none when saturated, none where nothing is ever evicted. */
INLINE void hf__warm(const struct hf__region *region, uint64_t *slot, uint64_t word) {
    bool wanted = region->evicts && region->writable && (word & HF__HEAT_MASK) != HF__HEAT_MASK;
    if (wanted && HF_PLANTED(HEAT_STORED))
        hf__store(slot, word + HF__HEAT_ONE);
    else if (wanted)
        hf__swap_if(slot, word, word + HF__HEAT_ONE);
}

INLINE int hf__deliver(const struct hf__want *want, const struct hf__view *view, uint64_t now_ms) {
    if (want->value_len)
        *want->value_len = view->value_len;
    if (want->meta)
        hf__meta_of(view, now_ms, want->meta);
    return view->value_len > want->size ? HF_TRUNCATED : HF_OK;
}

INLINE int hf__deliver_stale(const struct hf__want *want, const struct hf__view *view, uint64_t now_ms) {
    if (view->absent)
        return HF_NOTFOUND;
    int result = hf__deliver(want, view, now_ms);
    return result == HF_OK && !HF_PLANTED(STALE_UNMARKED) ? HF_STALE : result;
}

INLINE int hf__deliver_absent(const struct hf__want *want, const struct hf__view *view, uint64_t now_ms) {
    if (want->absent) {
        *want->absent = true;
        hf__deliver(want, view, now_ms);
    }
    return HF_NOTFOUND;
}

/* The slot whose tag fits: HF_OK or HF_TRUNCATED, HF_NOTFOUND (found, but expired), HF_END (another key), HF_ERR_BUSY (it
 * changed). */
INLINE int hf__try_slot(const struct hf__region *region, const struct hf__want *want, uint64_t *slot, uint64_t word) {
    struct hf__glance glance;
    uint64_t now_ms = 0;
    if (!hf__usual(hf__glance_begin(region, want->place.stripe, slot, word, &glance)))
        return glance.view.entry ? HF_ERR_BUSY : HF_END;
    const struct hf__view *view = &glance.view;
    bool found = glance.whole && view->key_len == want->key_len &&
                 (HF_PLANTED(KEY_UNCOMPARED) || hf__same_bytes(view->key, want->key, want->key_len)) && hf__glance_sound(&glance);
    if (!hf__usual(found))
        return hf__glance_end(&glance) ? HF_END : HF_ERR_BUSY;
    HF_POINT("read:compared");
    /* The value lies where it does after a key so long, which need not wait for the header. */
    hf__copy_out(want->buffer, view->key + hf__padded((uint32_t)want->key_len),
                 view->value_len < want->size ? view->value_len : want->size);
    HF_POINT("read:copied");
    if (!hf__usual(hf__glance_end(&glance)))
        return HF_ERR_BUSY;
    if (!hf__usual(view->expiry == 0) && hf__expired(view->expiry, &now_ms))
        return want->stale ? hf__deliver_stale(want, view, now_ms) : HF_NOTFOUND;
    hf__warm(region, slot, word);
    if (view->absent)
        return hf__deliver_absent(want, view, now_ms);
    return hf__deliver(want, view, now_ms);
}

/* Most keys are found here: the first slot of its home bucket that has the key's tag. HF_END: it must be looked for. */
INLINE int hf__try_home(const struct hf__region *region, const struct hf__want *want) {
    struct hf__bucket *bucket = hf__bucket_at(region, want->place.stripe, want->place.home);
    uint32_t matches = hf__tag_matches(bucket, want->place.tag);
    if (!hf__usual(matches))
        return (hf__observe(&bucket->control) & 0xffffffff) == 0 || HF_PLANTED(HOME_ONLY) ? HF_NOTFOUND : HF_END;
    uint64_t *slot = &bucket->slot[__builtin_ctz(matches)];
    return hf__try_slot(region, want, slot, hf__observe(slot));
}

INLINE int hf__get_at(hf_store *store, struct hf__place place, const void *key, size_t key_len, void *buffer, size_t size,
                      size_t *value_len, struct hf_meta *meta, bool stale, bool *absent) {
    struct hf__want want = { place, key, key_len, buffer, size, stale, absent, value_len, meta };
    int result = hf__try_home(store->region, &want);
    if (!hf__usual(result != HF_END && result != HF_ERR_BUSY))
        return hf__get_stable(store, (struct hf__want){ place, key, key_len, buffer, size, stale, absent, value_len, meta });
    return result;
}

INLINE int hf__count_read(const hf_store *store, int result) {
    if (hf__usual(result == HF_OK) || result == HF_TRUNCATED)
        hf__tally_read(store->region, HF__TALLY_hits);
    else if (result == HF_NOTFOUND)
        hf__tally_read(store->region, HF__TALLY_misses);
    else if (result == HF_STALE)
        hf__tally(store->region, HF__TALLY_stale_hits, 1);
    return result;
}

#endif
