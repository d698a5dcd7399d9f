/* SPDX-License-Identifier: MIT */
#ifndef PUPPET_H
#define PUPPET_H
/*
 * A child process that dies or stops at the n-th named point of what it does (fault.h), so that a test can try n = 1, 2, ...
 * until the child completes. Needs the test build of the library.
 */
#include "check.h"

struct puppet {
    unsigned reached;     /* points so far                            */
    unsigned act_at;      /* the one to act at; 0: none               */
    int signal;           /* SIGKILL or SIGSTOP, raised there         */
    char point[64];       /* the name of the last point reached       */
    char names[64][32];   /* every different name reached since _new  */
    unsigned name_count;
};

struct puppet *puppet_new(void); /* in memory shared with children */

/* In the child: from now on count points, and raise the signal at the n-th. */
void puppet_arm(struct puppet *puppet, unsigned n, int signal);
void puppet_disarm(void);

/* Was a point of that name ever reached? */
bool puppet_saw(const struct puppet *puppet, const char *name);

/* Forks a child that runs body(argument) and is killed at its n-th point; waits for it. False: it completed before that. */
bool puppet_killed_at(struct puppet *puppet, unsigned n, check_body *body, void *argument);
/* ... that is stopped there: its pid. 0: it completed before that. */
pid_t puppet_stopped_at(struct puppet *puppet, unsigned n, check_body *body, void *argument);

#endif
