/* SPDX-License-Identifier: MIT */
/*
 * A histogram whose buckets grow with what they hold: each power of two is cut into 2^BENCH_STEPS_LOG of them. So any time fits,
 * with a bounded relative error, and adding one costs a few instructions. May not read a clock.
 */
#include <stdlib.h>

#include "bench.h"

enum { STEPS = 1 << BENCH_STEPS_LOG };

/* Below 2 * STEPS the bucket is the number; above, its leading bits tell the power and the step. */
static size_t bucket_of(uint64_t ns) {
    if (ns < STEPS)
        return (size_t)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns) - BENCH_STEPS_LOG;
    size_t bucket = ((size_t)power << BENCH_STEPS_LOG) + (size_t)(ns >> power);
    return bucket < BENCH_BUCKETS ? bucket : BENCH_BUCKETS - 1;
}

/* The largest number that falls into a bucket. */
static uint64_t end_of(size_t bucket) {
    if (bucket < STEPS)
        return bucket;
    unsigned power = (unsigned)(bucket >> BENCH_STEPS_LOG) - 1;
    uint64_t step = bucket - ((size_t)power << BENCH_STEPS_LOG);
    return ((step + 1) << power) - 1;
}

void bench_note(struct bench_histogram *histogram, uint64_t ns) {
    histogram->count++;
    histogram->sum += ns;
    if (ns > histogram->max)
        histogram->max = ns;
    histogram->bucket[bucket_of(ns)]++;
}

void bench_merge(struct bench_histogram *into, const struct bench_histogram *from) {
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
    for (size_t i = 0; i < BENCH_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

uint64_t bench_quantile(const struct bench_histogram *histogram, double share) {
    uint64_t seen = 0;
    if (histogram->count == 0)
        return 0;
    for (size_t i = 0; i < BENCH_BUCKETS - 1; i++) {
        seen += histogram->bucket[i];
        if (seen > 0 && (double)seen >= share * (double)histogram->count)
            return end_of(i) < histogram->max ? end_of(i) : histogram->max;
    }
    return histogram->max;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count) {
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, ascending);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}
