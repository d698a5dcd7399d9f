/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_SUITE_H
#define HOLDFAST_BENCH_SUITE_H
/*
 * From what was asked for to what is measured: the lines of a run, the limits and the ratios that belong to them, and the run.
 */
#include "report.h"

struct bench_ask {
    uint64_t entries, processes, threads, key_size, value_size, batch;
    uint64_t seconds, operations; /* of each line and repeat; operations 0: by time */
    uint64_t warm_up, repeats, seed;
    enum bench_distribution distribution;
    bool limits;
    bool goals; /* sizes and distribution are those that the ratios' goals were set for */
    unsigned cores;
};

/* The stores of a team, in this order. */
enum { BENCH_STORE, BENCH_MEMORY, BENCH_LOCK, BENCH_NOTHING, BENCH_STORES };

struct bench_suite {
    const struct bench_ask *ask;
    const char *path; /* of the store */
    struct bench_line lines[BENCH_LINES_MAX];
    unsigned line_count;
    struct bench_ratio ratios[BENCH_RATIOS_MAX];
    unsigned ratio_count;
    uint64_t room;      /* for entries beyond ask->entries that the workloads insert */
    unsigned processes; /* that the team needs                                       */
};

/* The words that --workload takes. */
extern const char bench_workloads[];

/* The first word of a list that the other has not, or NULL. Lists are separated by blanks or commas. */
const char *bench_strange_word(const char *list, const char *known);

/* All lines and ratios for a list of workloads. */
void bench_suite_make(struct bench_suite *suite, const struct bench_ask *ask, const char *workloads);

/* Loads the store and runs all lines in turn, `repeats` times. enum bench_answer. */
int bench_suite_run(struct bench_suite *suite, struct bench_team *team);

/* Deletes what was loaded. */
int bench_suite_clear(const struct bench_suite *suite, struct bench_team *team);

/* ---- killed.c ----------------------------------------------------------------------------------------------------------- */

/* Another process that puts into the store while a line is measured, killed again and again or not. */
struct bench_nuisance {
    int process;
    uint64_t *kills; /* shared */
    const char *path;
    uint64_t repaired; /* stripes, before */
};
int bench_nuisance_start(struct bench_nuisance *nuisance, const char *path, const struct bench_ask *ask, bool killed);
void bench_nuisance_end(struct bench_nuisance *nuisance, uint64_t *kills, uint64_t *repairs); /* adds to both */

#endif
