/* SPDX-License-Identifier: MIT */
/*
 * Recovery: everything derived is made anew from the slots. A pure function of (region, stripe): it may be killed and started
 * again at any instruction, and works as well on a copy of the image. It allocates nothing, locks nothing, does no I/O, and
 * readers go on meanwhile.
 *
 *   recover:1  clear the maps and the new overflow counts
 *   recover:2  (to verify) of two entries with one key, drop the older: a kill never makes them, a machine crash can
 *   recover:3  for each slot: drop what is not sound; mark its blocks, count it, and count it in the buckets it passed over;
 *              (to verify) in mode store, drop what is in the way of the reserve
 *   recover:4  store each bucket's new overflow count, at once, and the stripe's counters
 *
 * New overflow counts grow in the high half of a bucket's control word, so that readers always see one that is at least true.
 */
#include "internal.h"

#define AHEAD 2u /* buckets whose entries are fetched while one is looked at */
#define CRASH_JUMP (1ull << 40)
#define BELIEVED (HF__STAMP_LIMIT - 2 * CRASH_JUMP) /* so that no jump from a stamp that stays can pass the limit */

struct recovery {
    const struct hf__region *region;
    struct hf__stripe *header;
    uint32_t stripe;
    enum hf__recover_how how;
    uint32_t dropped, entries, blocks, largest;
    uint64_t highest, next_expiry;
};

static bool sound(const struct recovery *recovery, const struct hf__spot *spot) {
    if (hf__load(&spot->view.entry->stamp) >= BELIEVED || spot->view.version >= BELIEVED)
        return false;
    return recovery->how != HF__RECOVER_VERIFY || hf__checksum_fits(recovery->region, &spot->view);
}

/* Should this repairer be killed, the next one knows that entries went. */
static void drop(struct recovery *recovery, uint32_t slot) {
    if (!HF_PLANTED(DROPS_FORGOTTEN))
        recovery->header->newest_dropped = UINT64_MAX;
    hf__in_order();
    hf__publish(hf__slot_at(recovery->region, slot), 0);
    recovery->dropped++;
}

/* Adds to (or takes from) the new counts of the buckets an entry passed over. */
static void count_passed(const struct recovery *recovery, const struct hf__place *place, uint32_t passed, uint64_t by) {
    uint32_t buckets = recovery->region->geometry.buckets;
    for (uint32_t i = 0; i < passed; i++) {
        uint64_t *control = &hf__bucket_at(recovery->region, place->stripe, (place->home + i) % buckets)->control;
        hf__store(control, hf__load(control) + (by << 32));
    }
}

static void account(struct recovery *recovery, const struct hf__spot *spot, const struct hf__place *place) {
    const struct hf__view *view = &spot->view;
    uint64_t stamp = hf__load(&view->entry->stamp);
    count_passed(recovery, place, spot->passed, 1);
    recovery->entries++;
    recovery->blocks += view->blocks;
    recovery->largest = view->blocks > recovery->largest ? view->blocks : recovery->largest;
    recovery->highest = stamp > recovery->highest ? stamp : recovery->highest;
    recovery->highest = view->version > recovery->highest ? view->version : recovery->highest;
    if (view->expiry && view->expiry < recovery->next_expiry)
        recovery->next_expiry = view->expiry;
}

/* The opposite of account, but for the extremes, which stay as bounds. */
static void discount(struct recovery *recovery, const struct hf__spot *spot, const struct hf__place *place) {
    const struct hf__view *view = &spot->view;
    hf__unmark(recovery->region, recovery->stripe, hf__within(recovery->region, recovery->stripe, view), view->blocks);
    count_passed(recovery, place, spot->passed, ~0ull);
    recovery->entries--;
    recovery->blocks -= view->blocks;
}

/* The entry that was marked before and shares the block `at` (within the stripe) with another. */
static bool marked_at(const struct recovery *recovery, uint32_t at, struct hf__spot *spot, struct hf__place *place) {
    uint32_t first = hf__previous_entry(recovery->region, recovery->stripe, at + 1);
    return first != HF__NONE && hf__spot_of_block(recovery->region, recovery->stripe, first, spot, place);
}

/* Marks the run of `spot`, and drops older entries that lie there; false if a newer one does. */
static bool win_blocks(struct recovery *recovery, const struct hf__spot *spot) {
    uint32_t all = recovery->region->geometry.blocks;
    uint32_t at = hf__within(recovery->region, recovery->stripe, &spot->view), end = at + spot->view.blocks;
    if (hf__claim(recovery->region, recovery->stripe, at, spot->view.blocks))
        return true;
    uint64_t stamp = hf__load(&spot->view.entry->stamp);
    if (HF_PLANTED(OVERLAP_KEPT))
        return true;
    for (uint32_t taken; end <= all && (taken = hf__next_used(recovery->region, recovery->stripe, at, end)) < end;) {
        struct hf__spot other;
        struct hf__place place;
        if (!marked_at(recovery, taken, &other, &place) || hf__load(&other.view.entry->stamp) >= stamp)
            return false;
        discount(recovery, &other, &place);
        drop(recovery, other.slot);
    }
    return hf__claim(recovery->region, recovery->stripe, at, spot->view.blocks);
}

