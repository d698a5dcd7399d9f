/* SPDX-License-Identifier: MIT */
/*
 * What robust mutexes do to a program that is not careful: stopped and dead holders, closing while a lock is held, signal
 * handlers that write, and the entry that glibc leaves behind when a timed lock fails. Needs the test build of the library.
 */
#include "fault.h"
#include "layout.h"
#include "puppet.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

const unsigned test_seconds = 120;

enum { TIMEOUT_MS = 300 };

static struct hf_options with_stripes(uint32_t stripes) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 1 << 20;
    options.max_value = 1000;
    options.stripes = stripes;
    options.timeout_ms = TIMEOUT_MS;
    return options;
}

/* ---- A child that stops inside a put, with the stripe's lock ------------------------------------------------------------- */

struct holder {
    struct puppet *puppet;
    pid_t child;
};

static int put_new(void *store) {
    check_put(store, "held", "new");
    return 0;
}

/* Stopped at the n-th point of the put; child 0: it has no such point. */
static struct holder stop_holder_at(hf_store *store, unsigned point) {
    struct holder holder = {puppet_new(), 0};
    holder.child = puppet_stopped_at(holder.puppet, point, put_new, store);
    return holder;
}

static struct holder stop_holder(hf_store *store) {
    struct holder holder = stop_holder_at(store, 2);
    CHECK(holder.child != 0);
    return holder;
}

static int put_in_vain(void *store) {
    double start = check_seconds();
    CHECK_RC(hf_put(store, "held", 4, "mine", 4, NULL, NULL), HF_ERR_TIMEOUT);
    CHECK(check_seconds() - start > 0.9 * TIMEOUT_MS / 1000);
    CHECK(strlen(hf_explain()) > 10);
    return 0;
}

static void stopped_holder(void) {
    hf_store *store = check_create("stopped", with_stripes(4));
    check_put(store, "held", "old");
    struct holder holder = stop_holder(store);
    check_ended(check_spawn(put_in_vain, store), 5);
    check_value(store, "held", "old");
    unsigned accepted = 0, refused = 0;
    for (unsigned i = 0; i < 16; i++) {
        char key[16];
        int length = snprintf(key, sizeof key, "key-%u", i);
        int rc = hf_put(store, key, (size_t)length, "v", 1, NULL, NULL);
        CHECK(rc == HF_OK || rc == HF_ERR_TIMEOUT);
        rc == HF_OK ? accepted++ : refused++;
    }
    CHECK(accepted >= 4 && refused < 16); /* other stripes go on */
    CHECK_RC(hf_check(store, NULL, NULL), HF_ERR_TIMEOUT);
    kill(holder.child, SIGCONT);
    check_ended(holder.child, 10);
    check_value(store, "held", "new");
    check_put(store, "held", "mine");
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- A holder that becomes another program ------------------------------------------------------------------------------- */

static void become_sleep(const char *point) {
    (void)point;
    execl("/bin/sleep", "sleep", "20", (char *)NULL);
    _exit(1);
}

static void *put_in_thread(void *store) {
    hf__point_hook = become_sleep;
    check_put(store, "held", "new");
    return NULL;
}

static int exec_while_holding(void *store) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, put_in_thread, store), 0);
    pthread_join(thread, NULL);
    return 1;
}

/* In a thread that is not the first, where the kernel forgets its locks. The program it becomes lives on. */
static void replaced_holder(void) {
    hf_store *store = check_create("replaced", with_stripes(1));
    struct hf_stats stats = HF_STATS_INIT;
    int ends[2];
    char none;
    check_put(store, "held", "old");
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_t holder = check_spawn(exec_while_holding, store);
    close(ends[1]);
    CHECK_EQ(read(ends[0], &none, 1), 0); /* closed by the execve */
    check_value(store, "held", "old");
    check_put(store, "held", "mine");
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_EQ(stats.recoveries, 1);
    check_sound(store);
    kill(holder, SIGKILL);
    CHECK(check_killed(check_wait(holder, 5)));
    close(ends[0]);
    CHECK_RC(hf_close(&store), HF_OK);
}

