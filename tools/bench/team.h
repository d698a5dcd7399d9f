/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_TEAM_H
#define HOLDFAST_BENCH_TEAM_H
/*
 * What a team's parent and its threads share: one anonymous mapping, made before the fork, in which orders go one way and
 * results the other.
 */
#include "bench.h"

enum { BENCH_REASON = 240 };

/* Of one thread; on lines of its own. */
struct bench_seat {
    struct bench_result result;
    uint64_t busy_ns; /* the time that counts */
    int answer;
    char reason[BENCH_REASON];
} __attribute__((aligned(128)));

/* Words that several change are changed by __atomic builtins. */
struct bench_board {
    uint32_t order; /* counts orders: who sees it change begins; a futex */
    uint32_t quit;
    uint32_t ready;   /* threads that have opened everything, or failed to */
    uint32_t arrived; /* threads at the start line of the order            */
    uint32_t done;    /* threads of the whole team that need nothing more of the order */
    uint32_t failed; /* somebody did: the others need not go on */
    uint64_t start_ns;
    struct bench_work work;
    uint64_t inserted __attribute__((aligned(128)));
    struct bench_seat seat[] __attribute__((aligned(128)));
};

/* What the threads of a process know. */
struct bench_crew {
    struct bench_board *board;
    const struct bench_store *stores;
    unsigned count, processes, threads, process;
    uint64_t seed;
    void *opened[BENCH_STORES_MAX];
};

/* The life of one thread: attaches, carries out orders, leaves when told to. worker.c */
void bench_work_on(const struct bench_crew *crew, unsigned thread);

/* Until the board's count of orders is another than `seen`. worker.c */
void bench_wait_for_order(struct bench_board *board, uint32_t seen);

/* Carries out one order as the thread `seat`; contexts are those of its engines. run.c */
void bench_carry_out(const struct bench_crew *crew, unsigned seat, void *const *contexts, struct bench_random *random);

static inline uint32_t bench_seen(const uint32_t *word) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

#endif
