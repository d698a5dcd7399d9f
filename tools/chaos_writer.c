/* SPDX-License-Identifier: MIT */
/*
 * A writer: changes its own keys, whose every state it knows, and the counters that all writers share. It can be killed between
 * any two instructions, and so can the one that follows it; what it leaves is put right by settle(), first thing.
 */
#include <inttypes.h>

#include "chaos.h"

enum { APPENDS_MAX = 250, INCREMENTS_MAX = 3900, LOOKS = 4 };

/* One call that may change a key. */
struct move {
    enum chaos_act act;
    uint32_t key;
    chaos_state before;
    chaos_state after;
    int expect;    /* the result it must have ...              */
    bool shrinks;  /* ... and may a full store not refuse it?  */
    uint64_t began;
    char name[CHAOS_KEY_SIZE];
    size_t name_length;
};

static bool is_there(chaos_state state) {
    return chaos_kind_of(state) != CHAOS_ABSENT;
}

static struct chaos_key *record_of(const struct chaos_worker *worker, uint32_t key) {
    return &worker->chaos->records[key];
}

static chaos_state next_state(const struct chaos_worker *worker, uint32_t key, enum chaos_kind kind, unsigned steps) {
    uint64_t sequence = atomic_fetch_add(&record_of(worker, key)->last, 1) + 1;
    return chaos_make(sequence, steps, kind);
}

static chaos_state next_step(chaos_state state) {
    return chaos_make(chaos_sequence(state), chaos_steps(state) + 1, chaos_kind_of(state));
}

/* ---- Around a call ------------------------------------------------------------------------------------------------------- */

/* From here on a successor will look at the key. */
static void begin(struct chaos_worker *worker, struct move *move) {
    move->name_length = chaos_key_name(worker->chaos, move->key, move->name);
    move->shrinks = is_there(move->before) && chaos_length(worker->chaos, move->key, move->after) <=
                                                  chaos_length(worker->chaos, move->key, move->before);
    atomic_store(&worker->slot->busy, move->key + 1);
    chaos_intend(record_of(worker, move->key), move->after);
    move->began = chaos_begin(worker, move->act, move->key);
}

static void tell_unexpected(struct chaos_worker *worker, const struct move *move, int result) {
    char before[80];
    chaos_describe(before, sizeof before, move->key, move->before);
    chaos_violation(worker->chaos, "%s of key %" PRIu32 " returned %s (%s), expected %s; before the call: %s",
                    chaos_act_name(move->act), move->key, hf_result_name(result),
                    result < 0 ? hf_explain() : hf_result_text(result), hf_result_name(move->expect), before);
}

static void mark_evicted(struct chaos_worker *worker, uint32_t key) {
    chaos_state absent = next_state(worker, key, CHAOS_ABSENT, 0);
    chaos_intend(record_of(worker, key), absent);
    chaos_settle(worker->chaos, key, absent);
}

/* Acknowledges what the call did. True if it did what was intended. */
static bool finish(struct chaos_worker *worker, struct move *move, int result) {
    chaos_end(worker, move->act, move->began);
    bool evicted = worker->chaos->cache && result == HF_NOTFOUND && is_there(move->before);
    bool refused = result == HF_ERR_FULL && !(move->shrinks && !worker->chaos->cache);
    if (result == move->expect) {
        atomic_store(&record_of(worker, move->key)->acked, move->after);
    } else if (evicted) {
        mark_evicted(worker, move->key);
    } else if (refused) {
        atomic_fetch_add_explicit(&worker->slot->refused, 1, memory_order_relaxed);
        chaos_settle(worker->chaos, move->key, move->before);
    } else {
        tell_unexpected(worker, move, result);
    }
    atomic_store(&worker->slot->busy, 0);
    return result == move->expect && result == HF_OK;
}

/* ---- The calls ----------------------------------------------------------------------------------------------------------- */

