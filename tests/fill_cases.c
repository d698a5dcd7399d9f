/* SPDX-License-Identifier: MIT */
/* What fills store and what they do not, and a filler's death at every named point: see fill_cases.h. */
#include "fault.h"
#include "fill_cases.h"
#include "puppet.h"

#include <signal.h>

/* ---- A function that counts its calls ------------------------------------------------------------------------------------ */

static struct maker *of_this_call;

static void count_done(struct hf_fill *fill) {
    (void)fill;
    of_this_call->done++;
}

static int make(void *context, const void *key, size_t key_len, struct hf_fill *fill) {
    struct maker *maker = of_this_call = context;
    CHECK(key_len == 1 && memcmp(key, "k", 1) == 0);
    maker->calls++;
    *fill = maker->fill;
    fill->done = count_done;
    check_sleep_ms(maker->takes_ms);
    if (maker->meanwhile)
        maker->meanwhile(maker->store);
    return maker->result;
}

struct maker making(const char *value) {
    return (struct maker){.fill = {.value = value, .value_len = strlen(value)}};
}

int get_k(hf_store *store, struct maker *maker, struct hf_meta *meta, const struct hf_fill_options *options) {
    char value[32];
    size_t length = 0;
    int result = hf_get_or_fill(store, "k", 1, value, sizeof value, &length, meta, make, maker, options);
    CHECK_EQ(maker->done, maker->calls);
    if (result == HF_OK)
        CHECK(length == maker->fill.value_len && memcmp(value, maker->fill.value, length) == 0);
    return result;
}

/* ---- Nothing ------------------------------------------------------------------------------------------------------------- */

void fill_absent(void) {
    hf_store *store = check_create("absent", check_small_store(0));
    struct maker maker = {.fill = {.absent = 1, .ttl_ms = 60000}};
    struct hf_put_options if_absent = HF_PUT_INIT, if_present = HF_PUT_INIT;
    struct hf_lease lease;
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    if_absent.condition = HF_IF_ABSENT;
    if_present.condition = HF_IF_PRESENT;
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_NOTFOUND);
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_NOTFOUND);
    CHECK_EQ(maker.calls, 1);
    CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &lease), HF_NOTFOUND);
    check_value(store, "k", NULL);
    CHECK_RC(hf_exists(store, "k", 1, NULL), HF_NOTFOUND);
    CHECK_RC(hf_scan(store, &cursor, 0, &item), HF_END);
    hf_item_free(&item);
    check_sound(store);
    CHECK_RC(hf_put(store, "k", 1, "v", 1, &if_present, NULL), HF_NOTFOUND);
    maker.calls = maker.done = 0;
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_NOTFOUND);
    CHECK_RC(hf_put(store, "k", 1, "v", 1, &if_absent, NULL), HF_OK);
    check_value(store, "k", "v");
    CHECK_RC(hf_delete(store, "k", 1, 0), HF_OK);
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_NOTFOUND);
    CHECK_RC(hf_delete(store, "k", 1, 0), HF_NOTFOUND); /* ... and forgets */
    maker.fill.ttl_ms = 20;
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_NOTFOUND);
    CHECK_EQ(maker.calls, 3);
    check_sleep_ms(30);
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_NOTFOUND);
    CHECK_EQ(maker.calls, 4);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Failures ------------------------------------------------------------------------------------------------------------ */

static int wait_and_fill(void *store) {
    struct maker maker = making("second");
    check_sleep_ms(30);
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
    CHECK_EQ(maker.calls, 1);
    return 0;
}

void fill_failed(void) {
    hf_store *store = check_create("failed", check_small_store(0));
    struct maker maker = making("first");
    maker.result = -1000;
    maker.takes_ms = 100;
    pid_t waiter = check_spawn(wait_and_fill, store);
    CHECK_RC(get_k(store, &maker, NULL, NULL), -1000);
    check_ended(waiter, 10);
    check_value(store, "k", "second");
    CHECK_RC(hf_close(&store), HF_OK);
}

