/* SPDX-License-Identifier: MIT */
#ifndef HF_CHECK_H
#define HF_CHECK_H
/* What check.c (the invariants of a stripe) and health.c (the walk over all stripes) share. */
#include "internal.h"

#define HF__FINDINGS 64u

struct hf__findings {
    uint64_t entries;
    uint64_t bytes;
    uint64_t count;
    uint32_t kept;
    struct hf_violation violations[HF__FINDINGS];
};

/* The first of I1 to I5 that the entry named by `word` violates; 0: it is sound. */
enum hf_invariant hf__check_entry(const struct hf__region *region, uint32_t stripe, uint32_t slot, uint64_t word,
                                  struct hf__view *view, struct hf__place *place);

/* Adds what is wrong with a stripe whose lock is held, or of which nobody else knows. */
void hf__check_stripe(const struct hf__region *region, uint32_t stripe, struct hf__findings *findings);

#endif
