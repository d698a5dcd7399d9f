/* SPDX-License-Identifier: MIT */
/*
 * hf_get_many and hf_put_many: every request gets what the single call would have given it, whatever stands beside it and
 * however many there are; and what is said of locks: how long they are held, what becomes of the rest when one is not to be
 * had. Needs the test build of the library, for its named points.
 *
 *     many [CASE...] [--planted BUG]
 */
#include "internal.h"
#include "puppet.h"

#include <signal.h>

const unsigned test_seconds = 120;

enum { MOST = 1000, KEYS = 200, ROOM = 400, BIG = 20000, TIMEOUT_MS = 600 };

static const size_t counts[] = {0, 1, 2, 15, 16, 17, 33, 63, 64, 65, 129, MOST};
enum { COUNTS = sizeof counts / sizeof *counts };

static struct hf_options with_stripes(uint32_t stripes) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 8 << 20;
    options.max_value = BIG;
    options.stripes = stripes;
    options.timeout_ms = TIMEOUT_MS;
    return options;
}

static char texts[MOST][16];

/* Key number i, kept until the test ends. */
static const char *key_of(size_t i) {
    snprintf(texts[i], sizeof texts[i], "key-%zu", i);
    return texts[i];
}

static void requests_of(struct hf_put_request *requests, size_t count, const void *value, size_t value_len) {
    for (size_t i = 0; i < count; i++)
        requests[i] = (struct hf_put_request){.key = key_of(i), .key_len = strlen(texts[i]), .value = value,
                                              .value_len = value_len};
}

static uint32_t stripe_of(const hf_store *store, const struct hf_put_request *put) {
    return hf__locate(store->region, hf__hash_key(store->region, put->key, put->key_len)).stripe;
}

/* ---- As the single calls -------------------------------------------------------------------------------------------------- */

static struct hf_put_request asked[MOST];
static struct hf_get_request wanted[MOST];
static struct hf_put_options options_of[MOST];
static struct hf_meta metas[MOST];
static char values[MOST][ROOM], buffers[MOST][ROOM];
static uint64_t seed = 5;

/* Puts of all kinds, some of which cannot be right. Few keys: many are equal. */
static void random_put(struct hf_put_request *put, size_t i) {
    uint64_t kind = check_below(&seed, 24);
    key_of(i); /* its room; the key is another one */
    put->key = texts[i];
    put->key_len = (size_t)snprintf(texts[i], sizeof texts[i], "key-%u", (unsigned)check_below(&seed, KEYS));
    put->value = values[i];
    put->value_len = check_below(&seed, ROOM);
    memset(values[i], (int)('a' + i % 26), ROOM);
    put->options = kind < 12 ? NULL : &options_of[i];
    options_of[i] = (struct hf_put_options)HF_PUT_INIT;
    options_of[i].condition = (uint32_t)check_below(&seed, 3); /* none on versions: those of two stores differ */
    options_of[i].expires_ms = kind == 13 ? 1000 : 0;          /* long ago */
    options_of[i].flags = (uint32_t)i;
    put->reserved = kind == 14;
    if (kind == 15)
        options_of[i].condition = 17;
    if (kind == 16)
        put->key_len = 0;
    if (kind == 17)
        put->value = NULL;
    if (kind == 18)
        put->value_len = BIG + 1;
    put->result = 1234;
    put->version = 0;
}

static int put_alone(hf_store *store, const struct hf_put_request *put, uint64_t *version) {
    if (put->reserved != 0)
        return HF_ERR_ARGUMENT;
    return hf_put(store, put->key, put->key_len, put->value, put->value_len, put->options, version);
}

/* The same puts in two stores, by one call and one by one: the same results, the same entries. */
static void put_both(hf_store *group, hf_store *single, size_t count) {
    int first = HF_OK;
    char explained[512] = "";
    memset(asked, 0, sizeof asked);
    for (size_t i = 0; i < count; i++)
        random_put(&asked[i], i);
    int result = hf_put_many(group, asked, count);
    if (result < 0)
        snprintf(explained, sizeof explained, "%s", hf_explain());
    for (size_t i = 0; i < count; i++) {
        uint64_t version = 0;
        int alone = put_alone(single, &asked[i], &version);
        check_at("put %zu of %zu, of '%.*s'", i, count, (int)asked[i].key_len, (const char *)asked[i].key);
        CHECK_RC(asked[i].result, alone);
        CHECK((asked[i].version != 0) == (version != 0));
        if (alone < 0 && first == HF_OK) {
            first = alone;
            CHECK(asked[i].reserved != 0 || strcmp(explained, hf_explain()) == 0);
        }
    }
    CHECK_RC(result, first);
}

