/* SPDX-License-Identifier: MIT */
/*
 * Guarantee E: a handle opened with HF_RDONLY works for another user, on a read-only mount and while a dead writer's stripe
 * awaits repair; it maps without write permission and makes no system call that could change the file or lock it.
 */
#include "puppet.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

const unsigned test_seconds = 60;

static char path[CHECK_PATH];
static bool parent_writes; /* then this process has inherited a mapping for writing, besides its own */

static hf_store *make_store(const char *name) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 1 << 20;
    options.stripes = 2;
    options.max_value = 1000;
    hf_store *store = check_create(name, options);
    parent_writes = true;
    check_path(path, name);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%d", i);
        check_put(store, key, "value");
    }
    return store;
}

/* Is the file mapped here, and nowhere with permission to write? */
static void maps_are_readonly(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], permissions[8];
    unsigned found = 0;
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps)) {
        if (!strstr(line, path))
            continue;
        CHECK(sscanf(line, "%*s %7s", permissions) == 1);
        CHECK(parent_writes || permissions[1] == '-');
        found += permissions[1] == '-';
    }
    fclose(maps);
    CHECK(found > 0);
}

static void stop_writing(hf_store *store) {
    CHECK_RC(hf_close(&store), HF_OK);
    parent_writes = false;
}

