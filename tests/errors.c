/* SPDX-License-Identifier: MIT */
/*
 * What every function says to arguments that make no sense, and to files, descriptors and locks that are not as it needs them.
 * Through the public interface. A machine that runs out of something stands in limits.c.
 */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

const unsigned test_seconds = 60;

/* ---- Names --------------------------------------------------------------------------------------------------------------- */

#define NAMED(name, value, text) CHECK(strcmp(NAME_OF(name), text) == 0);
static void names(void) {
#define NAME_OF hf_cause_name
    HF_CAUSES(NAMED)
#undef NAME_OF
#define NAME_OF hf_operation_name
    HF_OPERATIONS(NAMED)
#undef NAME_OF
#define NAME_OF hf_verdict_name
    HF_VERDICTS(NAMED)
#undef NAME_OF
#define NAME_OF hf_invariant_text
    HF_INVARIANTS(NAMED)
#undef NAME_OF
    CHECK(strcmp(hf_cause_name(99), "unknown") == 0 && strcmp(hf_operation_name(99), "unknown") == 0);
    CHECK(strcmp(hf_verdict_name(99), "unknown") == 0 && strcmp(hf_result_text(99), "unknown") == 0);
}

/* ---- Arguments ----------------------------------------------------------------------------------------------------------- */

/* The call must fail as an argument does, with a sentence of its own: whoever skips a check would crash. */
#define REFUSED(call) CHECK_RC(call, HF_ERR_ARGUMENT), CHECK(strlen(hf_explain()) > 10)

static void arguments_of_open(void) {
    hf_store *store = NULL;
    REFUSED(hf_open(NULL, "/nothing", NULL));
    REFUSED(hf_open(&store, NULL, NULL));
    REFUSED(hf_open_fd(NULL, 0, NULL));
    REFUSED(hf_open_anonymous(NULL, NULL));
    CHECK_RC(hf_close(NULL), HF_OK);
    struct hf_options options = check_small_store(0);
    options.file_mode = 0400;
    REFUSED(hf_open_anonymous(&store, &options));
    CHECK(store == NULL);
}

static void arguments_of_reads(hf_store *store) {
    struct hf_item item = HF_ITEM_INIT;
    struct hf_recovery recovery;
    struct hf_stats stats = HF_STATS_INIT;
    struct hf_info info = HF_INFO_INIT;
    char buffer[8];
    void *value;
    uint64_t number = 0;
    size_t count;
    REFUSED(hf_get(NULL, "k", 1, buffer, sizeof buffer, NULL, NULL));
    REFUSED(hf_get(store, NULL, 1, buffer, sizeof buffer, NULL, NULL));
    REFUSED(hf_get(store, "k", 1, NULL, 8, NULL, NULL));
    REFUSED(hf_get_dup(store, "k", 1, NULL, NULL, NULL));
    REFUSED(hf_get_stale(store, "k", 1, NULL, 5, NULL, NULL));
    REFUSED(hf_get_stale(NULL, "k", 1, NULL, 0, NULL, NULL));
    REFUSED(hf_get_dup(NULL, "k", 1, &value, NULL, NULL));
    REFUSED(hf_exists(NULL, "k", 1, NULL));
    REFUSED(hf_scan(NULL, &number, 0, &item));
    REFUSED(hf_scan(store, NULL, 0, &item));
    REFUSED(hf_scan(store, &number, 0, NULL));
    REFUSED(hf_scan(store, &number, 2, &item));
    REFUSED(hf_count(NULL, &number));
    REFUSED(hf_count(store, NULL));
    REFUSED(hf_recoveries(NULL, &recovery, 1, &count));
    REFUSED(hf_recoveries(store, NULL, 1, &count));
    REFUSED(hf_recoveries(store, &recovery, 1, NULL));
    CHECK_RC(hf_recoveries(store, NULL, 0, &count), HF_OK);
    REFUSED(hf_locks(NULL, NULL, 0, &count));
    REFUSED(hf_locks(store, NULL, 1, &count));
    REFUSED(hf_locks(store, NULL, 0, NULL));
    CHECK_RC(hf_locks(store, NULL, 0, &count), HF_OK);
    REFUSED(hf_info(NULL, &info));
    REFUSED(hf_info(store, NULL));
    REFUSED(hf_stats(NULL, &stats));
    REFUSED(hf_stats(store, NULL));
    REFUSED(hf_stats_stripe(NULL, 0, &stats));
    REFUSED(hf_stats_stripe(store, 0, NULL));
    REFUSED(hf_stats_stripe(store, HF_STRIPES_MAX, &stats));
    CHECK(item.memory == NULL && number == 0);
}

