/* SPDX-License-Identifier: MIT */
/*
 * Single flight: one computation a key over all processes, an heir when the filler is killed, no value brought back after a
 * delete, nobody who waits for nothing. Needs the test build of the library.
 *
 *     fill [CASE...]
 *     fill --rounds N [--processes N] [--p99-ms MS]    stampedes whose first filler is killed, and how long the others waited
 */
#include "fault.h"
#include "fill_cases.h"

#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

const unsigned test_seconds = 600;

/* ---- Two hundred miss at once -------------------------------------------------------------------------------------------- */

enum { CROWD_MAX = 512 };

static struct crowd {
    unsigned calls, die_at; /* the call in which the filler kills himself; 0: none */
    int ready[2], go[2], end[2]; /* pipes, so that nobody polls; the latter two tell by being closed */
    double computed; /* when the last call returned */
    double through[CROWD_MAX];
    hf_store *store;
    char key[32];
} *crowd;

static int compute_slowly(void *unused, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)unused, (void)key, (void)key_len;
    unsigned call = __atomic_add_fetch(&crowd->calls, 1, __ATOMIC_SEQ_CST);
    check_sleep_ms(20);
    if (call == crowd->die_at)
        raise(SIGKILL);
    fill->value = "value";
    fill->value_len = 5;
    crowd->computed = check_seconds();
    return HF_OK;
}

static void await_closed(const int fds[2]) {
    char byte;
    close(fds[1]);
    CHECK_EQ(read(fds[0], &byte, 1), 0);
}

/* Whose value is there does not end before all have theirs: to end a process costs more than to wake one. */
static int miss(void *number) {
    char value[8];
    size_t length = 0;
    close(crowd->end[1]);
    CHECK_EQ(write(crowd->ready[1], "", 1), 1);
    await_closed(crowd->go);
    int result = hf_get_or_fill(crowd->store, crowd->key, strlen(crowd->key), value, sizeof value, &length, NULL, compute_slowly,
                                NULL, NULL);
    crowd->through[(uintptr_t)number] = check_seconds();
    CHECK_EQ(write(crowd->ready[1], "", 1), 1); /* whatever came of it: nobody is to wait for one that failed */
    CHECK_RC(result, HF_OK);
    CHECK(length == 5 && memcmp(value, "value", 5) == 0);
    await_closed(crowd->end);
    return 0;
}

static void await_ready(unsigned count) {
    char byte;
    struct pollfd pipe = {.fd = crowd->ready[0], .events = POLLIN};
    for (; count > 0; count--) {
        CHECK_EQ(poll(&pipe, 1, 12000), 1); /* or one has failed, which waited in vain */
        CHECK_EQ(read(crowd->ready[0], &byte, 1), 1);
    }
}

/* How long each waited beyond the last computation, seconds, goes to extra[]. */
static void stampede(unsigned processes, bool kill, double *extra) {
    static pid_t pids[CROWD_MAX];
    static unsigned round;
    crowd->calls = 0;
    crowd->die_at = kill;
    CHECK(pipe(crowd->ready) == 0 && pipe(crowd->go) == 0 && pipe(crowd->end) == 0);
    snprintf(crowd->key, sizeof crowd->key, "key-%u", ++round);
    for (uintptr_t i = 0; i < processes; i++) {
        crowd->through[i] = 0;
        pids[i] = check_spawn(miss, (void *)i);
    }
    close(crowd->ready[1]); /* or it would be waited for in vain when all of them have failed */
    unsigned killed = 0;
    await_ready(processes);
    close(crowd->go[1]);
    await_ready(processes - kill);
    close(crowd->end[1]);
    for (unsigned i = 0; i < processes; i++) {
        int status = check_wait(pids[i], 20);
        killed += check_killed(status);
        CHECK(check_killed(status) || status == 0);
        extra[i] = crowd->through[i] > crowd->computed ? crowd->through[i] - crowd->computed : 0;
    }
    close(crowd->ready[0]), close(crowd->go[0]), close(crowd->end[0]);
    CHECK_EQ(killed, kill);
    CHECK_EQ(crowd->calls, 1 + kill);
    check_value(crowd->store, crowd->key, "value");
}

static void make_crowd(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 4 << 20;
    options.timeout_ms = 5000;
    crowd = check_shared(sizeof *crowd);
    crowd->store = check_create("crowd", options);
}

