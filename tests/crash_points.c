/* SPDX-License-Identifier: MIT */
/*
 * Kills a process at every named point of every operation, and the one that repairs after it at every point of that, and
 * verifies after each death:
 *
 *   D  before any repair, a get, a scan and a read-only handle agree, and tell the subject's old value or its new one
 *   C  the next write succeeds within two seconds
 *   A  afterwards the subject has its old or its new value; what was seen as new stays new
 *   B  every other key is as it was (unless the operation evicts or clears)
 *   -  hf_check finds the store sound; the verdict in the recovery log is what is seen; nothing was dropped
 *
 *     crash_points [--only NAME] [--single] [--planted BUG]
 *
 * --single leaves out the deaths of repairers.
 */
#include "crash.h"
#include "internal.h"
#include "puppet.h"

#include <signal.h>
#include <sys/wait.h>

const unsigned test_seconds = 1200;

enum { KEYS_MAX = 64 };

/* What a store holds besides the subject, as a scan tells it; and what it tells of the subject. */
struct picture {
    unsigned count;
    struct {
        char key[16];
        struct content content;
    } others[KEYS_MAX];
    struct content subject;
};

static const struct scenario *scenario;
static struct puppet *puppet, *repairer;
static void *image;
static size_t image_size;
static char path[CHECK_PATH];
static struct picture original;
static unsigned long deaths, double_deaths;

/* ---- Looking ------------------------------------------------------------------------------------------------------------- */

static void look(hf_store *store, struct picture *picture) {
    struct hf_item item = HF_ITEM_INIT;
    struct content by_get;
    uint64_t cursor = 0;
    int rc;
    memset(picture, 0, sizeof *picture);
    while ((rc = hf_scan(store, &cursor, 0, &item)) == HF_OK) {
        char key[16] = {0};
        CHECK(item.key_len < sizeof key && picture->count < KEYS_MAX);
        memcpy(key, item.key, item.key_len);
        struct content content = {item.value_len, item.value_len ? *(const char *)item.value : 0};
        CHECK(crash_read(store, key, &by_get)); /* nobody writes: get and scan must agree */
        if (!crash_same(by_get, content))
            check_failed(__FILE__, __LINE__, "scan sees %s with %zu x '%c', get %zu x '%c'", key, content.size, content.letter,
                         by_get.size, by_get.letter ? by_get.letter : '-');
        if (strcmp(key, SUBJECT) == 0) {
            picture->subject = content;
            continue;
        }
        memcpy(picture->others[picture->count].key, key, sizeof key);
        picture->others[picture->count++].content = content;
    }
    CHECK_RC(rc, HF_END);
    hf_item_free(&item);
    CHECK(crash_read(store, SUBJECT, &by_get));
    CHECK(crash_same(by_get, picture->subject));
}

static const struct content *find_other(const struct picture *picture, const char *key) {
    for (unsigned i = 0; i < picture->count; i++)
        if (strcmp(picture->others[i].key, key) == 0)
            return &picture->others[i].content;
    return NULL;
}

/* Every other key of `now` is as it was `before`; none is new, and none is missing unless that is allowed. */
static void compare_others(const struct picture *before, const struct picture *now) {
    for (unsigned i = 0; i < now->count; i++) {
        const struct content *was = find_other(before, now->others[i].key);
        if (!was || !crash_same(*was, now->others[i].content))
            check_failed(__FILE__, __LINE__, "%s is not what it was", now->others[i].key);
    }
    if (!scenario->others_may_go)
        CHECK_EQ(now->count, before->count);
}

static bool is_new(const struct picture *picture) {
    return crash_same(picture->subject, scenario->after);
}

static void old_or_new(const struct picture *picture) {
    if (!is_new(picture) && !crash_same(picture->subject, scenario->before))
        check_failed(__FILE__, __LINE__, "the subject has %zu x '%c', neither old nor new", picture->subject.size,
                     picture->subject.letter ? picture->subject.letter : '-');
}

