/* SPDX-License-Identifier: MIT */
/*
 * Every call of the library, for syscalls.c: once for each way it takes through the kernel (those about the whole store are in
 * syscalls_whole.c, fills and waits in syscalls_wait.c). A call that meets another process (a second writer, the holder of a
 * lock, a dead owner) makes it before the mark and ends it after. Links with the test build of the library, whose named points
 * (fault.h) tell when a lock is held.
 */
#include "fault.h"
#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int held_ms(const struct stage *stage) {
    return stage->rehearsal ? 0 : 30;
}

/* ---- Another process ------------------------------------------------------------------------------------------------------ */

atomic_int *turn;

/* Without a system call, so that it adds none to the call that it lengthens. */
static void spin_ms(long milliseconds) {
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += milliseconds * 1000000;
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - end.tv_sec) * 1000000000 + now.tv_nsec - end.tv_nsec < 0);
}

void rest_ms(int milliseconds) {
    poll(NULL, 0, milliseconds);
}

bool await_turn(int wanted) {
    for (int i = 0; i < 5000 && atomic_load(turn) < wanted; i++)
        rest_ms(1);
    return atomic_load(turn) >= wanted;
}

/* The child ends by _exit(body()), and with its parent. Waits until it is ready. */
static bool begin_child(struct stage *stage, int (*body)(struct stage *)) {
    turn = mmap(NULL, sizeof *turn, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (turn == MAP_FAILED || (stage->child = fork()) < 0)
        return false;
    if (stage->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(body(stage));
    }
    return await_turn(1);
}

void end_child(struct stage *stage) {
    int status = 0;
    bool killed = atomic_load(turn) < 2 && kill(stage->child, SIGKILL) == 0;
    waitpid(stage->child, &status, 0);
    if (!killed && status != 0)
        stage->wrong = "the other process fared well";
    munmap(turn, sizeof *turn);
}

hf_store *open_as_writer(const struct stage *stage) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    options.timeout_ms = 3000;
    if (hf_open(&store, stage->path, &options) != HF_OK)
        _exit(2);
    return store;
}

/* ---- Open and close ------------------------------------------------------------------------------------------------------- */

int open_with(hf_store **store, const char *path, uint32_t flags) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = flags;
    options.timeout_ms = 2000;
    options.capacity = 1 << 20;
    return hf_open(store, path, &options);
}

int open_rw(struct stage *stage) {
    return open_with(&stage->store, stage->path, 0);
}

static int open_ro(struct stage *stage) {
    return open_with(&stage->store, stage->path, HF_RDONLY);
}

static int open_again(struct stage *stage) {
    return open_with(&stage->second, stage->path, 0);
}

static int create(struct stage *stage) {
    return open_with(&stage->store, stage->made, HF_CREATE | HF_EXCLUSIVE);
}

static int stay_a_writer(struct stage *stage) {
    open_as_writer(stage);
    atomic_store(turn, 1);
    return pause();
}

static bool before_join(struct stage *stage) {
    return begin_child(stage, stay_a_writer);
}

/* Stands in the way of the election for a while, as a first writer does that has much to verify. */
static int stay_elected(struct stage *stage) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open(stage->path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || (!stage->rehearsal && fcntl(fd, F_OFD_SETLK, &lock) != 0))
        return 2;
    atomic_store(turn, 2);
    rest_ms(held_ms(stage));
    return 0;
}

static bool before_election(struct stage *stage) {
    return begin_child(stage, stay_elected);
}

static bool before_fd(struct stage *stage) {
    stage->fd = open(stage->path, O_RDWR | O_CLOEXEC);
    return stage->fd >= 0;
}

static bool before_empty_fd(struct stage *stage) {
    stage->fd = open(stage->made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return stage->fd >= 0;
}

static void after_fd(struct stage *stage) {
    close(stage->fd);
}

static int open_fd_with(struct stage *stage, uint32_t flags) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = flags;
    options.timeout_ms = 2000;
    options.capacity = 1 << 20;
    return hf_open_fd(&stage->store, stage->fd, &options);
}

static int open_fd(struct stage *stage) {
    return open_fd_with(stage, 0);
}

static int open_fd_ro(struct stage *stage) {
    return open_fd_with(stage, HF_RDONLY);
}

static int create_fd(struct stage *stage) {
    return open_fd_with(stage, HF_CREATE);
}

static int anonymous(struct stage *stage) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 1 << 20;
    return hf_open_anonymous(&stage->store, &options);
}

static int close_it(struct stage *stage) {
    int result = hf_close(&stage->store);
    EXPECT(stage, stage->store == NULL);
    return result;
}

