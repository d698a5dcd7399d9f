/* SPDX-License-Identifier: MIT */
/*
 * Calls that are more than one step, stopped at every named point while another process writes: take (read, then delete what was
 * read) and copy (all stripes at one moment). Needs the test build of the library.
 */
#include "puppet.h"

#include <signal.h>

const unsigned test_seconds = 60;

enum { TIMEOUT_MS = 50 };

static hf_store *store;

static void make_store(uint32_t stripes) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 1 << 20;
    options.max_value = 1000;
    options.stripes = stripes;
    options.timeout_ms = TIMEOUT_MS;
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
}

static void let_go_on(pid_t child) {
    kill(child, SIGCONT);
    check_ended(child, 10);
}

/* ---- Take ---------------------------------------------------------------------------------------------------------------- */

static char (*taken)[16];

static int take(void *unused) {
    (void)unused;
    size_t length = 0;
    CHECK_RC(hf_take(store, "key", 3, *taken, sizeof *taken - 1, &length, NULL), HF_OK);
    (*taken)[length] = 0;
    return 0;
}

/* A value that was put while the taker stood is taken or stays: nobody may lose it. */
static void taken_or_there(void) {
    struct puppet *puppet = puppet_new();
    taken = check_shared(sizeof *taken);
    make_store(1);
    unsigned points = 0, written = 0;
    for (;; points++) {
        check_put(store, "key", "old");
        pid_t taker = puppet_stopped_at(puppet, points + 1, take, NULL);
        if (taker == 0)
            break;
        check_at("taker stopped at point %u, %s", points + 1, puppet->point);
        int rc = hf_put(store, "key", 3, "new", 3, NULL, NULL);
        CHECK(rc == HF_OK || rc == HF_ERR_TIMEOUT);
        let_go_on(taker);
        if (rc != HF_OK)
            CHECK(strcmp(*taken, "old") == 0);
        else if (strcmp(*taken, "old") == 0)
            check_value(store, "key", "new");
        else
            check_value(store, "key", NULL);
        written += rc == HF_OK;
    }
    printf("a taker stopped at %u points; %u times the key was replaced meanwhile\n", points, written);
    CHECK(written >= 3 && points > written);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Copy ---------------------------------------------------------------------------------------------------------------- */

static int copy(void *path) {
    unlink(path);
    CHECK_RC(hf_copy(store, path, NULL), HF_OK);
    return 0;
}

/* From the moment when the last stripe is locked until the image is taken, nobody writes to any stripe. */
static void frozen(void) {
    struct puppet *puppet = puppet_new();
    char path[CHECK_PATH];
    pid_t copier;
    unsigned points = 0;
    make_store(4);
    check_path(path, "copy");
    do {
        copier = puppet_stopped_at(puppet, ++points, copy, path);
        CHECK(copier != 0);
        if (strcmp(puppet->point, "copy:frozen") != 0)
            let_go_on(copier);
    } while (strcmp(puppet->point, "copy:frozen") != 0);
    for (char key = 'a'; key <= 'z'; key++)
        CHECK_RC(hf_put(store, &key, 1, "x", 1, NULL, NULL), HF_ERR_TIMEOUT);
    let_go_on(copier);
    for (char key = 'a'; key <= 'z'; key++)
        CHECK_RC(hf_put(store, &key, 1, "x", 1, NULL, NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_open(path, NULL);
    uint64_t count = 1;
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK_EQ(count, 0);
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {{"take", taken_or_there}, {"copy", frozen}};
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
