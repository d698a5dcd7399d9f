/* SPDX-License-Identifier: MIT */
/*
 * A thread of a team: attaches to every store, waits for orders, leaves. May not know what the orders are.
 */
#include <linux/futex.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "team.h"

static _Thread_local char reason[BENCH_REASON];

int bench_explain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return BENCH_FAILED;
}

const char *bench_reason(void) {
    return reason;
}

static bool attach(const struct bench_crew *crew, unsigned thread, void **contexts) {
    for (unsigned i = 0; i < crew->count; i++) {
        const struct bench_engine *engine = crew->stores[i].engine;
        contexts[i] = crew->opened[i];
        if (engine->thread && engine->thread(crew->opened[i], thread, &contexts[i]) != BENCH_DONE)
            return false;
    }
    return true;
}

void bench_wait_for_order(struct bench_board *board, uint32_t seen) {
    while (bench_seen(&board->order) == seen)
        syscall(SYS_futex, &board->order, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static bool takes_part(const struct bench_crew *crew) {
    return crew->board->work.processes == 0 || crew->process < crew->board->work.processes;
}

void bench_work_on(const struct bench_crew *crew, unsigned thread) {
    struct bench_board *board = crew->board;
    unsigned seat = crew->process * crew->threads + thread;
    struct bench_random random = { bench_mix(crew->seed + seat) };
    void *contexts[BENCH_STORES_MAX];
    bool attached = attach(crew, thread, contexts);
    if (!attached) {
        snprintf(board->seat[seat].reason, sizeof reason, "%s", reason);
        board->seat[seat].answer = BENCH_FAILED;
    }
    uint32_t seen = bench_seen(&board->order);
    __atomic_add_fetch(&board->ready, 1, __ATOMIC_ACQ_REL);
    for (;;) {
        bench_wait_for_order(board, seen);
        if (bench_seen(&board->quit))
            break;
        seen++;
        if (takes_part(crew))
            bench_carry_out(crew, seat, contexts, &random);
        __atomic_add_fetch(&board->done, 1, __ATOMIC_ACQ_REL); /* all, so that nobody reads an order late */
    }
    for (unsigned i = 0; attached && i < crew->count; i++) {
        if (crew->stores[i].engine->thread_end)
            crew->stores[i].engine->thread_end(contexts[i]);
    }
}