/* Where a word leads, sound or not: a prefetch cannot fail. */
static void prefetch_entries(const struct recovery *recovery, const struct hf__bucket *bucket) {
    for (uint32_t i = 0; i < HF__SLOTS; i++) {
        const char *entry = (const char *)hf__entry_at(recovery->region, hf__load(&bucket->slot[i]) & HF__BLOCK_MASK) - HF__BLOCK;
        hf__fetch(entry);
        hf__fetch(entry + HF__LINE);
    }
}

static void rebuild_bucket(struct recovery *recovery, uint32_t bucket) {
    const struct hf__region *region = recovery->region;
    const uint64_t *slots = hf__bucket_at(region, recovery->stripe, bucket)->slot;
    uint32_t first = (recovery->stripe * region->geometry.buckets + bucket) * HF__SLOTS;
    for (uint32_t i = 0; i < HF__SLOTS; i++) {
        struct hf__spot spot;
        struct hf__place place;
        uint64_t word = hf__load(&slots[i]);
        if (word == 0)
            continue;
        if (hf__spot_of_word(region, recovery->stripe, bucket, first + i, word, &spot, &place) && sound(recovery, &spot) &&
            win_blocks(recovery, &spot))
            account(recovery, &spot, &place);
        else
            drop(recovery, first + i);
    }
}

/* Of `slot` and every slot before it in the chain of its key, with the same key: keeps the newest. */
static void drop_older(struct recovery *recovery, uint32_t slot) {
    const struct hf__region *region = recovery->region;
    struct hf__spot spot, other;
    struct hf__place place, other_place;
    if (!hf__spot_of_slot(region, recovery->stripe, slot, &spot, &place) || !sound(recovery, &spot))
        return;
    for (uint32_t step = 0; step <= spot.passed; step++) {
        uint32_t bucket = (place.home + step) % region->geometry.buckets;
        uint32_t first = (place.stripe * region->geometry.buckets + bucket) * HF__SLOTS;
        for (uint32_t at = first; at < first + HF__SLOTS && at != slot; at++) {
            uint64_t word = hf__load(hf__slot_at(region, at));
            if (word == 0 || hf__word_tag(word) != place.tag ||
                !hf__spot_of_slot(region, recovery->stripe, at, &other, &other_place) || !sound(recovery, &other) ||
                other.view.key_len != spot.view.key_len || memcmp(other.view.key, spot.view.key, spot.view.key_len) != 0)
                continue;
            bool other_older = (hf__load(&other.view.entry->stamp) < hf__load(&spot.view.entry->stamp)) != HF_PLANTED(OLDER_WINS);
            drop(recovery, other_older ? at : slot);
            if (!other_older)
                return;
        }
    }
}

static void clear_derived(struct recovery *recovery) {
    const struct hf__region *region = recovery->region;
    if (!HF_PLANTED(MAP_TRUSTED))
        memset(hf__map_at(region, recovery->stripe), 0, region->map_words * sizeof(struct hf__map));
    for (uint32_t i = 0; i < region->geometry.buckets; i++) {
        uint64_t *control = &hf__bucket_at(region, recovery->stripe, i)->control;
        hf__store(control, HF_PLANTED(OVERFLOW_ZEROED) ? 0 : hf__load(control) & 0xffffffff);
    }
    recovery->header->reserve_at = recovery->header->reserve_len = 0;
}

/* What remains of a stripe when some of its entries go. */
struct rest {
    struct hf__range hole; /* the longest */
    uint64_t used;
    uint32_t largest;
};

/* Mode store needs free room for twice the largest entry, and a run for one (compact.c). */
static bool reserved(const struct recovery *recovery, const struct rest *rest) {
    return rest->hole.len >= rest->largest && rest->used + 2ull * rest->largest <= recovery->region->geometry.blocks;
}

static uint64_t stamp_at(const struct recovery *recovery, uint32_t at) {
    return hf__load(&hf__entry_at(recovery->region, hf__first_block(recovery->region, recovery->stripe) + at)->stamp);
}

