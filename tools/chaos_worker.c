/* SPDX-License-Identifier: MIT */
/*
 * What the writers, the readers and the final judge share: their memory, their way to a handle, and the one way to read a key,
 * which asks the oracle before and after and has every answer judged. Nobody in a chaos run reads a key in another way, but for
 * the scan.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chaos.h"

enum { INHERIT_EVERY = 3, SHARE_EVERY = 8 };

bool chaos_worker_init(struct chaos_worker *worker, struct chaos *chaos, unsigned slot, hf_store *store, uint64_t random) {
    memset(worker, 0, sizeof *worker);
    worker->chaos = chaos;
    worker->slot = &chaos->slots[slot];
    worker->store = store;
    worker->random = random;
    worker->got = malloc(chaos->max_value + 1);
    worker->made = malloc(chaos->max_value + 1);
    worker->seen = calloc(chaos->keys, sizeof *worker->seen);
    worker->scan_base = calloc(chaos->keys, sizeof *worker->scan_base);
    worker->scan_seen = calloc(chaos->keys, sizeof *worker->scan_seen);
    return worker->got && worker->made && worker->seen && worker->scan_base && worker->scan_seen;
}

void chaos_worker_end(struct chaos_worker *worker) {
    free(worker->got);
    free(worker->made);
    free(worker->seen);
    free(worker->scan_base);
    free(worker->scan_seen);
}

/* Every third start works on with the handle inherited from the parent. The others close it and open the store by its path, as
 * a stranger would; some open it while the inherited handle is there, and so share its mapping. */
bool chaos_worker_open(struct chaos_worker *worker, const char *path, uint32_t flags, unsigned start) {
    if (start % INHERIT_EVERY == 0)
        return true;
    hf_store *inherited = worker->store;
    int result = HF_OK;
    uint64_t began = chaos_begin(worker, CHAOS_OPEN, 0);
    if (start % SHARE_EVERY != 1)
        result = hf_close(&inherited);
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = flags;
    options.timeout_ms = worker->chaos->timeout_ms;
    options.log = chaos_log;
    options.log_context = worker->chaos;
    if (result == HF_OK)
        result = hf_open(&worker->store, path, &options);
    chaos_end(worker, CHAOS_OPEN, began);
    if (result != HF_OK)
        chaos_violation(worker->chaos, "a worker could not open the store: %s (%s)", hf_result_name(result), hf_explain());
    return result == HF_OK;
}

uint64_t chaos_begin(struct chaos_worker *worker, enum chaos_act act, uint32_t key) {
    atomic_store(&worker->slot->act, act);
    atomic_store(&worker->slot->key, key);
    atomic_fetch_add(&worker->slot->beat, 1);
    return chaos_now();
}

void chaos_end(struct chaos_worker *worker, enum chaos_act act, uint64_t began) {
    uint64_t microseconds = (chaos_now() - began) / 1000;
    atomic_fetch_add(&worker->slot->beat, 1);
    atomic_fetch_add_explicit(&worker->slot->counts[act], 1, memory_order_relaxed);
    if (act == CHAOS_GET)
        chaos_record(&worker->slot->reads, microseconds);
    else if (act != CHAOS_OPEN && act != CHAOS_SCAN)
        chaos_record(&worker->slot->writes, microseconds);
}

static void tell_unknown(struct chaos_worker *worker, const struct chaos_view *view, size_t length, uint32_t flags) {
    uint64_t header = 0;
    memcpy(&header, worker->got, length < sizeof header ? length : sizeof header);
    chaos_violation(worker->chaos,
                    "key %" PRIu32 ": torn or foreign value: %zu bytes with flags %08" PRIx32 " that begin as of key %" PRIu32
                    ", write %" PRIu64 ", and are wrong from byte %zu; possible were writes %" PRIu64 " to %" PRIu64,
                    view->key, length, flags, (uint32_t)header, header >> 32,
                    chaos_wrong_at(worker->chaos, view->key, worker->got, length, worker->made), chaos_sequence(view->low),
                    chaos_sequence(view->high));
}

static enum chaos_answer judge_bytes(struct chaos_worker *worker, struct chaos_view *view, const struct hf_meta *meta,
                                     size_t length) {
    if (chaos_recognise(worker->chaos, view, worker->got, length, meta->flags, worker->made))
        return chaos_judge_found(worker->chaos, view, meta) ? CHAOS_FOUND : CHAOS_WRONG;
    tell_unknown(worker, view, length, meta->flags);
    return CHAOS_WRONG;
}

enum chaos_answer chaos_read(struct chaos_worker *worker, uint32_t key, struct chaos_view *view, struct hf_meta *meta) {
    char name[CHAOS_KEY_SIZE];
    size_t name_length = chaos_key_name(worker->chaos, key, name), length = 0;
    chaos_look_before(worker->chaos, key, view);
    if (view->low < worker->seen[key])
        view->low = worker->seen[key];
    uint64_t began = chaos_begin(worker, CHAOS_GET, key);
    int result = hf_get(worker->store, name, name_length, worker->got, worker->chaos->max_value, &length, meta);
    chaos_end(worker, CHAOS_GET, began);
    chaos_look_after(worker->chaos, view);
    if (result == HF_OK)
        return judge_bytes(worker, view, meta, length);
    if (result == HF_NOTFOUND) {
        view->found = chaos_make(chaos_sequence(view->low), 0, CHAOS_ABSENT);
        return chaos_judge_missed(worker->chaos, view) ? CHAOS_MISSED : CHAOS_WRONG;
    }
    if (result == HF_ERR_BUSY) {
        atomic_fetch_add(&worker->slot->busies, 1);
        return CHAOS_UNREAD;
    }
    chaos_violation(worker->chaos, "get of key %" PRIu32 " returned %s (%s), expected an answer", key, hf_result_name(result),
                    result < 0 ? hf_explain() : hf_result_text(result));
    return CHAOS_WRONG;
}

/* A counter of all writers lies between what was acknowledged before and what could have been counted since. An evicted counter
 * starts over, so a cache has no lower bound. */
enum chaos_answer chaos_read_shared(struct chaos_worker *worker, unsigned counter) {
    char name[CHAOS_KEY_SIZE], text[24];
    size_t name_length = chaos_shared_name(worker->chaos, counter, name), length = 0;
    uint64_t low = worker->chaos->cache ? 0 : chaos_shared_acked(worker->chaos, counter);
    uint64_t began = chaos_begin(worker, CHAOS_GET, worker->chaos->keys + counter);
    int result = hf_get(worker->store, name, name_length, text, sizeof text - 1, &length, NULL);
    chaos_end(worker, CHAOS_GET, began);
    uint64_t high = chaos_shared_most(worker->chaos, counter), value = 0;
    if (result == HF_ERR_BUSY) {
        atomic_fetch_add(&worker->slot->busies, 1);
        return CHAOS_UNREAD;
    }
    if (result == HF_OK) {
        text[length] = '\0';
        value = strtoull(text, NULL, 10);
    }
    if ((result == HF_OK || result == HF_NOTFOUND) && value >= low && value <= high)
        return result == HF_OK ? CHAOS_FOUND : CHAOS_MISSED;
    chaos_violation(worker->chaos, "shared counter %u: %s with value %" PRIu64 ", expected %" PRIu64 " to %" PRIu64, counter,
                    hf_result_name(result), value, low, high);
    return CHAOS_WRONG;
}
