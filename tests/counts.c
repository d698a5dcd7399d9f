/* SPDX-License-Identifier: MIT */
/*
 * Counters against an independent count: reads by threads, by forked children, by processes that end in every way; what killed
 * ones lose has the bound that holdfast.h gives. Knows the public header only.
 * `--rounds N`: so many processes are killed.
 */
#include "check.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

const unsigned test_seconds = 120;

enum { THREADS = 3, KEYS = 10, LOST_MOST = 255 };

static hf_store *store;
static uint64_t rounds;

/* What the readers themselves counted, in memory that outlives them. A reader counts a read after it. */
struct own_count {
    _Atomic uint64_t hits, misses;
};

static hf_store *make(const char *name) {
    hf_store *made = check_create(name, check_small_store(0));
    for (char key[2] = "a"; key[0] < 'a' + KEYS; key[0]++)
        check_put(made, key, "value");
    return made;
}

static struct hf_stats stats_of(hf_store *of) {
    struct hf_stats stats = HF_STATS_INIT;
    CHECK_RC(hf_stats(of, &stats), HF_OK);
    return stats;
}

/* One in four misses. */
static void read_one(hf_store *of, uint64_t i, struct own_count *count) {
    char buffer[16], key = (char)('a' + i % KEYS);
    size_t length;
    if (i % 4 == 3) {
        CHECK_RC(hf_get(of, "none", 4, buffer, sizeof buffer, &length, NULL), HF_NOTFOUND);
        atomic_fetch_add(&count->misses, 1);
    } else {
        CHECK_RC(hf_get(of, &key, 1, buffer, sizeof buffer, &length, NULL), HF_OK);
        atomic_fetch_add(&count->hits, 1);
    }
}

static void read_some(hf_store *of, uint64_t reads, struct own_count *count) {
    for (uint64_t i = 0; i < reads; i++)
        read_one(of, i, count);
}

static void must_be(hf_store *of, const struct own_count *count) {
    struct hf_stats stats = stats_of(of);
    CHECK_EQ(stats.hits, count->hits);
    CHECK_EQ(stats.misses, count->misses);
}

/* ---- Each call counts once ----------------------------------------------------------------------------------------------- */