void fill_refused(void) {
    struct hf_options options = check_small_store(0);
    hf_store *store = check_create("refused", options), *reader = NULL;
    struct hf_fill_options wrong = HF_FILL_INIT;
    struct hf_fill none = {.value_len = 5}, both = {.value = "v", .value_len = 1, .absent = 1};
    struct maker maker = making("value");
    struct hf_lease lease;
    struct hf_meta meta;
    char path[CHECK_PATH], *large = calloc(1, 10000);
    wrong.flags = 1u << 31;
    CHECK_RC(hf_get_or_fill(store, "k", 1, NULL, 0, NULL, NULL, NULL, NULL, NULL), HF_ERR_ARGUMENT);
    CHECK_RC(hf_get_or_fill(store, "k", 1, NULL, 5, NULL, NULL, make, &maker, NULL), HF_ERR_ARGUMENT);
    CHECK_RC(get_k(store, &maker, NULL, &wrong), HF_ERR_ARGUMENT);
    CHECK_RC(hf_fill_begin(store, "k", 1, NULL, NULL), HF_ERR_ARGUMENT);
    CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &lease), HF_OK);
    CHECK_RC(hf_fill_publish(store, "k", 1, &none, &lease, NULL), HF_ERR_ARGUMENT);
    CHECK_RC(hf_fill_publish(store, "k", 1, &both, &lease, NULL), HF_ERR_ARGUMENT);
    CHECK_RC(hf_fill_publish(store, "l", 1, &maker.fill, &lease, NULL), HF_ERR_ARGUMENT);
    CHECK_RC(hf_fill_cancel(store, NULL), HF_ERR_ARGUMENT);
    CHECK_RC(hf_fill_cancel(store, &lease), HF_OK);
    options.flags = HF_RDONLY;
    CHECK_RC(hf_open(&reader, check_path(path, "refused"), &options), HF_OK);
    CHECK_RC(get_k(reader, &maker, NULL, NULL), HF_ERR_READONLY);
    CHECK_RC(get_k(store, &maker, &meta, NULL), HF_OK);
    CHECK(meta.version != 0 && meta.value_len == 5);
    CHECK_RC(get_k(reader, &maker, NULL, NULL), HF_OK);
    CHECK_RC(hf_fill_cancel(reader, &lease), HF_ERR_READONLY);
    CHECK_RC(hf_delete(store, "k", 1, 0), HF_OK);
    maker.fill = (struct hf_fill){.value = large, .value_len = 10000};
    CHECK_RC(get_k(store, &maker, &meta, NULL), HF_ERR_TOOBIG);
    free(large);
    CHECK_RC(hf_close(&reader), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Leases -------------------------------------------------------------------------------------------------------------- */

static int find_published(void *store) {
    struct maker maker = making("published");
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
    CHECK_EQ(maker.calls, 0);
    return 0;
}

static int find_cancelled(void *store) {
    struct maker maker = making("after");
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
    CHECK_EQ(maker.calls, 1);
    return 0;
}

void fill_leases(void) {
    hf_store *store = check_create("leases", check_small_store(0));
    struct hf_fill_options nowait = HF_FILL_INIT, brief = HF_FILL_INIT;
    struct hf_lease first, second;
    struct hf_fill fill = {.value = "published", .value_len = 9};
    nowait.flags = HF_FILL_NOWAIT;
    brief.lease_ms = 50;
    CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &first), HF_OK);
    CHECK_RC(hf_fill_begin(store, "k", 1, &nowait, &second), HF_ERR_TIMEOUT);
    pid_t waiter = check_spawn(find_published, store);
    check_sleep_ms(50);
    CHECK_RC(hf_fill_publish(store, "k", 1, &fill, &first, NULL), HF_OK);
    check_ended(waiter, 10);
    CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &second), HF_EXISTS);

    CHECK_RC(hf_delete(store, "k", 1, 0), HF_OK);
    CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &first), HF_OK);
    waiter = check_spawn(find_cancelled, store);
    check_sleep_ms(50);
    CHECK_RC(hf_fill_cancel(store, &first), HF_OK);
    check_ended(waiter, 10);
    check_value(store, "k", "after");

    CHECK_RC(hf_delete(store, "k", 1, 0), HF_OK);
    CHECK_RC(hf_fill_begin(store, "k", 1, &brief, &first), HF_OK);
    CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &second), HF_OK); /* waits for the end of the first */
    CHECK_RC(hf_fill_cancel(store, &first), HF_OK);               /* ... which then ends nothing    */
    CHECK_RC(hf_fill_begin(store, "k", 1, &nowait, &first), HF_ERR_TIMEOUT);
    CHECK_RC(hf_fill_publish(store, "k", 1, &fill, &second, NULL), HF_OK);
    CHECK_RC(hf_fill_publish(store, "k", 1, &fill, &first, NULL), HF_CHANGED);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Stale values -------------------------------------------------------------------------------------------------------- */