static int put_mine(void *store) {
    check_put(store, "held", "mine");
    return 0;
}

/* Who sleeps in the lock is woken when its holder goes on, long before its slice of a second ends: the best of a few, for the
 * machine may be busy. */
static void woken(void) {
    struct hf_options options = with_stripes(1);
    options.timeout_ms = 20000;
    hf_store *store = check_create("woken", options);
    double best = 1e9;
    for (unsigned i = 0; i < 5; i++) {
        struct holder holder = stop_holder(store);
        pid_t waiter = check_spawn(put_mine, store);
        check_sleep_ms(50);
        double start = check_seconds();
        kill(holder.child, SIGCONT);
        check_ended(waiter, 10);
        double waited = check_seconds() - start;
        best = waited < best ? waited : best;
        check_ended(holder.child, 10);
    }
    CHECK(best < 0.5);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* Others sleep in the lock when its holder is killed, at whatever point: they are woken, and the first of them repairs. */
static void killed_holder(void) {
    struct hf_options options = with_stripes(1);
    options.timeout_ms = 20000;
    hf_store *store = check_create("killed", options);
    check_put(store, "held", "old");
    unsigned holders = 0, points = 0;
    for (struct holder holder; (holder = stop_holder_at(store, points + 1)).child != 0; points++) {
        check_at("holder killed at point %u, %s", points + 1, holder.puppet->point);
        holders += strcmp(holder.puppet->point, "unlocked") != 0;
        pid_t waiters[3];
        for (unsigned i = 0; i < 3; i++)
            waiters[i] = check_spawn(put_mine, store);
        check_sleep_ms(5);
        double start = check_seconds();
        kill(holder.child, SIGKILL);
        CHECK(check_killed(check_wait(holder.child, 10)));
        for (unsigned i = 0; i < 3; i++)
            check_ended(waiters[i], 10);
        CHECK(check_seconds() - start < 5);
        check_value(store, "held", "mine");
    }
    struct hf_stats stats = HF_STATS_INIT;
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK(points > 8);
    CHECK_EQ(stats.recoveries, holders);
    CHECK(stats.contended > 0);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- glibc's pending entry ----------------------------------------------------------------------------------------------- */

/* Where the file is mapped in this process, or NULL. */
static void *mapping_of(const char *path, size_t *size) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    uintptr_t from = 0, to = 0, lowest = 0, highest = 0;
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps)) {
        if (!strstr(line, path))
            continue;
        CHECK(sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2);
        lowest = lowest ? lowest : from;
        highest = to;
    }
    fclose(maps);
    *size = highest - lowest;
    return (void *)lowest; /* NOLINT: an address of our own map */
}

struct trap {
    char path[CHECK_PATH];
    int fd; /* other memory, mapped where the store was */
    uint32_t thread_id;
};

/* Times out on the lock, closes, and ends with its own thread id standing where the lock word was: not to be touched. */
static int fall_into_trap(void *argument) {
    struct trap *trap = argument;
    struct hf_options options = with_stripes(1);
    hf_store *store = check_open(trap->path, &options);
    size_t size, left;
    unsigned char *base = mapping_of(trap->path, &size);
    CHECK(base != NULL && size > HF__STRIPES_AT);
    CHECK_RC(hf_put(store, "held", 4, "mine", 4, NULL, NULL), HF_ERR_TIMEOUT);
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK(mapping_of(trap->path, &left) == NULL);
    unsigned char *other = mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, trap->fd, 0);
    CHECK(other == base);
    trap->thread_id = (uint32_t)syscall(SYS_gettid);
    uint32_t *words = (uint32_t *)(void *)(other + HF__STRIPES_AT);
    for (unsigned i = 0; i < HF__LINE / 4; i++)
        words[i] = trap->thread_id;
    return 0;
}