static void random_get(struct hf_get_request *get, size_t i) {
    uint64_t kind = check_below(&seed, 20);
    key_of(i);
    get->key = texts[i];
    get->key_len = (size_t)snprintf(texts[i], sizeof texts[i], "key-%u", (unsigned)check_below(&seed, KEYS * 5 / 4));
    get->buffer = buffers[i];
    get->size = kind < 12 ? ROOM : check_below(&seed, ROOM);
    get->meta = kind % 2 ? &metas[i] : NULL;
    get->reserved = kind == 13;
    if (kind == 14)
        get->key_len = HF_KEY_MAX + 1;
    if (kind == 15)
        get->buffer = NULL;
    get->result = 1234;
    get->value_len = 0;
}

static int get_alone(hf_store *store, const struct hf_get_request *get, void *buffer, size_t *length, struct hf_meta *meta) {
    if (get->reserved != 0)
        return HF_ERR_ARGUMENT;
    return hf_get(store, get->key, get->key_len, get->buffer ? buffer : NULL, get->size, length, meta);
}

static void same_get(hf_store *store, const struct hf_get_request *get, size_t i, int *first) {
    static char buffer[ROOM];
    struct hf_meta meta;
    size_t length = 0;
    int alone = get_alone(store, get, buffer, &length, &meta);
    check_at("get %zu, of '%s'", i, texts[i]);
    CHECK_RC(get->result, alone);
    if (alone < 0 && *first == HF_OK)
        *first = alone;
    CHECK_EQ(get->value_len, length);
    if (alone != HF_OK && alone != HF_TRUNCATED)
        return;
    CHECK(get->size == 0 || memcmp(get->buffer, buffer, length < get->size ? length : get->size) == 0);
    CHECK(!get->meta || memcmp(get->meta, &meta, sizeof meta) == 0);
}

static void get_both(hf_store *store, size_t count) {
    int first = HF_OK;
    memset(wanted, 0, sizeof wanted);
    for (size_t i = 0; i < count; i++)
        random_get(&wanted[i], i);
    int result = hf_get_many(store, wanted, count);
    for (size_t i = 0; i < count; i++)
        same_get(store, &wanted[i], i, &first);
    CHECK_RC(result, first);
}

static void as_single(void) {
    hf_store *group = check_create("group", with_stripes(4)), *single = check_create("single", with_stripes(4));
    for (unsigned round = 0; round < 10; round++) {
        for (size_t i = 0; i < COUNTS; i++) {
            put_both(group, single, counts[i]);
            get_both(group, counts[i]);
        }
        struct hf_stats a = HF_STATS_INIT, b = HF_STATS_INIT;
        CHECK_RC(hf_stats(group, &a), HF_OK);
        CHECK_RC(hf_stats(single, &b), HF_OK);
        CHECK(a.puts == b.puts && a.entries == b.entries && a.used_bytes == b.used_bytes);
    }
    check_sound(group);
    CHECK_RC(hf_close(&group), HF_OK);
    CHECK_RC(hf_close(&single), HF_OK);
}

