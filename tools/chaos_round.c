/* SPDX-License-Identifier: MIT */
/*
 * The end of a round, and of the run, in the parent, when no call is running: every key is read through the old handle and a new
 * read-only one, the store is scanned, counted and checked, and the judge is asked about everything that was written down.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "chaos.h"
#include "tool.h"

static void read_all_keys(struct chaos_worker *judge) {
    struct chaos_value value;
    struct hf_meta meta;
    for (uint32_t key = 0; key < judge->chaos->keys; key++)
        chaos_read(judge, key, &value, &meta);
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

static int tell_unknown(void *unknown, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)key;
    (void)key_len;
    (void)fill;
    *(bool *)unknown = true;
    return HF_NOTFOUND;
}

/* The keys that the scan did not meet, but whose absence the store remembers: entries that only fills see. */
static uint64_t count_absent(struct chaos_worker *judge) {
    struct hf_fill_options options = HF_FILL_INIT;
    char name[CHAOS_KEY_SIZE];
    uint64_t absent = 0;
    options.flags = HF_FILL_NOWAIT;
    for (uint32_t key = 0; key < judge->chaos->keys; key++) {
        bool unknown = judge->scan_met[key] != 0;
        absent += !unknown && hf_get_or_fill(judge->store, name, chaos_key_name(judge->chaos, key, name), NULL, 0, NULL, NULL,
                                             tell_unknown, &unknown, &options) == HF_NOTFOUND && !unknown;
    }
    return absent;
}

/* A store that only the run has used holds the keys that a scan meets, and those that it knows to be absent. */
static void count(struct chaos_worker *judge, bool own) {
    uint64_t entries = 0, expected = chaos_scan(judge) + count_absent(judge);
    int result = hf_count(judge->store, &entries);
    if (result != HF_OK || (own && entries != expected))
        chaos_violation(judge->chaos, "count returned %s and %" PRIu64 " entries, a scan and fills found %" PRIu64,
                        hf_result_name(result), entries, expected);
}

/* The judge reads each key last of all, so that the next round begins with what is known. False: told the user. */
bool chaos_end_round(struct chaos_run *run) {
    struct chaos *chaos = run->chaos;
    struct chaos_worker judge;
    bool ready = chaos_worker_init(&judge, chaos, chaos->slot_count - 1, run->store, 0), kept = true;
    chaos_here = &judge;
    run->rounds++;
    chaos_guard("the verification at the end of a round");
    if (ready && run->store) {
        read_as_stranger(&judge, run->path);
        check(&judge);
        count(&judge, run->own);
        read_all_keys(&judge);
    }
    chaos_guard(NULL);
    chaos_here = NULL;
    if (run->history && !chaos_history_write(run->history, chaos, run->rounds)) {
        fail(run->path, "cannot write the history: %s", strerror(errno));
        kept = false;
    }
    if (!ready || !chaos_judge_round(run->judge)) {
        fail(run->path, "no memory to judge a round; ask for fewer keys or threads");
        kept = false;
    }
    chaos_worker_end(&judge);
    return kept;
}

/* Leaves a store of the user's as it was. */
static void delete_keys(struct chaos_run *run) {
    char name[CHAOS_KEY_SIZE];
    for (uint32_t key = 0; key < run->chaos->keys; key++) {
        int result = hf_delete(run->store, name, chaos_key_name(run->chaos, key, name), 0);
        if (result != HF_OK && result != HF_NOTFOUND)
            chaos_violation(run->chaos, "delete of '%s' at the end returned %s (%s)", name, hf_result_name(result),
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
    run->stats.fill_waits = stats.fill_waits - run->stats.fill_waits;
    run->stats.contended = stats.contended - run->stats.contended;
}

void chaos_final(struct chaos_run *run) {
    if (!run->store)
        return;
    take_stats(run);
    chaos_guard("the deletion of its keys at the end of the run");
    if (!run->own && atomic_load(&run->chaos->violations) == 0)
        delete_keys(run);
    chaos_guard(NULL);
}
