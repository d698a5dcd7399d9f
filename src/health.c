/* SPDX-License-Identifier: MIT */
/* Check and repair of a whole store, stripe after stripe, so that others wait for one stripe at most. */
#include "check.h"
#include "read.h"

struct visit {
    uint32_t stripe;
    uint32_t slot;
    enum hf_invariant unsound;
    uint64_t bytes;
};

/* One entry, without a lock: what a reader relies on. */
static int attempt_entry(struct hf_store *store, void *context) {
    struct visit *visit = context;
    struct hf__glance glance;
    struct hf__view view;
    struct hf__place place;
    const uint64_t *slot = hf__slot_at(store->region, visit->slot);
    uint64_t word = hf__observe(slot);
    visit->unsound = HF_I1_RANGE;
    if (word == 0)
        return HF_NOTFOUND;
    if (!hf__glance_begin(store->region, visit->stripe, slot, word, &glance))
        return glance.view.entry ? HF_ERR_BUSY : HF_OK;
    visit->unsound = hf__check_entry(store->region, visit->stripe, visit->slot, word, &view, &place);
    visit->bytes = visit->unsound ? 0 : (uint64_t)view.key_len + view.value_len;
    return hf__glance_end(&glance) ? HF_OK : HF_ERR_BUSY;
}

static int check_without_lock(struct hf_store *store, uint32_t stripe, struct hf__findings *findings) {
    uint32_t first = stripe * hf__slots_of_stripe(store->region), end = first + hf__slots_of_stripe(store->region);
    for (struct visit visit = { .stripe = stripe, .slot = first }; visit.slot < end; visit.slot++) {
        int result = hf__read_stable(store, stripe, attempt_entry, &visit);
        if (result == HF_NOTFOUND)
            continue;
        if (result != HF_OK)
            return result;
        findings->entries += !visit.unsound;
        findings->bytes += visit.bytes;
        findings->count += visit.unsound != 0;
        if (visit.unsound && findings->kept < HF__FINDINGS)
            findings->violations[findings->kept++] =
                (struct hf_violation){ .invariant = visit.unsound, .stripe = stripe, .position = visit.slot };
    }
    return HF_OK;
}

static int check_stripe(struct hf_store *store, uint32_t stripe, struct hf__findings *findings) {
    struct hf__hold hold;
    if (!store->region->writable)
        return check_without_lock(store, stripe, findings);
    int result = hf__lock_any(store, stripe, store->timeout_ms, &hold);
    if (result != HF_OK)
        return hf__result(result);
    hf__check_stripe(store->region, stripe, findings);
    hf__unlock(&hold);
    return HF_OK;
}

static void check_superblock(const struct hf__region *region, struct hf__findings *findings) {
    struct hf__superblock superblock;
    memcpy(&superblock, region->base, sizeof superblock);
    if (superblock.checksum == hf__hash_superblock(&superblock) && superblock.store_id == region->store_id &&
        memcmp(&superblock.geometry, &region->geometry, sizeof region->geometry) == 0)
        return;
    findings->violations[findings->kept++] = (struct hf_violation){ .invariant = HF_I15_SUPERBLOCK };
    findings->count++;
}

static void tell(const struct hf_check_options *options, const struct hf__findings *findings) {
    for (uint32_t i = 0; options->violation && i < findings->kept; i++)
        options->violation(options->context, &findings->violations[i]);
}

int hf_check(hf_store *store, const struct hf_check_options *theirs, struct hf_report *report) {
    static const struct hf_check_options none = HF_CHECK_INIT;
    struct hf_check_options options;
    struct hf_report sum = { 0, 0, 0, 0 };
    if (!store || !hf__sized(&options, sizeof options, theirs ? theirs : &none))
        return hf__fail(HF_ERR_ARGUMENT, "hf_check needs a store, and options that start with HF_CHECK_INIT");
    uint32_t stripes = store->region->geometry.stripes;
    for (uint32_t stripe = 0; stripe < stripes; stripe++) {
        struct hf__findings findings = { .count = 0 };
        if (stripe == 0)
            check_superblock(store->region, &findings);
        int result = check_stripe(store, stripe, &findings);
        if (result != HF_OK)
            return result;
        tell(&options, &findings);
        sum.entries += findings.entries;
        sum.bytes += findings.bytes;
        sum.violations += findings.count;
        if (options.progress)
            options.progress(options.context, stripe + 1, stripes);
    }
    if (report)
        *report = sum;
    return sum.violations ? HF_DAMAGED : HF_OK;
}

static int repair_stripe(hf_store *store, uint32_t stripe, struct hf_report *report) {
    struct hf__hold hold;
    struct hf_recovery recovery;
    struct hf__findings findings = { .count = 0 };
    int result = hf__lock_any(store, stripe, store->timeout_ms, &hold);
    if (result != HF_OK)
        return hf__result(result);
    struct hf__stripe *header = hf__stripe_at(store->region, stripe);
    hf__record_set(header, HF_OP_REPAIR, 0);
    hf__recover_logged(store->region, stripe, HF_CAUSE_REPAIR, &recovery);
    hf__check_stripe(store->region, stripe, &findings);
    hf__changed(store->region, stripe, HF__EVERY_KEY);
    HF_POINT("end");
    hf__unlock(&hold);
    report->entries += findings.entries;
    report->bytes += findings.bytes;
    report->violations += findings.count;
    report->dropped += recovery.dropped;
    if (store->log)
        store->log(store->log_context, &recovery);
    return HF_OK;
}

int hf_repair(hf_store *store, struct hf_report *report) {
    struct hf_report sum = { 0, 0, 0, 0 };
    if (!store || !store->region->writable)
        return hf__result(store ? HF_ERR_READONLY : HF_ERR_ARGUMENT);
    for (uint32_t stripe = 0; stripe < store->region->geometry.stripes; stripe++) {
        int result = repair_stripe(store, stripe, &sum);
        if (result != HF_OK)
            return result;
    }
    if (report)
        *report = sum;
    return sum.violations ? hf__fail(HF_ERR_QUARANTINED, "the repair left violations: copy what can be read into a new store")
                          : HF_OK;
}
