/* SPDX-License-Identifier: MIT */
/*
 * The in-flight record: what the holder of a stripe's lock is doing, for whoever must repair after it.
 *
 * `operation` says that the rest is true and that derived state may be half changed, so it is stored after the other fields and
 * before any change, and cleared after the last one.
 */
#include "internal.h"

#ifdef HF_TEST
void (*hf__point_hook)(const char *point);
void (*hf__clock_hook)(struct timespec *now);
enum hf__bug hf__planted;
#endif

void hf__record_set(struct hf__stripe *stripe, enum hf_operation operation, uint64_t key_hash) {
    struct hf__record *record = &stripe->record;
    record->step = HF__STEP_BEGIN;
    record->pid = hf__pid;
    record->slot = HF__NO_SLOT;
    record->key_hash = key_hash;
    record->new_block = HF__NO_BLOCK;
    hf__in_order();
    if (!HF_PLANTED(RECORD_LATE))
        hf__publish32(&record->operation, operation);
    hf__in_order();
    HF_POINT("begin");
}

void hf__record_clear(struct hf__stripe *stripe) {
    hf__in_order();
    hf__publish32(&stripe->record.operation, HF_OP_NONE);
    hf__in_order();
}
