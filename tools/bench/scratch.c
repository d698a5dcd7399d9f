/* SPDX-License-Identifier: MIT */
/*
 * A directory for the stores of a benchmark, and the signals that end it early: what was made is removed then as well.
 */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static volatile sig_atomic_t caught;

static void note_signal(int number) {
    caught = number;
}

static void catch_signals(void) {
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = note_signal };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

int bench_scratch_make(struct bench_scratch *scratch, const char *parent) {
    int length = snprintf(scratch->path, sizeof scratch->path, "%s/holdfast-bench-XXXXXX", parent ? parent : "/dev/shm");
    catch_signals();
    if (length >= (int)sizeof scratch->path)
        return bench_explain("the name of the directory is too long");
    if (!mkdtemp(scratch->path)) {
        int error = errno;
        scratch->path[0] = '\0';
        return bench_explain("cannot make a directory in %s: %s", parent ? parent : "/dev/shm", strerror(error));
    }
    return BENCH_DONE;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at) {
    (void)status, (void)kind, (void)at;
    remove(path);
    return 0;
}

void bench_scratch_remove(struct bench_scratch *scratch) {
    if (scratch->path[0] != '\0')
        nftw(scratch->path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    scratch->path[0] = '\0';
}

int bench_interrupted(void) {
    return caught;
}

void bench_die(void) {
    if (caught) {
        signal(caught, SIG_DFL);
        raise(caught);
    }
}
