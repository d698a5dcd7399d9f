/* SPDX-License-Identifier: MIT */
/*
 * A reader: reads any key, sees that the store never goes back behind what this reader has seen, and now and then scans the whole
 * store. Changes nothing.
 */
#include <inttypes.h>

#include "chaos.h"

enum { SCAN_ONE_IN = 4000 };

/* An entry of a scan is judged like a read that began when the scan began. */
static void judge_item(struct chaos_worker *worker, const struct hf_item *item) {
    struct chaos_view view = { .key = 0 };
    if (!chaos_key_index(worker->chaos, item->key, item->key_len, &view.key))
        return;
    view.low = worker->scan_base[view.key];
    chaos_look_after(worker->chaos, &view);
    worker->scan_seen[view.key]++;
    if (chaos_recognise(worker->chaos, &view, item->value, item->value_len, item->meta.flags, worker->made))
        chaos_judge_found(worker->chaos, &view, &item->meta);
    else
        chaos_violation(worker->chaos, "scan: torn or foreign value of key %" PRIu32 ": %zu bytes with flags %08" PRIx32,
                        view.key, item->value_len, item->meta.flags);
}

/* A key that was there all the time has been returned once (guarantee H). In a cache it may have been evicted and put again with
 * nobody knowing. */
static void judge_key(struct chaos_worker *worker, uint32_t key) {
    struct chaos_view view = { .key = key, .low = worker->scan_base[key] };
    chaos_look_after(worker->chaos, &view);
    bool stayed = chaos_kind_of(view.low) != CHAOS_ABSENT && view.gone <= chaos_sequence(view.low);
    unsigned seen = worker->scan_seen[key];
    if (stayed && seen != 1 && !worker->chaos->cache)
        chaos_violation(worker->chaos, "scan: key %" PRIu32 " was returned %u times, expected once", key, seen);
}

/* Returns how many of the run's own keys it met. */
uint32_t chaos_scan(struct chaos_worker *worker) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    uint32_t met = 0;
    int result;
    for (uint32_t key = 0; key < worker->chaos->keys; key++) {
        worker->scan_base[key] = atomic_load(&worker->chaos->records[key].acked);
        worker->scan_seen[key] = 0;
    }
    uint64_t began = chaos_begin(worker, CHAOS_SCAN, 0);
    while ((result = hf_scan(worker->store, &cursor, 0, &item)) == HF_OK || result == HF_ERR_BUSY) {
        if (result == HF_OK)
            judge_item(worker, &item);
        chaos_begin(worker, CHAOS_SCAN, 0);
    }
    chaos_end(worker, CHAOS_SCAN, began);
    hf_item_free(&item);
    if (result != HF_END)
        chaos_violation(worker->chaos, "scan returned %s (%s), expected HF_END", hf_result_name(result), hf_explain());
    for (uint32_t key = 0; key < worker->chaos->keys && result == HF_END; key++) {
        judge_key(worker, key);
        met += worker->scan_seen[key];
    }
    return met;
}

void chaos_reader(struct chaos_worker *worker) {
    atomic_store(&worker->slot->phase, CHAOS_WORKING);
    while (!atomic_load(&worker->chaos->stop)) {
        struct chaos_view view;
        struct hf_meta meta;
        uint32_t key = (uint32_t)chaos_below(&worker->random, worker->chaos->keys);
        if (chaos_below(&worker->random, SCAN_ONE_IN) == 0)
            chaos_scan(worker);
        else if (chaos_below(&worker->random, 16) == 0)
            chaos_read_shared(worker, (unsigned)chaos_below(&worker->random, CHAOS_SHARED));
        else if (chaos_read(worker, key, &view, &meta) == CHAOS_FOUND)
            worker->seen[key] = view.found;
    }
}
