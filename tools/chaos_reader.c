/* SPDX-License-Identifier: MIT */
/*
 * Reading: the one way to read a key, which all threads use; scans; waits; and the reader, which does nothing else. That bytes
 * are a value is seen here at once; whether it was the right one, the judge says when the round is over.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"

enum { SCAN_ONE_IN = 4000, WAIT_ONE_IN = 2000, PATIENCE_MS = 400, SHORT_DEADLINE_MS = 1000, EARLY_US = 1000 };
#define LATE_US (UINT64_C(5) * 1000 * 1000)

/* Zipf: every order of magnitude is drawn as often as any other, so key 1 about as often as the upper half of all. */
uint32_t chaos_pick(struct chaos_worker *worker) {
    uint32_t keys = worker->chaos->keys;
    if (!worker->zipf)
        return (uint32_t)chaos_below(&worker->random, keys);
    unsigned bits = 32 - (unsigned)__builtin_clz(keys);
    uint64_t key = chaos_below(&worker->random, UINT64_C(1) << chaos_below(&worker->random, bits + 1));
    return key < keys ? (uint32_t)key : keys - 1;
}

/* Until the next round a full log means rest. */
bool chaos_wait_for_room(struct chaos_worker *worker, uint32_t records) {
    static const struct timespec moment = { .tv_nsec = 1000 * 1000 };
    if (chaos_room(worker->slot) >= records)
        return true;
    atomic_store(&worker->chaos->crowded, true);
    atomic_fetch_add(&worker->slot->beat, 1);
    nanosleep(&moment, NULL);
    return false;
}

/* ---- Failures ----------------------------------------------------------------------------------------------------------- */

/* A deadline passes when the lock's holder is stopped; never early, and not much late. It may pass twice for who waits for more
 * than a lock. */
static void judge_deadline(struct chaos_worker *worker) {
    const struct chaos_op *op = worker->op;
    uint64_t took = (worker->ended - op->invoked) / 1000, deadline = UINT64_C(1000) * worker->deadline_ms;
    atomic_fetch_add(&worker->slot->timeouts, 1);
    if (worker->deadline_ms > SHORT_DEADLINE_MS && worker->chaos->timeout_ms == 0)
        chaos_violation(worker->chaos, "%s of key %" PRIu32 " did not get its lock in %" PRIu32
                        " ms, far longer than anybody is stopped", chaos_verb_name(op->verb), op->key, worker->deadline_ms);
    else if (took + EARLY_US < deadline)
        chaos_violation(worker->chaos, "%s of key %" PRIu32 " returned HF_ERR_TIMEOUT after %" PRIu64 " us, expected %" PRIu64,
                        chaos_verb_name(op->verb), op->key, took, deadline);
    else if (!worker->place || worker->stops != atomic_load(&worker->place->stops))
        return;
    else if (took > deadline + LATE_US)
        chaos_violation(worker->chaos, "%s of key %" PRIu32 " returned HF_ERR_TIMEOUT after %" PRIu64 " us, expected %" PRIu64,
                        chaos_verb_name(op->verb), op->key, took, deadline);
    else if (op->verb != CHAOS_FILL && op->verb != CHAOS_PUBLISH && op->verb != CHAOS_WAIT)
        chaos_count(&worker->chaos->overrun, took > deadline ? took - deadline : 0);
}

/* Counts the failures that may be; any other is a violation. */
bool chaos_expected_failure(struct chaos_worker *worker, int result) {
    const struct chaos_op *op = worker->op;
    bool reads = op->verb == CHAOS_GET || op->verb == CHAOS_SCAN || op->verb == CHAOS_WAIT;
    if (result == HF_ERR_TIMEOUT)
        judge_deadline(worker);
    else if (result == HF_ERR_BUSY && reads)
        atomic_fetch_add(&worker->slot->busies, 1);
    else if (result == HF_ERR_FULL && !reads)
        atomic_fetch_add(&worker->slot->refused, 1);
    else if (result != HF_ERR_TOOBIG || op->verb != CHAOS_APPEND)
        chaos_violation(worker->chaos, "%s of key %" PRIu32 " returned %s (%s)", chaos_verb_name(op->verb), op->key,
                        hf_result_name(result), hf_explain());
    else
        return true;
    return atomic_load(&worker->chaos->violations) == 0;
}

