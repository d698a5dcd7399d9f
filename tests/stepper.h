/* SPDX-License-Identifier: MIT */
#ifndef STEPPER_H
#define STEPPER_H
/*
 * A child process that is led instruction by instruction (ptrace). Between two steps nothing moves, so that a test can look at
 * every state that a program ever leaves behind. Skips the test where ptrace is not permitted.
 */
#include "check.h"

struct stepper {
    pid_t child;
    unsigned long steps;
};

/* Forks a child that is about to run body(argument), and stops it there. Tracer and child share one processor: that is three
 * times as fast. */
void stepper_start(struct stepper *stepper, check_body *body, void *argument);
/* One instruction. False: the child has ended, with status 0. */
bool stepper_step(struct stepper *stepper);
bool stepper_steps(struct stepper *stepper, unsigned long count);
/* Until the child raises SIGSTOP. False: it has ended, with status 0. */
bool stepper_run(struct stepper *stepper);
/* To where the child next enters, or comes back from, a system call. False: it has ended, with status 0. */
bool stepper_call(struct stepper *stepper);
/* The instruction it is about to execute; 0: not known on this kind of processor. */
uintptr_t stepper_place(const struct stepper *stepper);
/* To where it is about to execute the instruction at `place` for the n-th time from here on. False: it has ended before. Where
 * places are known only. */
bool stepper_run_to(struct stepper *stepper, uintptr_t place, unsigned n);
void stepper_kill(struct stepper *stepper);

#endif
