/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_PEERS_STAGE_H
#define HOLDFAST_BENCH_PEERS_STAGE_H
/*
 * The stores that take part in a run, side by side in one scratch directory, and the teams that have them open: one process for
 * all of them, and two processes for those that several processes may write. Nothing here may know one peer from another.
 */
#include "peers.h"

enum { STAGE_KEY_SIZE = 16, STAGE_VALUE_SIZE = 100 };

struct stage {
    struct bench_scratch scratch;
    struct bench_config config;
    struct bench_store store[BENCH_STORES_MAX]; /* this library first */
    unsigned count;
    struct bench_team *alone; /* one process  */
    struct bench_team *pair;  /* two processes */
    int pair_index[BENCH_STORES_MAX]; /* number in the pair's team; -1: is not in it */
};

/* Makes empty stores for `entries`: of this library, and of all peers whose name begins like one in the list `names` ("lmdb,tdb";
 * NULL: all). BENCH_FAILED: printed why. stage_end in any case. */
int stage_begin(struct stage *stage, uint64_t entries, const char *names, const char *directory);
void stage_end(struct stage *stage);

/* Carries out an order on a store by one or two processes. An answer that is not right (BENCH_FAILED too) is printed. */
int stage_run(struct stage *stage, unsigned store, unsigned processes, struct bench_work work, struct bench_result *result);

#endif