/* ---- One key ------------------------------------------------------------------------------------------------------------ */

/* Are these bytes a value that this key was given? */
bool chaos_judge_bytes(struct chaos_worker *worker, uint32_t key, const unsigned char *bytes, size_t length,
                       const struct hf_meta *meta, struct chaos_value *value) {
    size_t wrong_at;
    if (!chaos_recognise(worker->chaos, key, bytes, length, meta->flags, value, &wrong_at))
        chaos_violation(worker->chaos, "key %" PRIu32 ": torn or foreign value: %zu bytes with the flags of write %" PRIu32
                        ", wrong from byte %zu on", key, length, meta->flags, wrong_at);
    else if (meta->ttl_ms > CHAOS_TTL_MS)
        chaos_violation(worker->chaos, "key %" PRIu32 ": %" PRIu64 " ms to live, expected none or at most %" PRIu64, key,
                        meta->ttl_ms, CHAOS_TTL_MS);
    else
        return true;
    return false;
}

/* HF_OK: *value and *meta are what was read. */
int chaos_read(struct chaos_worker *worker, uint32_t key, struct chaos_value *value, struct hf_meta *meta) {
    char name[CHAOS_KEY_SIZE];
    struct chaos_op op = { .key = key, .verb = CHAOS_GET, .process = (uint32_t)getpid() };
    size_t name_length = chaos_key_name(worker->chaos, key, name), length = 0;
    chaos_begin(worker, &op);
    int result = chaos_returned(worker, hf_get(worker->store, name, name_length, worker->got, worker->chaos->max_value, &length,
                                               meta));
    if (result == HF_OK && !chaos_judge_bytes(worker, key, worker->got, length, meta, value))
        worker->op->result = HF_ERR_BUSY; /* told already: nothing for the judge */
    if (worker->op->result == HF_OK) {
        worker->op->value = *value;
        worker->op->version = meta->version;
    } else if (result < 0) {
        chaos_expected_failure(worker, result);
    }
    chaos_end(worker);
    return result;
}

/* ---- Scan --------------------------------------------------------------------------------------------------------------- */

/* An item is a read that lies between the item before and itself. A key that is met again must have been removed since the scan
 * began. */
static uint64_t note_item(struct chaos_worker *worker, const struct hf_item *item, struct chaos_op op, uint64_t began) {
    uint64_t now = chaos_now();
    if (!chaos_key_index(worker->chaos, item->key, item->key_len, &op.key) ||
        !chaos_judge_bytes(worker, op.key, item->value, item->value_len, &item->meta, &op.value))
        return now;
    op.version = item->meta.version;
    if (worker->scan_met[op.key]) {
        op.flags = CHAOS_AGAIN;
        op.invoked = began;
    }
    worker->scan_met[op.key] = 1;
    atomic_store(&op.returned, now);
    chaos_note(worker, &op);
    return now;
}

/* A key that no scan can miss while it is there has been absent at some moment of the scan (guarantee H). */
static void note_missing(struct chaos_worker *worker, struct chaos_op op) {
    op.result = HF_NOTFOUND;
    atomic_store(&op.returned, chaos_now());
    for (op.key = 0; op.key < worker->chaos->keys; op.key++)
        if (!worker->scan_met[op.key])
            chaos_note(worker, &op);
}

