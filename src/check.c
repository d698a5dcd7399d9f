/* SPDX-License-Identifier: MIT */
/*
 * The invariants, tested. A function of (region, stripe) like recovery, but written apart from it and without its help, so that
 * each is a test of the other. It changes nothing, allocates nothing, locks nothing: health.c does that.
 */
#include "check.h"

struct checker {
    const struct hf__region *region;
    const struct hf__stripe *header;
    uint32_t stripe;
    struct hf__findings *findings;
    uint64_t blocks;
    uint64_t longest;
    /* Overflow counts of the last buckets that later entries can still change; see count_overflow. */
    uint32_t window[HF__PROBES];
};

static void found(struct checker *checker, enum hf_invariant invariant, uint64_t position) {
    struct hf__findings *findings = checker->findings;
    if (findings->kept < HF__FINDINGS)
        findings->violations[findings->kept++] =
            (struct hf_violation){ .invariant = invariant, .stripe = checker->stripe, .position = position };
    findings->count++;
}

/* I1 to I5 of one slot; `unsound` is the first that is violated, 0 if none is. */
enum hf_invariant hf__check_entry(const struct hf__region *region, uint32_t stripe, uint32_t slot, uint64_t word,
                                  struct hf__view *view, struct hf__place *place) {
    uint32_t buckets = region->geometry.buckets;
    if (!hf__block_of(region, stripe, word, &view->block))
        return HF_I1_RANGE;
    view->entry = hf__entry_at(region, view->block);
    if (!hf__view_header(region, stripe, word, view))
        return HF_I3_LENGTH;
    if (hf__load32(&view->entry->slot) != slot)
        return HF_I2_SLOT;
    *place = hf__locate(region, hf__hash_key(region, view->key, view->key_len));
    uint32_t behind = (slot / HF__SLOTS % buckets + buckets - place->home) % buckets;
    if (place->stripe != stripe || place->tag != hf__word_tag(word) || behind >= region->probes)
        return HF_I4_HASH;
    return hf__checksum_fits(region, view) ? 0 : HF_I5_CHECKSUM;
}

static void check_blocks(struct checker *checker, const struct hf__view *view, uint32_t slot) {
    const struct hf__region *region = checker->region;
    uint32_t at = hf__within(region, checker->stripe, view), end = at + view->blocks;
    if (hf__next_free(region, checker->stripe, at, end) != end)
        found(checker, HF_I8_USED, slot);
    if (hf__next_entry(region, checker->stripe, at, end) != at)
        found(checker, HF_I9_FIRST, slot);
    else if (hf__next_entry(region, checker->stripe, at + 1, end) != end)
        found(checker, HF_I6_OVERLAP, slot);
    checker->blocks += view->blocks;
    checker->longest = view->blocks > checker->longest ? view->blocks : checker->longest;
}

/* Another slot of the chain, before this one, with the same key. */
static void check_unique(struct checker *checker, const struct hf__view *view, const struct hf__place *place, uint32_t slot) {
    const struct hf__region *region = checker->region;
    for (uint32_t i = 0; i < region->probes * HF__SLOTS; i++) {
        uint32_t bucket = (place->home + i / HF__SLOTS) % region->geometry.buckets;
        uint32_t other = (checker->stripe * region->geometry.buckets + bucket) * HF__SLOTS + i % HF__SLOTS;
        uint64_t word = hf__load(hf__slot_at(region, other));
        struct hf__view rival;
        if (other == slot)
            return;
        if (word != 0 && hf__word_tag(word) == place->tag && hf__view_word(region, checker->stripe, word, &rival) &&
            rival.key_len == view->key_len && memcmp(rival.key, view->key, view->key_len) == 0)
            found(checker, HF_I7_UNIQUE, slot);
    }
}

static void check_slot(struct checker *checker, uint32_t slot) {
    struct hf__view view;
    struct hf__place place;
    uint64_t word = hf__load(hf__slot_at(checker->region, slot));
    if (word == 0)
        return;
    enum hf_invariant unsound = hf__check_entry(checker->region, checker->stripe, slot, word, &view, &place);
    if (unsound) {
        found(checker, unsound, slot);
        return;
    }
    checker->findings->entries++;
    checker->findings->bytes += (uint64_t)view.key_len + view.value_len;
    check_blocks(checker, &view, slot);
    check_unique(checker, &view, &place, slot);
    uint64_t next = checker->header->next_stamp;
    if (hf__load(&view.entry->stamp) >= next || view.version >= next)
        found(checker, HF_I12_STAMP, slot);
}

