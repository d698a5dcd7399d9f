/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_SIZES_H
#define HOLDFAST_BENCH_SIZES_H
/*
 * What everything costs, against the number of entries: a row of figures for each size, measured in one process on stores that
 * are made for it, one after the other.
 */
#include "suite.h"

#define BENCH_FIGURES(X) \
    X(bytes, "bytes of file an entry") \
    X(get, "get, ns") \
    X(miss, "get of a key that is not there, ns") \
    X(put, "put that replaces, ns") \
    X(full_get, "get from a full store, ns") \
    X(full_put, "put that replaces in a full store, ns") \
    X(full_refused, "put that a full store refuses, ns") \
    X(evicting_put, "put of a new key into a full cache, ns") \
    X(scanned, "entries scanned a second") \
    X(open_first, "open, nobody has it open, us") \
    X(open_joining, "open, others have it open, us") \
    X(check, "check, GB of file a second") \
    X(repair, "repair, GB of file a second") \
    X(recovery, "repair of a stripe after a kill, us") \
    X(recovery_rate, "the same, GB of file a second")

struct bench_figures {
    uint64_t entries;
#define BENCH_FIGURE(name, text) double name;
    BENCH_FIGURES(BENCH_FIGURE)
#undef BENCH_FIGURE
};

enum { BENCH_SIZES_MAX = 8 };

/* Measures stores of figures->entries in the scratch directory, and leaves none. enum bench_answer. */
int bench_sizes_measure(struct bench_figures *figures, const struct bench_ask *ask, const char *scratch);

void bench_sizes_print(const struct bench_figures *figures, unsigned count, const struct bench_ask *ask,
                       const struct bench_machine *machine);
void bench_sizes_json(const struct bench_figures *figures, unsigned count, const struct bench_ask *ask,
                      const struct bench_machine *machine);

#endif
