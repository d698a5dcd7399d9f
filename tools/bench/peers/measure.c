/* SPDX-License-Identifier: MIT */
/*
 * The measurements: one after the other on every store, and that again and again, so that whatever the machine does meanwhile
 * falls on all stores alike, and a ratio is one of neighbours in time.
 */
#include <stdio.h>

#include "measure.h"

const struct workload workloads[] = {
    { "get", 1, { .kind = BENCH_MIXED, .mix = { .get = 100 } } },
    { "chase", 1, { .kind = BENCH_CHASE } },
    { "put", 1, { .kind = BENCH_MIXED, .mix = { .put = 100 } } },
    { "mixed", 1, { .kind = BENCH_MIXED, .mix = { .get = 95, .put = 5 } } },
    { "get", 2, { .kind = BENCH_MIXED, .mix = { .get = 100 } } },
    { "put", 2, { .kind = BENCH_MIXED, .mix = { .put = 100 } } },
    { "mixed", 2, { .kind = BENCH_MIXED, .mix = { .get = 95, .put = 5 } } },
    { "many", 1, { .kind = BENCH_GET_MANY, .batch = MANY_KEYS } }, /* of stores that offer it, told beside the table */
};
const size_t workloads_count = sizeof workloads / sizeof *workloads;

static int lost(const struct stage *stage, unsigned store, const struct bench_result *result) {
    fprintf(stderr, "bench-peers: %s lost entries: %llu of %llu reads found nothing\n", stage->store[store].engine->name,
            (unsigned long long)result->misses, (unsigned long long)(result->hits + result->misses));
    return BENCH_FAILED;
}

static int load(struct stage *stage, unsigned store) {
    static const struct workload loading = { "load", 1, { .kind = BENCH_LOAD } };
    struct bench_work work = { .kind = BENCH_LOAD, .entries = stage->config.entries };
    struct bench_result result;
    if (stage_run(stage, store, 1, work, &result) != BENCH_DONE)
        return BENCH_FAILED;
    print_result(stage, store, &loading, 0, &result);
    /* Every process touches every page once. */
    work.kind = BENCH_VISIT;
    for (unsigned processes = 1; processes <= (stage->pair_index[store] < 0 ? 1u : 2u); processes++) {
        if (stage_run(stage, store, processes, work, &result) != BENCH_DONE)
            return BENCH_FAILED;
        if (result.misses != 0)
            return lost(stage, store, &result);
    }
    return BENCH_DONE;
}

static int measure(struct stage *stage, unsigned store, const struct workload *workload, const struct plan *plan,
                   unsigned repeat) {
    struct bench_work work = workload->work;
    struct bench_result result;
    if (workload->processes > 1 && stage->pair_index[store] < 0)
        return BENCH_DONE;
    if (work.kind == BENCH_GET_MANY && !stage->store[store].engine->get_many)
        return BENCH_DONE;
    work.entries = stage->config.entries;
    work.ns = plan->ns;
    work.warm_up = BENCH_CHUNK;
    if (stage_run(stage, store, workload->processes, work, &result) != BENCH_DONE)
        return BENCH_FAILED;
    if (result.misses != 0)
        return lost(stage, store, &result);
    print_result(stage, store, workload, repeat, &result);
    return BENCH_DONE;
}

int measure_all(struct stage *stage, const struct plan *plan) {
    print_begin(stage, plan);
    for (unsigned store = 0; store < stage->count; store++) {
        fprintf(stderr, "loading %s\n", stage->store[store].engine->name);
        if (load(stage, store) != BENCH_DONE)
            return BENCH_FAILED;
    }
    for (unsigned repeat = 0; repeat < plan->repeats; repeat++) {
        fprintf(stderr, "measuring, %u of %u\n", repeat + 1, plan->repeats);
        for (size_t i = 0; i < workloads_count; i++) {
            for (unsigned store = 0; store < stage->count; store++) {
                if (measure(stage, store, &workloads[i], plan, repeat) != BENCH_DONE)
                    return BENCH_FAILED;
            }
        }
    }
    print_end(stage);
    return BENCH_DONE;
}
