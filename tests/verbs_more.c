/* SPDX-License-Identifier: MIT */
/* Every result of incr, append and touch; times to live; options structs of other sizes than ours. */
#include "check.h"

#include <inttypes.h>
#include <time.h>

const unsigned test_seconds = 60;

enum { MAX_VALUE = 4096 };
static hf_store *store;

static void open_store(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 8 << 20;
    options.max_value = MAX_VALUE;
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
}

static void close_store(void) {
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- incr ---------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *before; /* NULL: absent */
    int64_t by;
    int result;
    const char *after;
} sums[] = {
    {NULL, 5, HF_OK, "5"},
    {NULL, -5, HF_OK, "-5"},
    {NULL, 0, HF_OK, "0"},
    {"0", 1, HF_OK, "1"},
    {"41", 1, HF_OK, "42"},
    {"1", -2, HF_OK, "-1"},
    {"-1", 1, HF_OK, "0"},
    {"9", 1, HF_OK, "10"},
    {"007", 1, HF_OK, "8"},
    {"-0", -1, HF_OK, "-1"},
    {"+1", 1, HF_ERR_NUMBER, NULL},
    {"100", -1, HF_OK, "99"},
    {"9223372036854775806", 1, HF_OK, "9223372036854775807"},
    {"9223372036854775807", 0, HF_OK, "9223372036854775807"},
    {"9223372036854775807", 1, HF_ERR_NUMBER, NULL},
    {"9223372036854775807", INT64_MIN, HF_OK, "-1"},
    {"1", INT64_MAX, HF_ERR_NUMBER, NULL},
    {"-9223372036854775807", -1, HF_OK, "-9223372036854775808"},
    {"-9223372036854775808", -1, HF_ERR_NUMBER, NULL},
    {"-9223372036854775808", INT64_MAX, HF_OK, "-1"},
    {"-1", INT64_MIN, HF_ERR_NUMBER, NULL},
    {"9223372036854775808", 0, HF_ERR_NUMBER, NULL},
    {"-9223372036854775809", 0, HF_ERR_NUMBER, NULL},
    {"18446744073709551616", 1, HF_ERR_NUMBER, NULL},
    {"99999999999999999999", 1, HF_ERR_NUMBER, NULL},
    {"000000000000000000001", 1, HF_ERR_NUMBER, NULL},
    {"", 1, HF_ERR_NUMBER, NULL},
    {"-", 1, HF_ERR_NUMBER, NULL},
    {"abc", 1, HF_ERR_NUMBER, NULL},
    {"1a", 1, HF_ERR_NUMBER, NULL},
    {" 1", 1, HF_ERR_NUMBER, NULL},
    {"1 ", 1, HF_ERR_NUMBER, NULL},
    {"1\n", 1, HF_ERR_NUMBER, NULL},
    {"0x10", 1, HF_ERR_NUMBER, NULL},
    {"1.5", 1, HF_ERR_NUMBER, NULL},
    {"--1", 1, HF_ERR_NUMBER, NULL},
    {"1-", 1, HF_ERR_NUMBER, NULL},
};

static void sums_of_every_kind(void) {
    open_store();
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        check_at("'%s' plus %" PRId64, sums[i].before ? sums[i].before : "(absent)", sums[i].by);
        int rc = hf_delete(store, "n", 1, 0);
        CHECK(rc == HF_OK || rc == HF_NOTFOUND);
        if (sums[i].before)
            check_put(store, "n", sums[i].before);
        int64_t result = 4711;
        CHECK_RC(hf_incr(store, "n", 1, sums[i].by, NULL, &result), sums[i].result);
        check_value(store, "n", sums[i].after ? sums[i].after : sums[i].before);
        CHECK_EQ(result, sums[i].after ? strtoll(sums[i].after, NULL, 10) : 4711);
    }
    CHECK_RC(hf_put(store, "n", 1, "1\0", 2, NULL, NULL), HF_OK);
    CHECK_RC(hf_incr(store, "n", 1, 1, NULL, NULL), HF_ERR_NUMBER);
    close_store();
}