static void arguments_of_writes(hf_store *store) {
    struct hf_copy_options copy = HF_COPY_INIT;
    struct hf_incr_options incr = HF_INCR_INIT;
    char *large = calloc(1, 1 << 20);
    CHECK(large != NULL);
    REFUSED(hf_put(NULL, "k", 1, "v", 1, NULL, NULL));
    REFUSED(hf_put(store, NULL, 1, "v", 1, NULL, NULL));
    REFUSED(hf_put(store, "k", 1, NULL, 1, NULL, NULL));
    REFUSED(hf_delete(NULL, "k", 1, 0));
    REFUSED(hf_take(NULL, "k", 1, large, 8, NULL, NULL));
    REFUSED(hf_incr(NULL, "k", 1, 1, NULL, NULL));
    incr.condition = HF_IF_ABSENT;
    REFUSED(hf_incr(store, "k", 1, 1, &incr, NULL));
    incr.condition = HF_ALWAYS;
    incr.reserved = 1;
    REFUSED(hf_incr(store, "k", 1, 1, &incr, NULL));
    REFUSED(hf_append(NULL, "k", 1, "v", 1, NULL));
    REFUSED(hf_append(store, "k", 1, NULL, 1, NULL));
    CHECK_RC(hf_append(store, "k", 1, large, 1 << 20, NULL), HF_ERR_TOOBIG);
    REFUSED(hf_touch(NULL, "k", 1, 0));
    REFUSED(hf_clear(NULL));
    REFUSED(hf_expire(NULL, NULL));
    REFUSED(hf_sync(NULL));
    REFUSED(hf_repair(NULL, NULL));
    REFUSED(hf_check(NULL, NULL, NULL));
    REFUSED(hf_copy(NULL, "/nothing", NULL));
    REFUSED(hf_copy(store, NULL, NULL));
    copy.replace = 2;
    REFUSED(hf_copy(store, "/nothing", &copy));
    copy.replace = 0;
    copy.file_mode = 010000;
    REFUSED(hf_copy(store, "/nothing", &copy));
    free(large);
    check_sound(store);
}

