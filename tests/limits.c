/* SPDX-License-Identifier: MIT */
/*
 * A machine that runs out of something: descriptors, memory, file size, disk, /proc, random numbers. Every call says so, leaves
 * nothing behind, and the store goes on when there is enough again. Through the public interface, in children, whose limits and
 * mounts are their own.
 */
#include "check.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

const unsigned test_seconds = 60;

static void set_limit(int resource, rlim_t value) {
    struct rlimit limit;
    CHECK_EQ(getrlimit(resource, &limit), 0);
    limit.rlim_cur = value;
    CHECK_EQ(setrlimit(resource, &limit), 0);
}

static size_t files_in_directory(void) {
    char path[CHECK_PATH];
    return check_entries_of(check_path(path, ""));
}

/* ---- Descriptors --------------------------------------------------------------------------------------------------------- */

enum call { CREATE, OPEN, OPEN_READONLY, OPEN_FD, ANONYMOUS, COPY, COPY_OVER };

/* Makes the call; on success undoes what it made. */
static int make_call(enum call call, hf_store *store, int fd) {
    struct hf_options options = check_small_store(call == CREATE ? HF_CREATE : call == OPEN_READONLY ? HF_RDONLY : 0);
    struct hf_copy_options copy = HF_COPY_INIT;
    char path[CHECK_PATH];
    hf_store *opened = NULL;
    copy.replace = call == COPY_OVER;
    int rc;
    if (call == COPY || call == COPY_OVER)
        rc = hf_copy(store, check_path(path, "made"), &copy);
    else if (call == OPEN_FD)
        rc = hf_open_fd(&opened, fd, &options);
    else if (call == ANONYMOUS)
        rc = hf_open_anonymous(&opened, &options);
    else
        rc = hf_open(&opened, check_path(path, call == CREATE ? "made" : "other"), &options);
    CHECK(rc == HF_OK || opened == NULL);
    if (rc == HF_OK && opened)
        CHECK_RC(hf_close(&opened), HF_OK);
    if (rc == HF_OK && call != OPEN && call != OPEN_READONLY && call != OPEN_FD && call != ANONYMOUS)
        CHECK_EQ(unlink(check_path(path, "made")), 0);
    return rc;
}

/* With 0, 1, 2, ... free descriptors, until the call succeeds. */
static unsigned until_enough(enum call call, hf_store *store, int fd) {
    size_t files = files_in_directory();
    int lowest = dup(fd);
    close(lowest);
    for (unsigned free = 0; free < 20; free++) {
        check_at("call %d with %u descriptors", call, free);
        set_limit(RLIMIT_NOFILE, (rlim_t)lowest + free);
        int rc = make_call(call, store, fd), error = errno;
        set_limit(RLIMIT_NOFILE, 256);
        if (call == CREATE && rc != HF_OK && files_in_directory() > files)
            CHECK_RC(make_call(CREATE, NULL, -1), HF_OK); /* made, but not opened: it must be whole */
        CHECK_EQ(files_in_directory(), files);
        int next = dup(fd);
        close(next);
        CHECK_EQ(next, lowest); /* none has leaked */
        if (rc == HF_OK)
            return free;
        CHECK_RC(rc, HF_ERR_SYSTEM);
        CHECK(error == EMFILE || strstr(hf_explain(), "/proc"));
        CHECK(strlen(hf_explain()) > 10);
    }
    check_failed(__FILE__, __LINE__, "20 descriptors are not enough");
}

