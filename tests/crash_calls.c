/* SPDX-License-Identifier: MIT */
/*
 * Making, copying and opening a store, killed before and after every system call. What a kill may leave:
 *
 *   create  nothing, or a whole store under its name; the next one to open it makes it, or finds it
 *   copy    no snapshot (over another: the old one), or a whole one; the store itself goes on
 *   open    every key as it was; the next one to open it finishes what was begun
 *
 * And nothing else in the directory: the file has no name until it is whole. Two windows remain where a temporary name can be
 * left behind, ".holdfast." and 16 digits: between link and rename when a copy replaces a file, for Linux cannot link over one;
 * and from beginning to end where the file system does not know O_TMPFILE, which a filter of system calls imitates here. They
 * are counted. What is left is never under the name that was asked for, and nobody trips over it.
 *
 *     crash_calls [--only NAME] [--planted BUG]
 */
#include "crash_lead.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#if __has_include(<linux/seccomp.h>) && __has_include(<linux/filter.h>)
#include <linux/filter.h>
#include <linux/seccomp.h>
#define CAN_FILTER 1
#endif

const unsigned test_seconds = 600;

struct kind {
    const char *name;
    void (*begin)(void);   /* once; NULL: nothing to do                                    */
    void (*renew)(void);   /* before each run                                              */
    check_body *act;       /* what is killed                                               */
    void (*verify)(void);  /* after each death, and after the run that nobody killed       */
    bool without_tmpfile;
    bool may_leave_name;
};

static struct tally {
    unsigned long kills, names_left, whole;
    bool skipped;
} *tallies, *tally;

static const struct kind *kind;

/* ---- A file system without O_TMPFILE ------------------------------------------------------------------------------------- */

#ifdef CAN_FILTER
/* Refuses to open anything with the bit of O_TMPFILE that O_DIRECTORY does not have. */
static void refuse_tmpfile(void) {
    const uint32_t bit = O_TMPFILE & ~O_DIRECTORY;
#define LOW_HALF (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4)
#define ARGUMENT(n) (uint32_t)(offsetof(struct seccomp_data, args) + (n) * 8 + LOW_HALF)
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_open
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(1)),
        BPF_JUMP(BPF_JMP | BPF_JA, 2, 0, 0),
#endif
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bit, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        check_skip("filters of system calls are not permitted");
}
#else
static void refuse_tmpfile(void) {
    check_skip("built without the kernel's headers: no filter of system calls");
}
#endif

/* ---- The directory ------------------------------------------------------------------------------------------------------- */

static char directory[CHECK_PATH];

static const char *in_directory(char path[CHECK_PATH], const char *name) {
    int length = snprintf(path, CHECK_PATH, "%s/%s", directory, name);
    CHECK(length > 0 && length < CHECK_PATH);
    return path;
}

