/* SPDX-License-Identifier: MIT */
/* Every result of put, get, get_dup, exists, delete, take and clear, through the public interface. Numbers, appends and times
 * to live stand in verbs_more.c. */
#include "check.h"

const unsigned test_seconds = 60;

static hf_store *store;

static void open_store(uint32_t max_value) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 8 << 20;
    options.max_value = max_value;
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
}

static void close_store(void) {
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Conditions: what is there before, what is asked for, what comes of it ----------------------------------------------- */

enum before { ABSENT, PRESENT, EXPIRED };
enum asked { ANY, CURRENT, OTHER, ZERO };

static const struct {
    enum before before;
    uint32_t condition;
    enum asked version;
    int result;
} put_cases[] = {
    {ABSENT, HF_ALWAYS, ANY, HF_OK},
    {ABSENT, HF_IF_ABSENT, ANY, HF_OK},
    {ABSENT, HF_IF_PRESENT, ANY, HF_NOTFOUND},
    {ABSENT, HF_IF_VERSION, OTHER, HF_NOTFOUND},
    {ABSENT, HF_IF_VERSION, ZERO, HF_NOTFOUND},
    {PRESENT, HF_ALWAYS, ANY, HF_OK},
    {PRESENT, HF_IF_ABSENT, ANY, HF_EXISTS},
    {PRESENT, HF_IF_PRESENT, ANY, HF_OK},
    {PRESENT, HF_IF_VERSION, CURRENT, HF_OK},
    {PRESENT, HF_IF_VERSION, OTHER, HF_CHANGED},
    {PRESENT, HF_IF_VERSION, ZERO, HF_CHANGED},
    {EXPIRED, HF_ALWAYS, ANY, HF_OK},
    {EXPIRED, HF_IF_ABSENT, ANY, HF_OK},
    {EXPIRED, HF_IF_PRESENT, ANY, HF_NOTFOUND},
    {EXPIRED, HF_IF_VERSION, CURRENT, HF_NOTFOUND},
};

/* Puts the key into the state and tells its version; an expired one had the version it is told. */
static uint64_t prepare(enum before before) {
    uint64_t version = 0;
    int rc = hf_delete(store, "key", 3, 0);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
    if (before == ABSENT)
        return 0;
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = before == EXPIRED ? 1 : 0;
    CHECK_RC(hf_put(store, "key", 3, "old", 3, &options, &version), HF_OK);
    if (before == EXPIRED)
        check_sleep_ms(3);
    return version;
}

static uint64_t asked_version(enum asked asked, uint64_t current) {
    return asked == CURRENT ? current : asked == OTHER ? current + 7 : 0;
}

static void conditional_puts(void) {
    open_store(0);
    uint64_t last = 0;
    for (size_t i = 0; i < sizeof put_cases / sizeof *put_cases; i++) {
        check_at("put %zu", i);
        uint64_t old = prepare(put_cases[i].before), version = 999;
        CHECK(old == 0 || old > last);
        struct hf_put_options options = HF_PUT_INIT;
        options.condition = put_cases[i].condition;
        options.version = asked_version(put_cases[i].version, old);
        CHECK_RC(hf_put(store, "key", 3, "new", 3, &options, &version), put_cases[i].result);
        check_value(store, "key", put_cases[i].result == HF_OK ? "new" : put_cases[i].before == PRESENT ? "old" : NULL);
        if (put_cases[i].result == HF_OK) {
            CHECK(version > old && version > last && version != 0);
            last = version;
        } else {
            CHECK_EQ(version, 999);
        }
    }
    close_store();
}

static void conditional_deletes(void) {
    open_store(0);
    uint64_t version = prepare(ABSENT);
    CHECK_RC(hf_delete(store, "key", 3, 0), HF_NOTFOUND);
    CHECK_RC(hf_delete(store, "key", 3, 5), HF_NOTFOUND);
    version = prepare(PRESENT);
    CHECK_RC(hf_delete(store, "key", 3, version + 1), HF_CHANGED);
    check_value(store, "key", "old");
    CHECK_RC(hf_delete(store, "key", 3, version), HF_OK);
    check_value(store, "key", NULL);
    version = prepare(PRESENT);
    CHECK_RC(hf_delete(store, "key", 3, 0), HF_OK);
    version = prepare(EXPIRED);
    CHECK_RC(hf_delete(store, "key", 3, 0), HF_NOTFOUND);
    version = prepare(EXPIRED);
    CHECK_RC(hf_delete(store, "key", 3, version), HF_NOTFOUND);
    close_store();
}

static void versions_grow(void) {
    open_store(0);
    uint64_t last = 0, version = 0;
    for (int i = 0; i < 1000; i++) {
        CHECK_RC(hf_put(store, "key", 3, "x", (size_t)(i % 2), NULL, &version), HF_OK);
        CHECK(version > last);
        last = version;
        if (i % 3 == 0)
            CHECK_RC(hf_delete(store, "key", 3, version), HF_OK);
        if (i % 10 == 0)
            CHECK_RC(hf_clear(store), HF_OK);
    }
    close_store();
}

/* ---- Sizes --------------------------------------------------------------------------------------------------------------- */

#define HIGH_BIT (SIZE_MAX - SIZE_MAX / 2) /* of a length: lost by whoever counts in fewer bits */

static void fill(char *bytes, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + seed);
}

