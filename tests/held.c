/* SPDX-License-Identifier: MIT */
/*
 * hf_locks: holders that run, stop and die, at every point of a put; waiters; what a copied file shows. Asked through a read-only
 * handle, which must not be kept waiting. Needs the test build of the library.
 */
#include "puppet.h"

#include <signal.h>
#include <sys/syscall.h>

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

/* The words of a file that was copied while a lock was held name nobody; that a put was never ended is seen. */
static void copied(void) {
    char path[CHECK_PATH];
    size_t size;
    hf_store *store = check_create("copied", check_small_store(0));
    check_put(store, "held", "old");
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
    static const struct check_case cases[] = {{"stopped", stopped}, {"waited", waited}, {"copied", copied}};
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
