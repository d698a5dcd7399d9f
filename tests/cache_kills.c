/* SPDX-License-Identifier: MIT */
/*
 * A full cache under many processes that are killed: what it keeps, and how well, is as before. Each process asks for keys by
 * their popularity and puts what is missing; every value must be whole. The hit ratio is taken before the kills and after them,
 * by who asks, not by the store's counters. Knows the public header only, but for
 * --planted.
 *
 *     cache_kills [--processes N] [--kills N] [--requests N] [--planted BUG]
 */
#include "check.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

const unsigned test_seconds = 600;

enum { KEYS = 40000, PROCESSES_MOST = 64, VALUE = 100 };
#define DIFFERENCE 0.01 /* of the hit ratio: chance alone makes some 0.002 with 200,000 requests */

static hf_store *store;
static uint64_t processes;
static double popularity[KEYS + 1]; /* 1 / rank, the sum of the first n */

static struct {
    _Atomic uint64_t asked, hits;
} *counts;

/* Of a stream of its own: states that differ by little give streams that differ by little. */
static uint64_t random_of_process(void) {
    uint64_t state = (uint64_t)getpid();
    return check_random(&state);
}

static uint64_t draw(uint64_t *random) {
    double at = (double)(check_random(random) >> 11) / 9007199254740992.0 * popularity[KEYS];
    uint64_t low = 0, high = KEYS;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (popularity[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* One request; true: a hit. */
static bool ask(uint64_t key) {
    unsigned char value[VALUE];
    size_t length = 0;
    uint64_t sequence;
    int result = hf_get(store, &key, sizeof key, value, sizeof value, &length, NULL);
    if (result == HF_OK) {
        CHECK(length >= VALUE_MIN && value_whole(value, length, key, &sequence));
        return true;
    }
    CHECK_RC(result, HF_NOTFOUND);
    value_make(value, VALUE, key, key);
    CHECK_RC(hf_put(store, &key, sizeof key, value, VALUE, NULL, NULL), HF_OK);
    return false;
}

static int work(void *requests) {
    uint64_t random = random_of_process(), hits = 0, asked = *(const uint64_t *)requests / processes;
    for (uint64_t i = 0; i < asked; i++)
        hits += ask(draw(&random));
    atomic_fetch_add(&counts->asked, asked);
    atomic_fetch_add(&counts->hits, hits);
    return 0;
}

__attribute__((noreturn)) static int work_for_ever(void *unused) {
    uint64_t random = random_of_process();
    (void)unused;
    for (;;)
        ask(draw(&random));
}

/* The share of so many requests that hit. */
static double hit_ratio(uint64_t requests) {
    pid_t children[PROCESSES_MOST];
    counts->asked = counts->hits = 0;
    for (unsigned i = 0; i < processes; i++)
        children[i] = check_spawn(work, &requests);
    for (unsigned i = 0; i < processes; i++)
        check_ended(children[i], 300);
    return (double)counts->hits / (double)counts->asked;
}

/* A dead process's place is taken by another at once. */
static void kill_many(uint64_t kills) {
    pid_t children[PROCESSES_MOST];
    uint64_t random = 7;
    for (unsigned i = 0; i < processes; i++)
        children[i] = check_spawn(work_for_ever, NULL);
    for (uint64_t i = 0; i < kills; i++) {
        unsigned which = (unsigned)check_below(&random, processes);
        check_sleep_ms(1);
        kill(children[which], SIGKILL);
        CHECK(check_killed(check_wait(children[which], 30)));
        children[which] = check_spawn(work_for_ever, NULL);
    }
    for (unsigned i = 0; i < processes; i++) {
        kill(children[i], SIGKILL);
        CHECK(check_killed(check_wait(children[i], 30)));
    }
}

int test_run(int argc, char **argv) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_stats stats = HF_STATS_INIT;
    uint64_t kills = check_number(argc, argv, "--kills", 300), requests = check_number(argc, argv, "--requests", 300000);
    processes = check_number(argc, argv, "--processes", 24);
    CHECK(processes >= 1 && processes <= PROCESSES_MOST);
    for (unsigned i = 1; i <= KEYS; i++)
        popularity[i] = popularity[i - 1] + 1.0 / i;
    counts = check_shared(sizeof *counts);
    options.mode = HF_MODE_CACHE;
    options.entries = KEYS / 10;
    options.entry_size = 8 + VALUE;
    options.max_value = VALUE;
    options.stripes = 4;
    store = check_create("cache", options);
    hit_ratio(requests); /* until it is full, and knows what is popular */
    double before = hit_ratio(requests);
    kill_many(kills);
    double after = hit_ratio(requests);
    check_sound(store);
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    printf("%llu processes, %llu kills, %llu recoveries, %llu evictions: hit ratio %.4f before, %.4f after\n",
           (unsigned long long)processes, (unsigned long long)(kills + processes), (unsigned long long)stats.recoveries,
           (unsigned long long)stats.evictions, before, after);
    CHECK_EQ(stats.dropped, 0);
    CHECK(stats.evictions > requests / 10);
    CHECK(after > before - DIFFERENCE && after < before + DIFFERENCE);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}