static void stampedes(void) {
    double extra[CROWD_MAX];
    make_crowd();
    stampede(200, false, extra);
    stampede(200, true, extra);
    check_sound(crowd->store);
    CHECK_RC(hf_close(&crowd->store), HF_OK);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(unsigned rounds, unsigned processes, double p99_ms) {
    double *extra = calloc((size_t)rounds * processes, sizeof *extra);
    CHECK(extra != NULL && processes <= CROWD_MAX);
    make_crowd();
    for (unsigned round = 0; round < rounds; round++)
        stampede(processes, true, extra + (size_t)round * processes);
    size_t all = (size_t)rounds * processes;
    qsort(extra, all, sizeof *extra, by_size);
    double p99 = extra[all * 99 / 100] * 1e3;
    printf("%u stampedes of %u, each filler killed once: beyond the second fill the others waited %.1f ms (median), "
           "%.1f ms (99 %%), %.1f ms (all)\n", rounds, processes, extra[all / 2] * 1e3, p99, extra[all - 1] * 1e3);
    CHECK(p99 < p99_ms);
    free(extra);
}

/* ---- Fills in fills ------------------------------------------------------------------------------------------------------ */

struct pair {
    hf_store *store;
    const char *outer, *inner;
    unsigned *inside; /* how many have come so far, of two */
};

static int compute_inner(void *text, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)key, (void)key_len;
    fill->value = text;
    fill->value_len = strlen(text);
    return HF_OK;
}

static int compute_by_another(void *context, const void *key, size_t key_len, struct hf_fill *fill) {
    const struct pair *pair = context;
    static char value[32];
    size_t length = 0;
    struct hf_fill_options options = HF_FILL_INIT;
    (void)key, (void)key_len;
    options.wait_ms = 3000;
    __atomic_add_fetch(pair->inside, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(pair->inside, __ATOMIC_SEQ_CST) < 2)
        check_sleep_ms(1);
    CHECK_RC(hf_get_or_fill(pair->store, pair->inner, strlen(pair->inner), value, sizeof value, &length, NULL, compute_inner,
                            "deep", &options), HF_OK);
    fill->value = value;
    fill->value_len = length;
    return HF_OK;
}

static int fill_outer(void *argument) {
    struct pair *pair = argument;
    char value[32];
    size_t length = 0;
    CHECK_RC(hf_get_or_fill(pair->store, pair->outer, strlen(pair->outer), value, sizeof value, &length, NULL,
                            compute_by_another, pair, NULL), HF_OK);
    CHECK(length == 4 && memcmp(value, "deep", 4) == 0);
    return 0;
}

/* Each fills in its fill what the other is just filling. */
static void crossed(void) {
    hf_store *store = check_create("crossed", check_small_store(0));
    unsigned *inside = check_shared(sizeof *inside);
    struct pair one = {store, "a", "b", inside}, other = {store, "b", "a", inside};
    pid_t a = check_spawn(fill_outer, &one), b = check_spawn(fill_outer, &other);
    check_ended(a, 20);
    check_ended(b, 20);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static int compute_by_itself(void *store, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)fill;
    char value[8];
    return hf_get_or_fill(store, key, key_len, value, sizeof value, NULL, NULL, compute_by_itself, store, NULL);
}

static void own_key(void) {
    hf_store *store = check_create("own-key", check_small_store(0));
    char value[8];
    CHECK_RC(hf_get_or_fill(store, "k", 1, value, sizeof value, NULL, NULL, compute_by_itself, store, NULL), HF_ERR_REENTERED);
    check_value(store, "k", NULL);
    CHECK_RC(hf_close(&store), HF_OK);
}

static hf_store *interrupted;
static const char *handled_at;
static unsigned handled;

/* As a signal handler would that came when the lock was just taken. */
static void fill_again(const char *point) {
    struct hf_fill_options options = HF_FILL_INIT;
    char value[8];
    options.wait_ms = 2000;
    if (strcmp(point, handled_at) != 0)
        return;
    hf__point_hook = NULL;
    handled++;
    CHECK_RC(hf_get_or_fill(interrupted, "k", 1, value, sizeof value, NULL, NULL, compute_inner, "x", &options),
             HF_ERR_REENTERED);
}

static void handler(void) {
    char value[8];
    static const char *const points[] = {"fill:claimed", "fill:granted"};
    interrupted = check_create("handler", check_small_store(0));
    for (unsigned i = 0; i < 2; i++) {
        handled_at = points[i];
        hf__point_hook = fill_again;
        CHECK_RC(hf_get_or_fill(interrupted, "k", 1, value, sizeof value, NULL, NULL, compute_inner, "v", NULL), HF_OK);
        CHECK_EQ(handled, i + 1);
        CHECK_RC(hf_delete(interrupted, "k", 1, 0), HF_OK);
    }
    CHECK_RC(hf_close(&interrupted), HF_OK);
}