static void look_readonly(const struct picture *seen) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct picture picture;
    options.flags = HF_RDONLY;
    hf_store *store = check_open(path, &options);
    look(store, &picture);
    CHECK_RC(hf_close(&store), HF_OK);
    compare_others(seen, &picture);
    CHECK(crash_same(seen->subject, picture.subject) && seen->count == picture.count);
}

/* ---- Verifying after a death --------------------------------------------------------------------------------------------- */

/* The first write that comes along: it changes no value, and in a store that evicts it needs no room. */
static void next_write(hf_store *store) {
    double start = check_seconds();
    const char *key = original.others[0].key;
    if (scenario->others_may_go)
        CHECK_RC(hf_delete(store, "nobody", 6, 0), HF_NOTFOUND);
    else
        CHECK_RC(hf_touch(store, key, strlen(key), 0), HF_OK);
    CHECK(check_seconds() - start < 2);
}

/* What the log says about the victim must be what is seen. */
static void compare_verdict(hf_store *store, pid_t victim, const struct picture *now) {
    struct hf_recovery log[256];
    size_t count = 0;
    CHECK_RC(hf_recoveries(store, log, 256, &count), HF_OK);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(log[i].dropped, 0);
        if (log[i].pid != (uint32_t)victim)
            continue;
        CHECK_EQ(log[i].operation, scenario->operation);
        if (log[i].verdict == HF_VERDICT_NEW)
            CHECK(is_new(now));
        if (log[i].verdict == HF_VERDICT_OLD && scenario->operation != HF_OP_CLEAR)
            CHECK(crash_same(now->subject, scenario->before));
        CHECK(log[i].verdict == HF_VERDICT_NEW || log[i].verdict == HF_VERDICT_OLD || log[i].verdict == HF_VERDICT_CHECKED);
    }
}

static void still_usable(hf_store *store) {
    int rc = hf_put(store, SUBJECT, strlen(SUBJECT), "usable", 6, NULL, NULL);
    CHECK(rc == HF_OK || (rc == HF_ERR_FULL && scenario->result == HF_ERR_FULL));
    if (rc == HF_OK)
        check_value(store, SUBJECT, "usable");
    rc = hf_delete(store, SUBJECT, strlen(SUBJECT), 0);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
    check_value(store, SUBJECT, NULL);
    check_sound(store);
}

static void verify(hf_store *store, pid_t victim, bool saw_new) {
    struct picture before, after;
    look(store, &before);
    old_or_new(&before);
    compare_others(&original, &before);
    CHECK(!saw_new || is_new(&before));
    look_readonly(&before);
    next_write(store);
    look(store, &after);
    old_or_new(&after);
    compare_others(&before, &after);
    CHECK_EQ(before.count, after.count);
    CHECK(!is_new(&before) || is_new(&after));
    check_sound(store);
    compare_verdict(store, victim, &after);
    if (scenario->also)
        scenario->also();
    still_usable(store);
}

/* ---- Victims and repairers ----------------------------------------------------------------------------------------------- */

static hf_store *renew(void) {
    unlink(path);
    check_write_file(path, image, image_size);
    return check_open(path, NULL);
}

/* What a child does: `store` NULL: it opens the file itself. */
static hf_store *inherited;

static hf_store *mine(void) {
    return inherited ? inherited : check_open(path, NULL);
}

static int act(void *result) {
    hf_store *store = mine();
    puppet_arm(puppet, puppet->act_at, puppet->signal); /* counts from here on, if the file was opened just now */
    *(int *)result = scenario->act(store);
    return 0;
}

static int repair(void *unused) {
    (void)unused;
    next_write(mine());
    return 0;
}

/* A victim that dies at its n-th point; its pid, or 0 if it completed. */
static pid_t victim_at(unsigned n) {
    static int *result;
    if (!result)
        result = check_shared(sizeof *result);
    *result = 1000;
    puppet->act_at = n;
    puppet->signal = SIGKILL;
    puppet->reached = 0;
    pid_t child = check_spawn(act, result);
    int status = check_wait(child, 20);
    if (check_killed(status))
        return child;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_RC(*result, scenario->result);
    return 0;
}