static void incr_options(void) {
    open_store();
    struct hf_incr_options options = HF_INCR_INIT;
    struct hf_meta meta;
    int64_t result = 0;
    options.condition = HF_IF_PRESENT;
    CHECK_RC(hf_incr(store, "n", 1, 1, &options, &result), HF_NOTFOUND);
    options.condition = HF_ALWAYS;
    options.initial = 100;
    options.ttl_ms = 60000;
    CHECK_RC(hf_incr(store, "n", 1, -1, &options, &result), HF_OK);
    CHECK_EQ(result, 99);
    CHECK_RC(hf_exists(store, "n", 1, &meta), HF_OK);
    uint64_t expires = meta.expires_ms;
    CHECK(expires != 0 && meta.ttl_ms > 50000 && meta.ttl_ms <= 60000);
    options.condition = HF_IF_PRESENT;
    options.ttl_ms = 1; /* is for an entry that the call makes: this one keeps its own */
    CHECK_RC(hf_incr(store, "n", 1, 1, &options, &result), HF_OK);
    CHECK_EQ(result, 100);
    CHECK_RC(hf_exists(store, "n", 1, &meta), HF_OK);
    CHECK(meta.expires_ms == expires);
    options.condition = HF_ALWAYS;
    options.initial = INT64_MAX;
    CHECK_RC(hf_incr(store, "m", 1, 1, &options, &result), HF_ERR_NUMBER);
    check_value(store, "m", NULL);
    options.condition = HF_IF_VERSION;
    CHECK_RC(hf_incr(store, "m", 1, 1, &options, &result), HF_ERR_ARGUMENT);
    options.condition = 77;
    CHECK_RC(hf_incr(store, "m", 1, 1, &options, &result), HF_ERR_ARGUMENT);
    close_store();
}

/* ---- append -------------------------------------------------------------------------------------------------------------- */

static void appends(void) {
    static char tail[MAX_VALUE + 1];
    open_store();
    memset(tail, 'x', sizeof tail);
    size_t length = 0;
    struct hf_put_options options = HF_PUT_INIT;
    struct hf_meta before, after;
    CHECK_RC(hf_append(store, "a", 1, "ab", 2, &length), HF_OK);
    CHECK_EQ(length, 2);
    check_value(store, "a", "ab");
    CHECK_RC(hf_append(store, "a", 1, "cde", 3, NULL), HF_OK);
    check_value(store, "a", "abcde");
    CHECK_RC(hf_append(store, "a", 1, NULL, 0, &length), HF_OK);
    CHECK_EQ(length, 5);
    check_value(store, "a", "abcde");
    options.flags = 42;
    options.ttl_ms = 60000;
    CHECK_RC(hf_put(store, "b", 1, tail, MAX_VALUE - 1, &options, NULL), HF_OK);
    CHECK_RC(hf_exists(store, "b", 1, &before), HF_OK);
    CHECK_RC(hf_append(store, "b", 1, "xx", 2, &length), HF_ERR_TOOBIG);
    CHECK_RC(hf_append(store, "b", 1, tail, SIZE_MAX, &length), HF_ERR_TOOBIG);
    CHECK_RC(hf_append(store, "b", 1, "x", 1, &length), HF_OK);
    CHECK_EQ(length, MAX_VALUE);
    CHECK_RC(hf_exists(store, "b", 1, &after), HF_OK);
    CHECK(after.flags == 42 && after.expires_ms == before.expires_ms && after.version > before.version);
    CHECK_RC(hf_append(store, "b", 1, "x", 1, &length), HF_ERR_TOOBIG);
    CHECK_RC(hf_append(store, "c", 1, tail, MAX_VALUE + 1, &length), HF_ERR_TOOBIG);
    check_value(store, "c", NULL);
    for (size_t i = 1; i <= 500; i++) {
        CHECK_RC(hf_append(store, "d", 1, tail, i % 9, &length), HF_OK);
        check_at("append %zu", i);
    }
    CHECK_EQ(length, 500 / 9 * 36 + 15);
    close_store();
}

/* ---- Times to live ------------------------------------------------------------------------------------------------------- */

static void put_for(const char *key, uint64_t ttl_ms) {
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = ttl_ms;
    CHECK_RC(hf_put(store, key, strlen(key), "7", 1, &options, NULL), HF_OK);
}

