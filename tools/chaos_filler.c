/* SPDX-License-Identifier: MIT */
/*
 * What a writer does to a key that is missing: it computes a value, by a function or under a lease, and can be killed while it
 * waits for another's, while it computes, and while it stores.
 *
 * That is two calls for the judge. A fill is a read; if it finds nothing, the caller is to compute. From then on a publish is
 * running: it stores the value unless a put or delete came that was called later. A computation may also be given up.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "chaos.h"

enum { US = 1000, LONGEST_US = 1500, LEASE_MS = 30, GIVEN_UP = HF_CHANGED /* as of what came too late: not stored */ };

/* What is computed, and how. */
struct computation {
    struct chaos_worker *worker;
    struct chaos_call publish;
    uint64_t microseconds;
    bool begun, given_up;
};

static void prepare(struct computation *computation, struct chaos_worker *worker, uint32_t key) {
    uint64_t dice = chaos_below(&worker->random, 32);
    *computation = (struct computation){ .worker = worker, .given_up = dice < 2 };
    chaos_prepare(worker, &computation->publish, key, CHAOS_PUBLISH, true);
    computation->publish.op.flags = dice >= 28 ? CHAOS_NOTHING : 0;
    if (chaos_below(&worker->random, 6) == 0)
        computation->microseconds = chaos_below(&worker->random, LONGEST_US);
}

static void compute(struct computation *computation, struct hf_fill *fill) {
    struct chaos_worker *worker = computation->worker;
    const struct chaos_op *op = &computation->publish.op;
    struct timespec time = { .tv_nsec = (long)computation->microseconds * US };
    computation->begun = true;
    chaos_begin(worker, op);
    if (computation->microseconds)
        nanosleep(&time, NULL);
    fill->value = worker->made;
    fill->flags = op->id;
    fill->absent = (op->flags & CHAOS_NOTHING) != 0;
    fill->value_len = fill->absent ? 0 : chaos_bytes(worker->chaos, op->key, op->id, worker->made);
    fill->ttl_ms = op->id % 8 == 0 ? CHAOS_TTL_MS : HF_TTL_NEVER;
}

/* It became of the value what the result and the version say. */
static void end_publish(struct chaos_worker *worker, int result, uint64_t version) {
    worker->op->result = (int8_t)result;
    if (result == HF_OK)
        worker->op->version = version;
    if (result == HF_CHANGED)
        atomic_fetch_add(&worker->slot->unstored, 1);
    chaos_finish(worker, result);
}

/* ---- By a function ------------------------------------------------------------------------------------------------------ */

static int fill_function(void *context, const void *key, size_t key_len, struct hf_fill *fill) {
    struct computation *computation = context;
    (void)key;
    (void)key_len;
    chaos_returned(computation->worker, HF_NOTFOUND);
    chaos_end(computation->worker);
    compute(computation, fill);
    return computation->given_up ? GIVEN_UP : HF_OK;
}

/* What a fill returns that has computed must be what was computed, whether it was stored or not. */
static void end_computed(struct computation *computation, int result, size_t length, const struct hf_meta *meta) {
    struct chaos_worker *worker = computation->worker;
    const struct chaos_op *op = &computation->publish.op;
    struct chaos_value value;
    bool nothing = op->flags & CHAOS_NOTHING;
    int expected = computation->given_up ? GIVEN_UP : nothing ? HF_NOTFOUND : HF_OK;
    if (result != expected)
        chaos_violation(worker->chaos, "fill of key %" PRIu32 " returned %s (%s), expected %s", op->key, hf_result_name(result),
                        hf_explain(), hf_result_name(expected));
    else if (result == HF_OK && chaos_judge_bytes(worker, op->key, worker->got, length, meta, &value) &&
             (meta->flags != op->id || value.before != 0))
        chaos_violation(worker->chaos, "fill of key %" PRIu32 " returned another value than the one that it computed", op->key);
    end_publish(worker, computation->given_up || meta->version == 0 ? HF_CHANGED : HF_OK, meta->version);
}

static void end_found(struct chaos_worker *worker, uint32_t key, int result, size_t length, const struct hf_meta *meta) {
    struct chaos_value value;
    if (result == HF_OK && !chaos_judge_bytes(worker, key, worker->got, length, meta, &value))
        worker->op->result = HF_ERR_BUSY; /* told already: nothing for the judge */
    if (worker->op->result == HF_OK) {
        worker->op->value = value;
        worker->op->version = meta->version;
    }
    chaos_finish(worker, result);
}

void chaos_get_or_fill(struct chaos_worker *worker, uint32_t key) {
    struct computation computation;
    struct chaos_call call;
    struct hf_meta meta = { .version = 0 };
    size_t length = 0;
    prepare(&computation, worker, key);
    chaos_prepare(worker, &call, key, CHAOS_FILL, false);
    chaos_begin(worker, &call.op);
    int result = chaos_returned(worker, hf_get_or_fill(worker->store, call.name, call.name_length, worker->got,
                                                       worker->chaos->max_value, &length, &meta, fill_function, &computation,
                                                       NULL));
    if (computation.begun)
        end_computed(&computation, result, length, &meta);
    else
        end_found(worker, key, result, length, &meta);
}

/* ---- Under a lease ------------------------------------------------------------------------------------------------------ */

static void publish(struct computation *computation, const struct hf_lease *lease) {
    const struct chaos_call *call = &computation->publish;
    struct chaos_worker *worker = computation->worker;
    struct hf_fill fill = { .value = NULL };
    uint64_t version = 0;
    compute(computation, &fill);
    int result = computation->given_up
                     ? hf_fill_cancel(worker->store, lease)
                     : hf_fill_publish(worker->store, call->name, call->name_length, &fill, lease, &version);
    chaos_returned(worker, result);
    end_publish(worker, computation->given_up && result == HF_OK ? GIVEN_UP : result, version);
}

/* Some leases end before the computation does. */
void chaos_lease(struct chaos_worker *worker, uint32_t key) {
    struct hf_fill_options options = HF_FILL_INIT;
    struct computation computation;
    struct chaos_call call;
    struct hf_lease lease;
    prepare(&computation, worker, key);
    options.lease_ms = 1 + (uint32_t)chaos_below(&worker->random, LEASE_MS);
    chaos_prepare(worker, &call, key, CHAOS_FILL, false);
    chaos_begin(worker, &call.op);
    int result = chaos_returned(worker, hf_fill_begin(worker->store, call.name, call.name_length, &options, &lease));
    if (result == HF_OK)
        worker->op->result = HF_NOTFOUND;
    chaos_finish(worker, result);
    if (result == HF_OK)
        publish(&computation, &lease);
}
