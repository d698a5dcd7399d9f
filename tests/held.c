/* SPDX-License-Identifier: MIT */
/*
 * hf_locks: holders that run, stop and die, at every point of a put; fillers and leases; waiters; what a copied file shows. Asked
 * through a read-only handle, which must not be kept waiting. Needs the test build of the library.
 */
#include "internal.h"
#include "puppet.h"

#include <signal.h>
#include <sys/wait.h>

const unsigned test_seconds = 60;

static hf_store *reader_of(const char *name) {
    struct hf_options options = HF_OPTIONS_INIT;
    char path[CHECK_PATH];
    options.flags = HF_RDONLY;
    return check_open(check_path(path, name), &options);
}

/* The only lock that is not free; false: none. */
static bool only_lock(hf_store *store, struct hf_lock *lock) {
    size_t count = 99;
    CHECK_RC(hf_locks(store, lock, 1, &count), HF_OK);
    CHECK(count <= 1);
    return count == 1;
}

static int put_one(void *store) {
    check_put(store, "held", "new");
    return 0;
}

static int put_waiting(void *store) {
    int rc = hf_put(store, "held", 4, "waiter", 6, NULL, NULL);
    CHECK(rc == HF_OK);
    return 0;
}

static void wait_until_waited(hf_store *store) {
    struct hf_lock lock;
    for (unsigned i = 0; only_lock(store, &lock) && !lock.waited; i++) {
        CHECK(i < 1000);
        check_sleep_ms(10);
    }
}

/* A put stopped at its n-th point, then killed; false: it has none. */
static bool stopped_at(hf_store *store, hf_store *reader, unsigned n, unsigned *held, unsigned *left) {
    struct puppet *puppet = puppet_new();
    struct hf_lock lock, copy;
    pid_t child = puppet_stopped_at(puppet, n, put_one, store);
    if (child == 0)
        return false;
    check_at("stopped at %s", puppet->point);
    bool locked = only_lock(reader, &lock);
    if (locked) {
        CHECK_EQ(lock.kind, HF_LOCK_STRIPE);
        CHECK_EQ(lock.state, HF_LOCK_HELD);
        CHECK_EQ(lock.thread, child);
        CHECK(lock.pid == (uint32_t)child ? lock.operation == HF_OP_PUT && lock.key_hash != 0
                                          : lock.pid == 0 && lock.operation == HF_OP_NONE);
        CHECK(!lock.waited && !lock.foreign);
        ++*held;
    }
    kill(child, SIGKILL);
    CHECK(check_killed(check_wait(child, 30)));
    CHECK_EQ(only_lock(reader, &copy), locked);
    if (locked) {
        CHECK_EQ(copy.state, HF_LOCK_LEFT);
        CHECK(copy.number == lock.number && copy.pid == lock.pid && copy.step == lock.step && copy.thread == 0);
        ++*left;
    }
    check_put(store, "held", "old"); /* repairs */
    CHECK(!only_lock(reader, &copy));
    return true;
}