/* 13 keys in two buckets of 7: with a little more than one seed in two, some lie beyond their own bucket. */
static void perhaps_spilled(void) {
    hf_store *store = NULL;
    CHECK_RC(hf__open_tiny(&store, 2, 128, HF_MODE_STORE), HF_OK);
    requests_of(asked, 13, "v", 1);
    CHECK_RC(hf_put_many(store, asked, 13), HF_OK);
    for (size_t i = 0; i < 14; i++)
        wanted[i] = (struct hf_get_request){.key = key_of(i), .key_len = strlen(texts[i]), .buffer = buffers[i], .size = 1};
    CHECK_RC(hf_get_many(store, wanted, 14), HF_OK);
    for (size_t i = 0; i < 14; i++)
        CHECK_RC(wanted[i].result, i < 13 ? HF_OK : HF_NOTFOUND);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void spilled(void) {
    for (unsigned seeds = 0; seeds < 40; seeds++)
        perhaps_spilled();
}

static void refused(void) {
    hf_store *store = check_create("refused", with_stripes(1));
    requests_of(asked, 2, "v", 1);
    memset(wanted, 0, sizeof *wanted);
    asked[0].result = wanted[0].result = 77;
    CHECK_RC(hf_put_many(NULL, asked, 2), HF_ERR_ARGUMENT);
    CHECK_RC(hf_put_many(store, NULL, 2), HF_ERR_ARGUMENT);
    CHECK_RC(hf_get_many(NULL, wanted, 1), HF_ERR_ARGUMENT);
    CHECK_RC(hf_get_many(store, NULL, 1), HF_ERR_ARGUMENT);
    CHECK(strlen(hf_explain()) > 10);
    CHECK(asked[0].result == 77 && wanted[0].result == 77);
    CHECK_RC(hf_put_many(store, NULL, 0), HF_OK);
    CHECK_RC(hf_get_many(store, NULL, 0), HF_OK);
    check_value(store, "key-0", NULL);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void read_only(void) {
    char path[CHECK_PATH];
    hf_store *store = check_create("shown", with_stripes(4));
    requests_of(asked, 100, "value", 5);
    CHECK_RC(hf_put_many(store, asked, 100), HF_OK);
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = HF_RDONLY;
    hf_store *viewer = check_open(check_path(path, "shown"), &options);
    for (unsigned round = 0; round < 20; round++)
        get_both(viewer, 100);
    requests_of(asked, 100, "other", 5);
    CHECK_RC(hf_put_many(viewer, asked, 100), HF_ERR_READONLY);
    for (size_t i = 0; i < 100; i++)
        CHECK_RC(asked[i].result, HF_ERR_READONLY);
    check_value(store, "key-0", "value");
    CHECK_RC(hf_close(&viewer), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Locks ---------------------------------------------------------------------------------------------------------------- */

static unsigned held_puts, most_puts, holds;

static void count_holds(const char *point) {
    if (strcmp(point, "end") == 0 && ++held_puts > most_puts)
        most_puts = held_puts;
    if (strcmp(point, "unlock") != 0)
        return;
    holds++;
    held_puts = 0;
}

static void put_counted(hf_store *store, size_t count, size_t size) {
    static char value[BIG];
    requests_of(asked, count, value, size);
    held_puts = most_puts = holds = 0;
    hf__point_hook = count_holds;
    int result = hf_put_many(store, asked, count);
    hf__point_hook = NULL;
    CHECK_RC(result, HF_OK);
}

/* As holdfast.h says: 16 puts, or 64 KiB and what the last put went beyond them. */
static void bounded_hold(void) {
    hf_store *store = check_create("bounded", with_stripes(1));
    put_counted(store, 64, 10);
    CHECK_EQ(most_puts, 16);
    CHECK_EQ(holds, 4);
    put_counted(store, 64, BIG);
    CHECK_EQ(most_puts, 4);
    CHECK_EQ(holds, 16);
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_create("lockwise", with_stripes(4));
    put_counted(store, 16, 10);
    CHECK(holds <= 4);
    CHECK_RC(hf_close(&store), HF_OK);
}

static unsigned told;

static void on_recovery(void *context, const struct hf_recovery *recovery) {
    hf_store **store = context;
    told++;
    CHECK(recovery->verdict == HF_VERDICT_OLD || recovery->verdict == HF_VERDICT_NEW);
    check_put(*store, "told", "in the middle"); /* no lock is held: it may use the handle */
}

static int put_held(void *store) {
    check_put(store, "held", "new");
    return 0;
}

/* Somebody died with one of the stripes: it is repaired on the way, once, and nothing is lost. */
static void dead_owner(void) {
    struct hf_options options = with_stripes(4);
    struct hf_stats stats = HF_STATS_INIT;
    struct puppet *puppet = puppet_new();
    hf_store *store = NULL;
    options.log = on_recovery;
    options.log_context = &store;
    for (unsigned point = 1; point <= 8; point++) {
        char path[CHECK_PATH];
        check_at("killed at point %u", point);
        unlink(check_path(path, "dead"));
        store = check_create("dead", options);
        check_put(store, "held", "old");
        CHECK(puppet_killed_at(puppet, point, put_held, store));
        requests_of(asked, MOST, "value", 5);
        told = 0;
        CHECK_RC(hf_put_many(store, asked, MOST), HF_OK);
        CHECK_RC(hf_stats(store, &stats), HF_OK);
        CHECK_EQ(stats.recoveries, 1);
        CHECK_EQ(told, 1);
        CHECK_EQ(stats.entries, MOST + 2);
        for (size_t i = 0; i < MOST; i++)
            check_value(store, texts[i], "value");
        check_sound(store);
        CHECK_RC(hf_close(&store), HF_OK);
    }
}

/* Those of the other stripes are done; the one is waited for once, not once in every chunk. */
static void stopped_holder(void) {
    hf_store *store = check_create("stopped", with_stripes(4));
    check_put(store, "held", "old");
    struct puppet *puppet = puppet_new();
    pid_t holder = puppet_stopped_at(puppet, 2, put_held, store);
    CHECK(holder != 0);
    uint32_t stripe = hf__locate(store->region, hf__hash_key(store->region, "held", 4)).stripe;
    requests_of(asked, MOST, "value", 5);
    double start = check_seconds();
    CHECK_RC(hf_put_many(store, asked, MOST), HF_ERR_TIMEOUT);
    CHECK(check_seconds() - start < 8 * TIMEOUT_MS / 1000.0); /* of 16 chunks */
    CHECK(strcmp(hf_explain(), hf_result_text(HF_ERR_TIMEOUT)) == 0);
    for (size_t i = 0; i < MOST; i++) {
        CHECK_RC(asked[i].result, stripe_of(store, &asked[i]) == stripe ? HF_ERR_TIMEOUT : HF_OK);
        check_value(store, texts[i], asked[i].result == HF_OK ? "value" : NULL);
    }
    kill(holder, SIGCONT);
    check_ended(holder, 10);
    CHECK_RC(hf_put_many(store, asked, MOST), HF_OK);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void quarantined(void) {
    hf_store *store = check_create("quarantined", with_stripes(4));
    hf__stripe_at(store->region, 2)->quarantined = 1;
    requests_of(asked, 200, "value", 5);
    asked[0].key_len = 0; /* an earlier failure: it is the one that is told */
    CHECK_RC(hf_put_many(store, asked, 200), HF_ERR_ARGUMENT);
    CHECK(strstr(hf_explain(), "a key of 0 bytes") != NULL);
    for (size_t i = 1; i < 200; i++)
        CHECK_RC(asked[i].result, stripe_of(store, &asked[i]) == 2 ? HF_ERR_QUARANTINED : HF_OK);
    CHECK_RC(hf_put_many(store, asked + 1, 199), HF_ERR_QUARANTINED);
    CHECK_RC(hf_repair(store, NULL), HF_OK);
    CHECK_RC(hf_put_many(store, asked + 1, 199), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A handler that interrupts a put of a group is told so for the stripe that is held, and reads as ever. */
static hf_store *interrupted;
static unsigned reentered;

static void write_inside(const char *point) {
    struct hf_put_request put = {.key = "inside", .key_len = 6, .value = "v", .value_len = 1};
    struct hf_get_request get = {.key = "key-0", .key_len = 5};
    if (strcmp(point, "filled") != 0)
        return;
    reentered++;
    CHECK_RC(hf_put_many(interrupted, &put, 1), HF_ERR_REENTERED);
    CHECK_RC(hf_get_many(interrupted, &get, 1), HF_OK);
}

static void inside_another(void) {
    interrupted = check_create("interrupted", with_stripes(1));
    requests_of(asked, 20, "value", 5);
    hf__point_hook = write_inside;
    CHECK_RC(hf_put_many(interrupted, asked, 20), HF_OK);
    hf__point_hook = NULL;
    CHECK_EQ(reentered, 20);
    check_value(interrupted, "inside", NULL);
    check_sound(interrupted);
    CHECK_RC(hf_close(&interrupted), HF_OK);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"as-single", as_single},       {"spilled", spilled},
        {"refused", refused},           {"read-only", read_only},
        {"bounded-hold", bounded_hold}, {"dead-owner", dead_owner},
        {"stopped-holder", stopped_holder}, {"quarantined", quarantined},
        {"inside-another", inside_another},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
