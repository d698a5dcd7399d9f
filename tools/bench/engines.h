/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_ENGINES_H
#define HOLDFAST_BENCH_ENGINES_H
/* The engines that `holdfast bench` measures. */
#include "bench.h"

extern const struct bench_engine bench_holdfast;

#endif
