/* SPDX-License-Identifier: MIT */
/* What came while a value was computed, and whose writer was killed: no fill may bring it back. See fill_cases.h. */
#include "fill_cases.h"
#include "internal.h"
#include "puppet.h"

static void delete_absent(hf_store *store) {
    CHECK_RC(hf_delete(store, "k", 1, 0), HF_NOTFOUND);
}

static void put_later(hf_store *store) {
    check_put(store, "k", "later");
}

static void put_and_delete(hf_store *store) {
    check_put(store, "k", "later");
    CHECK_RC(hf_delete(store, "k", 1, 0), HF_OK);
}

static void put_and_take(hf_store *store) {
    char value[8];
    check_put(store, "k", "later");
    CHECK_RC(hf_take(store, "k", 1, value, sizeof value, NULL, NULL), HF_OK);
}

static void put_that_expires(hf_store *store) {
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = 5;
    CHECK_RC(hf_put(store, "k", 1, "later", 5, &options, NULL), HF_OK);
    check_sleep_ms(10);
}

static void clear_all(hf_store *store) {
    CHECK_RC(hf_clear(store), HF_OK);
}

static void delete_others(hf_store *store, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        int length = snprintf(key, sizeof key, "other-%u", i);
        CHECK_RC(hf_delete(store, key, (size_t)length, 0), HF_NOTFOUND);
    }
}

static void delete_few(hf_store *store) {
    delete_others(store, 30);
}

static void delete_many(hf_store *store) {
    delete_others(store, 100);
}

static void delete_key_and_many(hf_store *store) {
    delete_absent(store);
    delete_others(store, 100);
}

static void put_other_that_expires(hf_store *store) {
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = 5;
    CHECK_RC(hf_put(store, "other", 5, "later", 5, &options, NULL), HF_OK);
    check_sleep_ms(10);
    CHECK_RC(hf_touch(store, "other", 5, 0), HF_NOTFOUND);
}

static void repair_all(hf_store *store) {
    CHECK_RC(hf_repair(store, NULL), HF_OK);
}

static void put_other(hf_store *store) {
    check_put(store, "other", "value");
}

static const struct {
    const char *name;
    void (*meanwhile)(hf_store *store);
    const char *left; /* under the key */
} interruptions[] = {
    {"nothing", NULL, "computed"},
    {"a put of another key", put_other, "computed"},
    {"deletes of other keys", delete_few, "computed"},
    {"a delete of the absent key", delete_absent, NULL},
    {"a put", put_later, "later"},
    {"a put and a delete", put_and_delete, NULL},
    {"a put and a take", put_and_take, NULL},
    {"a put that expired", put_that_expires, NULL},
    {"a clear", clear_all, NULL},
    {"a repair", repair_all, NULL},
    {"more deletes than are remembered", delete_many, "computed"},
    {"the same, and of the key", delete_key_and_many, NULL},
    {"a put of another key that expires", put_other_that_expires, "computed"},
};

void fill_outdated(void) {
    struct hf_options options = check_small_store(0);
    options.stripes = 1;
    hf_store *store = check_create("outdated", options);
    for (size_t i = 0; i < sizeof interruptions / sizeof *interruptions; i++) {
        struct maker maker = making("computed");
        struct hf_lease lease;
        struct hf_meta meta;
        bool stored = interruptions[i].left && strcmp(interruptions[i].left, "computed") == 0;
        check_at("%s while a value is computed", interruptions[i].name);
        CHECK_RC(i % 2 ? hf_clear(store) : hf_repair(store, NULL), HF_OK); /* what comes after either is not out of date */
        CHECK(hf_delete(store, "k", 1, 0) >= 0);
        maker.meanwhile = interruptions[i].meanwhile;
        maker.store = store;
        CHECK_RC(get_k(store, &maker, &meta, NULL), HF_OK);
        CHECK((meta.version != 0) == stored);
        check_value(store, "k", interruptions[i].left);
        CHECK_RC(hf_clear(store), HF_OK);
        CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &lease), HF_OK);
        if (interruptions[i].meanwhile)
            interruptions[i].meanwhile(store);
        CHECK_RC(hf_fill_publish(store, "k", 1, &maker.fill, &lease, NULL), stored ? HF_OK : HF_CHANGED);
        check_value(store, "k", interruptions[i].left);
    }
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static int delete_another(void *store) {
    CHECK_RC(hf_delete(store, "another", 7, 0), HF_NOTFOUND);
    return 0;
}