void fill_stale(void) {
    hf_store *store = check_create("stale", check_small_store(0));
    struct hf_fill_options stale = HF_FILL_INIT;
    struct hf_put_options brief = HF_PUT_INIT;
    struct hf_lease lease;
    struct hf_stats stats = HF_STATS_INIT;
    struct maker maker = making("old");
    stale.flags = HF_FILL_STALE | HF_FILL_NOWAIT;
    brief.ttl_ms = 1;
    CHECK_RC(hf_put(store, "k", 1, "old", 3, &brief, NULL), HF_OK);
    check_sleep_ms(5);
    CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &lease), HF_OK);
    CHECK_RC(get_k(store, &maker, NULL, &stale), HF_STALE);
    CHECK_RC(hf_delete(store, "k", 1, 0), HF_NOTFOUND); /* and what was expired is gone */
    CHECK_RC(get_k(store, &maker, NULL, &stale), HF_ERR_TIMEOUT);
    CHECK_RC(hf_fill_cancel(store, &lease), HF_OK);
    CHECK_RC(get_k(store, &maker, NULL, &stale), HF_OK);
    CHECK_EQ(maker.calls, 1);
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_EQ(stats.fills, 2);
    CHECK_EQ(stats.fill_waits, 0); /* none of them has waited */
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Before it expires --------------------------------------------------------------------------------------------------- */

static hf_store *renewed;

/* When a caller was picked, another value comes and expires. */
static void overtake_by_expired(const char *point) {
    struct hf_put_options brief = HF_PUT_INIT;
    brief.ttl_ms = 1;
    if (strcmp(point, "fill:claim") != 0)
        return;
    hf__point_hook = NULL;
    CHECK_RC(hf_put(renewed, "k", 1, "WRONG", 5, &brief, NULL), HF_OK);
    check_sleep_ms(5);
}

