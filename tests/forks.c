/* SPDX-License-Identifier: MIT */
/*
 * Guarantee J: handles keep working in children after fork(), also when another thread of the parent held a lock at that
 * moment; what a child closes stays open in its parent.
 *
 *     forks [--forks N]
 */
#include "check.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

const unsigned test_seconds = 300;

enum { WRITERS = 2, KEYS = 64, SIZE = 200 };

static hf_store *store;
static atomic_bool stop;
static _Atomic uint64_t written[WRITERS];

static hf_store *make_store(uint32_t stripes) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 4 << 20;
    options.max_value = 1000;
    options.stripes = stripes;
    return check_create("forks", options);
}

static size_t key_of(char key[24], uint64_t writer, uint64_t number) {
    return (size_t)snprintf(key, 24, "%" PRIu64 "-%" PRIu64, writer, number);
}

static void put_whole(uint64_t writer, uint64_t number, uint64_t sequence) {
    char key[24], value[SIZE];
    value_make(value, SIZE, writer * KEYS + number, sequence);
    CHECK_RC(hf_put(store, key, key_of(key, writer, number), value, SIZE, NULL, NULL), HF_OK);
}

static uint64_t get_whole(uint64_t writer, uint64_t number) {
    char key[24], value[SIZE];
    size_t length = 0;
    uint64_t sequence = 0;
    CHECK_RC(hf_get(store, key, key_of(key, writer, number), value, SIZE, &length, NULL), HF_OK);
    CHECK(value_whole(value, length, writer * KEYS + number, &sequence));
    return sequence;
}

/* All keys of a writer in one call. */
static void put_all(uint64_t writer, uint64_t sequence) {
    struct hf_put_request requests[KEYS];
    char keys[KEYS][24], values[KEYS][SIZE];
    for (uint64_t i = 0; i < KEYS; i++) {
        value_make(values[i], SIZE, writer * KEYS + i, sequence);
        requests[i] = (struct hf_put_request){.key = keys[i], .key_len = key_of(keys[i], writer, i), .value = values[i],
                                              .value_len = SIZE};
    }
    CHECK_RC(hf_put_many(store, requests, KEYS), HF_OK);
}

/* A thread that is nearly always inside a write. */
static void *write_on(void *argument) {
    uint64_t writer = (uint64_t)(uintptr_t)argument, sequence = 1;
    while (!atomic_load(&stop)) {
        sequence++;
        for (uint64_t number = 0; number < KEYS && sequence % 2; number++)
            put_whole(writer, number, sequence);
        if (sequence % 2 == 0)
            put_all(writer, sequence);
        atomic_store(&written[writer], sequence);
    }
    return NULL;
}

/* Reads what the parent acknowledged before the fork, writes to every stripe, counts, closes. */
static int child_main(void *argument) {
    const uint64_t *known = argument;
    for (uint64_t writer = 0; writer < WRITERS; writer++)
        for (uint64_t number = 0; number < KEYS; number += 7)
            CHECK(get_whole(writer, number) >= known[writer]);
    put_all(WRITERS, 1);
    CHECK_RC(hf_incr(store, "children", 8, 1, NULL, NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

/* Whatever its parent's threads hold, a child holds nothing, and may close at once. */
static int close_at_once(void *argument) {
    (void)argument;
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void while_threads_write(uint64_t forks) {
    pthread_t threads[WRITERS];
    store = make_store(4);
    for (uint64_t writer = 0; writer < WRITERS; writer++)
        for (uint64_t number = 0; number < KEYS; number++)
            put_whole(writer, number, 1);
    for (uintptr_t writer = 0; writer < WRITERS; writer++)
        CHECK_EQ(pthread_create(&threads[writer], NULL, write_on, (void *)writer), 0);
    for (uint64_t i = 0; i < forks; i++) {
        check_at("fork %" PRIu64, i);
        uint64_t known[WRITERS];
        for (unsigned writer = 0; writer < WRITERS; writer++)
            known[writer] = atomic_load(&written[writer]);
        check_ended(check_spawn(child_main, known), 20);
        check_ended(check_spawn(close_at_once, NULL), 20);
    }
    atomic_store(&stop, true);
    for (unsigned writer = 0; writer < WRITERS; writer++)
        pthread_join(threads[writer], NULL);
    int64_t count = 0;
    CHECK_RC(hf_incr(store, "children", 8, 0, NULL, &count), HF_OK);
    CHECK_EQ(count, forks);
    struct hf_stats stats = HF_STATS_INIT;
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_EQ(stats.recoveries, 0); /* nobody died with a lock */
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A pre-forking server: children work at once on inherited handles, and fork again. */
static int grandchild(void *argument) {
    (void)argument;
    for (int i = 0; i < 1000; i++)
        CHECK_RC(hf_incr(store, "sum", 3, 1, NULL, NULL), HF_OK);
    return 0;
}

static int forking_child(void *argument) {
    pid_t child = check_spawn(grandchild, argument);
    grandchild(argument);
    check_ended(child, 30);
    return 0;
}

static void prefork(void) {
    char path[CHECK_PATH];
    pid_t children[4];
    int64_t sum = 0;
    unlink(check_path(path, "forks"));
    store = make_store(1);
    for (unsigned i = 0; i < 4; i++)
        children[i] = check_spawn(forking_child, NULL);
    for (unsigned i = 0; i < 4; i++)
        check_ended(children[i], 60);
    CHECK_RC(hf_incr(store, "sum", 3, 0, NULL, &sum), HF_OK);
    CHECK_EQ(sum, 8000);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* The parent closes first, then another process opens: the child's mapping keeps its place among the writers. */
static int outlive_parent(void *argument) {
    atomic_int *turn = argument;
    while (atomic_load(turn) == 0)
        check_sleep_ms(1);
    check_put(store, "child", "still here");
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void parent_closes(void) {
    char path[CHECK_PATH];
    atomic_int *turn = check_shared(sizeof *turn);
    unlink(check_path(path, "forks"));
    store = make_store(1);
    check_put(store, "parent", "was here");
    pid_t child = check_spawn(outlive_parent, turn);
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_open(path, NULL);
    check_put(store, "parent", "is back");
    atomic_store(turn, 1);
    check_ended(child, 20);
    check_value(store, "child", "still here");
    check_value(store, "parent", "is back");
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    while_threads_write(check_number(argc, argv, "--forks", 300));
    prefork();
    parent_closes();
    return 0;
}
