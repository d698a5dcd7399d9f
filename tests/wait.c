/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a change of a key, or of any: who waits is woken; a writer that is killed before it wakes anybody costs a slice.
 * Needs the test build of the library.
 *
 *     wait [CASE...]
 *     wait --rounds N [--lanes N]    so many writers killed between commit and wake, so many at a time
 */
#include "fault.h"
#include "puppet.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

const unsigned test_seconds = 600;

static uint64_t version_of(hf_store *store, const char *key) {
    struct hf_meta meta;
    int result = hf_exists(store, key, strlen(key), &meta);
    CHECK(result == HF_OK || result == HF_NOTFOUND);
    return result == HF_OK ? meta.version : 0;
}

/* ---- A key --------------------------------------------------------------------------------------------------------------- */

static void answers(void) {
    hf_store *store = check_create("answers", check_small_store(0));
    struct hf_meta meta;
    CHECK_RC(hf_wait(store, "k", 1, 0, 0, &meta), HF_UNCHANGED);
    CHECK_RC(hf_wait(store, "k", 1, 5, 0, &meta), HF_OK);
    CHECK_EQ(meta.version, 0);
    check_put(store, "k", "v");
    CHECK_RC(hf_wait(store, "k", 1, 0, HF_FOREVER, &meta), HF_OK);
    CHECK(meta.version == version_of(store, "k") && meta.value_len == 1);
    CHECK_RC(hf_touch(store, "k", 1, 60000), HF_OK);
    double start = check_seconds();
    CHECK_RC(hf_wait(store, "k", 1, meta.version, 300, &meta), HF_UNCHANGED);
    CHECK(check_seconds() - start >= 0.3);
    CHECK_RC(hf_touch(store, "k", 1, 30), HF_OK);
    CHECK_RC(hf_wait(store, "k", 1, meta.version, HF_FOREVER, &meta), HF_OK); /* it expires */
    CHECK_EQ(meta.version, 0);
    CHECK_RC(hf_wait(store, "k", 0, 0, 0, NULL), HF_ERR_ARGUMENT);
    CHECK_RC(hf_wait_any(store, NULL, 0), HF_ERR_ARGUMENT);
    CHECK_RC(hf_close(&store), HF_OK);
}

enum { HOPS = 60 };

static void hop(hf_store *store, const char *from, const char *to) {
    uint64_t seen = 0;
    for (int i = 0; i < HOPS; i++) {
        struct hf_meta meta;
        CHECK_RC(hf_wait(store, from, strlen(from), seen, 20000, &meta), HF_OK);
        seen = meta.version;
        check_put(store, to, "hop");
    }
}

static int hop_back(void *store) {
    hop(store, "there", "back");
    return 0;
}

/* Two processes that wait for each other: 120 changes, each of which would take a slice of 250 ms if nobody woke anybody. */
static void hops(void) {
    hf_store *store = check_create("hops", check_small_store(0));
    double start = check_seconds();
    pid_t other = check_spawn(hop_back, store);
    check_put(store, "there", "hop");
    hop(store, "back", "there");
    check_ended(other, 20);
    CHECK(check_seconds() - start < 10);
    CHECK_RC(hf_close(&store), HF_OK);
}

struct change {
    const char *name;
    int (*act)(hf_store *store);
    bool goes; /* the key */
};

static int act_put(hf_store *store) {
    return hf_put(store, "k", 1, "new", 3, NULL, NULL);
}
static int act_delete(hf_store *store) {
    return hf_delete(store, "k", 1, 0);
}
static int act_take(hf_store *store) {
    char value[8];
    return hf_take(store, "k", 1, value, sizeof value, NULL, NULL);
}
static int act_append(hf_store *store) {
    return hf_append(store, "k", 1, "1", 1, NULL);
}
static int act_incr(hf_store *store) {
    return hf_incr(store, "k", 1, 1, NULL, NULL);
}
static int act_clear(hf_store *store) {
    return hf_clear(store);
}

static const struct change changes[] = {
    {"put", act_put, false}, {"append", act_append, false}, {"incr", act_incr, false},
    {"delete", act_delete, true}, {"take", act_take, true}, {"clear", act_clear, true},
};

struct waiter {
    hf_store *store;
    uint64_t seen;
    bool goes;
};

/* Ends with 0 if it saw the change. */
static int wait_for_change(void *argument) {
    const struct waiter *waiter = argument;
    struct hf_meta meta;
    CHECK_RC(hf_wait(waiter->store, "k", 1, waiter->seen, 20000, &meta), HF_OK);
    CHECK((meta.version == 0) == waiter->goes);
    return 0;
}

