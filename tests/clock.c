/* SPDX-License-Identifier: MIT */
/*
 * Times to live: the store's default, values that have expired but are still there, and a clock that jumps. Knows the library
 * inside: the clock is shifted by a hook of the test build.
 */
#include "check.h"
#include "internal.h"

#include <time.h>

const unsigned test_seconds = 60;

enum { SECOND = 1000, HOUR = 3600 * SECOND };

/* ---- A clock that is set ------------------------------------------------------------------------------------------------- */

static bool frozen;
static int64_t clock_seconds; /* what the clock shows, if it is frozen */

static void show(struct timespec *now) {
    if (frozen)
        *now = (struct timespec){.tv_sec = clock_seconds};
}

static void set_clock(int64_t seconds) {
    frozen = true;
    clock_seconds = seconds;
    hf__clock_hook = show;
}

/* ---- Shorthands ---------------------------------------------------------------------------------------------------------- */

static hf_store *store;

static void open_with_default(const char *name, uint64_t default_ttl_ms) {
    struct hf_options options = check_small_store(0);
    options.stripes = 1;
    options.default_ttl_ms = default_ttl_ms;
    store = check_create(name, options);
}

static void put(const char *key, const char *value, uint64_t ttl_ms) {
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = ttl_ms;
    CHECK_RC(hf_put(store, key, strlen(key), value, strlen(value), &options, NULL), HF_OK);
}

/* What the entry has left to live, by a clock that stands still; 0: for ever. */
static void lives(const char *key, uint64_t ttl_ms) {
    struct hf_meta meta;
    CHECK_RC(hf_exists(store, key, strlen(key), &meta), HF_OK);
    CHECK_EQ(meta.ttl_ms, ttl_ms);
    CHECK_EQ(meta.expires_ms, ttl_ms ? hf__now_ms() + ttl_ms : 0);
}

/* The value as hf_get_stale finds it: HF_OK, HF_STALE, or HF_NOTFOUND. */
static void stale_is(hf_store *reader, const char *key, int result, const char *value) {
    char found[16];
    size_t length = 0;
    struct hf_meta meta;
    CHECK_RC(hf_get_stale(reader, key, strlen(key), found, sizeof found, &length, &meta), result);
    if (result != HF_NOTFOUND)
        CHECK(length == strlen(value) && memcmp(found, value, length) == 0 && meta.value_len == length);
    if (result == HF_STALE)
        CHECK(meta.ttl_ms == 0 && meta.expires_ms > 0 && meta.expires_ms <= hf__now_ms());
}

/* ---- The store's default ------------------------------------------------------------------------------------------------- */

