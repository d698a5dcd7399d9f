/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_SIZES_H
#define HOLDFAST_BENCH_SIZES_H
/* What everything costs, against the number of entries. */
#include "suite.h"

#endif