/* ... when those go whose stamp is `limit` or above. */
static struct rest rest_below(const struct recovery *recovery, uint64_t limit) {
    const struct hf__region *region = recovery->region;
    uint32_t all = region->geometry.blocks, end = 0;
    struct rest rest = { .used = 0 };
    for (uint32_t at = hf__next_entry(region, recovery->stripe, 0, all), next;; at = next) {
        next = hf__next_entry(region, recovery->stripe, at + 1, all);
        if (at < all && stamp_at(recovery, at) >= limit)
            continue;
        if (at - end > rest.hole.len)
            rest.hole = (struct hf__range){ end, at - end };
        if (at == all)
            return rest;
        end = hf__next_free(region, recovery->stripe, at, next);
        rest.used += end - at;
        rest.largest = end - at > rest.largest ? end - at : rest.largest;
    }
}

/* The entry at `at` may stay: its blocks are behind what is needed of the hole. */
static bool readmit(const struct recovery *recovery, struct rest *rest, uint32_t at, uint32_t blocks) {
    struct rest with = *rest;
    if (at - rest->hole.at < rest->hole.len)
        with.hole.len = at - rest->hole.at;
    with.used += blocks;
    with.largest = blocks > rest->largest ? blocks : rest->largest;
    if (!reserved(recovery, &with))
        return false;
    *rest = with;
    return true;
}

/* A kill leaves the reserve; a machine crash can bring back entries with whose blocks others were counted. Then entries must go,
 * and they are among the newest: what was synced, and not changed since, is older and had its reserve. */
static void restore_reserve(struct recovery *recovery) {
    const struct hf__region *region = recovery->region;
    uint32_t all = region->geometry.blocks;
    uint64_t good = 0, bad = recovery->highest + 1;
    struct rest rest = rest_below(recovery, bad);
    if (reserved(recovery, &rest))
        return;
    while (bad - good > 1) {
        uint64_t middle = good + (bad - good) / 2;
        rest = rest_below(recovery, middle);
        if (reserved(recovery, &rest))
            good = middle;
        else
            bad = middle;
    }
    rest = rest_below(recovery, good);
    for (uint32_t at = 0; (at = hf__next_entry(region, recovery->stripe, at, all)) < all; at++) {
        struct hf__spot spot;
        struct hf__place place;
        if (stamp_at(recovery, at) < good || !hf__spot_of_block(region, recovery->stripe, at, &spot, &place) ||
            readmit(recovery, &rest, at, spot.view.blocks))
            continue;
        discount(recovery, &spot, &place);
        drop(recovery, spot.slot);
    }
    recovery->largest = rest.largest;
}

static void store_counts(const struct recovery *recovery) {
    for (uint32_t i = 0; i < recovery->region->geometry.buckets; i++) {
        uint64_t *control = &hf__bucket_at(recovery->region, recovery->stripe, i)->control;
        hf__publish(control, hf__load(control) >> 32);
    }
}

/* What guard.c asks for: after a kill it is sound, and nothing was dropped. After a machine crash, or damage, it is not known
 * what was deleted: everything before this moment. */
static void forget_deletes(const struct recovery *recovery) {
    struct hf__stripe *header = recovery->header;
    bool dropped = HF_PLANTED(DROPS_FORGOTTEN) ? recovery->dropped > 0 : header->newest_dropped == UINT64_MAX;
    if (recovery->how != HF__RECOVER_VERIFY && !dropped)
        return;
    header->newest_dropped = UINT64_MAX; /* until it is done: as in drop */
    hf__in_order();
    *hf__tombs_at(recovery->region, recovery->stripe) = (struct hf__tombs){ .cleared = header->next_stamp - 1 };
    hf__in_order();
    header->newest_dropped = 0;
}

static void store_counters(const struct recovery *recovery) {
    struct hf__stripe *header = recovery->header;
    const struct hf__geometry *geometry = &recovery->region->geometry;
    bool above = header->next_stamp > recovery->highest || HF_PLANTED(COUNTER_TRUSTED);
    bool believed = above && header->next_stamp < BELIEVED;
    bool jump = recovery->how == HF__RECOVER_VERIFY && !HF_PLANTED(NO_JUMP);
    header->next_stamp = (believed ? header->next_stamp : recovery->highest + 1) + (jump ? CRASH_JUMP : 0);
    hf__store32(&header->entries, recovery->entries);
    hf__store32(&header->used_blocks, recovery->blocks);
    header->next_expiry = recovery->next_expiry;
    header->largest = recovery->largest;
    hf__store32(&header->cursor, header->cursor < geometry->blocks ? header->cursor : 0);
    header->hand = header->hand < geometry->blocks ? header->hand : 0;
    if (recovery->region->evicts)
        header->small_hand = header->small_hand < geometry->small_blocks ? header->small_hand : 0;
    else
        header->loose = 0;
    header->sweep = 0;
    header->lap_expiry = UINT64_MAX;
    header->backwards &= 1;
    struct hf__range reserve = recovery->region->evicts ? (struct hf__range){ 0, 0 }
                                                        : hf__longest_hole(recovery->region, recovery->stripe);
    header->reserve_at = reserve.at;
    header->reserve_len = reserve.len;
    forget_deletes(recovery);
    hf__count(&header->dropped, recovery->dropped);
}

