/* SPDX-License-Identifier: MIT */
/*
 * Times and counts of a chaos run. Histograms have 16 buckets per power of two, so a quantile is right within 1/16. Written
 * with single atomic additions: a killed process loses at most its last one.
 */
#include <time.h>

#include "chaos.h"

enum { SUB = 16, SUB_BITS = 4 };

uint64_t chaos_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static unsigned bucket_of(uint64_t value) {
    if (value < SUB)
        return (unsigned)value;
    unsigned top = 63 - (unsigned)__builtin_clzll(value);
    unsigned bucket = (top - SUB_BITS + 1) * SUB + (unsigned)(value >> (top - SUB_BITS) & (SUB - 1));
    return bucket < CHAOS_BUCKETS ? bucket : CHAOS_BUCKETS - 1;
}

/* The largest value of a bucket. */
static uint64_t bucket_end(unsigned bucket) {
    if (bucket < SUB)
        return bucket;
    unsigned shift = bucket / SUB - 1;
    return ((uint64_t)(SUB + bucket % SUB + 1) << shift) - 1;
}

static void raise_max(atomic_uint_fast64_t *max, uint64_t value) {
    uint64_t old = atomic_load(max);
    while (value > old && !atomic_compare_exchange_weak(max, &old, value))
        continue;
}

void chaos_count(struct chaos_histogram *histogram, uint64_t microseconds) {
    atomic_fetch_add_explicit(&histogram->buckets[bucket_of(microseconds)], 1, memory_order_relaxed);
    raise_max(&histogram->max, microseconds);
}

void chaos_merge(struct chaos_histogram *into, const struct chaos_histogram *from) {
    for (unsigned i = 0; i < CHAOS_BUCKETS; i++)
        atomic_fetch_add(&into->buckets[i], atomic_load(&from->buckets[i]));
    raise_max(&into->max, atomic_load(&from->max));
}

uint64_t chaos_quantile(const struct chaos_histogram *histogram, unsigned per_mille) {
    uint64_t total = 0, below = 0, max = atomic_load(&histogram->max);
    for (unsigned i = 0; i < CHAOS_BUCKETS; i++)
        total += atomic_load(&histogram->buckets[i]);
    for (unsigned i = 0; i < CHAOS_BUCKETS; i++) {
        below += atomic_load(&histogram->buckets[i]);
        if (total != 0 && below * 1000 >= total * per_mille)
            return bucket_end(i) < max ? bucket_end(i) : max;
    }
    return max;
}

uint64_t chaos_total(const struct chaos_histogram *histogram) {
    uint64_t total = 0;
    for (unsigned i = 0; i < CHAOS_BUCKETS; i++)
        total += atomic_load(&histogram->buckets[i]);
    return total;
}

/* Powers of two: counts[n] is how many took less than 2^n microseconds and not less than half of that. Returns how many there
 * are up to the last one that is not 0. */
unsigned chaos_octaves(const struct chaos_histogram *histogram, uint64_t counts[65]) {
    unsigned used = 0;
    for (unsigned i = 0; i < 65; i++)
        counts[i] = 0;
    for (unsigned i = 0; i < CHAOS_BUCKETS; i++) {
        uint64_t end = bucket_end(i), count = atomic_load(&histogram->buckets[i]);
        unsigned octave = end ? 64 - (unsigned)__builtin_clzll(end) : 0;
        counts[octave] += count;
        used = count && octave + 1 > used ? octave + 1 : used;
    }
    return used;
}

/* ---- Recoveries --------------------------------------------------------------------------------------------------------- */

/* What the writer that came after a death has waited: since the death, or since its own call if that came later. Its call is
 * over but for this. */
static void count_wait(struct chaos *chaos, const struct hf_recovery *recovery) {
    const struct chaos_mark *mark = &chaos->marks[recovery->pid % CHAOS_MARKS];
    uint64_t since = atomic_load(&mark->when);
    if (recovery->cause != HF_CAUSE_DEATH || recovery->pid == 0 || atomic_load(&mark->pid) != recovery->pid || !chaos_here ||
        !chaos_here->op)
        return;
    since = since > chaos_here->op->invoked ? since : chaos_here->op->invoked;
    chaos_count(&chaos->next_writer, (chaos_now() - since) / 1000);
}

/* The log callback of every handle of a run. */
void chaos_log(void *context, const struct hf_recovery *recovery) {
    struct chaos *chaos = context;
    if (recovery->cause == HF_CAUSE_OPEN)
        atomic_fetch_add(&chaos->first_opens, 1);
    if (recovery->verdict < sizeof chaos->verdicts / sizeof chaos->verdicts[0])
        atomic_fetch_add(&chaos->verdicts[recovery->verdict], 1);
    chaos_count(&chaos->recovery, recovery->microseconds);
    count_wait(chaos, recovery);
    if (recovery->dropped != 0)
        chaos_violation(chaos, "the recovery of stripe %u (%s, in %s at step %s) dropped %u entries, expected 0",
                        recovery->stripe, hf_cause_name(recovery->cause), hf_operation_name(recovery->operation),
                        hf_step_name(recovery->step), recovery->dropped);
}
