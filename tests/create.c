/* SPDX-License-Identifier: MIT */
/*
 * Making a store: by sixteen processes at once, killed at every named point, and on a full disk. Whatever happens, the
 * directory then holds a whole store or nothing.
 */
#include "puppet.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

const unsigned test_seconds = 120;

static struct hf_options creating(uint64_t capacity) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = HF_CREATE;
    options.capacity = capacity;
    return options;
}

/* ---- Raced --------------------------------------------------------------------------------------------------------------- */

enum { RACERS = 16, ROUNDS = 10 };

struct race {
    atomic_uint waiting;
    uint64_t ids[RACERS];
    unsigned number;
    char path[CHECK_PATH];
};

static void own_key(char key[16], unsigned number) {
    snprintf(key, 16, "racer-%u", number);
}

static int racer(void *argument) {
    struct race *race = argument;
    unsigned number = atomic_fetch_add(&race->waiting, 1);
    while (atomic_load(&race->waiting) < RACERS)
        sched_yield();
    struct hf_options options = creating(1 << 20);
    struct hf_info info = HF_INFO_INIT;
    hf_store *store = check_open(race->path, &options);
    CHECK_RC(hf_info(store, &info), HF_OK);
    race->ids[number] = info.store_id;
    char key[16];
    own_key(key, number);
    check_put(store, key, "here");
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void raced(void) {
    struct race *race = check_shared(sizeof *race);
    char directory[CHECK_PATH], key[16];
    for (unsigned round = 0; round < ROUNDS; round++) {
        pid_t children[RACERS];
        atomic_store(&race->waiting, 0);
        check_path(race->path, "raced");
        for (unsigned i = 0; i < RACERS; i++)
            children[i] = check_spawn(racer, race);
        for (unsigned i = 0; i < RACERS; i++)
            check_ended(children[i], 30);
        hf_store *store = check_open(race->path, NULL);
        for (unsigned i = 0; i < RACERS; i++) {
            CHECK(race->ids[i] != 0 && race->ids[i] == race->ids[0]);
            own_key(key, i);
            check_value(store, key, "here");
        }
        check_sound(store);
        CHECK_RC(hf_close(&store), HF_OK);
        CHECK_EQ(check_entries_of(check_path(directory, "")), 1);
        unlink(race->path);
    }
}

/* ---- Killed -------------------------------------------------------------------------------------------------------------- */

static int create_killed(void *path) {
    struct hf_options options = creating(1 << 20);
    hf_store *store = check_open(path, &options);
    puppet_disarm();
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void killed(void) {
    struct puppet *puppet = puppet_new();
    char path[CHECK_PATH], directory[CHECK_PATH];
    check_path(directory, "");
    unsigned n = 1, nothing = 0, whole = 0;
    for (;; n++) {
        unlink(check_path(path, "killed"));
        bool died = puppet_killed_at(puppet, n, create_killed, path);
        check_at("killed at point %u, %s", n, puppet->point);
        size_t left = check_entries_of(directory);
        CHECK(left <= 1);
        CHECK(left == 0 || access(path, F_OK) == 0);
        left ? whole++ : nothing++;
        struct hf_options options = creating(1 << 20);
        hf_store *store = check_open(path, &options);
        check_put(store, "k", "v");
        check_sound(store);
        CHECK_RC(hf_close(&store), HF_OK);
        if (!died)
            break;
    }
    printf("creation killed at %u points: %u left nothing, %u a whole store\n", n - 1, nothing, whole - 1);
    CHECK(nothing >= 2 && whole >= 2);
    unlink(path);
}

/* ---- In a descriptor ----------------------------------------------------------------------------------------------------- */

static int create_in(void *fd) {
    struct hf_options options = creating(1 << 20);
    hf_store *store = NULL;
    CHECK_RC(hf_open_fd(&store, *(int *)fd, &options), HF_OK);
    puppet_disarm();
    CHECK_RC(hf_incr(store, "creators", 8, 1, NULL, NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

/* An empty file cannot be swapped for a complete one: what a killed creator leaves half made, the next one makes anew. */
static void killed_in_descriptor(void) {
    struct puppet *puppet = puppet_new();
    unsigned n = 1;
    for (bool died = true; died; n++) {
        int fd = memfd_create("holdfast-test", MFD_CLOEXEC);
        CHECK(fd >= 0);
        died = puppet_killed_at(puppet, n, create_in, &fd);
        check_at("killed at point %u, %s", n, puppet->point);
        check_run(create_in, &fd);
        hf_store *store = NULL;
        CHECK_RC(hf_open_fd(&store, fd, NULL), HF_OK);
        check_value(store, "creators", died ? "1" : "2");
        check_sound(store);
        CHECK_RC(hf_close(&store), HF_OK);
        close(fd);
    }
    CHECK(n > 4);
}

static void raced_in_descriptor(void) {
    for (unsigned round = 0; round < ROUNDS; round++) {
        pid_t children[RACERS];
        int fd = memfd_create("holdfast-test", MFD_CLOEXEC);
        CHECK(fd >= 0);
        for (unsigned i = 0; i < RACERS; i++)
            children[i] = check_spawn(create_in, &fd);
        for (unsigned i = 0; i < RACERS; i++)
            check_ended(children[i], 30);
        hf_store *store = NULL;
        CHECK_RC(hf_open_fd(&store, fd, NULL), HF_OK);
        check_value(store, "creators", "16");
        CHECK_RC(hf_close(&store), HF_OK);
        close(fd);
    }
}

/* ---- Full disk ----------------------------------------------------------------------------------------------------------- */

static int on_full_disk(void *argument) {
    (void)argument;
    char directory[CHECK_PATH], path[CHECK_PATH];
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        check_skip("needs the right to mount (root) for a file system that is full");
    CHECK_EQ(mkdir(check_path(directory, "disk"), 0700), 0);
    CHECK_EQ(mount("none", directory, "tmpfs", 0, "size=1m"), 0);
    struct hf_options options = creating(8 << 20);
    hf_store *store = NULL;
    CHECK_RC(hf_open(&store, check_path(path, "disk/store"), &options), HF_ERR_SYSTEM);
    CHECK_EQ(errno, ENOSPC);
    CHECK(store == NULL && strlen(hf_explain()) > 10);
    CHECK_EQ(check_entries_of(directory), 0);
    options.capacity = 512 << 10;
    options.max_value = 1000;
    store = check_open(path, &options);
    check_put(store, "k", "v");
    /* Copies until the disk is full: the one that does not fit leaves nothing. */
    static const char *const copies[] = {"disk/one", "disk/two", "disk/three"};
    size_t made = 0;
    int rc = HF_OK;
    while (made < 3 && (rc = hf_copy(store, check_path(path, copies[made]), NULL)) == HF_OK)
        made++;
    CHECK_RC(rc, HF_ERR_SYSTEM);
    CHECK_EQ(errno, ENOSPC);
    CHECK_EQ(check_entries_of(directory), 1 + made);
    check_value(store, "k", "v");
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void full_disk(void) {
    check_run(on_full_disk, NULL);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"raced", raced},
        {"raced-in-descriptor", raced_in_descriptor},
        {"killed", killed},
        {"killed-in-descriptor", killed_in_descriptor},
        {"full-disk", full_disk},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
