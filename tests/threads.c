/* SPDX-License-Identifier: MIT */
/*
 * Threads on one mapping, doing everything at once; meant for ThreadSanitizer, which sees threads and is blind to processes.
 * Increments must all be counted, values must be whole, and the store sound at the end.
 *
 *     threads [--rounds N]
 */
#include "check.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>

const unsigned test_seconds = 600;

enum { THREADS = 4, KEYS = 200, COUNTERS = 5 };

static hf_store *store;
static uint64_t rounds;

static size_t key_of(char key[16], uint64_t number) {
    return (size_t)snprintf(key, 16, "key-%03u", (unsigned)number);
}

static void put_random(uint64_t *seed) {
    char key[16], value[600];
    uint64_t number = check_below(seed, KEYS);
    size_t size = VALUE_MIN + check_below(seed, sizeof value - VALUE_MIN);
    value_make(value, size, number, check_random(seed));
    int rc = hf_put(store, key, key_of(key, number), value, size, NULL, NULL);
    CHECK(rc == HF_OK || rc == HF_ERR_FULL);
}

static void get_random(uint64_t *seed, bool take) {
    char key[16], value[600];
    size_t length = 0;
    uint64_t number = check_below(seed, KEYS), sequence;
    key_of(key, number);
    int rc = take ? hf_take(store, key, 7, value, sizeof value, &length, NULL)
                  : hf_get(store, key, 7, value, sizeof value, &length, NULL);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
    CHECK(rc == HF_NOTFOUND || value_whole(value, length, number, &sequence));
}

static void delete_random(uint64_t *seed) {
    char key[16];
    int rc = hf_delete(store, key, key_of(key, check_below(seed, KEYS)), 0);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
}

static void incr_random(uint64_t *seed, uint64_t counted[COUNTERS]) {
    char key[16];
    uint64_t number = check_below(seed, COUNTERS);
    int length = snprintf(key, sizeof key, "counter-%u", (unsigned)number);
    CHECK_RC(hf_incr(store, key, (size_t)length, 1, NULL, NULL), HF_OK);
    counted[number]++;
}

static void scan_all(void) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0, count = 0, sequence;
    int rc;
    while ((rc = hf_scan(store, &cursor, 0, &item)) == HF_OK) {
        uint64_t number = 0;
        if (item.key_len == 7 && memcmp(item.key, "key-", 4) == 0) {
            for (unsigned i = 4; i < 7; i++)
                number = number * 10 + (uint64_t)(((const char *)item.key)[i] - '0');
            CHECK(value_whole(item.value, item.value_len, number, &sequence));
        }
        count++;
    }
    CHECK_RC(rc, HF_END);
    CHECK(count <= KEYS + COUNTERS);
    hf_item_free(&item);
}

static void look_around(void) {
    struct hf_stats stats = HF_STATS_INIT;
    struct hf_info info = HF_INFO_INIT;
    uint64_t count;
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK(count <= KEYS + COUNTERS);
}

struct thread {
    pthread_t id;
    unsigned number;
    uint64_t counted[COUNTERS];
};

static void *thread_main(void *argument) {
    struct thread *thread = argument;
    uint64_t seed = 100 + thread->number;
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t dice = check_below(&seed, 100);
        if (dice < 40)
            get_random(&seed, false);
        else if (dice < 70)
            put_random(&seed);
        else if (dice < 80)
            delete_random(&seed);
        else if (dice < 84)
            get_random(&seed, true);
        else if (dice < 98)
            incr_random(&seed, thread->counted);
        else
            look_around();
        if (i % 500 == 0)
            scan_all();
        if (i % 2000 == 0)
            check_sound(store);
    }
    return NULL;
}

static void run(uint32_t mode) {
    struct thread threads[THREADS] = {0};
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 256 << 10;
    options.max_value = 600;
    options.stripes = 2;
    options.mode = mode;
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i].number = i;
        CHECK_EQ(pthread_create(&threads[i].id, NULL, thread_main, &threads[i]), 0);
    }
    uint64_t sums[COUNTERS] = {0};
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        for (unsigned counter = 0; counter < COUNTERS; counter++)
            sums[counter] += threads[i].counted[counter];
    }
    for (unsigned counter = 0; counter < COUNTERS; counter++) {
        char key[16], text[24];
        snprintf(key, sizeof key, "counter-%u", counter);
        snprintf(text, sizeof text, "%" PRIu64, sums[counter]);
        if (mode == HF_MODE_STORE)
            check_value(store, key, text);
    }
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* Handles of one file come and go, by name and by descriptor, while others are in use. */
static void *open_and_close(void *argument) {
    struct thread *thread = argument;
    char path[CHECK_PATH];
    struct hf_options options = check_small_store(0);
    check_path(path, "shared");
    for (uint64_t i = 0; i < rounds / 100; i++) {
        hf_store *handle = NULL;
        struct hf_info info = HF_INFO_INIT;
        int fd = open(path, O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_RC(thread->number % 2 ? hf_open(&handle, path, &options) : hf_open_fd(&handle, fd, &options), HF_OK);
        close(fd);
        CHECK_RC(hf_incr(handle, "opened", 6, 1, NULL, NULL), HF_OK);
        CHECK_RC(hf_info(handle, &info), HF_OK);
        CHECK_EQ(info.detached, 0);
        CHECK_RC(hf_close(&handle), HF_OK);
    }
    return NULL;
}

static void run_opens(void) {
    struct thread threads[THREADS] = {0};
    char text[24];
    hf_store *first = check_create("shared", check_small_store(0));
    CHECK_RC(hf_close(&first), HF_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i].number = i;
        CHECK_EQ(pthread_create(&threads[i].id, NULL, open_and_close, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    char path[CHECK_PATH];
    first = check_open(check_path(path, "shared"), NULL);
    snprintf(text, sizeof text, "%" PRIu64, rounds / 100 * THREADS);
    check_value(first, "opened", text);
    check_sound(first);
    CHECK_RC(hf_close(&first), HF_OK);
}

int test_run(int argc, char **argv) {
    rounds = check_number(argc, argv, "--rounds", 20000);
    run(HF_MODE_STORE);
    run(HF_MODE_CACHE);
    run_opens();
    return 0;
}
