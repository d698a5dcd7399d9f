/* SPDX-License-Identifier: MIT */
/*
 * The end of a chaos run: every key is read through an old handle and a new read-only one, the store is scanned, counted and
 * checked. Runs in the parent, when no worker is left.
 */
#include <inttypes.h>
#include <string.h>

#include "chaos.h"

static void read_all_keys(struct chaos_worker *judge) {
    struct chaos_view view;
    struct hf_meta meta;
    for (uint32_t key = 0; key < judge->chaos->keys; key++)
        chaos_read(judge, key, &view, &meta);
    for (unsigned counter = 0; counter < CHAOS_SHARED; counter++)
        chaos_read_shared(judge, counter);
}

/* What a stranger sees who may only read, before anybody has repaired what the last ones left. */
static void read_as_stranger(struct chaos_worker *judge, const char *path) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *own = judge->store, *other = NULL;
    options.flags = HF_RDONLY;
    int result = hf_open(&other, path, &options);
    if (result != HF_OK) {
        chaos_violation(judge->chaos, "the store could not be opened read-only: %s (%s)", hf_result_name(result), hf_explain());
        return;
    }
    judge->store = other;
    read_all_keys(judge);
    judge->store = own;
    hf_close(&other);
}

static void tell_violation(void *context, const struct hf_violation *violation) {
    chaos_violation(context, "check: stripe %" PRIu32 ", position %" PRIu64 ": not true: %s", violation->stripe,
                    violation->position, hf_invariant_text(violation->invariant));
}

static void check(struct chaos_worker *judge) {
    struct hf_check_options options = HF_CHECK_INIT;
    struct hf_report report;
    options.violation = tell_violation;
    options.context = judge->chaos;
    int result = hf_check(judge->store, &options, &report);
    if (result != HF_OK && result != HF_DAMAGED)
        chaos_violation(judge->chaos, "check returned %s (%s)", hf_result_name(result), hf_explain());
}

/* A store that only the run has used holds the keys that the scan met and the shared counters. */
static void count(struct chaos_worker *judge, bool own) {
    uint64_t entries = 0, expected = chaos_scan(judge);
    for (unsigned counter = 0; counter < CHAOS_SHARED; counter++)
        expected += chaos_read_shared(judge, counter) == CHAOS_FOUND;
    int result = hf_count(judge->store, &entries);
    if (result != HF_OK || (own && entries != expected))
        chaos_violation(judge->chaos, "count returned %s and %" PRIu64 " entries, a scan found %" PRIu64, hf_result_name(result),
                        entries, expected);
}

/* Leaves a store of the user's as it was. */
static void delete_keys(struct chaos_worker *judge) {
    char name[CHAOS_KEY_SIZE];
    for (uint32_t i = 0; i < judge->chaos->keys + CHAOS_SHARED; i++) {
        size_t length = i < judge->chaos->keys ? chaos_key_name(judge->chaos, i, name)
                                               : chaos_shared_name(judge->chaos, i - judge->chaos->keys, name);
        int result = hf_delete(judge->store, name, length, 0);
        if (result != HF_OK && result != HF_NOTFOUND)
            chaos_violation(judge->chaos, "delete of '%s' at the end returned %s (%s)", name, hf_result_name(result),
                            hf_explain());
    }
}

/* run->stats holds what was counted before the run. */
static void take_stats(struct chaos_run *run) {
    struct hf_stats stats = HF_STATS_INIT;
    int result = hf_stats(run->store, &stats);
    if (result != HF_OK)
        chaos_violation(run->chaos, "stats returned %s (%s)", hf_result_name(result), hf_explain());
    run->stats.recoveries = stats.recoveries - run->stats.recoveries;
    run->stats.evictions = stats.evictions - run->stats.evictions;
    run->stats.moves = stats.moves - run->stats.moves;
    run->stats.contended = stats.contended - run->stats.contended;
}

void chaos_final(struct chaos_run *run, bool own) {
    struct chaos_worker judge;
    if (!chaos_worker_init(&judge, run->chaos, CHAOS_SLOTS_MAX - 1, run->store, 0)) {
        chaos_violation(run->chaos, "out of memory for the final verification");
        return;
    }
    chaos_guard("the final verification");
    read_as_stranger(&judge, run->path);
    check(&judge);
    read_all_keys(&judge);
    count(&judge, own);
    take_stats(run);
    if (!own && atomic_load(&run->chaos->violations) == 0)
        delete_keys(&judge);
    chaos_guard(NULL);
    chaos_worker_end(&judge);
}