/* Kills one victim at point n, and for every m one more whose repairer dies at its m-th point. False: n was past the end. */
static bool kill_at(unsigned n, bool opens, bool single) {
    hf_store *store = renew();
    inherited = opens ? NULL : store;
    if (opens)
        CHECK_RC(hf_close(&store), HF_OK);
    check_at("%s%s, killed at point %u", scenario->name, opens ? " (openers)" : "", n);
    pid_t victim = victim_at(n);
    check_at("%s%s, killed at point %u, %s", scenario->name, opens ? " (openers)" : "", n, puppet->point);
    if (opens)
        store = check_open(path, NULL);
    verify(store, victim, victim == 0);
    CHECK_RC(hf_close(&store), HF_OK);
    deaths += victim != 0;
    for (unsigned m = 1; victim != 0 && !single; m++) {
        store = renew();
        inherited = opens ? NULL : store;
        if (opens)
            CHECK_RC(hf_close(&store), HF_OK);
        pid_t again = victim_at(n);
        CHECK(again != 0);
        bool died = puppet_killed_at(repairer, m, repair, NULL);
        check_at("%s%s, killed at point %u, %s, its repairer at point %u, %s", scenario->name, opens ? " (openers)" : "", n,
                 puppet->point, m, repairer->point);
        if (opens)
            store = check_open(path, NULL);
        verify(store, again, false);
        CHECK_RC(hf_close(&store), HF_OK);
        double_deaths += died;
        if (!died)
            break;
    }
    return victim != 0;
}

/* ---- Scenarios ----------------------------------------------------------------------------------------------------------- */

/* Prepares a store, keeps its bytes, and lets the operation run once undisturbed: does it take the path it is meant to? */
static bool prepare(void) {
    hf_store *store = NULL;
    char snapshot[CHECK_PATH];
    CHECK_RC(hf__open_tiny(&store, scenario->buckets, scenario->blocks, scenario->mode), HF_OK);
    scenario->prepare(store);
    unlink(check_path(snapshot, "prepared"));
    CHECK_RC(hf_copy(store, snapshot, NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    free(image);
    image = check_read_file(snapshot, &image_size);
    store = renew();
    look(store, &original);
    CHECK(crash_same(original.subject, scenario->before));
    CHECK(original.count > 0);
    memset(puppet, 0, sizeof *puppet);
    puppet_arm(puppet, 0, 0);
    CHECK_RC(scenario->act(store), scenario->result);
    puppet_disarm();
    bool fits = (!scenario->must_pass || puppet_saw(puppet, scenario->must_pass)) &&
                (!scenario->must_hold || scenario->must_hold(store));
    CHECK_RC(hf_close(&store), HF_OK);
    return fits;
}

static void run_scenario(bool single) {
    unsigned long before = deaths, doubles = double_deaths;
    unsigned tries = 1, n = 1;
    check_at("%s", scenario->name);
    for (; !prepare(); tries++)
        if (tries >= 50)
            check_failed(__FILE__, __LINE__, "no store of %u took the path that is wanted", tries);
    while (kill_at(n, false, single))
        n++;
    for (n = 1; scenario->by_openers && kill_at(n, true, single); n++)
        ;
    printf("%-32s %4lu deaths, %5lu deaths of repairers\n", scenario->name, deaths - before, double_deaths - doubles);
    CHECK(deaths - before >= 2);
}

int test_run(int argc, char **argv) {
    bool single = check_argument(argc, argv, "--single");
    const char *only = check_text(argc, argv, "--only", NULL);
    puppet = puppet_new();
    repairer = puppet_new();
    check_path(path, "work");
    for (size_t i = 0; i < crash_scenario_count; i++) {
        scenario = &crash_scenarios[i];
        if (!only || strcmp(only, scenario->name) == 0)
            run_scenario(single);
    }
    printf("%lu deaths at named points, %lu of repairers after them\n", deaths, double_deaths);
    CHECK(deaths > 0);
    return 0;
}