static void expiry_hides(void) {
    open_store();
    char buffer[8];
    void *copy;
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    put_for("soon", 20);
    check_value(store, "soon", "7");
    check_sleep_ms(30);
    CHECK_RC(hf_get(store, "soon", 4, buffer, 8, NULL, NULL), HF_NOTFOUND);
    CHECK_RC(hf_get_dup(store, "soon", 4, &copy, NULL, NULL), HF_NOTFOUND);
    CHECK_RC(hf_exists(store, "soon", 4, NULL), HF_NOTFOUND);
    CHECK_RC(hf_take(store, "soon", 4, buffer, 8, NULL, NULL), HF_NOTFOUND);
    CHECK_RC(hf_delete(store, "soon", 4, 0), HF_NOTFOUND);
    CHECK_RC(hf_touch(store, "soon", 4, 0), HF_NOTFOUND);
    CHECK_RC(hf_scan(store, &cursor, 0, &item), HF_END);
    hf_item_free(&item);
    put_for("count", 5);
    put_for("tail", 5);
    check_sleep_ms(10);
    int64_t sum = 0;
    size_t length = 0;
    CHECK_RC(hf_incr(store, "count", 5, 1, NULL, &sum), HF_OK);
    CHECK_EQ(sum, 1);
    CHECK_RC(hf_append(store, "tail", 4, "x", 1, &length), HF_OK);
    CHECK_EQ(length, 1);
    check_value(store, "tail", "x");
    check_sleep_ms(10);
    check_value(store, "count", "1"); /* what incr and append made lives for ever */
    check_value(store, "tail", "x");
    close_store();
}

static void touching(void) {
    open_store();
    struct hf_meta before, after;
    CHECK_RC(hf_touch(store, "t", 1, 100), HF_NOTFOUND);
    put_for("t", 0);
    CHECK_RC(hf_exists(store, "t", 1, &before), HF_OK);
    CHECK_RC(hf_touch(store, "t", 1, 3600000), HF_OK);
    CHECK_RC(hf_exists(store, "t", 1, &after), HF_OK);
    CHECK(after.version == before.version && after.value_len == 1 && after.flags == before.flags);
    CHECK(after.ttl_ms > 3500000 && after.ttl_ms <= 3600000);
    uint64_t now = (uint64_t)time(NULL) * 1000;
    CHECK(after.expires_ms > now + 3500000 && after.expires_ms < now + 3700000);
    check_value(store, "t", "7");
    CHECK_RC(hf_touch(store, "t", 1, 0), HF_OK);
    CHECK_RC(hf_exists(store, "t", 1, &after), HF_OK);
    CHECK(after.ttl_ms == 0 && after.expires_ms == 0);
    CHECK_RC(hf_touch(store, "t", 1, 1), HF_OK);
    check_sleep_ms(5);
    CHECK_RC(hf_exists(store, "t", 1, &after), HF_NOTFOUND);
    close_store();
}

static void moments(void) {
    open_store();
    struct hf_put_options options = HF_PUT_INIT;
    struct hf_meta meta;
    uint64_t now = (uint64_t)time(NULL) * 1000;
    options.expires_ms = now + 100000;
    CHECK_RC(hf_put(store, "m", 1, "7", 1, &options, NULL), HF_OK);
    CHECK_RC(hf_exists(store, "m", 1, &meta), HF_OK);
    CHECK_EQ(meta.expires_ms, now + 100000);
    CHECK(meta.ttl_ms > 50000 && meta.ttl_ms <= 100000);
    options.ttl_ms = 5;
    CHECK_RC(hf_put(store, "m", 1, "8", 1, &options, NULL), HF_ERR_ARGUMENT);
    check_value(store, "m", "7");
    options.ttl_ms = 0;
    options.expires_ms = now - 100000; /* has passed: takes the old value's place, and is gone at once */
    CHECK_RC(hf_put(store, "m", 1, "9", 1, &options, NULL), HF_OK);
    check_value(store, "m", NULL);
    options.expires_ms = UINT64_MAX;
    CHECK_RC(hf_put(store, "m", 1, "10", 2, &options, NULL), HF_OK);
    check_value(store, "m", "10");
    close_store();
}

/* A time so long that the sum of it and now does not fit must mean "very long", not "in the past". */
static void endless(void) {
    open_store();
    static const uint64_t times[] = {1ull << 40, 1ull << 47, 1ull << 48, 1ull << 60, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        check_at("a time to live of %" PRIu64, times[i]);
        struct hf_put_options options = HF_PUT_INIT;
        options.ttl_ms = times[i];
        int rc = hf_put(store, "e", 1, "7", 1, &options, NULL);
        CHECK(rc == HF_OK || rc == HF_ERR_ARGUMENT);
        if (rc == HF_OK)
            check_value(store, "e", "7");
    }
    close_store();
}

/* ---- Options structs of other versions ----------------------------------------------------------------------------------- */