/* What can be seen without reading the entries again: the maps agree with the counts. */
static bool verified(const struct recovery *recovery) {
    const struct hf__map *map = hf__map_at(recovery->region, recovery->stripe);
    uint64_t blocks = 0, entries = 0;
    for (uint64_t i = 0; i < recovery->region->map_words; i++) {
        blocks += (uint64_t)__builtin_popcountll(map[i].used);
        entries += (uint64_t)__builtin_popcountll(map[i].first);
    }
    return blocks == recovery->blocks && entries == recovery->entries;
}

uint32_t hf__recover(const struct hf__region *region, uint32_t stripe, enum hf__recover_how how) {
    struct recovery recovery = { .region = region, .header = hf__stripe_at(region, stripe), .stripe = stripe, .how = how,
                                 .next_expiry = UINT64_MAX };
    uint32_t first = stripe * hf__slots_of_stripe(region), end = first + hf__slots_of_stripe(region);
    clear_derived(&recovery);
    HF_POINT("recover:1");
    if (how == HF__RECOVER_VERIFY && !HF_PLANTED(DUPLICATES_KEPT))
        for (uint32_t slot = first; slot < end; slot++)
            drop_older(&recovery, slot);
    HF_POINT("recover:2");
    for (uint32_t bucket = 0; bucket < region->geometry.buckets; bucket++) {
        if (bucket + AHEAD < region->geometry.buckets)
            prefetch_entries(&recovery, hf__bucket_at(region, stripe, bucket + AHEAD));
        rebuild_bucket(&recovery, bucket);
    }
    if (how == HF__RECOVER_VERIFY && !region->evicts && !HF_PLANTED(RESERVE_LOST))
        restore_reserve(&recovery);
    HF_POINT("recover:3");
    store_counts(&recovery);
    store_counters(&recovery);
    recovery.header->quarantined = !verified(&recovery);
    hf__publish32(&recovery.header->change, hf__load32(&recovery.header->change) + 1);
    HF_POINT("recover:4");
    return recovery.dropped;
}

/* Whether the operation of the record happened. */
static enum hf_verdict verdict_of(const struct hf__region *region, const struct hf__stripe *header, enum hf_cause cause) {
    const struct hf__record *record = &header->record;
    if (cause == HF_CAUSE_VERIFY || cause == HF_CAUSE_REPAIR)
        return HF_VERDICT_CHECKED;
    if (record->operation == HF_OP_CLEAR)
        return header->entries == 0 ? HF_VERDICT_NEW : HF_VERDICT_OLD;
    uint32_t slots = hf__slots_of_stripe(region) * region->geometry.stripes;
    if (record->slot >= slots || record->new_block == HF__NO_BLOCK)
        return HF_VERDICT_OLD;
    bool happened = (hf__load(hf__slot_at(region, record->slot)) & HF__BLOCK_MASK) == record->new_block;
    return happened || HF_PLANTED(VERDICT_GUESSED) ? HF_VERDICT_NEW : HF_VERDICT_OLD;
}

void hf__recover_logged(const struct hf__region *region, uint32_t stripe, enum hf_cause cause, struct hf_recovery *recovery) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    uint64_t start = hf__monotonic_us();
    bool idle = header->record.operation == HF_OP_NONE && cause == HF_CAUSE_DEATH;
    *recovery = (struct hf_recovery){ .stripe = stripe, .repairer = hf__pid, .cause = cause };
    if (idle) {
        recovery->verdict = HF_VERDICT_IDLE;
    } else {
        recovery->pid = header->record.pid;
        recovery->operation = header->record.operation;
        recovery->step = header->record.step;
        recovery->key_hash = header->record.key_hash;
        if (HF_PLANTED(RECORD_CLEARED_FIRST))
            hf__record_clear(header);
        bool verify = cause == HF_CAUSE_VERIFY || cause == HF_CAUSE_REPAIR;
        recovery->dropped = hf__recover(region, stripe, verify ? HF__RECOVER_VERIFY : HF__RECOVER_DERIVED);
        recovery->verdict = verdict_of(region, header, cause);
    }
    hf__count(&header->recoveries, 1);
    recovery->time_ms = hf__now_ms();
    recovery->microseconds = (uint32_t)(hf__monotonic_us() - start);
    hf__ring_append(region, recovery);
    HF_POINT("recover:logged");
    hf__record_clear(header);
}