/* Returns how many entries of the run it met. */
uint64_t chaos_scan(struct chaos_worker *worker) {
    struct hf_item item = HF_ITEM_INIT;
    struct chaos_op op = { .verb = CHAOS_SCAN, .process = (uint32_t)getpid() };
    uint64_t cursor = 0, met = 0, began = chaos_now();
    int result = HF_OK;
    op.invoked = began;
    memset(worker->scan_met, 0, worker->chaos->keys);
    while (chaos_room(worker->slot) > worker->chaos->keys && result != HF_END) {
        result = hf_scan(worker->store, &cursor, 0, &item);
        atomic_fetch_add(&worker->slot->beat, 1);
        if (result == HF_OK) {
            op.invoked = note_item(worker, &item, op, began);
            met++;
        } else if (result != HF_END && result != HF_ERR_BUSY && result != HF_ERR_TIMEOUT) {
            chaos_violation(worker->chaos, "scan returned %s (%s)", hf_result_name(result), hf_explain());
            break;
        }
    }
    op.invoked = began;
    if (result == HF_END)
        note_missing(worker, op);
    atomic_fetch_add_explicit(&worker->slot->counts[CHAOS_SCAN], 1, memory_order_relaxed);
    hf_item_free(&item);
    return met;
}

/* ---- Wait --------------------------------------------------------------------------------------------------------------- */

/* Early or much too late. How soon a change was seen that came meanwhile, the judge says. */
static void judge_patience(struct chaos_worker *worker, const struct chaos_op *op, int result, uint64_t timeout_us) {
    uint64_t took = (worker->ended - op->invoked) / 1000;
    bool stopped = !worker->place || worker->stops != atomic_load(&worker->place->stops);
    if (result == HF_OK && op->version == (uint64_t)op->value.number)
        chaos_violation(worker->chaos, "wait for key %" PRIu32 " returned HF_OK with version %" PRIu64 ", which was seen before",
                        op->key, op->version);
    else if ((result == HF_UNCHANGED && took + EARLY_US < timeout_us) || (!stopped && took > timeout_us + LATE_US))
        chaos_violation(worker->chaos, "wait for key %" PRIu32 " returned %s after %" PRIu64 " us, its deadline was %" PRIu64,
                        op->key, hf_result_name(result), took, timeout_us);
}

/* Half of the deadlines are shorter than the wait between two looks, and half are longer. */
static void wait_for_change(struct chaos_worker *worker, uint32_t key) {
    char name[CHAOS_KEY_SIZE];
    struct chaos_op op = { .key = key, .verb = CHAOS_WAIT, .process = (uint32_t)getpid() };
    uint32_t timeout_ms = chaos_below(&worker->random, 2) ? PATIENCE_MS : (uint32_t)chaos_below(&worker->random, PATIENCE_MS / 8);
    size_t name_length = chaos_key_name(worker->chaos, key, name);
    struct chaos_value value;
    struct hf_meta meta;
    int result = chaos_read(worker, key, &value, &meta);
    uint64_t seen = result == HF_OK ? meta.version : 0;
    if (result != HF_OK && result != HF_NOTFOUND)
        return;
    op.value.number = (int64_t)seen;
    chaos_begin(worker, &op);
    result = chaos_returned(worker, hf_wait(worker->store, name, name_length, seen, timeout_ms, &meta));
    worker->op->version = result == HF_OK ? meta.version : seen;
    if (result < 0)
        chaos_expected_failure(worker, result);
    else
        judge_patience(worker, worker->op, result, UINT64_C(1000) * timeout_ms);
    chaos_end(worker);
}

void chaos_reader(struct chaos_worker *worker, uint64_t calls) {
    struct chaos_value value;
    struct hf_meta meta;
    for (uint64_t i = 0; i < calls && !atomic_load(&worker->chaos->stop); i++) {
        bool scans = chaos_below(&worker->random, SCAN_ONE_IN) == 0 && chaos_room(worker->slot) > 4 * worker->chaos->keys;
        if (scans)
            chaos_scan(worker);
        else if (!chaos_wait_for_room(worker, 2))
            continue;
        else if (chaos_below(&worker->random, WAIT_ONE_IN) == 0)
            wait_for_change(worker, chaos_pick(worker));
        else
            chaos_read(worker, chaos_pick(worker), &value, &meta);
    }
}
