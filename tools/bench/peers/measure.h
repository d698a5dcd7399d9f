/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_PEERS_MEASURE_H
#define HOLDFAST_BENCH_PEERS_MEASURE_H
/*
 * What is done with the stores of a stage, and how it is told.
 */
#include "stage.h"

enum { MANY_KEYS = 16 /* that are read at once where a store offers it */ };

struct workload {
    const char *name;
    unsigned processes;
    struct bench_work work;
};
extern const struct workload workloads[];
extern const size_t workloads_count;

struct plan {
    uint64_t ns;      /* of one measurement */
    unsigned repeats; /* of every measurement */
};

/* verify.c: every engine finds what was put. */
int verify_all(struct stage *stage);

/* measure.c: loads all stores, then makes every measurement on every store in turn, again and again; tells by print.c. */
int measure_all(struct stage *stage, const struct plan *plan);

/* print.c: the results as JSON. */
void print_begin(const struct stage *stage, const struct plan *plan);
void print_result(const struct stage *stage, unsigned store, const struct workload *workload, unsigned repeat,
                  const struct bench_result *result);
void print_end(const struct stage *stage);

#endif
