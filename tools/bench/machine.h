/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_MACHINE_H
#define HOLDFAST_BENCH_MACHINE_H
/* On what a benchmark ran: figures without it say nothing. */

struct bench_machine {
    char cpu[128];
    unsigned cores;        /* that this process may use              */
    char kernel[128];
    char libc[64];
    char file_system[160]; /* of the stores, with its mount options  */
    char huge_pages[128];  /* whether shared memory may have them    */
    double load;           /* of the minute before: others at work   */
    char compiler[128];
    char build[128];       /* optimisation                           */
};

/* `path` is a file or directory of the file system that is asked about. What cannot be found out is "unknown". */
void bench_machine_now(struct bench_machine *machine, const char *path);

#endif
