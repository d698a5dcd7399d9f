/* SPDX-License-Identifier: MIT */
/*
 * A process that gets in the readers' way: it puts, and if wanted it is killed in the middle of that every few milliseconds and
 * another takes its place, with the handle that it inherited.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <holdfast.h>

#include "engines.h"
#include "suite.h"

/* Until it is killed. */
static _Noreturn void put_for_ever(void *store, const struct bench_ask *ask, uint64_t seed) {
    static char value[BENCH_VALUE_MAX];
    struct bench_random random = { seed };
    struct bench_draw draw = bench_draw_over(ask->distribution, ask->entries);
    char key[BENCH_KEY_MAX];
    for (;;) {
        uint64_t number = bench_draw(&draw, &random);
        bench_key(key, (uint32_t)ask->key_size, number);
        memcpy(value, &number, sizeof number);
        if (bench_holdfast.put(store, key, (size_t)ask->key_size, value, (size_t)ask->value_size) != BENCH_DONE)
            _exit(1);
    }
}

static pid_t fork_bound(void) {
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
    }
    return child;
}

/* One victim after the other, each with one to three milliseconds to live. */
static _Noreturn void kill_for_ever(void *store, const struct bench_ask *ask, uint64_t *kills) {
    struct bench_random random = { ask->seed };
    for (;;) {
        pid_t victim = fork_bound();
        if (victim == 0)
            put_for_ever(store, ask, bench_next(&random) + (uint64_t)getpid());
        if (victim < 0)
            _exit(1);
        struct timespec life = { .tv_nsec = (long)(1000000 + bench_below(&random, 2000000)) };
        nanosleep(&life, NULL);
        kill(victim, SIGKILL);
        while (waitpid(victim, NULL, 0) < 0 && errno == EINTR)
            continue;
        __atomic_add_fetch(kills, 1, __ATOMIC_RELAXED);
    }
}

static uint64_t repaired(const char *path) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_stats stats = HF_STATS_INIT;
    hf_store *store;
    options.flags = HF_RDONLY;
    if (hf_open(&store, path, &options) != HF_OK)
        return 0;
    uint64_t recoveries = hf_stats(store, &stats) == HF_OK ? stats.recoveries : 0;
    hf_close(&store);
    return recoveries;
}

int bench_nuisance_start(struct bench_nuisance *nuisance, const char *path, const struct bench_ask *ask, bool killed) {
    const struct bench_config config = { 0 };
    void *store;
    nuisance->kills = mmap(NULL, sizeof *nuisance->kills, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (nuisance->kills == MAP_FAILED)
        return bench_explain("no memory");
    nuisance->path = path;
    nuisance->repaired = repaired(path);
    fflush(NULL);
    nuisance->process = fork_bound();
    if (nuisance->process < 0)
        return bench_explain("cannot fork: %s", strerror(errno));
    if (nuisance->process > 0)
        return BENCH_DONE;
    if (bench_holdfast.open(path, &config, &store) != BENCH_DONE)
        _exit(1);
    if (killed)
        kill_for_ever(store, ask, nuisance->kills);
    put_for_ever(store, ask, ask->seed);
}

void bench_nuisance_end(struct bench_nuisance *nuisance, uint64_t *kills, uint64_t *repairs) {
    kill(nuisance->process, SIGKILL);
    while (waitpid(nuisance->process, NULL, 0) < 0 && errno == EINTR)
        continue;
    *kills += *nuisance->kills;
    *repairs += repaired(nuisance->path) - nuisance->repaired;
    munmap(nuisance->kills, sizeof *nuisance->kills);
}
