/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_ENGINES_H
#define HOLDFAST_BENCH_ENGINES_H
/* The engines that `holdfast bench` measures, and the library once more, in a file that has no large pages. */
#include "bench.h"

extern const struct bench_engine bench_holdfast, bench_holdfast_small;

/* What no store can beat: to read, the accesses to memory that its design cannot do without; to write, a lock that survives its
 * owner. And no work at all: the time of the benchmark itself. */
extern const struct bench_engine bench_memory_limit, bench_lock_limit, bench_no_work;

/* How large the memory limit's memory is: that of the store it is compared with. Set before it is created. */
struct bench_limit_shape {
    uint64_t lines;   /* of the index            */
    uint64_t heap;    /* bytes of the heap       */
    uint64_t entries; /* of which so many are in use */
};
extern struct bench_limit_shape bench_limit_shape;

#endif