static void check_version(struct chaos_worker *worker, uint32_t key, uint64_t version) {
    struct chaos_key *record = record_of(worker, key);
    uint64_t old = atomic_load(&record->version);
    if (version <= old)
        chaos_violation(worker->chaos, "put of key %" PRIu32 " returned version %" PRIu64 ", expected more than %" PRIu64, key,
                        version, old);
    atomic_store(&record->version, version);
}

static void put(struct chaos_worker *worker, uint32_t key, chaos_state before) {
    struct move move = { .act = is_there(before) ? CHAOS_REPLACE : CHAOS_PUT, .key = key, .before = before };
    struct hf_put_options options = HF_PUT_INIT;
    uint64_t version = 0, dice = chaos_below(&worker->random, 8);
    move.after = next_state(worker, key, CHAOS_BY_PUT, 0);
    if (dice == 0 && !worker->chaos->cache)
        options.condition = is_there(before) ? HF_IF_PRESENT : HF_IF_ABSENT;
    if (dice == 1 && !worker->chaos->cache && is_there(before)) {
        options.condition = HF_IF_ABSENT;
        move.expect = HF_EXISTS;
        move.after = before;
    }
    if (dice == 2)
        options.ttl_ms = CHAOS_TTL_MS;
    options.flags = chaos_flags(worker->chaos, key, move.after);
    size_t length = chaos_bytes(worker->chaos, key, move.after, worker->made);
    begin(worker, &move);
    int result = hf_put(worker->store, move.name, move.name_length, worker->made, length, &options, &version);
    if (result == HF_OK)
        check_version(worker, key, version);
    finish(worker, &move, result);
}

/* Replaces exactly the version that a get returned; of two tries the second, with the same version, must fail. */
static void put_version(struct chaos_worker *worker, uint32_t key, chaos_state before) {
    struct chaos_view view;
    struct hf_meta meta;
    if (chaos_read(worker, key, &view, &meta) != CHAOS_FOUND)
        return;
    for (int try = 0; try < 2; try++) {
        struct move move = { .act = CHAOS_REPLACE, .key = key, .before = before, .expect = try == 0 ? HF_OK : HF_CHANGED };
        struct hf_put_options options = HF_PUT_INIT;
        move.after = try == 0 ? next_state(worker, key, CHAOS_BY_PUT, 0) : before;
        options.condition = HF_IF_VERSION;
        options.version = meta.version;
        options.flags = chaos_flags(worker->chaos, key, move.after);
        size_t length = chaos_bytes(worker->chaos, key, move.after, worker->made);
        begin(worker, &move);
        int result = hf_put(worker->store, move.name, move.name_length, worker->made, length, &options, NULL);
        if (!finish(worker, &move, result))
            return;
        before = move.after;
    }
}

static void delete(struct chaos_worker *worker, uint32_t key, chaos_state before) {
    struct move move = { .act = CHAOS_DELETE, .key = key, .before = before, .after = before, .expect = HF_NOTFOUND };
    if (is_there(before)) {
        move.after = next_state(worker, key, CHAOS_ABSENT, 0);
        move.expect = HF_OK;
    }
    begin(worker, &move);
    finish(worker, &move, hf_delete(worker->store, move.name, move.name_length, 0));
}

static void take(struct chaos_worker *worker, uint32_t key, chaos_state before) {
    struct move move = { .act = CHAOS_TAKE, .key = key, .before = before, .after = before, .expect = HF_NOTFOUND };
    struct chaos_view view = { .key = key, .low = before, .high = before };
    struct hf_meta meta = { .version = 0 };
    size_t length = 0;
    if (is_there(before)) {
        move.after = next_state(worker, key, CHAOS_ABSENT, 0);
        move.expect = HF_OK;
    }
    begin(worker, &move);
    int result = hf_take(worker->store, move.name, move.name_length, worker->got, worker->chaos->max_value, &length, &meta);
    if (finish(worker, &move, result) &&
        !(chaos_recognise(worker->chaos, &view, worker->got, length, meta.flags, worker->made) && view.found == before))
        chaos_violation(worker->chaos, "take of key %" PRIu32 " returned another value than the one that was there", key);
}

