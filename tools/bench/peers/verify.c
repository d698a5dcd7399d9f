/* SPDX-License-Identifier: MIT */
/*
 * Whether every engine stores and finds what was put, and no longer finds what was erased: a comparison of stores that lose
 * entries would be worth nothing. By one process, and by two at once where the engine can.
 */
#include <stdio.h>

#include "measure.h"
#include "stage.h"

struct step {
    const char *what;
    enum bench_kind kind;
    bool found; /* every entry; else none */
};

static const struct step steps[] = {
    { "load", BENCH_LOAD, false },
    { "visit", BENCH_VISIT, true },
    { "load again", BENCH_LOAD, false },
    { "visit again", BENCH_VISIT, true },
    { "erase", BENCH_ERASE, true },
    { "visit what was erased", BENCH_VISIT, false },
};

/* Every entry found by everybody who looks for it, or by nobody. */
static bool as_expected(const struct step *step, uint64_t entries, unsigned processes, const struct bench_result *result) {
    uint64_t looked = step->kind == BENCH_VISIT ? entries * processes : step->kind == BENCH_ERASE ? entries : 0;
    return result->hits == (step->found ? looked : 0) && result->misses == (step->found ? 0 : looked);
}

static int verify_one(struct stage *stage, unsigned store, unsigned processes) {
    uint64_t entries = stage->config.entries;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct bench_work work = { .kind = steps[i].kind, .entries = entries };
        struct bench_result result;
        if (stage_run(stage, store, processes, work, &result) != BENCH_DONE)
            return BENCH_FAILED;
        if (!as_expected(&steps[i], entries, processes, &result)) {
            printf("not ok: %s, %u process%s, %s: %llu found, %llu not\n", stage->store[store].engine->name, processes,
                   processes > 1 ? "es" : "", steps[i].what, (unsigned long long)result.hits, (unsigned long long)result.misses);
            return BENCH_FAILED;
        }
    }
    printf("ok: %s, %u process%s\n", stage->store[store].engine->name, processes, processes > 1 ? "es" : "");
    return BENCH_DONE;
}

int verify_all(struct stage *stage) {
    unsigned failures = 0;
    for (unsigned i = 0; i < stage->count && !bench_interrupted(); i++) {
        failures += verify_one(stage, i, 1) != BENCH_DONE;
        if (stage->pair_index[i] >= 0)
            failures += verify_one(stage, i, 2) != BENCH_DONE;
        else
            printf("skipped: %s takes one process only\n", stage->store[i].engine->name);
    }
    if (*peers_missing)
        printf("skipped: not built: %s\n", peers_missing);
    return failures ? BENCH_FAILED : BENCH_DONE;
}
