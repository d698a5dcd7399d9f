/* SPDX-License-Identifier: MIT */
/*
 * Makes the stores, starts the teams, and ends both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../engines.h"
#include "stage.h"

static int complain(const char *name) {
    fprintf(stderr, "bench-peers: %s: %s\n", name, bench_reason());
    return BENCH_FAILED;
}

/* Whether `name` begins like an item of the list. */
static bool wanted(const char *names, const char *name) {
    for (const char *at = names; at; at = strchr(at, ',')) {
        at += *at == ',';
        size_t length = strcspn(at, ",");
        if (length != 0 && strncasecmp(at, name, length) == 0)
            return true;
    }
    return !names;
}

static int add(struct stage *stage, const struct bench_engine *engine) {
    struct bench_store *store = &stage->store[stage->count];
    char *path;
    if (asprintf(&path, "%s/%s", stage->scratch.path, engine->name) < 0)
        return complain("no memory");
    for (char *blank; (blank = strchr(path, ' ')); *blank = '-')
        continue;
    *store = (struct bench_store){ engine, path, stage->config };
    if (!(engine->abilities & BENCH_SEVERAL_PROCESSES))
        store->config.processes = 1;
    if (engine->create(path, &store->config) != BENCH_DONE) {
        free(path);
        return complain(engine->name);
    }
    stage->count++;
    return BENCH_DONE;
}

/* The lonely ones are in the first team alone. */
static int start_teams(struct stage *stage) {
    struct bench_store shared[BENCH_STORES_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < stage->count; i++) {
        stage->pair_index[i] = -1;
        if (stage->store[i].engine->abilities & BENCH_SEVERAL_PROCESSES) {
            stage->pair_index[i] = (int)count;
            shared[count++] = stage->store[i];
        }
    }
    stage->alone = bench_team_start(stage->store, stage->count, 1, 1, 1);
    if (stage->alone)
        stage->pair = bench_team_start(shared, count, 2, 1, 2);
    return stage->pair ? BENCH_DONE : complain("opening the stores");
}

int stage_begin(struct stage *stage, uint64_t entries, const char *names, const char *directory) {
    memset(stage, 0, sizeof *stage);
    stage->config = (struct bench_config){ .entries = entries, .key_size = STAGE_KEY_SIZE, .value_size = STAGE_VALUE_SIZE,
                                           .processes = 3, .threads = 1 };
    if (bench_scratch_make(&stage->scratch, directory) != BENCH_DONE)
        return complain("scratch directory");
    if (add(stage, &bench_holdfast) != BENCH_DONE || add(stage, &bench_holdfast_small) != BENCH_DONE)
        return BENCH_FAILED;
    for (unsigned i = 0; peers_built[i]; i++) {
        if (wanted(names, peers_built[i]->name) && add(stage, peers_built[i]) != BENCH_DONE)
            return BENCH_FAILED;
    }
    return start_teams(stage);
}

void stage_end(struct stage *stage) {
    bench_team_end(&stage->pair);
    bench_team_end(&stage->alone);
    for (unsigned i = 0; i < stage->count; i++) {
        if (stage->store[i].engine->destroy)
            stage->store[i].engine->destroy(stage->store[i].path);
        free((char *)(uintptr_t)stage->store[i].path);
    }
    bench_scratch_remove(&stage->scratch);
}

int stage_run(struct stage *stage, unsigned store, unsigned processes, struct bench_work work, struct bench_result *result) {
    work.store = processes == 1 ? store : (uint32_t)stage->pair_index[store];
    if (bench_team_run(processes == 1 ? stage->alone : stage->pair, &work, result) != BENCH_DONE)
        return complain(stage->store[store].engine->name);
    if (result->wrong != 0) {
        bench_explain("%llu values were not those that were put", (unsigned long long)result->wrong);
        return complain(stage->store[store].engine->name);
    }
    return BENCH_DONE;
}