static void increment(struct chaos_worker *worker, uint32_t key, chaos_state before) {
    struct move move = { .act = CHAOS_INCR, .key = key, .before = before, .after = next_step(before) };
    struct hf_incr_options options = HF_INCR_INIT;
    int64_t sum = 0;
    if (!is_there(before)) {
        move.after = next_state(worker, key, CHAOS_BY_CHANGE, 1);
        options.initial = chaos_number(key, chaos_make(chaos_sequence(move.after), 0, CHAOS_BY_CHANGE));
    } else if (worker->chaos->cache) {
        options.condition = HF_IF_PRESENT;
    }
    int64_t by = chaos_increment(key, move.after), expected = chaos_number(key, move.after);
    begin(worker, &move);
    int result = hf_incr(worker->store, move.name, move.name_length, by, &options, &sum);
    if (finish(worker, &move, result) && sum != expected)
        chaos_violation(worker->chaos, "incr of key %" PRIu32 " by %" PRId64 " returned %" PRId64 ", expected %" PRId64, key, by,
                        sum, expected);
}

/* An absent key is made by an append of its whole first value. */
static void append(struct chaos_worker *worker, uint32_t key, chaos_state before) {
    struct move move = { .act = CHAOS_APPEND, .key = key, .before = before };
    size_t length, sum = 0;
    if (is_there(before)) {
        move.after = next_step(before);
        length = chaos_tail(worker->chaos, key, move.after, worker->made);
    } else {
        move.after = next_state(worker, key, CHAOS_BY_CHANGE, 0);
        length = chaos_bytes(worker->chaos, key, move.after, worker->made);
    }
    begin(worker, &move);
    int result = hf_append(worker->store, move.name, move.name_length, worker->made, length, &sum);
    size_t expected = chaos_length(worker->chaos, key, move.after);
    if (finish(worker, &move, result) && sum != expected)
        chaos_violation(worker->chaos, "append to key %" PRIu32 " made %zu bytes, expected %zu", key, sum, expected);
}

static void touch(struct chaos_worker *worker, uint32_t key, chaos_state before) {
    struct move move = { .act = CHAOS_TOUCH, .key = key, .before = before, .after = before,
                         .expect = is_there(before) ? HF_OK : HF_NOTFOUND };
    uint64_t ttl_ms = chaos_below(&worker->random, 2) * CHAOS_TTL_MS;
    begin(worker, &move);
    finish(worker, &move, hf_touch(worker->store, move.name, move.name_length, ttl_ms));
}

/* ---- What to do next ------------------------------------------------------------------------------------------------------- */

/* Whether one more append or increment gives a value that the store takes and the oracle can name. An append to an entry that a
 * cache has evicted meanwhile would make a value of its tail alone. */
static bool can_step(const struct chaos_worker *worker, uint32_t key, chaos_state state) {
    if (chaos_is_counter(key))
        return chaos_steps(state) < INCREMENTS_MAX;
    return !is_there(state) || (!worker->chaos->cache && chaos_steps(state) < APPENDS_MAX &&
                                chaos_length(worker->chaos, key, next_step(state)) <= worker->chaos->max_value);
}

static void change(struct chaos_worker *worker, uint32_t key) {
    chaos_state state = atomic_load(&record_of(worker, key)->acked);
    uint64_t dice = chaos_below(&worker->random, 100);
    if (dice < (chaos_is_counter(key) ? 60 : 15) && can_step(worker, key, state))
        (chaos_is_counter(key) ? increment : append)(worker, key, state);
    else if (dice < 72)
        put(worker, key, state);
    else if (dice < 78 && is_there(state) && !worker->chaos->cache)
        put_version(worker, key, state);
    else if (dice < 88)
        delete(worker, key, state);
    else if (dice < 95)
        take(worker, key, state);
    else
        touch(worker, key, state);
}