/* All fill locks are taken, by other keys: nobody waits for one of theirs. */
static void take_all(hf_store *store) {
    struct hf_fill_options nowait = HF_FILL_INIT;
    struct hf_lease lease;
    char key[16], value[32];
    size_t length = 0;
    unsigned known = 0;
    nowait.flags = HF_FILL_NOWAIT;
    for (unsigned i = 0; i < 400; i++) {
        int key_len = snprintf(key, sizeof key, "taken-%u", i);
        CHECK_RC(hf_fill_begin(store, key, (size_t)key_len, &nowait, &lease), HF_OK);
        known += lease.number != 0;
    }
    CHECK(known > 0 && known < 300);
    CHECK_RC(hf_get_or_fill(store, "k", 1, value, sizeof value, &length, NULL, compute_inner, "alone", &nowait), HF_OK);
    CHECK_EQ(length, 5);
    check_value(store, "k", "alone");
}

static void strangers(void) {
    struct hf_options small = check_small_store(0);
    small.stripes = 1;
    hf_store *store = check_create("strangers", small);
    take_all(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void die_leasing(const char *point) {
    if (strcmp(point, "fill:leased") == 0)
        raise(SIGKILL);
}

static int begin_and_die(void *store) {
    struct hf_lease lease;
    hf__point_hook = die_leasing;
    return hf_fill_begin(store, "k", 1, NULL, &lease);
}

/* A lease whose number nobody knows, for who gave it was killed: others who have tried its lock do not make it one. */
static void unknown_lease(void) {
    struct hf_options small = check_small_store(0);
    small.stripes = 1;
    hf_store *store = check_create("unknown-lease", small);
    CHECK(check_killed(check_wait(check_spawn(begin_and_die, store), 10)));
    take_all(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Computed in vain ---------------------------------------------------------------------------------------------------- */

enum { VAIN_SIZE = 3000 };

static struct vain {
    hf_store *store;
    unsigned calls, now, most; /* how many compute: at this moment, and at the same time at most */
    int result;                /* of the function */
} *vain;

static int compute_in_vain(void *unused, const void *key, size_t key_len, struct hf_fill *fill) {
    static const char value[VAIN_SIZE];
    (void)unused, (void)key, (void)key_len;
    unsigned now = __atomic_add_fetch(&vain->now, 1, __ATOMIC_SEQ_CST);
    unsigned most = __atomic_load_n(&vain->most, __ATOMIC_SEQ_CST);
    while (now > most && !__atomic_compare_exchange_n(&vain->most, &most, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    __atomic_add_fetch(&vain->calls, 1, __ATOMIC_SEQ_CST);
    check_sleep_ms(50);
    __atomic_sub_fetch(&vain->now, 1, __ATOMIC_SEQ_CST);
    fill->value = value;
    fill->value_len = sizeof value;
    return vain->result;
}

static int ask_in_vain(void *unused) {
    (void)unused;
    CHECK_RC(hf_get_or_fill(vain->store, "k", 1, NULL, 0, NULL, NULL, compute_in_vain, NULL, NULL),
             vain->result == HF_OK ? HF_TRUNCATED : vain->result);
    return 0;
}

/* Returns how many computed at the same time. */
static unsigned crowd_in_vain(int result) {
    pid_t pids[12];
    vain->calls = vain->most = 0;
    vain->result = result;
    for (unsigned i = 0; i < 12; i++)
        pids[i] = check_spawn(ask_in_vain, NULL);
    for (unsigned i = 0; i < 12; i++)
        check_ended(pids[i], 20);
    CHECK_EQ(vain->calls, 12);
    return vain->most;
}

/* In a store without room nobody's value serves another: who waits must not wait for all of them. What fails goes one by one. */
static void in_vain(void) {
    static const char value[VAIN_SIZE];
    struct hf_options small = check_small_store(0);
    small.stripes = 1;
    vain = check_shared(sizeof *vain);
    vain->store = check_create("in-vain", small);
    int result = HF_OK;
    for (unsigned i = 0; result == HF_OK; i++)
        result = hf_put(vain->store, &i, sizeof i, value, sizeof value, NULL, NULL);
    CHECK_RC(result, HF_ERR_FULL);
    CHECK_EQ(crowd_in_vain(HF_END), 1);
    CHECK(crowd_in_vain(HF_OK) > 4);
    CHECK_RC(hf_close(&vain->store), HF_OK);
}

/* ---- Threads and children ------------------------------------------------------------------------------------------------ */

static int compute_for_ever(void *started, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)key, (void)key_len, (void)fill;
    __atomic_store_n((bool *)started, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < 10000; i++)
        check_sleep_ms(5);
    return HF_END;
}

static bool started;

static void *fill_for_ever(void *store) {
    char value[8];
    int result = hf_get_or_fill(store, "k", 1, value, sizeof value, NULL, NULL, compute_for_ever, &started, NULL);
    CHECK_RC(result, HF_END); /* never comes here */
    return NULL;
}

static void cancelled(void) {
    if (CHECK_SANITIZED) {
        printf("not done: a thread that is cancelled, whose stack and locks sanitizers lose track of\n");
        return;
    }
    hf_store *store = check_create("cancelled", check_small_store(0));
    pthread_t thread;
    char value[32];
    CHECK_EQ(pthread_create(&thread, NULL, fill_for_ever, store), 0);
    while (!__atomic_load_n(&started, __ATOMIC_SEQ_CST))
        check_sleep_ms(1);
    CHECK_EQ(pthread_cancel(thread), 0);
    CHECK_RC(hf_get_or_fill(store, "k", 1, value, sizeof value, NULL, NULL, compute_inner, "other", NULL), HF_OK);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    check_value(store, "k", "other");
    CHECK_RC(hf_close(&store), HF_OK); /* BUSY, if the lock were still counted */
}

static int compute_in_two(void *is_child, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)key, (void)key_len;
    pid_t child = fork();
    CHECK(child >= 0);
    *(pid_t *)is_child = child;
    fill->value = child ? "parent" : "child";
    fill->value_len = strlen(fill->value);
    if (child == 0)
        check_sleep_ms(20);
    return HF_OK;
}

/* The child has no lock, and must not touch that of its parent. */
static void forked(void) {
    hf_store *store = check_create("forked", check_small_store(0));
    char value[32];
    pid_t child;
    int status = 0;
    struct hf_meta meta;
    struct hf_lease lease;
    struct hf_fill_options nowait = HF_FILL_INIT;
    nowait.flags = HF_FILL_NOWAIT;
    CHECK_RC(hf_fill_begin(store, "leased", 6, NULL, &lease), HF_OK);
    CHECK_RC(hf_get_or_fill(store, "k", 1, value, sizeof value, NULL, &meta, compute_in_two, &child, NULL), HF_OK);
    if (child == 0) {
        CHECK(memcmp(value, "child", 5) == 0 && meta.version == 0); /* the parent's came after its own began */
        CHECK_RC(hf_get_or_fill(store, "other", 5, value, sizeof value, NULL, NULL, compute_inner, "x", NULL), HF_OK);
        CHECK_RC(hf_get_or_fill(store, "leased", 6, value, sizeof value, NULL, NULL, compute_inner, "y", &nowait),
                 HF_ERR_TIMEOUT);
        CHECK_RC(hf_close(&store), HF_OK);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    check_value(store, "k", "parent");
    check_value(store, "other", "x");
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void *fill_many(void *store) {
    char key[16], value[32];
    for (unsigned i = 0; i < 300; i++) {
        int length = snprintf(key, sizeof key, "k%u", i % 40);
        CHECK_RC(hf_get_or_fill(store, key, (size_t)length, value, sizeof value, NULL, NULL, compute_inner, "shared", NULL),
                 HF_OK);
        if (i % 7 == 0) {
            int result = hf_delete(store, key, (size_t)length, 0);
            CHECK(result == HF_OK || result == HF_NOTFOUND);
        }
    }
    return NULL;
}

static void many_threads(void) {
    hf_store *store = check_create("threads", check_small_store(0));
    pthread_t threads[6];
    for (unsigned i = 0; i < 6; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, fill_many, store), 0);
    for (unsigned i = 0; i < 6; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"stampedes", stampedes}, {"crossed", crossed}, {"own-key", own_key}, {"handler", handler}, {"strangers", strangers},
        {"unknown-lease", unknown_lease}, {"cancelled", cancelled}, {"forked", forked}, {"threads", many_threads},
        {"absent", fill_absent}, {"failed", fill_failed}, {"outdated", fill_outdated}, {"guarded", fill_guarded},
        {"leases", fill_leases}, {"stale", fill_stale}, {"early", fill_early}, {"refused", fill_refused}, {"raced", fill_raced},
        {"killed", fill_killed}, {"in-vain", in_vain}, {"logged", fill_logged}, {"odd-leases", fill_odd_leases},
        {"unrecoverable", fill_unrecoverable},
    };
    unsigned rounds = (unsigned)check_number(argc, argv, "--rounds", 0);
    if (rounds > 0)
        measure(rounds, (unsigned)check_number(argc, argv, "--processes", 200),
                (double)check_number(argc, argv, "--p99-ms", 10000));
    else
        check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