static int touch_expired(void *store) {
    CHECK_RC(hf_touch(store, "k", 1, 0), HF_NOTFOUND);
    return 0;
}

/* `before` makes the value out of date; then a write of another kind is killed wherever it may be. */
static void guard_killed(hf_store *store, bool locked, void (*before)(hf_store *store), unsigned deletes, check_body *body) {
    struct puppet *puppet = puppet_new();
    struct hf_fill fill = {.value = "old", .value_len = 3};
    struct hf_fill_options brief = HF_FILL_INIT;
    struct hf_lease lease, other;
    bool killed = true;
    brief.lease_ms = 1;
    for (unsigned n = 1; killed; n++) {
        CHECK_RC(hf_repair(store, NULL), HF_OK); /* forgets which deletes there were */
        CHECK_RC(hf_fill_begin(store, "k", 1, locked ? NULL : &brief, &lease), HF_OK);
        before(store);
        delete_others(store, deletes);
        killed = puppet_killed_at(puppet, n, body, store);
        check_at("a writer killed at point %u, %s", n, puppet->point);
        if (!locked)
            CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &other), HF_OK); /* so that the stripe must tell */
        CHECK_RC(hf_fill_publish(store, "k", 1, &fill, &lease, NULL), HF_CHANGED);
        check_value(store, "k", NULL);
        CHECK_RC(hf_fill_cancel(store, locked ? &lease : &other), HF_OK);
    }
    check_sound(store);
}

/* Whose lease has ended, and whose lock has gone to another, is told by the stripe what came since. */
static void without_a_lock(hf_store *store, void (*meanwhile)(hf_store *store), int result) {
    struct hf_fill fill = {.value = "old", .value_len = 3};
    struct hf_fill_options brief = HF_FILL_INIT;
    struct hf_lease first, second;
    brief.lease_ms = 1;
    CHECK_RC(hf_repair(store, NULL), HF_OK);
    CHECK_RC(hf_fill_begin(store, "k", 1, &brief, &first), HF_OK);
    meanwhile(store);
    check_put(store, "unrelated", "v"); /* so that the horizons differ */
    CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &second), HF_OK);
    CHECK_RC(hf_fill_publish(store, "k", 1, &fill, &first, NULL), result);
    CHECK_RC(hf_fill_cancel(store, &second), HF_OK);
    CHECK(hf_delete(store, "k", 1, 0) >= 0);
}

static int repair_it(void *store) {
    repair_all(store);
    return 0;
}

/* A put came, its value is damaged, and who repairs that is killed. */
static void repairer_killed(hf_store *store) {
    struct puppet *puppet = puppet_new();
    struct hf_fill fill = {.value = "old", .value_len = 3};
    struct hf_lease lease;
    bool killed = true;
    for (unsigned n = 1; killed; n++) {
        CHECK_RC(hf_fill_begin(store, "k", 1, NULL, &lease), HF_OK);
        put_later(store);
        char *value = memmem(store->region->base, hf__mapped_size(&store->region->geometry), "later", 5);
        CHECK(value != NULL);
        memset(value, 'X', 5);
        killed = puppet_killed_at(puppet, n, repair_it, store);
        check_at("a repairer killed at point %u, %s", n, puppet->point);
        CHECK_RC(hf_fill_publish(store, "k", 1, &fill, &lease, NULL), HF_CHANGED);
        repair_all(store);
        CHECK(hf_delete(store, "k", 1, 0) >= 0);
    }
}

void fill_guarded(void) {
    struct hf_options options = check_small_store(0);
    options.stripes = 1;
    hf_store *store = check_create("guarded", options);
    without_a_lock(store, put_other, HF_OK);
    without_a_lock(store, delete_few, HF_OK);
    without_a_lock(store, delete_absent, HF_CHANGED);
    without_a_lock(store, put_and_delete, HF_CHANGED);
    without_a_lock(store, delete_many, HF_CHANGED);
    without_a_lock(store, put_other_that_expires, HF_CHANGED);
    repairer_killed(store);
    for (int locked = 0; locked < 2; locked++) {
        guard_killed(store, locked, delete_absent, 30, delete_another);
        guard_killed(store, locked, put_that_expires, 0, touch_expired);
    }
    CHECK_RC(hf_close(&store), HF_OK);
}