/* An increment in flight is marked in the same word that counts the acknowledged ones. */
static void increment_shared(struct chaos_worker *worker) {
    char name[CHAOS_KEY_SIZE];
    unsigned counter = (unsigned)chaos_below(&worker->random, CHAOS_SHARED);
    size_t name_length = chaos_shared_name(worker->chaos, counter, name);
    uint64_t low = worker->chaos->cache ? 0 : chaos_shared_acked(worker->chaos, counter);
    uint64_t word = atomic_load(&worker->slot->shared[counter]);
    atomic_store(&worker->slot->shared[counter], word + 1);
    uint64_t began = chaos_begin(worker, CHAOS_INCR, worker->chaos->keys + counter);
    int64_t sum = 0;
    int result = hf_incr(worker->store, name, name_length, 1, NULL, &sum);
    chaos_end(worker, CHAOS_INCR, began);
    uint64_t high = chaos_shared_most(worker->chaos, counter);
    atomic_store(&worker->slot->shared[counter], result == HF_OK ? word + 2 : word);
    if (result == HF_ERR_FULL)
        atomic_fetch_add_explicit(&worker->slot->refused, 1, memory_order_relaxed);
    else if (result != HF_OK)
        chaos_violation(worker->chaos, "incr of shared counter %u returned %s (%s)", counter, hf_result_name(result),
                        hf_explain());
    else if (sum <= (int64_t)low || sum > (int64_t)high)
        chaos_violation(worker->chaos, "incr of shared counter %u returned %" PRId64 ", expected %" PRIu64 " to %" PRIu64,
                        counter, sum, low + 1, high);
}

/* Reads one of its own keys. With no call in flight the oracle's bounds are equal, so that this is an exact comparison. */
static void look(struct chaos_worker *worker, uint32_t key) {
    struct chaos_view view;
    struct hf_meta meta;
    enum chaos_answer answer = chaos_read(worker, key, &view, &meta);
    if (answer == CHAOS_FOUND && meta.version > atomic_load(&record_of(worker, key)->version))
        atomic_store(&record_of(worker, key)->version, meta.version);
    if (answer == CHAOS_MISSED && is_there(view.low))
        mark_evicted(worker, key);
}

/* The key that the predecessor was changing when it was killed: old state or new. */
static void settle(struct chaos_worker *worker) {
    unsigned busy = atomic_load(&worker->slot->busy);
    if (busy == 0)
        return;
    struct chaos_view view;
    struct hf_meta meta;
    enum chaos_answer answer = chaos_read(worker, busy - 1, &view, &meta);
    if (answer == CHAOS_FOUND)
        chaos_settle(worker->chaos, view.key, view.found);
    else if (answer == CHAOS_MISSED && !is_there(view.high))
        chaos_settle(worker->chaos, view.key, view.high);
    else if (answer == CHAOS_MISSED && !is_there(view.low))
        chaos_settle(worker->chaos, view.key, view.low);
    else if (answer == CHAOS_MISSED && worker->chaos->cache)
        mark_evicted(worker, view.key);
    else if (answer == CHAOS_MISSED)
        chaos_violation(worker->chaos, "key %" PRIu32 " is missing after its writer was killed in %s", view.key,
                        chaos_act_name(atomic_load(&worker->slot->act)));
    atomic_store(&worker->slot->busy, 0);
}

static uint32_t own_key(struct chaos_worker *worker, unsigned index) {
    uint32_t writers = worker->chaos->writers, owned = (worker->chaos->keys - index + writers - 1) / writers;
    return (uint32_t)chaos_below(&worker->random, owned) * writers + index;
}

void chaos_writer(struct chaos_worker *worker, unsigned index) {
    atomic_store(&worker->slot->phase, CHAOS_SETTLING);
    settle(worker);
    for (int i = 0; i < LOOKS; i++)
        look(worker, own_key(worker, index));
    atomic_store(&worker->slot->phase, CHAOS_WORKING);
    while (!atomic_load(&worker->chaos->stop)) {
        uint32_t key = own_key(worker, index);
        uint64_t dice = chaos_below(&worker->random, 8);
        if (dice == 0)
            increment_shared(worker);
        else if (dice < 5)
            look(worker, key);
        if (dice != 0)
            change(worker, key);
    }
}