static void pending_entry(void) {
    hf_store *store = check_create("pending", with_stripes(1));
    struct trap *trap = check_shared(sizeof *trap);
    check_path(trap->path, "pending");
    struct hf_info info = HF_INFO_INIT;
    CHECK_RC(hf_info(store, &info), HF_OK);
    trap->fd = memfd_create("holdfast-trap", MFD_CLOEXEC);
    CHECK(trap->fd >= 0 && ftruncate(trap->fd, (off_t)info.file_size) == 0);
    struct holder holder = stop_holder(store);
    CHECK_RC(hf_close(&store), HF_OK); /* the child that falls into the trap has a mapping of its own */
    check_run(fall_into_trap, trap);
    uint32_t words[HF__LINE / 4];
    CHECK_EQ(pread(trap->fd, words, sizeof words, HF__STRIPES_AT), sizeof words);
    for (unsigned i = 0; i < HF__LINE / 4; i++)
        if (words[i] != trap->thread_id)
            check_failed(__FILE__, __LINE__, "the kernel changed word %u of unrelated memory from 0x%x to 0x%x", i,
                         trap->thread_id, words[i]);
    close(trap->fd);
    kill(holder.child, SIGKILL);
    check_wait(holder.child, 10);
}

/* ---- Closing while a lock is held ---------------------------------------------------------------------------------------- */

static jmp_buf escape;
extern void (*hf__point_hook)(const char *point);

static void leave(const char *point) {
    (void)point;
    hf__point_hook = NULL;
    longjmp(escape, 1);
}

/* Leaves a put by longjmp, which keeps the lock, then closes and ends. */
static int close_held(void *store) {
    hf_store *handle = store;
    hf__point_hook = leave;
    if (setjmp(escape) == 0) {
        check_put(handle, "held", "half");
        return 1;
    }
    CHECK_RC(hf_close(&handle), HF_ERR_BUSY);
    CHECK(handle == NULL);
    return 0;
}

