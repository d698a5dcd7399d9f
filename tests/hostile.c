/* SPDX-License-Identifier: MIT */
/*
 * Guarantee G: a read-only handle on a file whose bytes are changed at random while it reads. No call may crash, hang, read out
 * of bounds (AddressSanitizer and the ends of the mapping watch) or return anything but its documented results.
 *
 *     hostile [--seconds N] [--seed S] [--planted NO_RANGE_CHECK]
 */
#include "check.h"
#include "layout.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <time.h>

const unsigned test_seconds = 600;

enum { KEYS = 300 };

static char path[CHECK_PATH];
static atomic_bool *stop;
static size_t file_size;

static void make_store(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 128 << 10;
    options.max_value = 500;
    options.stripes = 2;
    hf_store *store = check_create("hostile", options);
    char key[16], value[100];
    for (unsigned i = 0; i < KEYS; i++) {
        memset(value, 'a' + (int)(i % 26), sizeof value);
        int length = snprintf(key, sizeof key, "key-%u", i);
        CHECK_RC(hf_put(store, key, (size_t)length, value, i % sizeof value, NULL, NULL), HF_OK);
    }
    CHECK_RC(hf_close(&store), HF_OK);
    check_path(path, "hostile");
}

/* A number that is likely to be taken for an offset, a length or a count. */
static uint64_t nasty(uint64_t *seed) {
    static const uint64_t numbers[] = {0, 1, UINT64_MAX, UINT32_MAX, 0x7fffffff, 0x80000000, 0xffff, 0x3fff00000001, 1ull << 63};
    uint64_t word = check_random(seed);
    switch (check_below(seed, 4)) {
    case 0: return word;
    case 1: return numbers[check_below(seed, sizeof numbers / sizeof *numbers)];
    case 2: return word % 4096 | (word % 20) << 32; /* a slot word of a plausible block */
    default: return word % (1u << 20);
    }
}

/* Scribbles everywhere but on the superblock, whose damage is another test; puts the good bytes back now and then, so that
 * there is something to find. */
static int scribble(void *argument) {
    uint64_t seed = *(uint64_t *)argument;
    size_t size;
    unsigned char *good = check_read_file(path, &size);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    while (!atomic_load(stop)) {
        for (unsigned i = 0; i < 2000; i++) {
            uint64_t word = nasty(&seed);
            size_t at = HF__PAGE + check_below(&seed, (size - HF__PAGE) / 8) * 8, part = 1 + check_below(&seed, 8);
            CHECK(pwrite(fd, &word, part, (off_t)at) == (ssize_t)part);
        }
        CHECK(pwrite(fd, good + HF__PAGE, size - HF__PAGE, HF__PAGE) == (ssize_t)(size - HF__PAGE));
    }
    free(good);
    close(fd);
    return 0;
}

static void read_key(hf_store *store, uint64_t number, unsigned long long *found) {
    char key[16], value[256];
    void *copy = NULL;
    size_t size = 0;
    struct hf_meta meta;
    size_t length = (size_t)snprintf(key, sizeof key, "key-%u", (unsigned)number);
    int rc = hf_get(store, key, length, value, sizeof value, &size, &meta);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND || rc == HF_TRUNCATED || rc < 0);
    *found += rc == HF_OK;
    rc = hf_get_stale(store, key, length, value, sizeof value, &size, &meta);
    CHECK(rc == HF_OK || rc == HF_STALE || rc == HF_NOTFOUND || rc == HF_TRUNCATED || rc < 0);
    rc = hf_exists(store, key, length, NULL);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND || rc < 0);
    rc = hf_get_dup(store, key, length, &copy, &size, &meta);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND || rc < 0);
    if (rc == HF_OK)
        CHECK(((char *)copy)[size] == 0);
    free(copy);
}

static void read_whole(hf_store *store) {
    struct hf_item item = HF_ITEM_INIT;
    struct hf_info info = HF_INFO_INIT;
    struct hf_stats stats = HF_STATS_INIT;
    struct hf_recovery recoveries[16];
    uint64_t cursor = 0, count, steps = 0;
    size_t recovered;
    int rc;
    while ((rc = hf_scan(store, &cursor, 0, &item)) != HF_END) {
        CHECK(rc == HF_OK || rc == HF_ERR_BUSY || rc == HF_ERR_FORMAT || rc == HF_ERR_MEMORY);
        cursor += rc != HF_OK;
        CHECK(++steps < file_size);
    }
    hf_item_free(&item);
    rc = hf_check(store, NULL, NULL);
    CHECK(rc == HF_OK || rc == HF_DAMAGED || rc == HF_ERR_BUSY || rc == HF_ERR_FORMAT);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK_RC(hf_recoveries(store, recoveries, 16, &recovered), HF_OK);
    CHECK(recovered <= 16);
    for (size_t i = 0; i < recovered; i++)
        CHECK(hf_cause_name(recoveries[i].cause) && hf_step_name(recoveries[i].step) && hf_verdict_name(recoveries[i].verdict));
}

static int read_on(void *argument) {
    double seconds = *(double *)argument, end = check_seconds() + seconds;
    struct hf_options options = HF_OPTIONS_INIT;
    unsigned long long rounds = 0, found = 0;
    options.flags = HF_RDONLY;
    hf_store *store = check_open(path, &options);
    for (; check_seconds() < end; rounds++) {
        for (uint64_t number = 0; number < KEYS; number++)
            read_key(store, number, &found);
        read_whole(store);
        if (rounds % 16 == 0) { /* opening reads the file anew */
            CHECK_RC(hf_close(&store), HF_OK);
            store = check_open(path, &options);
        }
    }
    CHECK_RC(hf_close(&store), HF_OK);
    printf("%llu rounds on changing bytes, %llu values found\n", rounds, found);
    CHECK(rounds > 3 && found > 0);
    return 0;
}

int test_run(int argc, char **argv) {
    double seconds = (double)check_number(argc, argv, "--seconds", 4);
    uint64_t seed = check_number(argc, argv, "--seed", (uint64_t)time(NULL));
    printf("seed %llu\n", (unsigned long long)seed);
    stop = check_shared(sizeof *stop);
    make_store();
    size_t size;
    free(check_read_file(path, &size));
    file_size = size;
    pid_t scribbler = check_spawn(scribble, &seed), reader = check_spawn(read_on, &seconds);
    check_ended(reader, (unsigned)seconds + 60);
    atomic_store(stop, true);
    check_ended(scribbler, 20);
    return 0;
}
