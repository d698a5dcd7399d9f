/* SPDX-License-Identifier: MIT */
/*
 * Readers against writers on a heap of a few blocks, where every block is used again at once. A value that is returned must be
 * whole, and no older than the latest put that had returned when the read began; a key that is only ever replaced must always
 * be found. Needs the test build: the store is smaller than any that hf_open makes.
 *
 *     torture [--gets N] [--seconds N] [--seed S] [--mode store|cache] [--as threads|processes] [--readers N] [--writers N]
 *             [--blocks N] [--buckets N] [--smallest BYTES] [--largest BYTES] [--stable N] [--flapping N] [--fill]
 *             [--interrupt MICROSECONDS] [--planted BUG]
 *
 * Ends after so many gets of all readers together, or so many seconds, whichever comes first. Stable keys are replaced, flapping
 * ones deleted too. --fill adds keys that are never written again, until the store is full: then entries move, and blocks return
 * at once. --interrupt stops every worker for a moment, again and again, at whatever instruction it is: a window of two
 * instructions in the protocol becomes one of microseconds.
 */
#include "check.h"
#include "internal.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

const unsigned test_seconds = 7200;

enum { KEYS_MAX = 64, VALUE_MAX = 4096, WORKERS_MAX = 32, KEY_LEN = 2 };

static struct {
    hf_store *store;
    uint64_t seed, smallest, largest, interrupt_us;
    unsigned readers, writers;
    unsigned stable, written, keys; /* numbers below: stable; flapping; fillers */
    bool cache;
} setup;

/* Between the workers, whether they are threads or processes. */
static struct shared {
    atomic_bool stop;
    atomic_ullong gets, found, puts, refused; /* added up now and then */
    /* The sequence of the newest completed write of each key: what a read that begins now may return at least. A deleted key
     * has the number after that of its last value. */
    atomic_ullong floors[KEYS_MAX];
} *shared;

struct worker {
    unsigned number;
    bool writes;
};

static const char *key_of(char key[KEY_LEN], unsigned number) {
    key[0] = 'k';
    key[1] = (char)('0' + number);
    return key;
}

/* ---- Interruptions ------------------------------------------------------------------------------------------------------- */

/* Takes some time: up to about ten microseconds, now and then much more. */
static void dawdle(int number) {
    static _Thread_local uint64_t seed;
    (void)number;
    uint64_t turns = check_below(&seed, check_below(&seed, 64) ? 3000 : 60000);
    for (volatile uint64_t i = 0; i < turns; i++)
        ;
}

#ifndef sigev_notify_thread_id /* glibc names the member only so */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Lets a timer signal this thread, with a period of its own. */
static void be_interrupted(unsigned number) {
    struct sigaction action = {.sa_handler = dawdle, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    uint64_t period_ns = setup.interrupt_us * 1000 + number * 777;
    struct itimerspec period = {{0, (long)period_ns}, {0, (long)period_ns}};
    timer_t timer;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CHECK_EQ(timer_settime(timer, 0, &period, NULL), 0);
}

/* ---- Readers ------------------------------------------------------------------------------------------------------------- */

/* What one reader has seen: the newest sequence of each key, plus one if the key was gone after that. */
struct seen {
    uint64_t newest[KEYS_MAX];
};

static void judge(struct seen *seen, unsigned number, const void *value, size_t length, uint64_t floor) {
    uint64_t sequence = 0, least = floor > seen->newest[number] ? floor : seen->newest[number];
    if (!value_whole(value, length, number, &sequence))
        check_failed(__FILE__, __LINE__, "torn value of k%u, %zu bytes, sequence %" PRIu64, number, length, sequence);
    if (sequence < least)
        check_failed(__FILE__, __LINE__, "stale value of k%u: %" PRIu64 " after %" PRIu64, number, sequence, least);
    seen->newest[number] = sequence;
}

static void judge_miss(struct seen *seen, unsigned number) {
    if ((number < setup.stable || number >= setup.written) && !setup.cache)
        check_failed(__FILE__, __LINE__, "false miss: k%u is never deleted and was not found", number);
    seen->newest[number] |= 1;
}

static bool get_one(struct seen *seen, unsigned number) {
    unsigned char value[VALUE_MAX];
    char key[KEY_LEN];
    size_t length = 0;
    uint64_t floor = atomic_load(&shared->floors[number]);
    int rc = hf_get(setup.store, key_of(key, number), KEY_LEN, value, sizeof value, &length, NULL);
    if (rc == HF_NOTFOUND) {
        judge_miss(seen, number);
        return false;
    }
    CHECK_RC(rc, HF_OK);
    judge(seen, number, value, length, floor);
    return true;
}

/* So many keys in one call, some of them twice; how many were found. */
static unsigned get_several(struct seen *seen, uint64_t *seed) {
    enum { SEVERAL = 20 };
    static _Thread_local unsigned char values[SEVERAL][VALUE_MAX];
    struct hf_get_request requests[SEVERAL];
    char keys[SEVERAL][KEY_LEN];
    unsigned numbers[SEVERAL], found = 0;
    uint64_t floors[SEVERAL];
    for (unsigned i = 0; i < SEVERAL; i++) {
        numbers[i] = (unsigned)check_below(seed, setup.keys);
        floors[i] = atomic_load(&shared->floors[numbers[i]]);
        requests[i] = (struct hf_get_request){.key = key_of(keys[i], numbers[i]), .key_len = KEY_LEN, .buffer = values[i],
                                              .size = VALUE_MAX};
    }
    CHECK_RC(hf_get_many(setup.store, requests, SEVERAL), HF_OK);
    for (unsigned i = 0; i < SEVERAL; i++) {
        if (requests[i].result == HF_OK)
            judge(seen, numbers[i], values[i], requests[i].value_len, floors[i]);
        else
            judge_miss(seen, numbers[i]);
        found += requests[i].result == HF_OK;
    }
    return found;
}

/* Every stable key exactly once, and nothing that was gone before. */
static void scan_once(struct seen *seen) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    unsigned times[KEYS_MAX] = {0};
    int rc;
    while ((rc = hf_scan(setup.store, &cursor, 0, &item)) == HF_OK) {
        unsigned number = (unsigned)(((const char *)item.key)[1] - '0');
        CHECK(item.key_len == KEY_LEN && number < setup.keys);
        judge(seen, number, item.value, item.value_len, 0);
        times[number]++;
    }
    CHECK_RC(rc, HF_END);
    hf_item_free(&item);
    for (unsigned i = 0; i < setup.keys && !setup.cache; i++)
        CHECK(times[i] == 1 || (i >= setup.stable && i < setup.written)); /* one put anew may be met twice */
}