/* Counts, for each bucket that the entry in `slot` passed over, one in the window. `at` grows past the number of buckets: the
 * first buckets are visited twice, the second time for what they add to the last ones. */
static void count_overflow(struct checker *checker, uint32_t slot, uint32_t at) {
    const struct hf__region *region = checker->region;
    struct hf__view view;
    struct hf__place place;
    uint32_t buckets = region->geometry.buckets;
    uint64_t word = hf__load(hf__slot_at(region, slot));
    if (word == 0 || hf__check_entry(region, checker->stripe, slot, word, &view, &place))
        return;
    uint32_t behind = (at % buckets + buckets - place.home) % buckets;
    for (uint32_t passed = at >= behind ? at - behind : 0; passed < at; passed++)
        if (passed < buckets)
            checker->window[passed % HF__PROBES]++;
}

static void check_overflow(struct checker *checker) {
    const struct hf__region *region = checker->region;
    uint32_t buckets = region->geometry.buckets, ahead = region->probes - 1;
    for (uint32_t at = 0; at < buckets + ahead; at++) {
        uint32_t first = (checker->stripe * buckets + at % buckets) * HF__SLOTS;
        for (uint32_t i = 0; i < HF__SLOTS; i++)
            count_overflow(checker, first + i, at);
        if (at < ahead)
            continue;
        uint32_t settled = at - ahead, *counted = &checker->window[settled % HF__PROBES];
        uint64_t control = hf__load(&hf__bucket_at(region, checker->stripe, settled)->control);
        if (control != *counted)
            found(checker, HF_I10_OVERFLOW, (uint64_t)checker->stripe * buckets + settled);
        *counted = 0;
    }
}

static void check_counters(struct checker *checker) {
    const struct hf__region *region = checker->region;
    const struct hf__stripe *header = checker->header;
    const struct hf__map *map = hf__map_at(region, checker->stripe);
    uint64_t blocks = 0, entries = 0;
    for (uint64_t i = 0; i < region->map_words; i++) {
        blocks += (uint64_t)__builtin_popcountll(map[i].used);
        entries += (uint64_t)__builtin_popcountll(map[i].first);
    }
    if (blocks != checker->blocks)
        found(checker, HF_I8_USED, hf__first_block(region, checker->stripe));
    if (entries != checker->findings->entries)
        found(checker, HF_I9_FIRST, hf__first_block(region, checker->stripe));
    if (header->entries != checker->findings->entries || header->used_blocks != checker->blocks ||
        header->largest < checker->longest)
        found(checker, HF_I11_COUNTERS, checker->stripe);
    uint64_t end = (uint64_t)header->reserve_at + header->reserve_len;
    if (!region->evicts && (end > region->geometry.blocks || header->reserve_len < checker->longest ||
                            !hf__all_free(region, checker->stripe, header->reserve_at, header->reserve_len)))
        found(checker, HF_I13_RESERVE, header->reserve_at);
    if (header->next_stamp >= HF__STAMP_LIMIT)
        found(checker, HF_I12_STAMP, checker->stripe);
    if (header->record.operation != HF_OP_NONE)
        found(checker, HF_I14_IDLE, header->record.operation);
    if (header->quarantined)
        found(checker, HF_I16_QUARANTINE, checker->stripe);
}

void hf__check_stripe(const struct hf__region *region, uint32_t stripe, struct hf__findings *findings) {
    struct checker checker = { .region = region, .stripe = stripe, .findings = findings };
    checker.header = hf__stripe_at(region, stripe);
    uint32_t first = stripe * hf__slots_of_stripe(region), end = first + hf__slots_of_stripe(region);
    for (uint32_t slot = first; slot < end; slot++)
        check_slot(&checker, slot);
    check_overflow(&checker);
    check_counters(&checker);
}