void fill_early(void) {
    hf_store *store = check_create("early", check_small_store(0));
    struct hf_fill_options eager = HF_FILL_INIT;
    struct maker maker = making("value");
    maker.fill.ttl_ms = 1000;
    maker.takes_ms = 20;
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
    for (int i = 0; i < 200; i++)
        CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
    CHECK_EQ(maker.calls, 1);
    eager.early = 100000; /* mean: 20 s before the end */
    for (int i = 0; i < 20 && maker.calls == 1; i++)
        CHECK_RC(get_k(store, &maker, NULL, &eager), HF_OK);
    CHECK_EQ(maker.calls, 2);
    maker.result = -5;
    for (int i = 0; i < 20 && maker.calls == 2; i++)
        CHECK_RC(get_k(store, &maker, NULL, &eager), HF_OK); /* the old value */
    CHECK_EQ(maker.calls, 3);
    renewed = store;
    for (int i = 0; i < 20 && maker.calls == 3; i++) {
        hf__point_hook = overtake_by_expired;
        CHECK_RC(get_k(store, &maker, NULL, &eager), HF_OK); /* the old value, which is in the buffer already */
    }
    CHECK_EQ(maker.calls, 4);
    maker.fill.ttl_ms = 0; /* for ever */
    maker.result = HF_OK;
    CHECK(hf_delete(store, "k", 1, 0) >= 0);
    for (int i = 0; i < 20; i++)
        CHECK_RC(get_k(store, &maker, NULL, &eager), HF_OK);
    CHECK_EQ(maker.calls, 5);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Faster -------------------------------------------------------------------------------------------------------------- */

static int find_it_filled(void *store) {
    struct maker maker = making("value");
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
    CHECK_EQ(maker.calls, 0);
    return 0;
}

void fill_raced(void) {
    hf_store *store = check_create("raced", check_small_store(0));
    struct puppet *puppet = puppet_new();
    struct maker maker = making("value");
    pid_t slow = puppet_stopped_at(puppet, 1, find_it_filled, store);
    CHECK(slow > 0 && strcmp(puppet->point, "fill:claim") == 0);
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
    kill(slow, SIGCONT);
    check_ended(slow, 10);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Killed -------------------------------------------------------------------------------------------------------------- */

static int fill_it(void *store) {
    struct maker maker = making("value");
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
    return 0;
}

static int fill_by_lease(void *store) {
    struct hf_fill_options brief = HF_FILL_INIT;
    struct hf_fill fill = {.value = "value", .value_len = 5};
    struct hf_lease lease;
    brief.lease_ms = 20;
    CHECK_RC(hf_fill_begin(store, "k", 1, &brief, &lease), HF_OK);
    CHECK_RC(hf_fill_publish(store, "k", 1, &fill, &lease, NULL), HF_OK);
    return 0;
}

/* Whatever the dead one left, the next one gets the value, and so does the one after. */
static void kill_everywhere(hf_store *store, check_body *body, const char *name) {
    struct puppet *puppet = puppet_new();
    bool killed = true;
    for (unsigned n = 1; killed; n++) {
        check_at("%s, killed at point %u", name, n);
        CHECK(hf_delete(store, "k", 1, 0) >= 0);
        killed = puppet_killed_at(puppet, n, body, store);
        check_at("%s, killed at point %u, %s", name, n, puppet->point);
        double start = check_seconds();
        struct maker maker = making("value");
        CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
        CHECK(check_seconds() - start < 5);
        CHECK(killed || maker.calls == 0);
        check_value(store, "k", "value");
        check_sound(store);
    }
    CHECK(puppet_saw(puppet, "fill:claimed") && puppet_saw(puppet, "published") && puppet_saw(puppet, "fill:unlocked"));
}

static void wait_for_dead(hf_store *store) {
    struct puppet *puppet = puppet_new();
    pid_t waiter;
    for (unsigned n = 1; n > 0; n++) {
        check_at("a waiter of a filler that is killed at point %u", n);
        CHECK(hf_delete(store, "k", 1, 0) >= 0);
        pid_t filler = puppet_stopped_at(puppet, n, fill_it, store);
        if (filler == 0)
            return;
        waiter = check_spawn(fill_it, store);
        check_sleep_ms(5);
        kill(filler, SIGKILL);
        check_wait(filler, 5);
        check_ended(waiter, 5);
        check_value(store, "k", "value");
    }
}

/* ---- Logged -------------------------------------------------------------------------------------------------------------- */

struct logged {
    hf_store *store;
    unsigned calls;
};

static int give_nothing(void *unused, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)unused, (void)key, (void)key_len, (void)fill;
    return HF_OK;
}

/* Another has a lease for "other". */
static void fill_from_log(void *context, const struct hf_recovery *recovery) {
    struct logged *logged = context;
    struct hf_fill_options options = HF_FILL_INIT;
    (void)recovery;
    logged->calls++;
    options.wait_ms = 2000;
    CHECK_RC(hf_get_or_fill(logged->store, "other", 5, NULL, 0, NULL, NULL, give_nothing, NULL, &options), HF_OK);
}

static int put_k(void *store) {
    check_put(store, "k", "");
    return 0;
}

/* A claim finds the stripe's last owner dead, and the log is told with the fill lock in hand. */
void fill_logged(void) {
    struct logged logged = {.calls = 0};
    struct hf_options options = check_small_store(0);
    struct puppet *puppet = puppet_new();
    struct maker maker = making("value");
    struct hf_lease lease;
    options.stripes = 1;
    options.log = fill_from_log;
    options.log_context = &logged;
    logged.store = check_create("logged", options);
    CHECK_RC(hf_fill_begin(logged.store, "other", 5, NULL, &lease), HF_OK);
    CHECK(puppet_killed_at(puppet, 1, put_k, logged.store));
    CHECK_RC(get_k(logged.store, &maker, NULL, NULL), HF_OK);
    CHECK_EQ(logged.calls, 1);
    CHECK_RC(hf_close(&logged.store), HF_OK);
}

void fill_killed(void) {
    hf_store *store = check_create("killed", check_small_store(0));
    kill_everywhere(store, fill_it, "a fill");
    kill_everywhere(store, fill_by_lease, "a lease");
    wait_for_dead(store);
    CHECK_RC(hf_close(&store), HF_OK);
}