static void read_on(const struct worker *worker) {
    uint64_t seed = setup.seed + 1000 * worker->number;
    struct seen seen = {{0}};
    enum { BATCH = 5000 };
    while (!atomic_load(&shared->stop)) {
        unsigned found = 0;
        for (unsigned i = 0; i < BATCH; i++) {
            bool there = get_one(&seen, (unsigned)check_below(&seed, setup.keys));
            found += there;
            if (!there && setup.interrupt_us && check_below(&seed, 16) == 0)
                scan_once(&seen);
        }
        for (unsigned i = 0; i < BATCH / 20; i++)
            found += get_several(&seen, &seed);
        scan_once(&seen);
        atomic_fetch_add(&shared->gets, 2 * BATCH);
        atomic_fetch_add(&shared->found, found);
    }
}

/* ---- Writers ------------------------------------------------------------------------------------------------------------- */

static void put_one(unsigned number, uint64_t *seed, uint64_t *sequence) {
    unsigned char value[VALUE_MAX];
    char key[KEY_LEN];
    size_t size = setup.smallest + check_below(seed, setup.largest - setup.smallest + 1);
    value_make(value, size, number, *sequence + 2);
    struct hf_put_request request = {.key = key_of(key, number), .key_len = KEY_LEN, .value = value, .value_len = size};
    int rc = check_below(seed, 4) ? hf_put(setup.store, key, KEY_LEN, value, size, NULL, NULL)
                                  : hf_put_many(setup.store, &request, 1);
    CHECK(rc == HF_OK || rc == HF_ERR_FULL);
    if (rc == HF_OK) {
        *sequence += 2;
        atomic_store(&shared->floors[number], *sequence);
        atomic_fetch_add_explicit(&shared->puts, 1, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(&shared->refused, 1, memory_order_relaxed);
    }
}

static void delete_one(unsigned number, uint64_t sequence) {
    char key[KEY_LEN];
    int rc = hf_delete(setup.store, key_of(key, number), KEY_LEN, 0);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
    atomic_store(&shared->floors[number], sequence + 1);
}

/* A key has one writer. */
static void write_on(const struct worker *worker) {
    uint64_t seed = setup.seed + 77 + 1000 * worker->number, sequences[KEYS_MAX];
    for (unsigned i = 0; i < setup.written; i++)
        sequences[i] = atomic_load(&shared->floors[i]);
    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        unsigned number = (unsigned)check_below(&seed, setup.written);
        if (number % setup.writers != worker->number)
            continue;
        if (number >= setup.stable && check_below(&seed, 2))
            delete_one(number, sequences[number]);
        else
            put_one(number, &seed, &sequences[number]);
    }
}

/* ---- The run ------------------------------------------------------------------------------------------------------------- */

static void *thread_main(void *argument) {
    struct worker *worker = argument;
    if (setup.interrupt_us)
        be_interrupted(worker->number);
    worker->writes ? write_on(worker) : read_on(worker);
    return NULL;
}

static int process_main(void *argument) {
    thread_main(argument);
    return 0;
}