/* Everything that a reader may do, and everything that it may not. */
static void read_all(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_info info = HF_INFO_INIT;
    struct hf_stats stats = HF_STATS_INIT;
    struct hf_report report;
    struct hf_item item = HF_ITEM_INIT;
    struct hf_recovery recovery;
    uint64_t cursor = 0, count = 0;
    size_t recoveries;
    char value[16], copy[CHECK_PATH];
    options.flags = HF_RDONLY;
    hf_store *store = check_open(path, &options);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(info.readonly, 1);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%d", i);
        check_value(store, key, "value");
    }
    check_value(store, "nothing", NULL);
    while (hf_scan(store, &cursor, 0, &item) == HF_OK)
        count++;
    CHECK(count >= 100);
    hf_item_free(&item);
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK_RC(hf_recoveries(store, &recovery, 1, &recoveries), HF_OK);
    CHECK_RC(hf_check(store, NULL, &report), HF_OK);
    CHECK(report.entries >= 100);
    CHECK_RC(hf_put(store, "k", 1, "v", 1, NULL, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_delete(store, "key-1", 5, 0), HF_ERR_READONLY);
    CHECK_RC(hf_take(store, "key-1", 5, value, sizeof value, NULL, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_incr(store, "n", 1, 1, NULL, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_append(store, "key-1", 5, "x", 1, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_touch(store, "key-1", 5, 1000), HF_ERR_READONLY);
    CHECK_RC(hf_get_stale(store, "key-1", 5, NULL, 0, NULL, NULL), HF_TRUNCATED);
    CHECK_RC(hf_clear(store), HF_ERR_READONLY);
    CHECK_RC(hf_expire(store, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_repair(store, &report), HF_ERR_READONLY);
    CHECK_RC(hf_copy(store, check_path(copy, "never"), NULL), HF_ERR_READONLY);
    maps_are_readonly();
    CHECK_RC(hf_close(&store), HF_OK);
}

static int read_child(void *unused) {
    (void)unused;
    read_all();
    return 0;
}

/* The child must leave every byte of the file and its times as they are. */
static void reads_without_a_trace(check_body *body) {
    struct stat before, after;
    size_t size, size_after;
    void *bytes = check_read_file(path, &size);
    CHECK_EQ(stat(path, &before), 0);
    check_run(body, NULL);
    CHECK_EQ(stat(path, &after), 0);
    void *bytes_after = check_read_file(path, &size_after);
    CHECK(size == size_after && memcmp(bytes, bytes_after, size) == 0);
    CHECK(before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    free(bytes);
    free(bytes_after);
}

/* ---- Cases --------------------------------------------------------------------------------------------------------------- */

static void plain(void) {
    hf_store *store = make_store("plain");
    reads_without_a_trace(read_child);
    stop_writing(store);
    reads_without_a_trace(read_child);
}

enum { NOBODY = 65534 };

static int as_nobody(void *unused) {
    CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    CHECK(access(path, R_OK) == 0 && access(path, W_OK) != 0);
    hf_store *store = NULL;
    CHECK_RC(hf_open(&store, path, NULL), HF_ERR_SYSTEM);
    CHECK_EQ(errno, EACCES);
    return read_child(unused);
}

static void other_user(void) {
    if (getuid() != 0)
        check_skip("needs root, to become another user");
    char directory[CHECK_PATH];
    hf_store *store = make_store("other-user");
    CHECK_EQ(chmod(path, 0444), 0);
    CHECK_EQ(chmod(check_path(directory, ""), 0755), 0);
    reads_without_a_trace(as_nobody);
    stop_writing(store);
    reads_without_a_trace(as_nobody);
}

static int on_readonly_mount(void *unused) {
    char directory[CHECK_PATH];
    check_path(directory, "");
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        check_skip("needs the right to mount (root)");
    CHECK_EQ(mount(directory, directory, NULL, MS_BIND, NULL), 0);
    CHECK_EQ(mount(NULL, directory, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
    hf_store *store = NULL;
    CHECK_RC(hf_open(&store, path, NULL), HF_ERR_SYSTEM);
    CHECK_EQ(errno, EROFS);
    return read_child(unused);
}

static void readonly_mount(void) {
    hf_store *store = make_store("mounted");
    reads_without_a_trace(on_readonly_mount);
    stop_writing(store);
}

static int put_some(void *store) {
    for (int i = 0; i < 10; i++)
        check_put(store, "in flight", "value");
    return 0;
}

/* A writer died in the middle of an update and nobody has repaired its stripe. */
static void awaiting_repair(void) {
    struct puppet *puppet = puppet_new();
    for (unsigned n = 1; n < 20; n++) {
        unlink(path);
        hf_store *store = make_store("awaiting");
        CHECK(puppet_killed_at(puppet, n, put_some, store));
        check_at("writer killed at point %u, %s", n, puppet->point);
        reads_without_a_trace(read_child);
        struct hf_info info = HF_INFO_INIT;
        CHECK_RC(hf_info(store, &info), HF_OK);
        CHECK(info.unfinished <= 1);
        stop_writing(store);
        reads_without_a_trace(read_child);
    }
}

/* ---- strace -------------------------------------------------------------------------------------------------------------- */

static int traced(void *unused) {
    (void)unused;
    char output[CHECK_PATH], self[CHECK_PATH];
    check_path(output, "strace.out");
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    self[length] = 0;
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* which cannot work in a traced process */
    execlp("strace", "strace", "-f", "-qq", "-o", output, self, "--read", path, (char *)NULL);
    check_skip("strace is not installed");
}

/* One line of strace's output that concerns the store, or any kind of lock. Elsewhere the calls are named open, mmap2, ... */
static void judge(const char *line) {
    static const char *const forbidden[] = {"F_SETLK", "F_OFD_SETLK", "flock(", "ftruncate", "fallocate", "msync(", "pwrite",
                                            "fchmod(", "utimensat(", "fdatasync(", "fsync(", "FUTEX_LOCK_PI"};
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (strstr(line, forbidden[i]))
            check_failed(__FILE__, __LINE__, "a reader made a forbidden system call: %s", line);
    if (strstr(line, path) && strstr(line, "open") && !strstr(line, "execve") && !strstr(line, "O_RDONLY"))
        check_failed(__FILE__, __LINE__, "a reader opened the file for more than reading: %s", line);
    if (strstr(line, "mmap") && strstr(line, "MAP_SHARED") && strstr(line, "PROT_WRITE") && !strstr(line, "MAP_ANONYMOUS"))
        check_failed(__FILE__, __LINE__, "a reader mapped a file for writing: %s", line);
}

static void system_calls(void) {
    hf_store *store = make_store("traced");
    stop_writing(store);
    check_run(traced, NULL);
    char output[CHECK_PATH], line[1024];
    FILE *trace = fopen(check_path(output, "strace.out"), "r");
    unsigned opened = 0, mapped = 0;
    CHECK(trace != NULL);
    while (fgets(line, sizeof line, trace)) {
        judge(line);
        opened += strstr(line, path) && strstr(line, "open") && strstr(line, "O_RDONLY");
        mapped += strstr(line, "mmap") && strstr(line, "MAP_SHARED") && strstr(line, "PROT_READ");
    }
    fclose(trace);
    CHECK(opened >= 1 && mapped >= 1);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"plain", plain},
        {"other-user", other_user},
        {"readonly-mount", readonly_mount},
        {"awaiting-repair", awaiting_repair},
        {"system-calls", system_calls},
    };
    if (check_argument(argc, argv, "--read")) { /* the process that system_calls traces */
        snprintf(path, sizeof path, "%s", check_text(argc, argv, "--read", ""));
        read_all();
        return 0;
    }
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