static void key_lengths(void) {
    static const size_t good[] = {1, 2, 7, 8, 9, 15, 16, 17, 63, 255, 256, 1000, HF_KEY_MAX - 1, HF_KEY_MAX};
    static const size_t bad[] = {0, HF_KEY_MAX + 1, 65536, 65537, HIGH_BIT, SIZE_MAX};
    char key[HF_KEY_MAX + 1], value[16], found[16];
    open_store(0);
    fill(key, sizeof key, 1);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        check_at("key of %zu bytes", good[i]);
        fill(value, sizeof value, (unsigned)i);
        CHECK_RC(hf_put(store, key, good[i], value, sizeof value, NULL, NULL), HF_OK);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        check_at("key of %zu bytes", good[i]);
        fill(value, sizeof value, (unsigned)i);
        CHECK_RC(hf_get(store, key, good[i], found, sizeof found, NULL, NULL), HF_OK);
        CHECK(memcmp(value, found, sizeof value) == 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_at("key of %zu bytes", bad[i]);
        size_t length = 77;
        void *copy = value;
        CHECK_RC(hf_put(store, key, bad[i], "v", 1, NULL, NULL), HF_ERR_ARGUMENT);
        CHECK(strlen(hf_explain()) > 10);
        CHECK_RC(hf_get(store, key, bad[i], found, sizeof found, &length, NULL), HF_ERR_ARGUMENT);
        CHECK_RC(hf_get_dup(store, key, bad[i], &copy, &length, NULL), HF_ERR_ARGUMENT);
        CHECK(copy == NULL);
        CHECK_RC(hf_exists(store, key, bad[i], NULL), HF_ERR_ARGUMENT);
        CHECK_RC(hf_delete(store, key, bad[i], 0), HF_ERR_ARGUMENT);
        CHECK_RC(hf_take(store, key, bad[i], found, sizeof found, &length, NULL), HF_ERR_ARGUMENT);
        CHECK_RC(hf_incr(store, key, bad[i], 1, NULL, NULL), HF_ERR_ARGUMENT);
        CHECK_RC(hf_append(store, key, bad[i], "v", 1, NULL), HF_ERR_ARGUMENT);
        CHECK_RC(hf_touch(store, key, bad[i], 0), HF_ERR_ARGUMENT);
        CHECK_EQ(length, 77);
    }
    close_store();
}

static void value_lengths(void) {
    enum { MAX = 10000 };
    static const size_t sizes[] = {0, 1, 7, 8, 9, 23, 24, 25, 31, 32, 33, 1000, 4096, MAX - 1, MAX};
    static char value[MAX + 1], found[MAX + 1];
    open_store(MAX);
    struct hf_info info = HF_INFO_INIT;
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(info.max_value, MAX);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_at("value of %zu bytes", sizes[i]);
        fill(value, sizes[i], (unsigned)i);
        size_t length = 0;
        CHECK_RC(hf_put(store, "key", 3, sizes[i] ? value : NULL, sizes[i], NULL, NULL), HF_OK);
        CHECK_RC(hf_get(store, "key", 3, sizes[i] ? found : NULL, sizes[i], &length, NULL), HF_OK);
        CHECK_EQ(length, sizes[i]);
        CHECK(memcmp(value, found, length) == 0);
    }
    CHECK_RC(hf_put(store, "key", 3, "old", 3, NULL, NULL), HF_OK);
    CHECK_RC(hf_put(store, "key", 3, value, MAX + 1, NULL, NULL), HF_ERR_TOOBIG);
    CHECK(strstr(hf_explain(), "10000") != NULL);
    CHECK_RC(hf_put(store, "key", 3, value, HIGH_BIT, NULL, NULL), HF_ERR_TOOBIG);
    CHECK_RC(hf_put(store, "key", 3, value, SIZE_MAX, NULL, NULL), HF_ERR_TOOBIG);
    check_value(store, "key", "old");
    close_store();
}

/* ---- Reading ------------------------------------------------------------------------------------------------------------- */