static void stopped(void) {
    hf_store *store = check_create("stopped", check_small_store(0)), *reader = reader_of("stopped");
    unsigned held = 0, left = 0;
    check_put(store, "held", "old");
    for (unsigned n = 1; stopped_at(store, reader, n, &held, &left); n++)
        continue;
    CHECK(held >= 8 && left == held);
    CHECK_RC(hf_close(&reader), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void waited(void) {
    hf_store *store = check_create("waited", check_small_store(0)), *reader = reader_of("waited");
    struct puppet *puppet = puppet_new();
    pid_t child = puppet_stopped_at(puppet, 2, put_one, store);
    CHECK(child != 0);
    pid_t waiter = check_spawn(put_waiting, store);
    wait_until_waited(reader);
    kill(child, SIGCONT);
    check_ended(child, 30);
    check_ended(waiter, 30);
    struct hf_lock lock;
    CHECK(!only_lock(reader, &lock));
    CHECK_RC(hf_close(&reader), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Fills ---------------------------------------------------------------------------------------------------------------- */

static int compute_until_continued(void *unused, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)unused, (void)key, (void)key_len;
    raise(SIGSTOP);
    fill->value = "computed";
    fill->value_len = 8;
    return HF_OK;
}

static int fill_one(void *store) {
    char value[16];
    CHECK_RC(hf_get_or_fill(store, "k", 1, value, sizeof value, NULL, NULL, compute_until_continued, NULL, NULL), HF_OK);
    return 0;
}

static pid_t spawn_stopped(check_body *body, void *argument) {
    int status;
    pid_t child = check_spawn(body, argument);
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    return child;
}

static void check_fill(const struct hf_lock *lock, uint32_t kind, uint32_t state, pid_t pid) {
    CHECK_EQ(lock->kind, kind);
    CHECK_EQ(lock->state, state);
    CHECK_EQ(lock->thread, kind == HF_LOCK_FILL && state == HF_LOCK_HELD ? pid : 0);
    CHECK_EQ(lock->pid, pid);
    CHECK(lock->key_hash != 0 && lock->operation == HF_OP_NONE && lock->step == 0 && !lock->foreign);
}

/* A filler that is stopped and waited for, and goes on; one that is killed. */
static void filled(void) {
    hf_store *store = check_create("filled", check_small_store(0)), *reader = reader_of("filled");
    struct hf_lock lock, later;
    for (int kills = 0; kills < 2; kills++) {
        pid_t child = spawn_stopped(fill_one, store);
        CHECK(only_lock(reader, &lock) && !lock.waited);
        check_fill(&lock, HF_LOCK_FILL, HF_LOCK_HELD, child);
        check_sleep_ms(20);
        CHECK(only_lock(reader, &later));
        CHECK(later.held_ms >= lock.held_ms + 20 && later.held_ms < 100000 && later.left_ms == 0);
        CHECK(later.key_hash == lock.key_hash && later.number == lock.number && later.stripe == lock.stripe);
        if (kills) {
            kill(child, SIGKILL);
            CHECK(check_killed(check_wait(child, 30)));
            CHECK(only_lock(reader, &lock));
            check_fill(&lock, HF_LOCK_FILL, HF_LOCK_LEFT, child);
            continue;
        }
        pid_t waiter = check_spawn(fill_one, store);
        wait_until_waited(reader);
        kill(child, SIGCONT);
        check_ended(child, 30);
        check_ended(waiter, 30);
        CHECK(!only_lock(reader, &lock));
        CHECK_RC(hf_delete(store, "k", 1, 0), HF_OK);
    }
    CHECK_RC(hf_close(&reader), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

static struct hf_lease *given; /* shared with children */

static int lease_one(void *store) {
    struct hf_fill_options options = HF_FILL_INIT;
    options.lease_ms = 60000;
    CHECK_RC(hf_fill_begin(store, "k", 1, &options, given), HF_OK);
    return 0;
}

/* Each key in the stripe that is told; a lease outlives its holder, ends by itself, and when it is cancelled. */
static void leased(void) {
    hf_store *store = check_create("leased", check_small_store(0)), *reader = reader_of("leased");
    struct hf_fill_options brief = HF_FILL_INIT;
    struct hf_lease lease;
    struct hf_lock lock;
    char key[16];
    brief.lease_ms = 30;
    given = check_shared(sizeof *given);
    pid_t child = check_spawn(lease_one, store);
    check_ended(child, 30);
    CHECK(only_lock(reader, &lock));
    check_fill(&lock, HF_LOCK_LEASE, HF_LOCK_HELD, child);
    CHECK(lock.left_ms > 0 && lock.left_ms <= 60000 && lock.held_ms < 60000);
    CHECK_RC(hf_fill_cancel(store, given), HF_OK);
    CHECK(!only_lock(reader, &lock));
    CHECK_RC(hf_fill_begin(store, "brief", 5, &brief, &lease), HF_OK);
    for (unsigned i = 0; only_lock(reader, &lock); i++) {
        CHECK(i < 1000);
        check_sleep_ms(20);
    }
    for (unsigned i = 0; i < 50; i++) {
        int length = snprintf(key, sizeof key, "key-%u", i);
        CHECK_RC(hf_fill_begin(store, key, (size_t)length, NULL, &lease), HF_OK);
        CHECK(only_lock(reader, &lock) && lock.number == lease.lock && lock.key_hash == lease.key_hash);
        CHECK_EQ(lock.stripe, hf__locate(store->region, lease.key_hash).stripe);
        CHECK_RC(hf_fill_cancel(store, &lease), HF_OK);
        CHECK(!only_lock(reader, &lock));
    }
    CHECK_RC(hf_close(&reader), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Copies --------------------------------------------------------------------------------------------------------------- */

/* The words of a file that was copied while a lock was held name nobody; that a put was never ended is seen. */
static void copied(void) {
    char path[CHECK_PATH];
    size_t size;
    struct hf_lease lease;
    hf_store *store = check_create("copied", check_small_store(0));
    check_put(store, "held", "old");
    CHECK_RC(hf_fill_begin(store, "leased", 6, NULL, &lease), HF_OK);
    struct puppet *puppet = puppet_new();
    pid_t child = puppet_stopped_at(puppet, 3, put_one, store);
    CHECK(child != 0);
    void *bytes = check_read_file(check_path(path, "copied"), &size);
    check_write_file(check_path(path, "copy"), bytes, size);
    free(bytes);
    kill(child, SIGKILL);
    check_wait(child, 30);
    hf_store *reader = reader_of("copy");
    struct hf_lock lock;
    CHECK(only_lock(reader, &lock));
    CHECK_EQ(lock.state, HF_LOCK_UNFINISHED);
    CHECK_EQ(lock.thread, 0);
    CHECK_EQ(lock.pid, child);
    CHECK_RC(hf_close(&reader), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {{"stopped", stopped}, {"waited", waited}, {"filled", filled},
                                             {"leased", leased}, {"copied", copied}};
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