/* ---- Read ----------------------------------------------------------------------------------------------------------------- */

static int get(struct stage *stage) {
    char value[16];
    size_t length = 0;
    int result = hf_get(stage->store, "k1", 2, value, sizeof value, &length, NULL);
    EXPECT(stage, result != HF_OK || (length == 2 && memcmp(value, "v1", 2) == 0));
    return result;
}

static int get_many(struct stage *stage) {
    char values[2][16];
    struct hf_get_request requests[2] = {{.key = "k1", .key_len = 2, .buffer = values[0], .size = sizeof values[0]},
                                         {.key = "k2", .key_len = 2, .buffer = values[1], .size = sizeof values[1]}};
    int result = hf_get_many(stage->store, requests, 2);
    EXPECT(stage, result != HF_OK || (requests[1].value_len == 2 && memcmp(values[1], "v2", 2) == 0));
    return result;
}

static int get_dup(struct stage *stage) {
    size_t length = 0;
    int result = hf_get_dup(stage->store, "big", 3, &stage->value, &length, NULL);
    EXPECT(stage, result == HF_OK ? length == 3000 && strlen(stage->value) == 3000 : stage->value == NULL);
    return result;
}

static void free_value(struct stage *stage) {
    free(stage->value);
}

static int exists(struct stage *stage) {
    return hf_exists(stage->store, "k1", 2, NULL);
}

static int scan(struct stage *stage) {
    uint64_t cursor = 0;
    unsigned met = 0;
    int result;
    while ((result = hf_scan(stage->store, &cursor, 0, &stage->item)) == HF_OK)
        met++;
    EXPECT(stage, result != HF_END || met == 11);
    return result == HF_END ? HF_OK : result;
}

static void free_item(struct stage *stage) {
    hf_item_free(&stage->item);
}

static int count(struct stage *stage) {
    uint64_t entries = 0;
    int result = hf_count(stage->store, &entries);
    EXPECT(stage, entries == 11);
    return result;
}

/* ---- Write ---------------------------------------------------------------------------------------------------------------- */

static int put(struct stage *stage) {
    return hf_put(stage->store, "k1", 2, "new", 3, NULL, NULL);
}

static int put_many(struct stage *stage) {
    struct hf_put_request requests[2] = {{.key = "k1", .key_len = 2, .value = "new", .value_len = 3},
                                         {.key = "k2", .key_len = 2, .value = "new", .value_len = 3}};
    return hf_put_many(stage->store, requests, 2);
}

static int delete_it(struct stage *stage) {
    return hf_delete(stage->store, "k1", 2, 0);
}

static int take(struct stage *stage) {
    char value[16];
    size_t length = 0;
    int result = hf_take(stage->store, "k1", 2, value, sizeof value, &length, NULL);
    EXPECT(stage, result != HF_OK || (length == 2 && memcmp(value, "v1", 2) == 0));
    return result;
}

static int incr(struct stage *stage) {
    int64_t sum = 0;
    int result = hf_incr(stage->store, "n", 1, 1, NULL, &sum);
    EXPECT(stage, result != HF_OK || sum > 41);
    return result;
}

static int append(struct stage *stage) {
    return hf_append(stage->store, "k1", 2, "+", 1, NULL);
}

static int touch(struct stage *stage) {
    return hf_touch(stage->store, "k1", 2, 86400000);
}

static int clear(struct stage *stage) {
    return hf_clear(stage->store);
}

static int expire(struct stage *stage) {
    return hf_expire(stage->store, NULL);
}

/* The same value again, by the other process: nothing that a dump shows. */
static int put_same(struct stage *stage) {
    hf_store *store = open_as_writer(stage);
    atomic_store(turn, 1);
    if (!await_turn(2))
        return 3;
    return hf_put(store, "k1", 2, "v1", 2, NULL, NULL) == HF_OK ? 0 : 4;
}

static const struct stage *held_on;

static void hold_at_unlock(const char *point) {
    if (strcmp(point, "unlock") != 0)
        return;
    atomic_store(turn, 3);
    rest_ms(held_ms(held_on));
}

static int hold_a_lock(struct stage *stage) {
    held_on = stage;
    hf__point_hook = hold_at_unlock;
    return put_same(stage);
}

bool meet(struct stage *stage, int (*body)(struct stage *)) {
    return begin_child(stage, body) && open_rw(stage) == HF_OK;
}

static bool before_wait(struct stage *stage) {
    if (!meet(stage, hold_a_lock))
        return false;
    atomic_store(turn, 2);
    return await_turn(3);
}

