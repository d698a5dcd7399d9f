/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_REPORT_H
#define HOLDFAST_BENCH_REPORT_H
/*
 * What is measured again and again, and what comes of it: lines (one kind of work on one store), their medians, and ratios
 * between lines. A ratio is taken within each repeat, where the lines stood next to each other in time; then the median.
 */
#include "bench.h"
#include "machine.h"

enum { BENCH_REPEATS_MAX = 99, BENCH_LINES_MAX = 32, BENCH_RATIOS_MAX = 16 };

struct bench_line {
    char name[24];
    struct bench_work work;
    bool hidden;           /* measured for a ratio only, or to bring the store back to what it was */
    unsigned repeats;
    double ns[BENCH_REPEATS_MAX], typical_ns[BENCH_REPEATS_MAX], per_second[BENCH_REPEATS_MAX], p99[BENCH_REPEATS_MAX];
    struct bench_result sum; /* operations, hits, misses, wrong and times of all repeats; the threads */
    uint64_t kills, repairs; /* of writers beside it */
};

void bench_line_add(struct bench_line *line, const struct bench_result *result);

/* The median over the repeats of one of the arrays. */
double bench_line_median(const struct bench_line *line, const double *of);

/* over / (under + plus - minus). A figure above 1 of a rate is a gain, one of a time is a loss. */
enum bench_measure { BENCH_OF_TIME, BENCH_OF_RATE, BENCH_OF_P99 };
struct bench_ratio {
    const char *name;
    const struct bench_line *over, *under, *plus, *minus; /* the last two may be NULL */
    enum bench_measure of;
    double goal; /* at most, or at least of rates; 0: none */
};

/* `typical`: by the time of the median chunk. */
double bench_ratio_of(const struct bench_ratio *ratio, bool typical);

/* All that is printed. */
struct bench_report {
    struct bench_machine machine;
    const char *store, *settings, *distribution;
    uint64_t entries, seed, footprint;
    uint32_t key_size, value_size, processes, threads, repeats, batch;
    const struct bench_line *lines;
    unsigned line_count;
    const struct bench_ratio *ratios;
    unsigned ratio_count;
};

/* To standard output. */
void bench_print_machine(const struct bench_machine *machine);
void bench_print_table(const struct bench_report *report);

/* "name":{...} of the machine, without a comma after it; and the whole report as an object and a newline. */
void bench_json_machine(const struct bench_machine *machine);
void bench_json_text(const char *name, const char *text); /* "name":"text" */
void bench_print_json(const struct bench_report *report);

#endif
