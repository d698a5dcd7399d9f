/* SPDX-License-Identifier: MIT */
/*
 * PID namespaces: with equal thread ids in two of them the kernel can take a living lock owner for dead. So writers of another
 * namespace are refused, readers are not, and a child forked into another one finds its handles read-only.
 */
#include "check.h"

#include <sched.h>
#include <stdatomic.h>

const unsigned test_seconds = 60;

static char path[CHECK_PATH];

/* A process of another PID namespace that was forked before any store was open, so that it inherits nothing. It waits for its
 * turn and then runs the body. */
struct stranger {
    atomic_int turn;
    check_body *body;
    void *argument;
    pid_t pid;
};

static int first_in_namespace(void *argument) {
    struct stranger *stranger = argument;
    CHECK_EQ(getpid(), 1);
    while (!atomic_load(&stranger->turn))
        check_sleep_ms(1);
    return stranger->body(stranger->argument);
}

static int enter_namespace(void *argument) {
    if (unshare(CLONE_NEWPID) != 0)
        check_skip("unshare(CLONE_NEWPID) is not permitted");
    check_run(first_in_namespace, argument);
    return 0;
}

static struct stranger *invite(check_body *body, void *argument) {
    struct stranger *stranger = check_shared(sizeof *stranger);
    stranger->body = body;
    stranger->argument = argument;
    stranger->pid = check_spawn(enter_namespace, stranger);
    return stranger;
}

static void let_in(struct stranger *stranger) {
    atomic_store(&stranger->turn, 1);
    check_ended(stranger->pid, 60);
}

/* ---- Opening from another namespace -------------------------------------------------------------------------------------- */

static int open_elsewhere(void *argument) {
    (void)argument;
    struct hf_options options = check_small_store(0);
    struct hf_info info = HF_INFO_INIT;
    hf_store *store = NULL;
    CHECK_RC(hf_open(&store, path, &options), HF_ERR_NAMESPACE);
    CHECK(strlen(hf_explain()) > 20 && store == NULL);
    options.flags = HF_RDONLY;
    store = check_open(path, &options);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(info.readonly, 1);
    check_value(store, "k", "v");
    CHECK_RC(hf_put(store, "k", 1, "w", 1, NULL, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void refused_elsewhere(void) {
    check_path(path, "shared");
    struct stranger *stranger = invite(open_elsewhere, NULL);
    hf_store *store = check_create("shared", check_small_store(0));
    check_put(store, "k", "v");
    let_in(stranger);
    check_put(store, "k", "w");
    CHECK_RC(hf_close(&store), HF_OK);
}

static int write_elsewhere(void *argument) {
    (void)argument;
    struct hf_options options = check_small_store(0);
    hf_store *store = check_open(path, &options);
    check_value(store, "k", "v");
    check_put(store, "k", "from there");
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

/* When all writers have gone, the first writer may be of any namespace: the locks are made anew. */
static void taken_over(void) {
    check_path(path, "moved");
    struct stranger *stranger = invite(write_elsewhere, NULL);
    hf_store *store = check_create("moved", check_small_store(0));
    check_put(store, "k", "v");
    CHECK_RC(hf_close(&store), HF_OK);
    let_in(stranger);
    store = check_open(path, NULL);
    check_value(store, "k", "from there");
    check_put(store, "k", "home again");
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Forked into another namespace --------------------------------------------------------------------------------------- */

static int use_inherited(void *argument) {
    hf_store *store = argument;
    struct hf_info info = HF_INFO_INIT;
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    check_value(store, "k", "v");
    CHECK_RC(hf_put(store, "k", 1, "w", 1, NULL, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_delete(store, "k", 1, 0), HF_ERR_READONLY);
    CHECK_RC(hf_incr(store, "n", 1, 1, NULL, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_clear(store), HF_ERR_READONLY);
    CHECK_RC(hf_repair(store, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_check(store, NULL, NULL), HF_OK);
    CHECK_RC(hf_scan(store, &cursor, 0, &item), HF_OK);
    hf_item_free(&item);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(info.readonly, 1);
    if (path[0]) { /* a second open must not hand out that mapping as a writer's */
        struct hf_options options = check_small_store(0);
        hf_store *again = NULL;
        CHECK_RC(hf_open(&again, path, &options), HF_ERR_NAMESPACE);
        options.flags = HF_RDONLY;
        again = check_open(path, &options);
        check_value(again, "k", "v");
        CHECK_RC(hf_close(&again), HF_OK);
    }
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

/* The child of a process that already has the store open. */
static int fork_elsewhere(void *store) {
    if (unshare(CLONE_NEWPID) != 0)
        check_skip("unshare(CLONE_NEWPID) is not permitted");
    check_put(store, "still", "writable"); /* unshare moves the children only */
    check_run(use_inherited, store);
    check_put(store, "still", "writable");
    return 0;
}

static void forked_elsewhere(void) {
    hf_store *store = check_create("forked", check_small_store(0));
    check_path(path, "forked");
    check_put(store, "k", "v");
    check_run(fork_elsewhere, store);
    check_put(store, "k", "w");
    CHECK_RC(hf_close(&store), HF_OK);
    struct hf_options options = check_small_store(0);
    path[0] = 0;
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
    check_put(store, "k", "v");
    check_run(fork_elsewhere, store);
    check_put(store, "k", "w");
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"refused", refused_elsewhere}, {"taken-over", taken_over}, {"forked", forked_elsewhere}};
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