/* False: the store is full. */
static bool make_key(unsigned number) {
    unsigned char value[VALUE_MAX];
    char key[KEY_LEN];
    value_make(value, setup.smallest, number, 2);
    int rc = hf_put(setup.store, key_of(key, number), KEY_LEN, value, setup.smallest, NULL, NULL);
    CHECK(rc == HF_OK || rc == HF_ERR_FULL);
    atomic_store(&shared->floors[number], 2);
    return rc == HF_OK;
}

static void make_keys(bool fill) {
    for (unsigned i = 0; i < setup.stable; i++)
        CHECK(make_key(i));
    setup.keys = setup.written;
    while (fill && !setup.cache && setup.keys < KEYS_MAX && make_key(setup.keys))
        setup.keys++;
}

/* A child that failed ends the run at once; the guard of check.c ends the others. */
static void notice_failed_child(void) {
    int status;
    if (waitpid(-1, &status, WNOHANG) > 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        if (WIFSIGNALED(status))
            fprintf(stderr, "a worker was ended by signal %d\n", WTERMSIG(status));
        _exit(1);
    }
}

static void run(struct worker *workers, unsigned count, bool processes, uint64_t gets, double seconds) {
    pthread_t threads[WORKERS_MAX];
    for (unsigned i = 0; i < count; i++) {
        if (processes)
            check_spawn(process_main, &workers[i]);
        else
            CHECK_EQ(pthread_create(&threads[i], NULL, thread_main, &workers[i]), 0);
    }
    double end = check_seconds() + seconds;
    while (atomic_load(&shared->gets) < gets && check_seconds() < end) {
        check_sleep_ms(10);
        if (processes)
            notice_failed_child();
    }
    atomic_store(&shared->stop, true);
    for (unsigned i = 0; i < count && !processes; i++)
        pthread_join(threads[i], NULL);
    int status;
    for (pid_t child; processes && (child = waitpid(-1, &status, 0)) > 0;)
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void report(double seconds) {
    struct hf_stats stats = HF_STATS_INIT;
    CHECK_RC(hf_stats(setup.store, &stats), HF_OK);
    printf("%llu gets (%llu found), %llu puts (%llu refused), %" PRIu64 " moves, %" PRIu64 " evictions in %.1f s\n",
           atomic_load(&shared->gets), atomic_load(&shared->found), atomic_load(&shared->puts), atomic_load(&shared->refused),
           stats.moves, stats.evictions, seconds);
    CHECK(atomic_load(&shared->found) > 0 && atomic_load(&shared->puts) > 0);
}

int test_run(int argc, char **argv) {
    shared = check_shared(sizeof *shared);
    setup.seed = check_number(argc, argv, "--seed", (uint64_t)time(NULL));
    setup.cache = strcmp(check_text(argc, argv, "--mode", "store"), "cache") == 0;
    bool processes = strcmp(check_text(argc, argv, "--as", "threads"), "processes") == 0;
    setup.readers = (unsigned)check_number(argc, argv, "--readers", 2);
    setup.writers = (unsigned)check_number(argc, argv, "--writers", 1);
    setup.smallest = check_number(argc, argv, "--smallest", VALUE_MIN);
    setup.largest = check_number(argc, argv, "--largest", 150);
    setup.interrupt_us = check_number(argc, argv, "--interrupt", 0);
    setup.stable = (unsigned)check_number(argc, argv, "--stable", 5);
    setup.written = setup.stable + (unsigned)check_number(argc, argv, "--flapping", 5);
    uint32_t blocks = (uint32_t)check_number(argc, argv, "--blocks", 64);
    uint32_t buckets = (uint32_t)check_number(argc, argv, "--buckets", 2);
    uint64_t gets = check_number(argc, argv, "--gets", 2000000), seconds = check_number(argc, argv, "--seconds", 600);
    unsigned count = setup.readers + setup.writers;
    CHECK(setup.writers >= 1 && count <= WORKERS_MAX && setup.smallest >= VALUE_MIN);
    CHECK(setup.written >= 1 && setup.written <= KEYS_MAX && setup.largest >= setup.smallest && setup.largest <= VALUE_MAX);
    printf("seed %" PRIu64 ", %u readers, %u writers as %s, %u blocks, %u buckets\n", setup.seed, setup.readers, setup.writers,
           processes ? "processes" : "threads", blocks, buckets);

    CHECK_RC(hf__open_tiny(&setup.store, buckets, blocks, setup.cache ? HF_MODE_CACHE : HF_MODE_STORE), HF_OK);
    make_keys(check_argument(argc, argv, "--fill"));
    struct worker workers[WORKERS_MAX];
    for (unsigned i = 0; i < count; i++)
        workers[i] = (struct worker){i, i < setup.writers};
    double start = check_seconds();
    run(workers, count, processes, gets, (double)seconds);
    report(check_seconds() - start);
    check_sound(setup.store);
    CHECK_RC(hf_close(&setup.store), HF_OK);
    return 0;
}
