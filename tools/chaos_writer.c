/* SPDX-License-Identifier: MIT */
/*
 * A writer: any of them changes any key, in every way there is. It can be killed between any two instructions; what it was doing
 * then stands in its log.
 */
#include <string.h>
#include <unistd.h>

#include "chaos.h"

void chaos_prepare(const struct chaos_worker *worker, struct chaos_call *call, uint32_t key, enum chaos_verb verb, bool makes) {
    call->op = (struct chaos_op){ .key = key, .verb = (uint8_t)verb, .process = (uint32_t)getpid() };
    call->name_length = chaos_key_name(worker->chaos, key, call->name);
    if (makes)
        call->op.id = atomic_fetch_add(&worker->chaos->ids[key], 1) + 1;
}

void chaos_finish(struct chaos_worker *worker, int result) {
    if (result < 0)
        chaos_expected_failure(worker, result);
    chaos_end(worker);
}

/* `expected` is what a cas replaces, read with `version`. */
static void put(struct chaos_worker *worker, uint32_t key, enum chaos_verb verb, const struct chaos_value *expected,
                uint64_t version) {
    static const uint32_t conditions[CHAOS_VERB_COUNT] = {
        [CHAOS_ADD] = HF_IF_ABSENT, [CHAOS_REPLACE] = HF_IF_PRESENT, [CHAOS_CAS] = HF_IF_VERSION,
    };
    struct hf_put_options options = HF_PUT_INIT;
    struct chaos_call call;
    chaos_prepare(worker, &call, key, verb, true);
    if (expected)
        call.op.value = *expected;
    options.condition = conditions[verb];
    options.version = version;
    options.flags = call.op.id;
    options.ttl_ms = chaos_below(&worker->random, 8) == 0 ? CHAOS_TTL_MS : HF_TTL_NEVER;
    size_t length = chaos_bytes(worker->chaos, key, call.op.id, worker->made);
    uint64_t made = 0;
    chaos_begin(worker, &call.op);
    int result = chaos_returned(worker, hf_put(worker->store, call.name, call.name_length, worker->made, length, &options,
                                               &made));
    if (result == HF_OK)
        worker->op->version = made;
    chaos_finish(worker, result);
}

static void delete(struct chaos_worker *worker, uint32_t key, const struct chaos_value *expected, uint64_t version) {
    struct chaos_call call;
    chaos_prepare(worker, &call, key, CHAOS_DELETE, false);
    if (expected)
        call.op.value = *expected;
    chaos_begin(worker, &call.op);
    chaos_finish(worker, chaos_returned(worker, hf_delete(worker->store, call.name, call.name_length, version)));
}

static void take(struct chaos_worker *worker, uint32_t key) {
    struct chaos_value value;
    struct hf_meta meta;
    struct chaos_call call;
    size_t length = 0;
    chaos_prepare(worker, &call, key, CHAOS_TAKE, false);
    chaos_begin(worker, &call.op);
    int result = chaos_returned(worker, hf_take(worker->store, call.name, call.name_length, worker->got,
                                                worker->chaos->max_value, &length, &meta));
    if (result == HF_OK && chaos_judge_bytes(worker, key, worker->got, length, &meta, &value)) {
        worker->op->value = value;
        worker->op->version = meta.version;
    }
    chaos_finish(worker, result);
}

static void increment(struct chaos_worker *worker, uint32_t key) {
    struct hf_incr_options options = HF_INCR_INIT;
    struct chaos_call call;
    int64_t sum = 0;
    chaos_prepare(worker, &call, key, CHAOS_INCR, true);
    options.initial = chaos_number(key, call.op.id);
    if (chaos_below(&worker->random, 4) == 0) {
        options.condition = HF_IF_PRESENT;
        call.op.flags = CHAOS_IF_PRESENT;
    }
    chaos_begin(worker, &call.op);
    int result = chaos_returned(worker, hf_incr(worker->store, call.name, call.name_length, chaos_increment(key, call.op.id),
                                                &options, &sum));
    worker->op->value.number = sum;
    chaos_finish(worker, result);
}

static void append(struct chaos_worker *worker, uint32_t key) {
    struct chaos_call call;
    chaos_prepare(worker, &call, key, CHAOS_APPEND, true);
    size_t length = chaos_tail(worker->chaos, key, call.op.id, worker->made), sum = 0;
    chaos_begin(worker, &call.op);
    int result = chaos_returned(worker, hf_append(worker->store, call.name, call.name_length, worker->made, length, &sum));
    worker->op->value.length = (uint32_t)sum;
    chaos_finish(worker, result);
}

static void touch(struct chaos_worker *worker, uint32_t key) {
    struct chaos_call call;
    chaos_prepare(worker, &call, key, CHAOS_TOUCH, false);
    uint64_t ttl_ms = chaos_below(&worker->random, 2) ? CHAOS_TTL_MS : HF_TTL_NEVER;
    chaos_begin(worker, &call.op);
    chaos_finish(worker, chaos_returned(worker, hf_touch(worker->store, call.name, call.name_length, ttl_ms)));
}

/* What depends on what was read: of two tries with the same version the second must fail. */
static void change_unchanged(struct chaos_worker *worker, uint32_t key) {
    struct chaos_value value;
    struct hf_meta meta;
    if (chaos_read(worker, key, &value, &meta) != HF_OK || atomic_load(&worker->chaos->stop))
        return;
    bool twice = chaos_below(&worker->random, 4) == 0;
    if (chaos_below(&worker->random, 4) == 0)
        delete(worker, key, &value, meta.version);
    else
        put(worker, key, CHAOS_CAS, &value, meta.version);
    if (twice)
        put(worker, key, CHAOS_CAS, &value, meta.version);
}

static void change(struct chaos_worker *worker, uint32_t key) {
    uint64_t dice = chaos_below(&worker->random, 100);
    if (dice < (chaos_is_counter(key) ? 50 : 15))
        (chaos_is_counter(key) ? increment : append)(worker, key);
    else if (dice < 58)
        put(worker, key, CHAOS_PUT, NULL, 0);
    else if (dice < 64)
        put(worker, key, CHAOS_ADD, NULL, 0);
    else if (dice < 72)
        put(worker, key, CHAOS_REPLACE, NULL, 0);
    else if (dice < 80)
        change_unchanged(worker, key);
    else if (dice < 87)
        delete(worker, key, NULL, 0);
    else if (dice < 93)
        take(worker, key);
    else if (dice < 96)
        touch(worker, key);
    else
        (dice < 99 ? chaos_get_or_fill : chaos_lease)(worker, key);
}

void chaos_writer(struct chaos_worker *worker, uint64_t calls) {
    struct chaos_value value;
    struct hf_meta meta;
    for (uint64_t i = 0; i < calls && !atomic_load(&worker->chaos->stop); i++) {
        if (!chaos_wait_for_room(worker, 3))
            continue;
        if (chaos_below(&worker->random, 4) == 0)
            chaos_read(worker, chaos_pick(worker), &value, &meta);
        else
            change(worker, chaos_pick(worker));
    }
}
