/* SPDX-License-Identifier: MIT */
/* The recovery ring: the last verdicts, written by repairers of any stripe at once, read by anybody. */
#include "internal.h"

void hf__ring_append(const struct hf__region *region, struct hf_recovery *recovery) {
    recovery->sequence = hf__add(&hf__live(region)->recoveries, 1) + 1;
    struct hf__verdict record = {
        .sequence = 0,
        .time_ms = recovery->time_ms,
        .key_hash = recovery->key_hash,
        .stripe = recovery->stripe,
        .pid = recovery->pid,
        .repairer = recovery->repairer,
        .dropped = recovery->dropped,
        .microseconds = recovery->microseconds,
        .cause = (uint8_t)recovery->cause,
        .operation = (uint8_t)recovery->operation,
        .step = (uint8_t)recovery->step,
        .verdict = (uint8_t)recovery->verdict,
    };
    struct hf__verdict *shared = hf__ring_at(region, recovery->sequence);
    if (!HF_PLANTED(RING_UNSEALED))
        hf__store(&shared->sequence, 0);
    hf__fence_release();
    hf__copy_in(&shared->time_ms, &record.time_ms, sizeof record - sizeof record.sequence);
    HF_POINT("ring:filled");
    hf__publish(&shared->sequence, recovery->sequence);
}

static bool take(const struct hf__region *region, uint64_t sequence, struct hf_recovery *recovery) {
    struct hf__verdict *shared = hf__ring_at(region, sequence), record;
    if (hf__observe(&shared->sequence) != sequence)
        return false;
    hf__copy_out(&record, shared, sizeof record);
    hf__fence_acquire();
    *recovery = (struct hf_recovery){
        .sequence = sequence,
        .time_ms = record.time_ms,
        .key_hash = record.key_hash,
        .stripe = record.stripe,
        .pid = record.pid,
        .repairer = record.repairer,
        .dropped = record.dropped,
        .microseconds = record.microseconds,
        .cause = record.cause,
        .operation = record.operation,
        .step = record.step,
        .verdict = record.verdict,
    };
    return hf__load(&shared->sequence) == sequence;
}

int hf_recoveries(hf_store *store, struct hf_recovery *recoveries, size_t size, size_t *count) {
    if (!store || !count || (!recoveries && size))
        return hf__fail(HF_ERR_ARGUMENT, "hf_recoveries needs a store, an array and a count");
    uint64_t newest = hf__observe(&hf__live(store->region)->recoveries);
    uint64_t wanted = size < HF__RING ? size : HF__RING;
    *count = 0;
    uint64_t before = newest > wanted ? newest - wanted : 0; /* the newest may be any number in a hostile file */
    for (uint64_t i = 1; i <= wanted && i <= newest; i++)
        if (take(store->region, before + i, &recoveries[*count]))
            ++*count;
    return HF_OK;
}