/* Calls the function with its options placed in a larger struct whose tail is zero, or not, and with sizes cut short. */
static void sizes_of(const char *what, size_t size, int (*call)(void *options)) {
    union {
        size_t size;
        unsigned char bytes[512];
    } larger;
    CHECK(size <= 256);
    static const struct {
        long difference;
        unsigned char tail;
        int result;
    } table[] = {{0, 0, HF_OK}, {8, 0, HF_OK}, {100, 0, HF_OK}, {8, 1, HF_ERR_ARGUMENT}, {100, 1, HF_ERR_ARGUMENT}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        check_at("%s, %+ld bytes, tail %d", what, table[i].difference, table[i].tail);
        memset(&larger, 0, sizeof larger);
        larger.size = size + (size_t)table[i].difference;
        larger.bytes[larger.size - 1] |= table[i].tail;
        CHECK_RC(call(&larger), table[i].result);
    }
    for (size_t older = sizeof(size_t); older < size; older += sizeof(uint64_t)) {
        check_at("%s of %zu bytes: an older version", what, older);
        memset(&larger, 0xff, sizeof larger); /* what lies behind the older struct must not be read */
        memset(&larger, 0, older);
        larger.size = older;
        CHECK_RC(call(&larger), HF_OK);
    }
    static const size_t wrong[] = {0, 1, sizeof(size_t) - 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        check_at("%s with a size of %zu", what, wrong[i]);
        memset(&larger, 0, sizeof larger);
        larger.size = wrong[i];
        CHECK_RC(call(&larger), HF_ERR_ARGUMENT);
    }
}

static int call_open(void *options) {
    hf_store *other = NULL;
    int rc = hf_open_anonymous(&other, options);
    CHECK(rc == HF_OK || other == NULL);
    hf_close(&other);
    return rc;
}

static int call_put(void *options) {
    return hf_put(store, "o", 1, "v", 1, options, NULL);
}

static int call_incr(void *options) {
    return hf_incr(store, "i", 1, 1, options, NULL);
}

static int call_check(void *options) {
    return hf_check(store, options, NULL);
}

static int call_copy(void *options) {
    char path[CHECK_PATH];
    unlink(check_path(path, "copy"));
    return hf_copy(store, path, options);
}

static int call_info(void *info) {
    return hf_info(store, info);
}

static int call_stats(void *stats) {
    return hf_stats(store, stats);
}

static void struct_sizes(void) {
    open_store();
    sizes_of("hf_options", sizeof(struct hf_options), call_open);
    sizes_of("hf_put_options", sizeof(struct hf_put_options), call_put);
    sizes_of("hf_incr_options", sizeof(struct hf_incr_options), call_incr);
    sizes_of("hf_check_options", sizeof(struct hf_check_options), call_check);
    sizes_of("hf_copy_options", sizeof(struct hf_copy_options), call_copy);
    close_store();
}

/* hf_info and hf_stats are filled, not read: an older caller's struct is filled as far as it goes. */
static void report_sizes(void) {
    open_store();
    static const struct {
        size_t size;
        int (*call)(void *);
    } table[] = {{sizeof(struct hf_info), call_info}, {sizeof(struct hf_stats), call_stats}};
    for (size_t i = 0; i < 2; i++) {
        union {
            size_t size;
            unsigned char bytes[512];
        } report;
        for (size_t size = 16; size < table[i].size; size += 8) {
            check_at("report %zu of %zu bytes", i, size);
            memset(&report, 0xa5, sizeof report);
            report.size = size;
            CHECK_RC(table[i].call(&report), HF_OK);
            CHECK_EQ(report.size, size);
            for (size_t at = size; at < sizeof report; at++)
                CHECK_EQ(report.bytes[at], 0xa5);
        }
        memset(&report, 0, sizeof report);
        report.size = 0;
        CHECK_RC(table[i].call(&report), HF_ERR_ARGUMENT);
    }
    close_store();
}

static void put_option_ranges(void) {
    open_store();
    struct hf_put_options options = HF_PUT_INIT;
    options.condition = HF_IF_VERSION + 1;
    CHECK_RC(hf_put(store, "o", 1, "v", 1, &options, NULL), HF_ERR_ARGUMENT);
    CHECK(strlen(hf_explain()) > 10);
    options.condition = UINT32_MAX;
    CHECK_RC(hf_put(store, "o", 1, "v", 1, &options, NULL), HF_ERR_ARGUMENT);
    check_value(store, "o", NULL);
    close_store();
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"sums", sums_of_every_kind}, {"incr-options", incr_options}, {"appends", appends},
        {"expiry", expiry_hides},     {"touching", touching},         {"endless", endless},
        {"sizes", struct_sizes},      {"reports", report_sizes},      {"put-options", put_option_ranges},
        {"moments", moments},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