static void arguments(void) {
    char path[CHECK_PATH];
    uint64_t count;
    hf_store *store = check_create("arguments", check_small_store(0));
    arguments_of_open();
    arguments_of_reads(store);
    arguments_of_writes(store);
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK_EQ(count, 0);
    CHECK_RC(hf_close(&store), HF_OK);
    struct hf_options readonly = check_small_store(HF_RDONLY);
    store = check_open(check_path(path, "arguments"), &readonly);
    CHECK_RC(hf_sync(store), HF_ERR_READONLY);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Files and descriptors ----------------------------------------------------------------------------------------------- */

static void fails_to_open(const char *path, uint32_t flags, int expected, const char *says) {
    struct hf_options options = check_small_store(flags);
    hf_store *store = NULL;
    CHECK_RC(hf_open(&store, path, &options), expected);
    CHECK(store == NULL && strstr(hf_explain(), says) != NULL);
}

static void odd_names(void) {
    char path[CHECK_PATH];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", check_path(path, "socket"));
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    fails_to_open(path, 0, HF_ERR_FORMAT, "regular");
    close(fd);
    check_write_file(check_path(path, "file"), "", 0);
    fails_to_open(check_path(path, "file/below"), 0, HF_ERR_SYSTEM, "cannot open");
    CHECK_EQ(symlink("nothing-of-that-name", check_path(path, "dangling")), 0);
    fails_to_open(path, HF_CREATE, HF_ERR_SYSTEM, "symbolic link");
}

static void fails_to_open_fd(int fd, uint32_t flags, int expected, const char *says) {
    struct hf_options options = check_small_store(flags);
    hf_store *store = NULL;
    CHECK_RC(hf_open_fd(&store, fd, &options), expected);
    CHECK(store == NULL);
    if (!strstr(hf_explain(), says))
        check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", hf_explain(), says);
}

static int sealed(const void *bytes, size_t size, int seals) {
    int fd = memfd_create("holdfast-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void odd_descriptors(void) {
    char path[CHECK_PATH];
    size_t size;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    fails_to_open_fd(fd, HF_CREATE | HF_EXCLUSIVE, HF_ERR_FORMAT, "regular");
    close(fd);
    check_write_file(check_path(path, "three"), "abc", 3);
    fd = open(path, O_RDWR | O_CLOEXEC);
    fails_to_open_fd(fd, HF_CREATE, HF_ERR_FORMAT, "3 bytes");
    close(fd);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    fails_to_open_fd(fd, HF_RDONLY, HF_ERR_SYSTEM, "read");
    close(fd);

    hf_store *store = check_create("image", check_small_store(0));
    check_put(store, "key", "value");
    CHECK_RC(hf_close(&store), HF_OK);
    void *image = check_read_file(check_path(path, "image"), &size);
    fd = sealed(image, size, F_SEAL_WRITE);
    fails_to_open_fd(fd, 0, HF_ERR_SYSTEM, "mmap");
    struct hf_options readonly = check_small_store(HF_RDONLY);
    CHECK_RC(hf_open_fd(&store, fd, &readonly), HF_OK);
    check_value(store, "key", "value");
    CHECK_RC(hf_close(&store), HF_OK);
    close(fd);
    free(image);

    fd = sealed("", 0, F_SEAL_GROW);
    fails_to_open_fd(fd, HF_CREATE, HF_ERR_SYSTEM, "write");
    close(fd);
    fd = sealed("Holdfas-", 8, F_SEAL_SHRINK); /* left behind by a creator that was killed */
    fails_to_open_fd(fd, HF_CREATE, HF_ERR_SYSTEM, "ftruncate");
    close(fd);
}

enum { NOBODY = 65534 };

static int without_permission(void *unused) {
    (void)unused;
    char path[CHECK_PATH];
    if (getuid() != 0)
        check_skip("needs root, to become another user");
    CHECK(chmod(check_directory, 0755) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    fails_to_open(check_path(path, "secret"), HF_RDONLY, HF_ERR_SYSTEM, "cannot open: ");
    fails_to_open(path, 0, HF_ERR_SYSTEM, "is read-only enough?");
    return 0;
}

static void permissions(void) {
    hf_store *store = check_create("secret", check_small_store(0));
    check_run(without_permission, NULL);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* Several files in one process, on two file systems, closed in another order than they were opened. */
static void several_stores(void) {
    char path[CHECK_PATH];
    struct hf_options options = check_small_store(0);
    hf_store *first = check_create("first", options), *second = check_create("second", options), *memory = NULL, *again;
    CHECK_RC(hf_open_anonymous(&memory, &options), HF_OK);
    check_put(first, "key", "1");
    check_put(second, "key", "2");
    check_put(memory, "key", "3");
    again = check_open(check_path(path, "first"), NULL);
    check_value(again, "key", "1");
    CHECK_RC(hf_close(&first), HF_OK);
    CHECK_RC(hf_close(&again), HF_OK);
    check_value(second, "key", "2");
    check_value(memory, "key", "3");
    CHECK_RC(hf_close(&second), HF_OK);
    CHECK_RC(hf_close(&memory), HF_OK);
}

static int in_directory(void *unused) {
    (void)unused;
    struct hf_copy_options replace = HF_COPY_INIT;
    struct hf_options create = check_small_store(HF_CREATE);
    replace.replace = 1;
    CHECK_EQ(chdir(check_directory), 0);
    hf_store *store = check_open("relative", &create);
    check_put(store, "key", "value");
    CHECK_RC(hf_copy(store, "relative-copy", NULL), HF_OK);
    CHECK_RC(hf_copy(store, "relative-copy", &replace), HF_OK);
    CHECK_RC(hf_copy(store, "no-directory/", &replace), HF_ERR_SYSTEM);
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK(access("relative-copy", F_OK) == 0);
    return 0;
}

static void relative_names(void) {
    check_run(in_directory, NULL);
}

/* ---- Locks of strangers -------------------------------------------------------------------------------------------------- */

struct stranger {
    char path[CHECK_PATH];
    short type;
    unsigned milliseconds; /* how long it keeps the lock */
    int ready[2];
};

static int keep_lock(void *argument) {
    struct stranger *stranger = argument;
    struct flock lock = {.l_type = stranger->type, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open(stranger->path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
    CHECK_EQ(write(stranger->ready[1], "", 1), 1);
    check_sleep_ms(stranger->milliseconds);
    return 0;
}

/* While another process keeps a lock on the file: an open with a deadline gives up, one without waits. */
static void opened_while_locked(const char *path, short type, uint32_t flags) {
    struct hf_options options = check_small_store(flags);
    hf_store *store = NULL;
    char byte;
    for (int forever = 0; forever <= 1; forever++) {
        struct stranger stranger = {.type = type, .milliseconds = forever ? 150 : 20000};
        snprintf(stranger.path, sizeof stranger.path, "%s", path);
        CHECK_EQ(pipe(stranger.ready), 0);
        pid_t holder = check_spawn(keep_lock, &stranger);
        CHECK_EQ(read(stranger.ready[0], &byte, 1), 1);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        options.timeout_ms = forever ? HF_FOREVER : 50;
        CHECK_RC(hf_open_fd(&store, fd, &options), forever ? HF_OK : HF_ERR_TIMEOUT);
        if (!forever) {
            CHECK(strstr(hf_explain(), "another process") != NULL);
            kill(holder, SIGKILL);
        }
        check_wait(holder, 30);
        close(fd);
        close(stranger.ready[0]);
        close(stranger.ready[1]);
    }
    CHECK_RC(hf_close(&store), HF_OK);
}

static void strangers(void) {
    char path[CHECK_PATH], copy[CHECK_PATH];
    size_t size;
    hf_store *store = check_create("original", check_small_store(0));
    check_put(store, "key", "value");
    CHECK_RC(hf_copy(store, check_path(copy, "snapshot"), NULL), HF_OK);
    opened_while_locked(copy, F_RDLCK, 0); /* its locks were never made */
    CHECK_RC(hf_close(&store), HF_OK);
    void *image = check_read_file(check_path(path, "original"), &size);
    check_write_file(check_path(copy, "copied"), image, size);
    free(image);
    opened_while_locked(copy, F_RDLCK, 0); /* its locks are those of another file */
    check_write_file(check_path(path, "empty"), "", 0);
    opened_while_locked(path, F_WRLCK, HF_CREATE); /* there is nobody but the lock */
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"names", names},
        {"arguments", arguments},
        {"odd-names", odd_names},
        {"odd-descriptors", odd_descriptors},
        {"permissions", permissions},
        {"several-stores", several_stores},
        {"relative-names", relative_names},
        {"strangers", strangers},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