static void every_change(void) {
    hf_store *store = check_create("changes", check_small_store(0));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        check_at("a waiter and a %s", changes[i].name);
        check_put(store, "k", "1");
        struct waiter waiter = {store, version_of(store, "k"), changes[i].goes};
        pid_t child = check_spawn(wait_for_change, &waiter);
        check_sleep_ms(10);
        CHECK_RC(changes[i].act(store), HF_OK);
        check_ended(child, 10);
    }
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Who comes late ------------------------------------------------------------------------------------------------------ */

static const char *stop_point;

static void stop_there(const char *point) {
    if (!stop_point || strcmp(point, stop_point) != 0)
        return;
    stop_point = NULL;
    raise(SIGSTOP);
}

static pid_t stopped_at(const char *point, check_body *body, void *argument) {
    stop_point = point;
    hf__point_hook = stop_there;
    pid_t child = check_spawn(body, argument);
    hf__point_hook = NULL;
    int status;
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    return child;
}

static int put_k(void *store) {
    check_put(store, "k", "new");
    return 0;
}

static int wait_without_slices(void *waiter) {
    if (hf__planted == HF__BUG_NONE)
        hf__planted = HF__BUG_SLICE_ENDLESS;
    return wait_for_change(waiter);
}

/* A writer found somebody's bit, and clears it when another has set it and is about to sleep: who has seen the writer's change,
 * and waits for the next one. That one wakes him. */
