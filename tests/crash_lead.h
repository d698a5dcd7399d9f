/* SPDX-License-Identifier: MIT */
#ifndef CRASH_LEAD_H
#define CRASH_LEAD_H
/*
 * Leading a process through a scenario, from state to state. A kill can tell two moments apart by the bytes of the file and by
 * what the kernel is told of the thread's locks: the head of its robust list, which is private memory. A state is a change of
 * either; between two of them a kill finds the same.
 *
 * A process that was led to a state instruction by instruction is led there again at full speed: to the last named point of the
 * library before it (fault.h; the released library has none), and from there to the instruction that makes it.
 */
#include "crash.h"
#include "stepper.h"

/* So many changes after so many named points; and which instruction makes the last of them, at which of its executions since the
 * point (or since another one was put to sleep), after how many other changes. */
struct state {
    unsigned points, changes;
    uintptr_t place; /* 0: not known */
    unsigned times, others;
};

struct robust_head { /* as the kernel defines it */
    uintptr_t first;
    long offset;
    uintptr_t pending;
};

struct lead {
    const struct stage *stage;
    struct stepper stepper;
    struct state at;
    bool changed;              /* by the last step                      */
    bool noting;               /* the places of states                  */
    bool stepped;              /* since executions are counted          */
    struct robust_head head;
    uintptr_t head_at;         /* 0: not registered yet */
    bool with_sleeper;
    struct state sleeps_at;    /* when it was put to sleep; or when it will be, if it is known */
    pid_t sleeper;             /* 0: not there yet, or through */
    pid_t slept;               /* who slept in the lock        */
};

/* Starts a process that is about to run body(stage). */
void lead_start(struct lead *lead, const struct stage *stage, check_body *body);
/* From the moment that it has the lock of the next write's stripe, another process sleeps in that lock. Where the operation
 * opens the file, another one opens it as well from the moment of the kill. `sleeps_at` tells when that was in another run. */
void lead_with_sleeper(struct lead *lead, struct state sleeps_at);
/* From now on, tell which instruction makes a state. */
void lead_note(struct lead *lead);
/* One instruction. False: the process has ended. */
bool lead_step(struct lead *lead);
/* To that state. False: the process has ended before. */
bool lead_to(struct lead *lead, struct state state);
/* Does it have the lock of the next write's stripe? */
bool lead_owns(const struct lead *lead);
/* It has a lock for which the sleeper waits. */
bool lead_is_awaited(struct lead *lead);
/* Kills it, and waits for the sleeper to get through: how many milliseconds after the kill that was; below 0: nobody slept. */
double lead_kill(struct lead *lead);
/* The process has ended by itself. */
void lead_end(struct lead *lead);

/* Does this lock belong to that process? */
bool lead_locked_by(const unsigned char *mutex_line, pid_t owner);

/* The bodies: the operation of the scenario, and the next write that comes along. Each opens the file where nobody has. */
int lead_act(void *stage);
int lead_next_write(void *stage);
/* What lead_act returned; 1000: it has not returned. */
int lead_result(void);

#endif
