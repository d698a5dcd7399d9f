/* SPDX-License-Identifier: MIT */
/*
 * Whether every engine stores and finds what was put, and no longer finds what was erased: a comparison of stores that lose
 * entries would be worth nothing. By one process, and by two at once where the engine can.
 */
#include <stdio.h>

#include <unistd.h>

#include "../../large.h"
#include "../engines.h"
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
    { "get many", BENCH_GET_MANY, true },
    { "erase", BENCH_ERASE, true },
    { "visit what was erased", BENCH_VISIT, false },
};

/* Every entry found by everybody who looks for it, or by nobody. Many at once are drawn: as many as there are entries. */
static bool as_expected(const struct step *step, uint64_t entries, unsigned processes, const struct bench_result *result) {
    uint64_t looked = step->kind == BENCH_VISIT ? entries * processes : step->kind == BENCH_LOAD ? 0 : entries;
    return result->hits == (step->found ? looked : 0) && result->misses == (step->found ? 0 : looked);
}

static int verify_one(struct stage *stage, unsigned store, unsigned processes) {
    uint64_t entries = stage->config.entries;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct bench_work work = { .kind = steps[i].kind, .entries = entries, .batch = MANY_KEYS };
        struct bench_result result;
        work.operations = work.kind == BENCH_GET_MANY ? entries : 0;
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

/* Bytes in large pages of a store that was made and opened; -1: it could not be. */
static int64_t large_part(const struct stage *stage, const struct bench_engine *engine) {
    const struct bench_config config = { .entries = 20000, .key_size = 16, .value_size = 100, .processes = 1, .threads = 1 };
    char path[sizeof stage->scratch.path + 8];
    void *store;
    int64_t bytes = -1;
    snprintf(path, sizeof path, "%s/pages", stage->scratch.path);
    if (engine->create(path, &config) == BENCH_DONE && engine->open(path, &config, &store) == BENCH_DONE) {
        bytes = (int64_t)large_pages_of(path);
        engine->close(store);
    }
    unlink(path);
    return bytes;
}

/* That the row of small pages is one of small pages. */
static int verify_pages(const struct stage *stage) {
    int64_t large = large_part(stage, &bench_holdfast), small = large_part(stage, &bench_holdfast_small);
    if (large == 0)
        printf("skipped: this system has no large pages, so small ones cannot be told from them\n");
    else
        printf("%s: %s has %lld bytes in large pages, %s %lld\n", large > 0 && small == 0 ? "ok" : "not ok", bench_holdfast.name,
               (long long)large, bench_holdfast_small.name, (long long)small);
    return large >= 0 && small == 0 ? BENCH_DONE : BENCH_FAILED;
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
    failures += verify_pages(stage) != BENCH_DONE;
    if (*peers_missing)
        printf("skipped: not built: %s\n", peers_missing);
    return failures ? BENCH_FAILED : BENCH_DONE;
}