static void default_of_writes(void) {
    struct hf_put_options moment = HF_PUT_INIT;
    struct hf_incr_options counted = HF_INCR_INIT;
    set_clock(1800000000);
    open_with_default("default", HOUR);
    put("plain", "7", 0);
    lives("plain", HOUR);
    put("plain", "7", SECOND);
    lives("plain", SECOND);
    put("plain", "7", HF_TTL_NEVER);
    lives("plain", 0);
    CHECK_RC(hf_put(store, "plain", 5, "7", 1, NULL, NULL), HF_OK);
    lives("plain", HOUR);
    moment.expires_ms = hf__now_ms() + 5;
    CHECK_RC(hf_put(store, "plain", 5, "7", 1, &moment, NULL), HF_OK);
    lives("plain", 5);
    CHECK_RC(hf_incr(store, "count", 5, 1, NULL, NULL), HF_OK);
    lives("count", HOUR);
    counted.ttl_ms = SECOND;
    CHECK_RC(hf_incr(store, "count", 5, 1, &counted, NULL), HF_OK);
    lives("count", HOUR);
    CHECK_RC(hf_incr(store, "brief", 5, 1, &counted, NULL), HF_OK);
    lives("brief", SECOND);
    CHECK_RC(hf_append(store, "brief", 5, "0", 1, NULL), HF_OK);
    lives("brief", SECOND);
    CHECK_RC(hf_append(store, "tail", 4, "0", 1, NULL), HF_OK);
    lives("tail", HOUR);
    CHECK_RC(hf_touch(store, "tail", 4, HF_TTL_NEVER), HF_OK);
    lives("tail", 0);
    CHECK_RC(hf_append(store, "tail", 4, "0", 1, NULL), HF_OK);
    lives("tail", 0);
    CHECK_RC(hf_touch(store, "tail", 4, 0), HF_OK);
    lives("tail", HOUR);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void default_is(uint64_t ttl_ms) {
    struct hf_info info = HF_INFO_INIT;
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(info.default_ttl_ms, ttl_ms);
}

/* It belongs to the store: neither who opens it nor a copy changes it. */
static void default_stays(void) {
    char path[CHECK_PATH], copy[CHECK_PATH];
    struct hf_options options = check_small_store(HF_CREATE);
    set_clock(1800000000);
    open_with_default("stays", HOUR);
    CHECK_RC(hf_copy(store, check_path(copy, "copy"), NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    options.default_ttl_ms = 5;
    store = check_open(check_path(path, "stays"), &options);
    default_is(HOUR);
    put("plain", "7", 0);
    lives("plain", HOUR);
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_open(copy, NULL);
    default_is(HOUR);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void default_range(void) {
    char path[CHECK_PATH];
    struct hf_options options = check_small_store(HF_CREATE);
    open_with_default("never", HF_TTL_NEVER);
    default_is(0);
    CHECK_RC(hf_close(&store), HF_OK);
    open_with_default("longest", HF__EXPIRY_MAX);
    default_is(HF__EXPIRY_MAX);
    check_put(store, "long", "lived");
    check_value(store, "long", "lived");
    CHECK_RC(hf_close(&store), HF_OK);
    options.default_ttl_ms = HF__EXPIRY_MAX + 1;
    CHECK_RC(hf_open(&store, check_path(path, "longer"), &options), HF_ERR_ARGUMENT);
    options.default_ttl_ms = HF_TTL_NEVER - 1;
    CHECK_RC(hf_open(&store, path, &options), HF_ERR_ARGUMENT);
}

/* ---- Values that have expired -------------------------------------------------------------------------------------------- */

static void stale_values(void) {
    char path[CHECK_PATH], byte;
    struct hf_options options = check_small_store(HF_RDONLY);
    struct hf_meta meta;
    size_t length = 0;
    set_clock(1800000000);
    open_with_default("stale", 0);
    hf_store *reader = check_open(check_path(path, "stale"), &options);
    stale_is(store, "key", HF_NOTFOUND, NULL);
    put("key", "value", HOUR);
    put("empty", "", HOUR);
    stale_is(store, "key", HF_OK, "value");
    clock_seconds += 3599;
    stale_is(store, "key", HF_OK, "value");
    clock_seconds += 1;
    check_value(store, "key", NULL);
    CHECK_RC(hf_take(store, "key", 3, &byte, 1, NULL, NULL), HF_NOTFOUND);
    stale_is(store, "key", HF_STALE, "value");
    stale_is(reader, "key", HF_STALE, "value");
    stale_is(store, "empty", HF_STALE, "");
    CHECK_RC(hf_get_stale(store, "key", 3, &byte, 1, &length, &meta), HF_TRUNCATED);
    CHECK(byte == 'v' && length == 5 && meta.ttl_ms == 0 && meta.expires_ms == hf__now_ms());
    struct hf_stats stats = HF_STATS_INIT;
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_EQ(stats.stale_hits, 3); /* one of them cut short */
    put("key", "newer", HOUR);
    stale_is(reader, "key", HF_OK, "newer");
    CHECK_RC(hf_get_stale(store, "key", 3, &byte, 1, &length, &meta), HF_TRUNCATED);
    CHECK(byte == 'n' && length == 5 && meta.ttl_ms == HOUR);
    CHECK_RC(hf_close(&reader), HF_OK);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A write of the key that is refused, because it counts as absent, removes it all the same. */
static void stale_goes(void) {
    struct hf_put_options present = HF_PUT_INIT;
    struct hf_incr_options counted = HF_INCR_INIT;
    counted.condition = present.condition = HF_IF_PRESENT;
    set_clock(1800000000);
    open_with_default("goes", SECOND);
    for (int verb = 0; verb < 4; verb++) {
        check_at("verb %d", verb);
        put("key", "7", 0);
        clock_seconds += 2;
        stale_is(store, "key", HF_STALE, "7");
        int rc = verb == 0 ? hf_put(store, "key", 3, "8", 1, &present, NULL)
            : verb == 1    ? hf_delete(store, "key", 3, 0)
            : verb == 2    ? hf_touch(store, "key", 3, 0)
                           : hf_incr(store, "key", 3, 1, &counted, NULL);
        CHECK_RC(rc, HF_NOTFOUND);
        stale_is(store, "key", HF_NOTFOUND, NULL);
    }
    CHECK_RC(hf_close(&store), HF_OK);
}

/* Room is made of what has expired, and only when it is needed: in mode store of all of it at once. */
static void stale_for_room(void) {
    char key[16];
    struct hf_stats stats = HF_STATS_INIT;
    for (uint32_t mode = HF_MODE_STORE; mode <= HF_MODE_CACHE; mode++) {
        unsigned filled = 0, stale = 0;
        set_clock(1800000000);
        CHECK_RC(hf__open_tiny(&store, 16, 64, mode), HF_OK);
        for (; filled < 20; filled++) {
            snprintf(key, sizeof key, "old %u", filled);
            put(key, "7", SECOND);
        }
        clock_seconds += 2;
        for (unsigned i = 0; i < 30 && stale == 0; i++) {
            CHECK_RC(hf_stats(store, &stats), HF_OK);
            if (stats.expirations == 0)
                stale_is(store, "old 7", HF_STALE, "7");
            snprintf(key, sizeof key, "new %u", i);
            put(key, "8", 0);
            CHECK_RC(hf_stats(store, &stats), HF_OK);
            stale = (unsigned)stats.expirations;
        }
        CHECK(mode == HF_MODE_CACHE ? stale > 0 : stale == filled);
        CHECK_EQ(stats.evictions, 0);
        CHECK_RC(hf_close(&store), HF_OK);
    }
}

/* ---- Stale values while somebody makes a new one ------------------------------------------------------------------------- */

static unsigned made;
static uint64_t made_ttl_ms;

static int make(void *context, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)context, (void)key, (void)key_len;
    made++;
    *fill = (struct hf_fill){.value = "made", .value_len = 4, .ttl_ms = made_ttl_ms};
    return HF_OK;
}

static void filled(const char *key, int result, const char *value) {
    struct hf_fill_options options = HF_FILL_INIT;
    char found[16];
    size_t length = 0;
    struct hf_meta meta;
    options.flags = HF_FILL_STALE | HF_FILL_NOWAIT;
    CHECK_RC(hf_get_or_fill(store, key, strlen(key), found, sizeof found, &length, &meta, make, NULL, &options), result);
    if (value)
        CHECK(length == strlen(value) && memcmp(found, value, length) == 0);
    if (result != HF_ERR_TIMEOUT) /* what is left is told as a hit would tell it */
        CHECK_EQ(meta.ttl_ms, result == HF_STALE || made_ttl_ms == HF_TTL_NEVER ? 0 : HOUR);
}

static void stale_while_filled(void) {
    struct hf_fill_options options = HF_FILL_INIT;
    struct hf_fill fill = {.value = "new", .value_len = 3};
    struct hf_lease lease, other;
    set_clock(1800000000);
    open_with_default("filled", HOUR);
    options.flags = HF_FILL_STALE | HF_FILL_NOWAIT;
    put("key", "old", 0);
    CHECK_RC(hf_fill_begin(store, "key", 3, &options, &lease), HF_EXISTS);
    clock_seconds += 3600;
    CHECK_RC(hf_fill_begin(store, "key", 3, &options, &lease), HF_OK);
    CHECK_RC(hf_fill_begin(store, "key", 3, &options, &other), HF_STALE);
    filled("key", HF_STALE, "old");
    stale_is(store, "key", HF_STALE, "old"); /* neither the lease nor who asks removes it */
    CHECK_RC(hf_fill_publish(store, "key", 3, &fill, &lease, NULL), HF_OK);
    filled("key", HF_OK, "new");
    CHECK_RC(hf_fill_begin(store, "none", 4, &options, &lease), HF_OK);
    CHECK_RC(hf_fill_begin(store, "none", 4, &options, &other), HF_ERR_TIMEOUT);
    filled("none", HF_ERR_TIMEOUT, NULL);
    CHECK_EQ(made, 0);
    clock_seconds += 3600;
    filled("key", HF_OK, "made"); /* nobody else makes it: the caller does */
    CHECK_EQ(made, 1);
    lives("key", HOUR);
    made_ttl_ms = HF_TTL_NEVER;
    filled("for ever", HF_OK, NULL);
    lives("for ever", 0);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- A clock that jumps -------------------------------------------------------------------------------------------------- */

static void forwards(void) {
    set_clock(1800000000);
    open_with_default("forwards", 0);
    put("hour", "7", HOUR);
    put("day", "7", 24 * HOUR);
    put("for ever", "7", 0);
    clock_seconds += 2 * 3600;
    check_value(store, "hour", NULL);
    lives("day", 22 * HOUR);
    lives("for ever", 0);
    clock_seconds += 100ll * 365 * 86400;
    check_value(store, "day", NULL);
    lives("for ever", 0);
    put("hour", "8", HOUR);
    lives("hour", HOUR);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void backwards(void) {
    struct hf_meta before, after;
    uint64_t version;
    set_clock(1800000000);
    open_with_default("backwards", 0);
    put("hour", "7", HOUR);
    put("gone", "7", SECOND);
    CHECK_RC(hf_exists(store, "hour", 4, &before), HF_OK);
    clock_seconds += 2;
    check_value(store, "gone", NULL);
    clock_seconds -= 3602;
    lives("hour", 2 * HOUR);
    check_value(store, "gone", "7"); /* it was not removed: it lives again */
    CHECK_RC(hf_put(store, "hour", 4, "8", 1, NULL, &version), HF_OK);
    CHECK_RC(hf_exists(store, "hour", 4, &after), HF_OK);
    CHECK(after.version == version && version > before.version); /* versions know no clock */
    put("soon", "7", SECOND);
    clock_seconds += 2;
    check_value(store, "soon", NULL);
    stale_is(store, "soon", HF_STALE, "7");
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A lock's deadline is not of this clock. */
static void deadlines(void) {
    struct hf__hold hold;
    set_clock(1800000000);
    open_with_default("deadlines", 0);
    CHECK_RC(hf__lock(store, 0, 2000, &hold), HF_OK);
    clock_seconds -= 1000000;
    double begun = check_seconds();
    CHECK_RC(hf__lock(store, 0, 20, &hold), HF_ERR_REENTERED);
    CHECK(check_seconds() - begun < 30);
    hf__unlock(&hold);
    CHECK_RC(hf_close(&store), HF_OK);
}

static const int64_t last_second = HF__EXPIRY_MAX / 1000; /* in the year 10889 */

static void ends(void) {
    const int64_t clocks[] = {INT32_MIN, -1, 0, 1, INT32_MAX, UINT32_MAX, last_second - 1, last_second, last_second + 1,
                              INT64_MAX / 2000};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        check_at("the clock at %lld", (long long)clocks[i]);
        set_clock(clocks[i]);
        CHECK_RC(hf__open_tiny(&store, 16, 64, HF_MODE_STORE), HF_OK);
        put("for ever", "7", HF_TTL_NEVER);
        put("very long", "7", HF__EXPIRY_MAX);
        put("longest", "7", HF_TTL_NEVER - 1);
        put("long", "7", 5 * SECOND);
        check_value(store, "for ever", "7");
        check_value(store, "very long", "7");
        check_value(store, "longest", "7");
        check_value(store, "long", "7");
        uint64_t begun = hf__now_ms();
        clock_seconds += 6;
        bool stands = hf__now_ms() < begun + 5 * SECOND && hf__now_ms() >= begun;
        CHECK_EQ(stands, clocks[i] == INT32_MIN || clocks[i] >= last_second - 1);
        check_value(store, "long", stands ? "7" : NULL);
        check_value(store, "for ever", "7");
        clock_seconds = INT64_MAX / 2000;
        check_value(store, "for ever", "7");
        check_value(store, "very long", "7"); /* the last moment never comes */
        clock_seconds = -5;
        check_value(store, "long", "7");
        check_sound(store);
        CHECK_RC(hf_close(&store), HF_OK);
    }
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"default-of-writes", default_of_writes}, {"default-stays", default_stays}, {"default-range", default_range},
        {"stale-values", stale_values}, {"stale-goes", stale_goes}, {"stale-for-room", stale_for_room},
        {"stale-while-filled", stale_while_filled},
        {"forwards", forwards}, {"backwards", backwards}, {"deadlines", deadlines}, {"ends", ends},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
