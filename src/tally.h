/* SPDX-License-Identifier: MIT */
#ifndef HF_TALLY_H
#define HF_TALLY_H
/*
 * Counting what happens without a lock, so that a read does not pay for it: a thread counts its reads in memory of its own, down
 * from what it may keep to itself, and hands them in to the file when it comes below 0.
 *
 *     thread      left: 17, 255  -- after 1 to 256 reads -->  file    16 lanes, of which each thread uses one
 *
 * May not know what a stripe is: what is counted under a lock stands in the stripe's header.
 */
#include "region.h"

/* Counts of hits and misses that a thread may keep to itself; also the answer to "how many can be lost?" of the header. */
#define HF__TALLY_KEPT 256

struct hf__thread {
    int32_t left[HF__TALLIED][HF__TALLY_READS]; /* below 0: hand in. 0 in a fresh thread, so that its first read does so */
    int16_t full[HF__TALLIED];                  /* where they count down from; 0 unless the thread is listed             */
    uint32_t handed_ms[HF__TALLIED];
    uint32_t lane;
    bool listed;
    bool ended; /* keeps nothing any more */
    struct hf__thread *next;
};

#ifdef __GLIBC__ /* in the room that every thread has from its start, which no function must be asked for */
#define HF__TLS _Thread_local __attribute__((tls_model("initial-exec"), visibility("hidden")))
#else
#define HF__TLS _Thread_local __attribute__((visibility("hidden")))
#endif
extern HF__TLS struct hf__thread hf__thread;

void hf__tally_prepare(void);                                      /* once a process                                       */
void hf__tally_attach(struct hf__region *region);                  /* a new region; the list of regions is locked          */
void hf__tally_detach(struct hf__region *region);                  /* ... that nobody uses any more: all threads hand in   */
void hf__tally_child(void);                                        /* after a fork: what was not handed in is the parent's */
void hf__tally_hand_in(const struct hf__region *region);           /* of this thread                                       */
void hf__tally_full(const struct hf__region *region);              /* ... when it may keep no more                         */
void hf__tally_sum(const struct hf__region *region, uint64_t sums[HF__TALLY_COUNT]);

/* One more, of something that happens seldom. */
void hf__tally(const struct hf__region *region, enum hf__tally which, uint64_t by);

/* One more hit or miss. */
static inline void hf__tally_read(const struct hf__region *region, enum hf__tally which) {
    if (__builtin_expect(--hf__thread.left[region->number][which] < 0, 0))
        hf__tally_full(region);
}

#endif