static void empty_directory(void) {
    char path[CHECK_PATH];
    DIR *stream = opendir(directory);
    CHECK(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            CHECK_EQ(unlink(in_directory(path, entry->d_name)), 0);
    closedir(stream);
}

/* Is there something of that name? There may be a temporary name besides, if the kind is one of those, and nothing else. */
static bool only_entry(const char *name) {
    bool there = false;
    unsigned temporary = 0;
    DIR *stream = opendir(directory);
    CHECK(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (strcmp(entry->d_name, name) == 0)
            there = true;
        else if (kind->may_leave_name && strncmp(entry->d_name, ".holdfast.", 10) == 0)
            temporary++;
        else
            check_failed(__FILE__, __LINE__, "a kill left %s", entry->d_name);
    }
    closedir(stream);
    CHECK(temporary <= 1);
    tally->names_left += temporary;
    return there;
}

/* ---- Create -------------------------------------------------------------------------------------------------------------- */

static struct hf_options creating(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = HF_CREATE;
    options.capacity = 256 << 10;
    options.max_value = 1000;
    options.stripes = 4;
    return options;
}

static int create_store(void *unused) {
    struct hf_options options = creating();
    char path[CHECK_PATH];
    (void)unused;
    hf_store *store = check_open(in_directory(path, "store"), &options);
    CHECK_RC(hf_incr(store, "creators", 8, 1, NULL, NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void created_or_not(void) {
    char path[CHECK_PATH];
    int64_t creators;
    if (only_entry("store")) {
        hf_store *store = check_open(in_directory(path, "store"), NULL);
        check_sound(store);
        CHECK_RC(hf_close(&store), HF_OK);
        tally->whole++;
    }
    CHECK_EQ(create_store(NULL), 0);
    hf_store *store = check_open(in_directory(path, "store"), NULL);
    CHECK_RC(hf_incr(store, "creators", 8, 0, NULL, &creators), HF_OK);
    CHECK(creators == 1 || creators == 2);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Create in a descriptor ---------------------------------------------------------------------------------------------- */

static int descriptor = -1;

static void new_descriptor(void) {
    close(descriptor);
    descriptor = memfd_create("holdfast-test", MFD_CLOEXEC);
    CHECK(descriptor >= 0);
}

static int create_in(void *unused) {
    struct hf_options options = creating();
    hf_store *store = NULL;
    (void)unused;
    CHECK_RC(hf_open_fd(&store, descriptor, &options), HF_OK);
    CHECK_RC(hf_incr(store, "creators", 8, 1, NULL, NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void created_in_or_not(void) {
    hf_store *store = NULL;
    int64_t creators;
    CHECK_EQ(create_in(NULL), 0);
    CHECK_RC(hf_open_fd(&store, descriptor, NULL), HF_OK);
    CHECK_RC(hf_incr(store, "creators", 8, 0, NULL, &creators), HF_OK);
    CHECK(creators == 1 || creators == 2);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Copy ---------------------------------------------------------------------------------------------------------------- */

static hf_store *origin;

static void make_origin(void) {
    struct hf_options options = creating();
    char path[CHECK_PATH];
    options.flags = 0;
    unlink(check_path(path, "origin"));
    origin = check_create("origin", options);
    check_put(origin, "key", "first");
}

static int copy_origin(uint32_t replace) {
    struct hf_copy_options options = HF_COPY_INIT;
    char path[CHECK_PATH];
    options.replace = replace;
    return hf_copy(origin, in_directory(path, "snapshot"), &options);
}

static void an_old_snapshot(void) {
    empty_directory();
    check_put(origin, "key", "first");
    CHECK_RC(copy_origin(0), HF_OK);
    check_put(origin, "key", "second");
}

static int copy_new(void *unused) {
    (void)unused;
    CHECK_RC(copy_origin(0), HF_OK);
    return 0;
}

static int copy_over(void *unused) {
    (void)unused;
    CHECK_RC(copy_origin(1), HF_OK);
    return 0;
}

/* The value in the snapshot is one of these, and the store can be written, and copied. */
static void whole_snapshot(const char *one, const char *other) {
    struct hf_meta meta;
    char path[CHECK_PATH];
    hf_store *snapshot = check_open(in_directory(path, "snapshot"), NULL);
    check_sound(snapshot);
    CHECK_RC(hf_exists(snapshot, "key", 3, &meta), HF_OK);
    check_value(snapshot, "key", meta.value_len == strlen(one) ? one : other);
    CHECK_RC(hf_close(&snapshot), HF_OK);
}

static void origin_goes_on(void) {
    check_put(origin, "another", "value");
    check_sound(origin);
    CHECK_RC(copy_origin(1), HF_OK);
}

static void copied_or_not(void) {
    if (only_entry("snapshot")) {
        whole_snapshot("first", "first");
        CHECK_RC(copy_origin(0), HF_EXISTS);
        tally->whole++;
    } else {
        CHECK_RC(copy_origin(0), HF_OK);
    }
    origin_goes_on();
    whole_snapshot("first", "first");
}

static void copied_over_or_not(void) {
    CHECK(only_entry("snapshot"));
    whole_snapshot("first", "second");
    tally->whole++;
    origin_goes_on();
    whole_snapshot("second", "second");
}

/* ---- Open ---------------------------------------------------------------------------------------------------------------- */

static struct stage stage;
static const struct scenario *scenario;

static void enter(void) {
    crash_prepare(&stage, scenario);
    crash_enter(&stage);
}

static void reset(void) {
    crash_reset(&stage);
}

static int open_and_close(void *unused) {
    (void)unused;
    hf_store *store = check_open(stage.path, NULL);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void opened_or_not(void) {
    hf_store *store = check_open(stage.path, NULL);
    crash_verify(&stage, store, stage.path, -1);
    CHECK_RC(hf_close(&store), HF_OK);
    tally->whole++;
}

/* ---- Join: somebody else has the store open, all the time ---------------------------------------------------------------- */

static char joined[CHECK_PATH];

static int keep_open(void *pipe_ends) {
    const int *ends = pipe_ends;
    hf_store *store = check_open(joined, NULL);
    CHECK_EQ(write(ends[1], "o", 1), 1);
    pause();
    return hf_close(&store);
}

static void let_other_open(void) {
    int ends[2];
    char opened;
    hf_store *store = check_create("joined", creating());
    CHECK_RC(hf_close(&store), HF_OK);
    check_path(joined, "joined");
    CHECK_EQ(pipe(ends), 0);
    check_spawn(keep_open, ends);
    CHECK_EQ(read(ends[0], &opened, 1), 1);
    close(ends[0]);
    close(ends[1]);
}

static int join_and_write(void *unused) {
    (void)unused;
    hf_store *store = check_open(joined, NULL);
    CHECK_RC(hf_incr(store, "writers", 7, 1, NULL, NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void joined_or_not(void) {
    static int64_t before;
    int64_t now;
    hf_store *store = check_open(joined, NULL);
    CHECK_RC(hf_incr(store, "writers", 7, 0, NULL, &now), HF_OK);
    CHECK(now == before || now == before + 1);
    before = now;
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
    tally->whole++;
}

/* ---- All of them --------------------------------------------------------------------------------------------------------- */

static const struct kind kinds[] = {
    {"create", NULL, empty_directory, create_store, created_or_not, false, false},
    {"create without O_TMPFILE", NULL, empty_directory, create_store, created_or_not, true, true},
    {"create in a descriptor", NULL, new_descriptor, create_in, created_in_or_not, false, false},
    {"copy", make_origin, empty_directory, copy_new, copied_or_not, false, false},
    {"copy without O_TMPFILE", make_origin, empty_directory, copy_new, copied_or_not, true, true},
    {"copy over another", make_origin, an_old_snapshot, copy_over, copied_over_or_not, false, true},
    {"copy over another without O_TMPFILE", make_origin, an_old_snapshot, copy_over, copied_over_or_not, true, true},
    {"open, joining others", let_other_open, NULL, join_and_write, joined_or_not, false, false},
};
static const struct kind opening = {NULL, enter, reset, open_and_close, opened_or_not, false, false};
enum { KINDS = sizeof kinds / sizeof *kinds };

static int act(void *unused) {
    if (kind->without_tmpfile)
        refuse_tmpfile();
    return kind->act(unused);
}

/* Kills one at its n-th stop before or after a system call. False: it has ended before. */
static bool kill_at(unsigned n) {
    struct stepper stepper;
    bool runs = true;
    stepper_start(&stepper, act, NULL);
    for (unsigned i = 0; i < n && runs; i++)
        runs = stepper_call(&stepper);
    if (runs)
        stepper_kill(&stepper);
    return runs;
}

static int run_kind(void *name) {
    bool killed = true;
    check_path(directory, "directory");
    CHECK(mkdir(directory, 0700) == 0 || errno == EEXIST);
    empty_directory();
    if (kind->begin)
        kind->begin();
    for (unsigned n = 1; killed; n++) {
        if (kind->renew)
            kind->renew();
        killed = kill_at(n);
        check_at("%s, killed at stop %u", (const char *)name, n);
        kind->verify();
        tally->kills += killed;
    }
    CHECK(tally->kills > 20);
    printf("%-37s %4lu kills, whole afterwards %4lu times", (const char *)name, tally->kills, tally->whole);
    if (tally->names_left)
        printf(", a temporary name was left %lu times", tally->names_left);
    printf("\n");
    return 0;
}

/* True: no fault. */
static bool run_one(const char *name, const struct kind *one) {
    kind = one;
    int status = check_wait(check_spawn(run_kind, (void *)(uintptr_t)name), 300);
    tally->skipped = WIFEXITED(status) && WEXITSTATUS(status) == 77;
    return tally->skipped || status == 0;
}

int test_run(int argc, char **argv) {
    const char *only = check_text(argc, argv, "--only", NULL);
    unsigned long kills = 0, left = 0, run = 0, skipped = 0, faults = 0;
    tallies = check_shared((KINDS + crash_scenario_count) * sizeof *tallies);
    for (size_t i = 0; i < KINDS + crash_scenario_count; i++) {
        scenario = i < KINDS ? NULL : &crash_scenarios[i - KINDS];
        const char *name = scenario ? scenario->name : kinds[i].name;
        if ((scenario && scenario->opening == CRASH_OPENED) || (only && strcmp(only, name) != 0))
            continue;
        tally = &tallies[i];
        faults += !run_one(name, scenario ? &opening : &kinds[i]);
        run++;
        kills += tally->kills;
        left += tally->names_left;
        skipped += tally->skipped;
    }
    CHECK(run > 0);
    printf("sum: kills=%lu names_left=%lu skipped=%lu faults=%lu\n", kills, left, skipped, faults);
    if (skipped == run)
        return 77;
    return faults > 0;
}