static void closed_held(void) {
    hf_store *store = check_create("close", with_stripes(1));
    check_put(store, "held", "old");
    check_run(close_held, store);
    check_value(store, "held", "old");
    check_put(store, "held", "next");
    struct hf_recovery recovery;
    size_t count = 0;
    CHECK_RC(hf_recoveries(store, &recovery, 1, &count), HF_OK);
    CHECK_EQ(count, 1);
    CHECK_EQ(recovery.cause, HF_CAUSE_DEATH);
    CHECK_EQ(recovery.operation, HF_OP_PUT);
    CHECK_EQ(recovery.verdict, HF_VERDICT_OLD);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Signal handlers ----------------------------------------------------------------------------------------------------- */

static hf_store *handler_store;
static volatile sig_atomic_t handled, inside;

/* Interrupts a call that holds the only stripe: writes are refused, reads work. */
static void on_signal(int number) {
    (void)number;
    char value[64];
    int expected = inside ? HF_ERR_REENTERED : HF_OK;
    handled++;
    CHECK_RC(hf_put(handler_store, "handler", 7, "x", 1, NULL, NULL), expected);
    int rc = hf_delete(handler_store, "handler", 7, 0);
    CHECK(inside ? rc == HF_ERR_REENTERED : rc == HF_OK);
    CHECK_RC(hf_get(handler_store, "other", 5, value, sizeof value, NULL, NULL), HF_OK);
    rc = hf_get(handler_store, "held", 4, value, sizeof value, NULL, NULL);
    if (rc != HF_NOTFOUND)
        CHECK_RC(rc, HF_OK);
}

static void interrupt(const char *point) {
    void (*kept)(const char *) = hf__point_hook;
    hf__point_hook = NULL;
    inside = strcmp(point, "unlocked") != 0;
    check_at("reentered at point %s", point);
    raise(SIGUSR1);
    hf__point_hook = kept;
}

static void reentered(void) {
    handler_store = check_create("signal", with_stripes(1));
    check_put(handler_store, "other", "there");
    signal(SIGUSR1, on_signal);
    const char *values[] = {"first", "second", "third, which is longer"};
    for (unsigned i = 0; i < 3; i++) {
        hf__point_hook = interrupt;
        check_put(handler_store, "held", values[i]);
        hf__point_hook = NULL;
        check_value(handler_store, "held", values[i]);
    }
    hf__point_hook = interrupt;
    CHECK_RC(hf_delete(handler_store, "held", 4, 0), HF_OK);
    hf__point_hook = NULL;
    CHECK(handled > 20);
    check_sound(handler_store);
    signal(SIGUSR1, SIG_DFL);
    CHECK_RC(hf_close(&handler_store), HF_OK);
}

/* ---- The log callback ---------------------------------------------------------------------------------------------------- */

static struct {
    unsigned calls;
    struct hf_recovery last;
    hf_store *store;
    bool writes_everywhere;
} told;

static void on_recovery(void *context, const struct hf_recovery *recovery) {
    CHECK(context == &told);
    told.calls++;
    told.last = *recovery;
    check_value(told.store, "other", "there");
    check_put(told.store, "from-callback", "x"); /* no lock is held: not of this stripe ... */
    for (char key = 'a'; told.writes_everywhere && key <= 'z'; key++) /* ... nor of any other */
        CHECK_RC(hf_put(told.store, &key, 1, "x", 1, NULL, NULL), HF_OK);
}

static void logged(void) {
    struct hf_options options = with_stripes(1);
    options.log = on_recovery;
    options.log_context = &told;
    told.store = check_create("logged", options);
    check_put(told.store, "other", "there");
    struct holder holder = stop_holder(told.store);
    kill(holder.child, SIGKILL);
    check_wait(holder.child, 10);
    CHECK_EQ(told.calls, 0);
    check_put(told.store, "held", "mine");
    CHECK_EQ(told.calls, 1);
    CHECK_EQ(told.last.sequence, 1);
    CHECK_EQ(told.last.pid, holder.child);
    CHECK_EQ(told.last.repairer, getpid());
    CHECK_EQ(told.last.cause, HF_CAUSE_DEATH);
    CHECK_EQ(told.last.operation, HF_OP_PUT);
    CHECK_EQ(told.last.verdict, HF_VERDICT_OLD);
    CHECK(told.last.key_hash != 0 && told.last.dropped == 0 && told.last.time_ms > 0);
    check_value(told.store, "from-callback", "x");
    CHECK_RC(hf_close(&told.store), HF_OK);
}

/* What locks all stripes at once tells of recoveries when it has released all of them. */
static void logged_by_copy(void) {
    struct hf_options options = with_stripes(4);
    char path[CHECK_PATH];
    options.log = on_recovery;
    options.log_context = &told;
    told.calls = 0;
    told.writes_everywhere = true;
    told.store = check_create("logged-by-copy", options);
    check_put(told.store, "other", "there");
    struct holder holder = stop_holder(told.store);
    CHECK_RC(hf_copy(told.store, check_path(path, "copied"), NULL), HF_ERR_TIMEOUT);
    CHECK(access(path, F_OK) != 0);
    kill(holder.child, SIGKILL);
    check_wait(holder.child, 10);
    CHECK_RC(hf_copy(told.store, path, NULL), HF_OK);
    CHECK_EQ(told.calls, 1);
    CHECK_RC(hf_close(&told.store), HF_OK);
    hf_store *copy = check_open(path, NULL);
    check_value(copy, "other", "there");
    check_sound(copy);
    CHECK_RC(hf_close(&copy), HF_OK);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"stopped-holder", stopped_holder}, {"woken", woken},
        {"replaced-holder", replaced_holder},
        {"killed-holder", killed_holder},   {"pending-entry", pending_entry},
        {"closed-held", closed_held},       {"reentered", reentered},         {"logged", logged},
        {"logged-by-copy", logged_by_copy},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