static void late(void) {
    hf_store *store = check_create("late", check_small_store(0));
    check_put(store, "k", "old");
    struct waiter early = {store, version_of(store, "k"), false};
    pid_t sleeper = check_spawn(wait_for_change, &early);
    check_sleep_ms(30);
    pid_t writer = stopped_at("unlocked", put_k, store);
    struct waiter waiter = {store, version_of(store, "k"), false};
    pid_t second = stopped_at("wait:set", wait_without_slices, &waiter);
    CHECK_EQ(kill(writer, SIGCONT), 0);
    check_ended(writer, 10);
    check_ended(sleeper, 10);
    CHECK_EQ(kill(second, SIGCONT), 0);
    check_sleep_ms(50);
    check_put(store, "k", "newer");
    check_ended(second, 10); /* its deadline is 20 s */
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Who can only read --------------------------------------------------------------------------------------------------- */

static void readers(void) {
    hf_store *store = check_create("readers", check_small_store(0));
    struct hf_options options = HF_OPTIONS_INIT;
    char path[CHECK_PATH];
    check_put(store, "k", "old");
    options.flags = HF_RDONLY;
    hf_store *reader = check_open(check_path(path, "readers"), &options);
    struct waiter waiter = {reader, version_of(store, "k"), false};
    struct hf_watch watch = HF_WATCH_INIT;
    pid_t child = check_spawn(wait_for_change, &waiter);
    while (hf_wait_any(reader, &watch, 0) == HF_OK)
        ;
    check_sleep_ms(30);
    check_put(store, "k", "new");
    check_ended(child, 10);
    CHECK_RC(hf_wait_any(reader, &watch, 10000), HF_OK);
    CHECK_RC(hf_wait_any(reader, &watch, 30), HF_UNCHANGED);
    hf_watch_free(&watch);
    CHECK_RC(hf_close(&reader), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Everything ---------------------------------------------------------------------------------------------------------- */

enum { MIRRORED = 200, WRITES = 3000 };

static int write_at_random(void *argument) {
    hf_store *store = argument;
    uint64_t chance = (uint64_t)getpid();
    for (unsigned i = 0; i < WRITES; i++) {
        char key[16];
        int length = snprintf(key, sizeof key, "%u", (unsigned)check_below(&chance, MIRRORED));
        int result = check_below(&chance, 3) ? hf_put(store, key, (size_t)length, &i, sizeof i, NULL, NULL)
                                             : hf_delete(store, key, (size_t)length, 0);
        CHECK(result == HF_OK || result == HF_NOTFOUND);
    }
    return 0;
}

/* What is between the cursors replaces what was known of that place. */
static void look_again(hf_store *store, const struct hf_watch *watch, uint64_t versions[MIRRORED], uint64_t places[MIRRORED]) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = watch->from;
    for (unsigned i = 0; i < MIRRORED; i++)
        if (places[i] >= watch->from && places[i] < watch->to)
            versions[i] = 0;
    while (hf_scan(store, &cursor, HF_SCAN_KEYS, &item) == HF_OK && cursor <= watch->to) {
        char key[16] = "";
        memcpy(key, item.key, item.key_len);
        unsigned number = (unsigned)atoi(key);
        versions[number] = item.meta.version;
        places[number] = cursor - 1;
    }
    hf_item_free(&item);
}

/* A watcher's picture of the store is right when the writers are done. */
static void mirrored(void) {
    static uint64_t versions[MIRRORED], places[MIRRORED];
    hf_store *store = check_create("mirrored", check_small_store(0));
    struct hf_watch watch = HF_WATCH_INIT;
    pid_t writers[2] = {check_spawn(write_at_random, store), check_spawn(write_at_random, store)};
    unsigned looks = 0, running = 2;
    int result = HF_OK;
    while (running > 0 || result == HF_OK) {
        result = hf_wait_any(store, &watch, 20);
        CHECK(result == HF_OK || result == HF_UNCHANGED);
        if (result == HF_OK)
            look_again(store, &watch, versions, places);
        looks += result == HF_OK;
        for (unsigned i = 0; i < 2; i++)
            if (writers[i] && waitpid(writers[i], NULL, WNOHANG) == writers[i]) {
                writers[i] = 0;
                running--;
            }
    }
    for (unsigned i = 0; i < MIRRORED; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        CHECK_EQ(versions[i], version_of(store, key));
    }
    CHECK(looks > 0);
    hf_watch_free(&watch);
    CHECK_RC(hf_close(&store), HF_OK);
}

static int watch_hops(void *argument) {
    hf_store *store = argument;
    struct hf_watch watch = HF_WATCH_INIT;
    while (hf_wait_any(store, &watch, 0) == HF_OK)
        ;
    check_put(store, "ready", "yes");
    while (version_of(store, "k") == 0)
        CHECK_RC(hf_wait_any(store, &watch, 20000), HF_OK);
    return 0;
}

/* A watcher that sleeps is woken by a put of any stripe. */
static void watched(void) {
    hf_store *store = check_create("watched", check_small_store(0));
    pid_t child = check_spawn(watch_hops, store);
    CHECK_RC(hf_wait(store, "ready", 5, 0, 20000, NULL), HF_OK);
    check_sleep_ms(20);
    check_put(store, "k", "v");
    check_ended(child, 10);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Threads ------------------------------------------------------------------------------------------------------------- */

static void *hop_in_thread(void *store) {
    hop(store, "there", "back");
    return NULL;
}

static void threads(void) {
    hf_store *store = check_create("threads", check_small_store(0));
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, hop_in_thread, store), 0);
    check_put(store, "there", "hop");
    hop(store, "back", "there");
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Killed writers ------------------------------------------------------------------------------------------------------ */

/* A writer is killed at its n-th point; false: it came through. One waiter sleeps for the key, one watches the store. */
static bool killed_before_waking(hf_store *store, unsigned n) {
    struct puppet *puppet = puppet_new();
    check_put(store, "k", "old");
    struct waiter waiter = {store, version_of(store, "k"), false};
    pid_t sleeper = check_spawn(wait_for_change, &waiter);
    check_sleep_ms(5);
    bool killed = puppet_killed_at(puppet, n, put_k, store);
    check_at("a waiter, and a writer killed at point %u, %s", n, puppet->point);
    if (version_of(store, "k") == waiter.seen)
        check_put(store, "k", "after");
    check_ended(sleeper, 3); /* its slice is a quarter of a second, its deadline 20 s */
    check_sound(store);
    return killed;
}

static void killed_writers(void) {
    hf_store *store = check_create("killed", check_small_store(0));
    unsigned n = 1;
    while (killed_before_waking(store, n))
        n++;
    CHECK(n > 10);
    CHECK_RC(hf_close(&store), HF_OK);
}

struct lane {
    unsigned number, rounds;
};

static int run_lane(void *argument) {
    const struct lane *lane = argument;
    char name[32];
    snprintf(name, sizeof name, "lane-%u", lane->number);
    hf_store *store = check_create(name, check_small_store(0));
    unsigned points = 1;
    while (killed_before_waking(store, points))
        points++;
    for (unsigned killed = 0, i = 0; killed < lane->rounds; i++) /* around the commit, up to the wake; a late waiter has none */
        killed += killed_before_waking(store, points - 1 - i % 6);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void run_lanes(unsigned rounds, unsigned lanes) {
    static struct lane all[64];
    static pid_t pids[64];
    CHECK(lanes >= 1 && lanes <= 64 && rounds >= lanes);
    for (unsigned i = 0; i < lanes; i++) {
        all[i] = (struct lane){i, rounds / lanes};
        pids[i] = check_spawn(run_lane, &all[i]);
    }
    for (unsigned i = 0; i < lanes; i++)
        check_ended(pids[i], 500);
    printf("%u writers killed around their commit, every waiter saw the change\n", rounds / lanes * lanes);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"answers", answers}, {"hops", hops}, {"changes", every_change}, {"readers", readers}, {"mirrored", mirrored},
        {"watched", watched}, {"threads", threads}, {"late", late}, {"killed", killed_writers},
    };
    unsigned rounds = (unsigned)check_number(argc, argv, "--rounds", 0);
    if (rounds > 0)
        run_lanes(rounds, (unsigned)check_number(argc, argv, "--lanes", 16));
    else
        check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