static bool before_wake(struct stage *stage) {
    return meet(stage, put_same);
}

static void let_wait_at_unlock(const char *point) {
    if (strcmp(point, "unlock") != 0)
        return;
    atomic_store(turn, 2);
    spin_ms(held_ms(held_on));
}

static int put_and_wake(struct stage *stage) {
    held_on = stage;
    hf__point_hook = let_wait_at_unlock;
    int result = hf_put(stage->store, "k2", 2, "new", 3, NULL, NULL);
    hf__point_hook = NULL;
    return result;
}

static void die_when_published(const char *point) {
    if (strcmp(point, "published") == 0)
        raise(SIGKILL);
}

static int die_in_a_lock(struct stage *stage) {
    hf__point_hook = die_when_published;
    return put_same(stage);
}

static bool before_recovery(struct stage *stage) {
    int status;
    if (!meet(stage, die_in_a_lock))
        return false;
    atomic_store(turn, 2);
    return waitpid(stage->child, &status, 0) == stage->child && WIFSIGNALED(status);
}

static void after_recovery(struct stage *stage) {
    (void)stage;
    munmap(turn, sizeof *turn);
}

/* ---- The table ------------------------------------------------------------------------------------------------------------ */

const struct call calls[] = {
    {"open", CLOSED, open_rw, NULL, NULL},
    {"open-readonly", CLOSED, open_ro, NULL, NULL},
    {"open-again", WRITER, open_again, NULL, NULL},
    {"open-joins", CLOSED, open_rw, before_join, end_child},
    {"open-waits", CLOSED, open_rw, before_election, end_child},
    {"create", CLOSED, create, NULL, NULL},
    {"open_fd", CLOSED, open_fd, before_fd, after_fd},
    {"open_fd-readonly", CLOSED, open_fd_ro, before_fd, after_fd},
    {"open_fd-creates", CLOSED, create_fd, before_empty_fd, after_fd},
    {"open_anonymous", CLOSED, anonymous, NULL, NULL},
    {"close", WRITER, close_it, NULL, NULL},
    {"close-readonly", READER, close_it, NULL, NULL},
    {"get", WRITER, get, NULL, NULL},
    {"get_many", READER, get_many, NULL, NULL},
    {"get_dup", READER, get_dup, NULL, free_value},
    {"exists", READER, exists, NULL, NULL},
    {"scan", READER, scan, NULL, free_item},
    {"count", READER, count, NULL, NULL},
    {"put", WRITER, put, NULL, NULL},
    {"put_many", WRITER, put_many, NULL, NULL},
    {"put-waits", CLOSED, put, before_wait, end_child},
    {"put-wakes", CLOSED, put_and_wake, before_wake, end_child},
    {"put-recovers", CLOSED, put, before_recovery, after_recovery},
    {"put_many-waits", CLOSED, put_many, before_wait, end_child},
    {"put_many-recovers", CLOSED, put_many, before_recovery, after_recovery},
    {"delete", WRITER, delete_it, NULL, NULL},
    {"take", WRITER, take, NULL, NULL},
    {"incr", WRITER, incr, NULL, NULL},
    {"append", WRITER, append, NULL, NULL},
    {"touch", WRITER, touch, NULL, NULL},
    {"clear", WRITER, clear, NULL, NULL},
    {"expire", WRITER, expire, NULL, NULL},
    {"fill", CLOSED, fill, before_fill, NULL},
    {"fill-waits", CLOSED, fill, before_shared_fill, end_child},
    {"wait", WRITER, wait_for_key, NULL, NULL},
    {"wait-woken", CLOSED, wait_for_change, before_change, end_child},
    {"wait-readonly", READER, wait_for_key, NULL, NULL},
    {"wait_any", WRITER, wait_for_any, NULL, NULL},
    {"sync", WRITER, sync_it, NULL, NULL},
    {"copy", WRITER, copy, NULL, NULL},
    {"copy-replaces", WRITER, copy_over, before_replace, NULL},
    {"check", WRITER, check, NULL, NULL},
    {"check-readonly", READER, check, NULL, NULL},
    {"repair", WRITER, repair, NULL, NULL},
    {"info", WRITER, info, NULL, NULL},
    {"info-detached", CLOSED, info_of_detached, before_detached, NULL},
    {"stats", READER, stats, NULL, NULL},
    {"recoveries", READER, recoveries, NULL, NULL},
    {"locks", READER, locks, NULL, NULL},
};
const unsigned call_count = sizeof calls / sizeof *calls;
