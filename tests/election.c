/* SPDX-License-Identifier: MIT */
/*
 * The election of the first writer: while anybody has the store open, nobody else may make its mutexes anew; whoever finds a
 * store that its first writer left half done waits until he can be first himself, and then is. Needs the test build of the
 * library; knows the layout, to tell that a store is not ready.
 */
#include "layout.h"
#include "puppet.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>

const unsigned test_seconds = 60;

static char path[CHECK_PATH];

static struct hf_options one_stripe(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 1 << 20;
    options.max_value = 1000;
    options.stripes = 1;
    options.timeout_ms = 300;
    return options;
}

static void make_store(const char *name) {
    hf_store *store = check_create(name, one_stripe());
    check_put(store, "key", "old");
    CHECK_RC(hf_close(&store), HF_OK);
    check_path(path, name);
}

/* ---- Who comes second ---------------------------------------------------------------------------------------------------- */

static int put_new(void *store) {
    check_put(store, "key", "new");
    return 0;
}

struct first {
    struct puppet *puppet;
    void (*before)(void);
};

/* Opens the store, and stops inside a put, with the lock. */
static int be_first(void *argument) {
    struct first *first = argument;
    struct hf_options options = one_stripe();
    hf_store *store = check_open(path, &options);
    if (first->before)
        first->before();
    puppet_arm(first->puppet, 2, SIGSTOP);
    return put_new(store);
}

/* Who opens the store now must find that lock held. */
static void joined(const char *name, void (*before)(void)) {
    struct first first = {puppet_new(), before};
    make_store(name);
    pid_t child = check_spawn(be_first, &first);
    while (first.puppet->reached < 2)
        check_sleep_ms(1);
    struct hf_options options = one_stripe();
    hf_store *store = check_open(path, &options);
    CHECK_RC(hf_put(store, "key", 3, "mine", 4, NULL, NULL), HF_ERR_TIMEOUT);
    kill(child, SIGCONT);
    check_ended(child, 10);
    check_value(store, "key", "new");
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void second(void) {
    joined("second", NULL);
}

/* Opens and closes the file in all the ways that there are: the lock that keeps others from being first must survive that. */
static void open_and_close(void) {
    struct hf_options readonly = HF_OPTIONS_INIT;
    readonly.flags = HF_RDONLY;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    hf_store *store = check_open(path, &readonly);
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_open(path, NULL);
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK_RC(hf_open_fd(&store, fd, NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK(fd >= 0 && close(fd) == 0);
}

static void second_after_closes(void) {
    joined("second-after-closes", open_and_close);
}

/* ---- A store that is not ready ------------------------------------------------------------------------------------------- */

static atomic_uint *inside;

static int enter(void *unused) {
    (void)unused;
    struct hf_options options = one_stripe();
    options.timeout_ms = 2000;
    hf_store *store = check_open(path, &options);
    atomic_fetch_add(inside, 1);
    check_put(store, "key", "mine");
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void lock_file(int fd, short type) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    CHECK_EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
}

/* As its first writer leaves it who dies before he is done, while a stranger shares the lock: with him nobody can be first. */
static void unready(void) {
    const uint32_t no = 0;
    pid_t children[3];
    inside = check_shared(sizeof *inside);
    make_store("unready");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK_EQ(pwrite(fd, &no, sizeof no, HF__LIVE_AT + offsetof(struct hf__live, ready)), (ssize_t)sizeof no);
    lock_file(fd, F_RDLCK);
    for (unsigned i = 0; i < 3; i++)
        children[i] = check_spawn(enter, NULL);
    check_sleep_ms(200);
    CHECK_EQ(atomic_load(inside), 0);
    lock_file(fd, F_UNLCK);
    for (unsigned i = 0; i < 3; i++)
        check_ended(children[i], 10);
    CHECK_EQ(atomic_load(inside), 3);
    close(fd);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"second", second}, {"second-after-closes", second_after_closes}, {"unready", unready}};
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
