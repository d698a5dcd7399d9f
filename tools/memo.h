/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_MEMO_H
#define HOLDFAST_MEMO_H
/*
 * Running a command while watching it: what memo_run.c does for cmd_memo.c. Knows nothing of stores.
 */
#include "tool.h"

struct run {
    char **command;          /* argv, ended by NULL                                                      */
    uint64_t limit;          /* bytes of both outputs to keep                                            */
    struct buffer output[2]; /* standard output and standard error                                       */
    size_t passed[2];        /* bytes of `output` that have been passed on                               */
    bool whole;              /* `output` has all that was printed, not only what is to be passed on      */
    bool done;               /* it was run, and nothing that it printed is lost                          */
    bool lost;               /* what it printed could not be passed on, for another reason than SIGPIPE  */
    int code;                /* its exit code, or 128 and the number of its signal; 126, 127: not run.   */
};

/* The memory without which run_command cannot be called; false: told. */
bool prepare_run(struct run *run);

/* Runs a command and passes on what it prints, as it comes and as far as a reader takes it: the command waits for a reader only
 * if its output does not fit, and what has not been passed on at its end is left to the caller. Signals that would end this
 * process are passed to the command. It ends with this process. */
void run_command(struct run *run);

/* Becomes the command. Returns only if it cannot: with the exit code, after a message. */
int become_command(char **command);

/* All of it to a descriptor; false, with errno. */
bool write_all(int fd, const void *data, size_t length);

#endif