static void calls(void) {
    char buffer[16];
    void *value;
    size_t length;
    store = make("calls");
    CHECK_RC(hf_get(store, "a", 1, buffer, 1, &length, NULL), HF_TRUNCATED);
    CHECK_RC(hf_exists(store, "a", 1, NULL), HF_OK);
    CHECK_RC(hf_get_dup(store, "a", 1, &value, NULL, NULL), HF_OK);
    free(value);
    CHECK_RC(hf_take(store, "a", 1, buffer, sizeof buffer, NULL, NULL), HF_OK);
    CHECK_EQ(stats_of(store).hits, 4);
    CHECK_EQ(stats_of(store).misses, 0);
    CHECK_RC(hf_get(store, "a", 1, buffer, sizeof buffer, NULL, NULL), HF_NOTFOUND);
    CHECK_RC(hf_exists(store, "a", 1, NULL), HF_NOTFOUND);
    CHECK_RC(hf_get_dup(store, "a", 1, &value, NULL, NULL), HF_NOTFOUND);
    CHECK_RC(hf_take(store, "a", 1, buffer, sizeof buffer, NULL, NULL), HF_NOTFOUND);
    CHECK_RC(hf_get(store, "a", 0, buffer, sizeof buffer, NULL, NULL), HF_ERR_ARGUMENT);
    CHECK_RC(hf_get(NULL, "a", 1, buffer, sizeof buffer, NULL, NULL), HF_ERR_ARGUMENT);
    struct hf_stats stats = stats_of(store), stripe = HF_STATS_INIT;
    CHECK_EQ(stats.hits, 4);
    CHECK_EQ(stats.misses, 4);
    CHECK_EQ(stats.puts, KEYS);
    CHECK_EQ(stats.deletes, 1);
    struct hf_info info = HF_INFO_INIT;
    CHECK_RC(hf_info(store, &info), HF_OK);
    for (uint32_t i = 0; i < info.stripes; i++) {
        CHECK_RC(hf_stats_stripe(store, i, &stripe), HF_OK);
        CHECK_EQ(stripe.hits + stripe.misses, 0);
        stats.puts -= stripe.puts;
        stats.entries -= stripe.entries;
        stats.free_bytes -= stripe.free_bytes;
    }
    CHECK_EQ(stats.puts + stats.entries + stats.free_bytes, 0);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Threads: what they count arrives when they end, and when the store is closed under those that live -------------------- */

struct reading {
    hf_store *of;
    uint64_t reads;
    struct own_count *count;
    pthread_barrier_t *done; /* NULL: ends at once */
};

static void *read_in_thread(void *argument) {
    struct reading *reading = argument;
    read_some(reading->of, reading->reads, reading->count);
    if (reading->done) {
        pthread_barrier_wait(reading->done);
        pthread_barrier_wait(reading->done);
    }
    return NULL;
}

static void in_threads(hf_store *of, struct own_count *count, pthread_barrier_t *done, pthread_t threads[THREADS],
                       struct reading readings[THREADS]) {
    for (unsigned i = 0; i < THREADS; i++) {
        readings[i] = (struct reading){of, 10007 + i * 1000, count, done};
        CHECK_EQ(pthread_create(&threads[i], NULL, read_in_thread, &readings[i]), 0);
    }
}

static void join(pthread_t threads[THREADS]) {
    for (unsigned i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void threads(void) {
    pthread_t running[THREADS];
    struct reading readings[THREADS];
    pthread_barrier_t done;
    struct own_count count = {0, 0};
    char path[CHECK_PATH];
    store = make("threads");
    in_threads(store, &count, NULL, running, readings);
    join(running);
    must_be(store, &count);
    pthread_barrier_init(&done, NULL, THREADS + 1);
    in_threads(store, &count, &done, running, readings);
    pthread_barrier_wait(&done);
    CHECK_RC(hf_close(&store), HF_OK);
    hf_store *other = make("other"); /* may get the number under which the threads counted for the first */
    pthread_barrier_wait(&done);
    join(running);
    CHECK_EQ(stats_of(other).hits, 0);
    CHECK_RC(hf_close(&other), HF_OK);
    store = check_open(check_path(path, "threads"), NULL);
    must_be(store, &count);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A thread's own handlers of its end may read after ours, up to the last round of them. */
static pthread_key_t late;
static struct own_count late_count;

static void read_late(void *rounds_left) {
    read_some(store, 7, &late_count);
    if ((uintptr_t)rounds_left > 1)
        pthread_setspecific(late, (void *)((uintptr_t)rounds_left - 1));
}

static void *end_late(void *argument) {
    (void)argument;
    CHECK_EQ(pthread_setspecific(late, (void *)(uintptr_t)4), 0); /* PTHREAD_DESTRUCTOR_ITERATIONS */
    read_some(store, 3, &late_count);
    return NULL;
}

static void endings(void) {
    pthread_t thread;
    if (CHECK_SANITIZED) {
        printf("not done: a thread that reads while it ends, when ThreadSanitizer has left it\n");
        return;
    }
    store = make("endings");
    CHECK_EQ(pthread_key_create(&late, read_late), 0);
    CHECK_EQ(pthread_create(&thread, NULL, end_late, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    must_be(store, &late_count);
    CHECK_RC(hf_close(&store), HF_OK);
    pthread_key_delete(late);
}

/* ---- Forks and ends of processes ------------------------------------------------------------------------------------------ */

static struct own_count *shared;

static int read_and_close(void *argument) {
    (void)argument;
    read_some(store, 3001, shared);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static int read_and_exit(void *argument) {
    (void)argument;
    read_some(store, 3001, shared);
    exit(0);
}

static int read_and_fork(void *argument) {
    read_some(store, 3001, shared);
    pid_t child = check_spawn(read_and_close, argument);
    read_some(store, 17, shared);
    stats_of(store);
    check_ended(child, 30);
    return 0;
}

static void forks(void) {
    shared = check_shared(sizeof *shared);
    store = make("forks");
    check_body *const bodies[] = {read_and_close, read_and_exit, read_and_fork};
    for (unsigned i = 0; i < 6; i++) {
        check_at("fork %u", i);
        read_some(store, 1501, shared); /* not all of it is handed in when the child comes */
        pid_t child = check_spawn(bodies[i % 3], NULL);
        read_some(store, 501, shared);
        check_ended(child, 30);
    }
    must_be(store, shared);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void *read_for_ever(void *count) {
    for (uint64_t i = 0;; i++)
        read_one(store, i, count);
    return NULL;
}

static int read_until_killed(void *argument) {
    pthread_t thread;
    (void)argument;
    for (unsigned i = 1; i < THREADS; i++)
        CHECK_EQ(pthread_create(&thread, NULL, read_for_ever, shared), 0);
    read_for_ever(shared);
    return 0;
}

static void within(uint64_t counted, uint64_t own, uint64_t dead) {
    if (counted > own + dead || counted + LOST_MOST * dead < own)
        check_failed(__FILE__, __LINE__, "%" PRIu64 " counted of %" PRIu64 " by %" PRIu64 " dead threads", counted, own, dead);
}

/* A dead thread may have lost its last ones, or died between a read and its own count of it. */
static void killed(void) {
    uint64_t random = 7;
    shared = check_shared(sizeof *shared);
    store = make("killed");
    for (uint64_t round = 1; round <= rounds; round++) {
        check_at("round %" PRIu64, round);
        pid_t child = check_spawn(read_until_killed, NULL);
        check_sleep_ms((unsigned)check_below(&random, 20));
        kill(child, SIGKILL);
        CHECK(check_killed(check_wait(child, 30)));
        read_some(store, 100, shared);
        struct hf_stats stats = stats_of(store);
        within(stats.hits, shared->hits, round * THREADS);
        within(stats.misses, shared->misses, round * THREADS);
    }
    CHECK(shared->hits > 1000);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Handles ------------------------------------------------------------------------------------------------------------- */

/* Others do not see its reads, and it leaves no trace; itself it sees them beside those of the others. */
static void readonly(void) {
    struct own_count ours = {0, 0}, theirs = {0, 0}, both;
    struct hf_options options = HF_OPTIONS_INIT;
    char path[CHECK_PATH];
    options.flags = HF_RDONLY;
    store = make("readonly");
    hf_store *reader = check_open(check_path(path, "readonly"), &options);
    read_some(store, 1000, &theirs);
    read_some(reader, 777, &ours);
    must_be(store, &theirs);
    both.hits = ours.hits + theirs.hits;
    both.misses = ours.misses + theirs.misses;
    must_be(reader, &both);
    CHECK_RC(hf_close(&reader), HF_OK);
    must_be(store, &theirs);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* More than threads have room for, in turns. */
static void many(void) {
    enum { STORES = 20 };
    static struct own_count counts[STORES];
    hf_store *stores[STORES];
    char name[16], path[CHECK_PATH];
    for (unsigned i = 0; i < STORES; i++) {
        snprintf(name, sizeof name, "many-%u", i);
        stores[i] = make(name);
    }
    for (uint64_t i = 0; i < 1000; i++)
        for (unsigned at = 0; at < STORES; at++)
            read_one(stores[at], i, &counts[at]);
    for (unsigned i = 0; i < STORES; i++)
        CHECK_RC(hf_close(&stores[i]), HF_OK);
    for (unsigned i = 0; i < STORES; i++) {
        snprintf(name, sizeof name, "many-%u", i);
        stores[i] = check_open(check_path(path, name), NULL);
        must_be(stores[i], &counts[i]);
        CHECK_RC(hf_close(&stores[i]), HF_OK);
    }
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {{"calls", calls},   {"threads", threads}, {"endings", endings},   {"forks", forks},
                                              {"killed", killed}, {"many", many},       {"readonly", readonly}};
    rounds = check_number(argc, argv, "--rounds", 20);
    if (check_argument(argc, argv, "--rounds"))
        argc -= 2;
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