static void small_buffers(void) {
    static const char value[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    const size_t whole = sizeof value - 1;
    open_store(0);
    CHECK_RC(hf_put(store, "key", 3, value, whole, NULL, NULL), HF_OK);
    for (size_t size = 0; size <= whole + 2; size++) {
        check_at("buffer of %zu bytes", size);
        char buffer[64];
        memset(buffer, '#', sizeof buffer);
        size_t length = 0;
        struct hf_meta meta = {0, 0, 0, 0, 0};
        int expected = size < whole ? HF_TRUNCATED : HF_OK;
        CHECK_RC(hf_get(store, "key", 3, size ? buffer : NULL, size, &length, &meta), expected);
        CHECK_EQ(length, whole);
        CHECK_EQ(meta.value_len, whole);
        size_t copied = size < whole ? size : whole;
        CHECK(memcmp(buffer, value, copied) == 0 && buffer[copied > size ? copied : size] == '#');
        CHECK_RC(hf_take(store, "key", 3, size ? buffer : NULL, size, &length, &meta), expected);
        CHECK_EQ(length, whole);
        if (expected == HF_OK) {
            check_value(store, "key", NULL);
            CHECK_RC(hf_take(store, "key", 3, buffer, size, &length, &meta), HF_NOTFOUND);
            CHECK_RC(hf_put(store, "key", 3, value, whole, NULL, NULL), HF_OK);
        }
    }
    close_store();
}

static void meta_of(const char *key, struct hf_meta *meta) {
    CHECK_RC(hf_exists(store, key, strlen(key), meta), HF_OK);
}

static void metadata(void) {
    open_store(0);
    struct hf_put_options options = HF_PUT_INIT;
    struct hf_meta meta, again;
    uint64_t version;
    options.flags = 0xdeadbeef;
    CHECK_RC(hf_put(store, "key", 3, "12345", 5, &options, &version), HF_OK);
    meta_of("key", &meta);
    CHECK(meta.version == version && meta.flags == 0xdeadbeef && meta.value_len == 5);
    CHECK(meta.ttl_ms == 0 && meta.expires_ms == 0);
    CHECK_RC(hf_get(store, "key", 3, NULL, 0, NULL, &again), HF_TRUNCATED);
    CHECK(memcmp(&meta, &again, sizeof meta) == 0);
    CHECK_RC(hf_put(store, "key", 3, "", 0, NULL, NULL), HF_OK);
    meta_of("key", &meta);
    CHECK(meta.version > version && meta.flags == 0 && meta.value_len == 0);
    CHECK_RC(hf_exists(store, "nokey", 5, &meta), HF_NOTFOUND);
    CHECK_RC(hf_exists(store, "nokey", 5, NULL), HF_NOTFOUND);
    close_store();
}

static void fresh_memory(void) {
    open_store(0);
    void *value = &value;
    size_t length = 0;
    CHECK_RC(hf_get_dup(store, "key", 3, &value, &length, NULL), HF_NOTFOUND);
    CHECK(value == NULL);
    CHECK_RC(hf_put(store, "key", 3, NULL, 0, NULL, NULL), HF_OK);
    CHECK_RC(hf_get_dup(store, "key", 3, &value, &length, NULL), HF_OK);
    CHECK(value != NULL && length == 0 && *(char *)value == 0);
    free(value);
    CHECK_RC(hf_put(store, "key", 3, "a\0b", 3, NULL, NULL), HF_OK);
    CHECK_RC(hf_get_dup(store, "key", 3, &value, NULL, NULL), HF_OK);
    CHECK(memcmp(value, "a\0b", 4) == 0);
    free(value);
    close_store();
}

static void clearing(void) {
    open_store(0);
    char key[16];
    uint64_t count, before = 0, after = 0;
    for (int i = 0; i < 1000; i++) {
        int length = snprintf(key, sizeof key, "key-%d", i);
        CHECK_RC(hf_put(store, key, (size_t)length, "v", 1, NULL, &before), HF_OK);
    }
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK_EQ(count, 1000);
    CHECK_RC(hf_clear(store), HF_OK);
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK_EQ(count, 0);
    check_value(store, "key-7", NULL);
    CHECK_RC(hf_put(store, key, strlen(key), "v", 1, NULL, &after), HF_OK);
    CHECK(after > before);
    struct hf_stats stats = HF_STATS_INIT;
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_EQ(stats.entries, 1);
    CHECK_EQ(stats.puts, 1001);
    CHECK_EQ(stats.deletes, 1000);
    CHECK_EQ(stats.evictions + stats.expirations + stats.refusals + stats.recoveries + stats.dropped, 0);
    close_store();
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"conditional-puts", conditional_puts}, {"conditional-deletes", conditional_deletes},
        {"versions-grow", versions_grow},       {"key-lengths", key_lengths},
        {"value-lengths", value_lengths},       {"small-buffers", small_buffers},
        {"metadata", metadata},                 {"fresh-memory", fresh_memory},
        {"clearing", clearing},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