static int few_descriptors(void *argument) {
    hf_store *store = argument;
    char path[CHECK_PATH];
    int fd = open(check_path(path, "other"), O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    for (enum call call = CREATE; call <= COPY_OVER; call++)
        CHECK(until_enough(call, store, fd) > 0);
    check_value(store, "key", "value");
    return 0;
}

/* ---- Memory -------------------------------------------------------------------------------------------------------------- */

static rlim_t memory_in_use(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

enum { LARGE = 8 << 20 };

static int little_memory(void *argument) {
    hf_store *store = argument;
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    void *value = NULL;
    set_limit(RLIMIT_AS, memory_in_use() + (512 << 10));
    CHECK_RC(hf_get_dup(store, "large", 5, &value, NULL, NULL), HF_ERR_MEMORY);
    CHECK(value == NULL && strstr(hf_explain(), "memory"));
    int rc = hf_scan(store, &cursor, 0, &item);
    if (rc == HF_OK) /* the small one came first */
        rc = hf_scan(store, &cursor, 0, &item);
    CHECK_RC(rc, HF_ERR_MEMORY);
    hf_item_free(&item);
    for (enum call call = CREATE; call <= COPY_OVER; call++)
        if (call != OPEN_FD)
            CHECK_RC(make_call(call, store, -1), HF_ERR_MEMORY);
    set_limit(RLIMIT_AS, RLIM_INFINITY);
    CHECK_RC(hf_get_dup(store, "large", 5, &value, NULL, NULL), HF_OK);
    free(value);
    check_value(store, "key", "value");
    CHECK_EQ(files_in_directory(), 2);
    return 0;
}

/* ---- Sizes of files ------------------------------------------------------------------------------------------------------ */

/* Called after each part of a copy was written: now the next one cannot be. */
static void stop_writing(void *context, uint64_t done, uint64_t total) {
    (void)context;
    CHECK(done < total);
    set_limit(RLIMIT_FSIZE, 4096);
}

static int small_files(void *argument) {
    hf_store *store = argument, *none = NULL;
    struct hf_copy_options copy = HF_COPY_INIT;
    char path[CHECK_PATH];
    signal(SIGXFSZ, SIG_IGN);
    const rlim_t limits[] = {0, 4096, 100000};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        set_limit(RLIMIT_FSIZE, limits[i]);
        CHECK_RC(make_call(CREATE, NULL, -1), HF_ERR_SYSTEM);
        CHECK_EQ(errno, EFBIG);
        CHECK_RC(make_call(ANONYMOUS, NULL, -1), HF_ERR_SYSTEM);
        CHECK_RC(make_call(COPY, store, -1), HF_ERR_SYSTEM);
        CHECK_EQ(files_in_directory(), 2);
    }
    set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
    copy.progress = stop_writing;
    CHECK_RC(hf_copy(store, check_path(path, "made"), &copy), HF_ERR_SYSTEM);
    CHECK_EQ(errno, EFBIG);
    CHECK_EQ(files_in_directory(), 2);
    set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
    CHECK_RC(make_call(COPY, store, -1), HF_OK);
    CHECK_RC(hf_open(&none, path, NULL), HF_NOTFOUND);
    return 0;
}

/* ---- /proc --------------------------------------------------------------------------------------------------------------- */

static void mount_over(const char *target, const char *type, const char *options) {
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        check_skip("needs the right to mount (root)");
    if (mount(type, target, type, 0, options) != 0)
        check_skip("cannot mount a file system of that type here");
}

static void says_proc(int rc) {
    CHECK_RC(rc, HF_ERR_SYSTEM);
    CHECK(strstr(hf_explain(), "/proc") != NULL);
}

/* A boot id that is none, and then one without the PID namespace beside it. */
static void part_of_proc(const char *boot_id) {
    CHECK(mkdir("/proc/sys", 0700) == 0 || errno == EEXIST);
    CHECK(mkdir("/proc/sys/kernel", 0700) == 0 || errno == EEXIST);
    CHECK(mkdir("/proc/sys/kernel/random", 0700) == 0 || errno == EEXIST);
    check_write_file("/proc/sys/kernel/random/boot_id", boot_id, strlen(boot_id));
    says_proc(make_call(OPEN, NULL, -1));
}

static int without_proc(void *argument) {
    hf_store *store = argument, *other = NULL;
    struct hf_options readonly = check_small_store(HF_RDONLY);
    struct hf_info info = HF_INFO_INIT;
    char path[CHECK_PATH];
    mount_over("/proc", "tmpfs", NULL);
    int fd = open(check_path(path, "other"), O_RDWR | O_CLOEXEC);
    says_proc(make_call(OPEN, NULL, -1));
    says_proc(make_call(OPEN_FD, NULL, fd));
    says_proc(make_call(CREATE, NULL, -1));
    says_proc(make_call(COPY, store, -1));
    says_proc(make_call(COPY_OVER, store, -1));
    CHECK_EQ(files_in_directory(), 2);
    CHECK_RC(hf_open(&other, path, &readonly), HF_OK);
    CHECK_RC(hf_info(other, &info), HF_OK);
    CHECK_EQ(info.unverified, 1); /* nobody knows, so every get verifies */
    check_value(other, "key", "value");
    CHECK_RC(hf_close(&other), HF_OK);
    part_of_proc("12345678-no-boot-id\n");
    part_of_proc("~~~~");
    part_of_proc("01234567-89ab-cdef-0123-456789abcdef\n");
    check_value(store, "key", "value");
    return 0;
}

/* ---- Disks --------------------------------------------------------------------------------------------------------------- */

/* A store that came back with holes, on a disk that is full by now. */
static int sparse_on_full_disk(void *unused) {
    (void)unused;
    char path[CHECK_PATH], filler[CHECK_PATH], block[4096] = {0};
    struct hf_options options = check_small_store(0);
    hf_store *store;
    mount_over(check_directory, "tmpfs", "size=1536k");
    store = check_create("sparse", options);
    check_put(store, "key", "value");
    CHECK_RC(hf_close(&store), HF_OK);
    struct stat status;
    int fd = open(check_path(path, "sparse"), O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, status.st_size - (64 << 10), 64 << 10), 0);
    close(fd);
    fd = open(check_path(filler, "filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
    CHECK_RC(hf_open(&store, path, &options), HF_ERR_SYSTEM);
    CHECK_EQ(errno, ENOSPC);
    CHECK(strstr(hf_explain(), "no room") != NULL);
    CHECK_EQ(unlink(filler), 0);
    store = check_open(path, &options);
    check_value(store, "key", "value");
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

/* A file system that keeps no times of birth and cannot allocate. */
static int on_ramfs(void *unused) {
    (void)unused;
    char path[CHECK_PATH];
    mount_over(check_directory, "ramfs", NULL);
    hf_store *store = check_create("ramfs", check_small_store(0));
    check_put(store, "key", "value");
    CHECK_RC(make_call(COPY, store, -1), HF_OK);
    CHECK_RC(make_call(COPY_OVER, store, -1), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_open(check_path(path, "ramfs"), NULL);
    check_value(store, "key", "value");
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static int on_hugetlbfs(void *unused) {
    (void)unused;
    char path[CHECK_PATH];
    mount_over(check_directory, "hugetlbfs", NULL);
    struct hf_options options = check_small_store(HF_CREATE);
    hf_store *store;
    CHECK_RC(hf_open(&store, check_path(path, "new"), &options), HF_ERR_FILESYSTEM);
    CHECK(strstr(hf_explain(), "hugetlbfs") != NULL);
    CHECK_EQ(files_in_directory(), 0);
    return 0;
}

/* ---- Random numbers ------------------------------------------------------------------------------------------------------ */

static int without_random(void *argument) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    hf_store *store = argument;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        check_skip("needs seccomp");
    CHECK_RC(make_call(CREATE, NULL, -1), HF_ERR_SYSTEM);
    CHECK_EQ(errno, ENOSYS);
    CHECK_RC(make_call(ANONYMOUS, NULL, -1), HF_ERR_SYSTEM);
    CHECK_RC(make_call(COPY, store, -1), HF_ERR_SYSTEM);
    CHECK_RC(make_call(OPEN, NULL, -1), HF_OK);
    CHECK_EQ(files_in_directory(), 2);
    return 0;
}

/* ---- Cases --------------------------------------------------------------------------------------------------------------- */

/* Runs the body in a child with two stores in the directory, one of them open. */
static void with_stores(check_body *body) {
    char path[CHECK_PATH];
    struct hf_options options = HF_OPTIONS_INIT;
    options.entries = 4;
    options.entry_size = LARGE;
    options.stripes = 1;
    hf_store *store = check_create("store", options), *other = check_create("other", check_small_store(0));
    static const char large[LARGE]; /* not from malloc, which would keep it at hand */
    CHECK_RC(hf_put(store, "large", 5, large, LARGE - 8, NULL, NULL), HF_OK);
    check_put(store, "key", "value");
    check_put(other, "key", "value");
    CHECK_RC(hf_close(&other), HF_OK);
    check_run(body, store);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK_EQ(unlink(check_path(path, "store")), 0);
    CHECK_EQ(unlink(check_path(path, "other")), 0);
}

static void descriptors(void) {
    with_stores(few_descriptors);
}

static void memory(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    check_skip("a sanitizer needs more addresses than there are");
#endif
    with_stores(little_memory);
}

static void file_sizes(void) {
    with_stores(small_files);
}

static void proc(void) {
    with_stores(without_proc);
}

static void random_numbers(void) {
    with_stores(without_random);
}

static void full_disk(void) {
    check_run(sparse_on_full_disk, NULL);
}

static void ramfs(void) {
    check_run(on_ramfs, NULL);
}

static void hugetlbfs(void) {
    check_run(on_hugetlbfs, NULL);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"descriptors", descriptors}, {"memory", memory},       {"file-sizes", file_sizes}, {"proc", proc},
        {"random", random_numbers},   {"full-disk", full_disk}, {"ramfs", ramfs},
        {"hugetlbfs", hugetlbfs},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
