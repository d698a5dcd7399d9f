/* SPDX-License-Identifier: MIT */
/*
 * Random operations against a model in plain memory: every result, value, length, flag, version and time to live must be the
 * model's. In cache mode a key may be absent too, if the store's counter of evictions accounts for it.
 *
 *     model [--operations N] [--seed S] [--mode store|cache] [--reopen N]
 *
 * --reopen N closes and opens the store after every N operations. The seed is printed; without one it is taken from the clock.
 */
#include "check.h"

#include <inttypes.h>
#include <time.h>

const unsigned test_seconds = 3600;

enum { KEYS = 300, MAX_VALUE = 6000, LONG_TTL = 3600000 };

struct expected {
    char key[64];
    size_t key_len;
    bool present;
    bool expires;
    uint32_t flags;
    uint64_t version; /* the latest that was seen, also when the key is absent */
    size_t len;
    unsigned char value[MAX_VALUE];
};

static struct expected model[KEYS];
static hf_store *store;
static bool cache;
static uint64_t seed, vanished;

/* ---- The model ----------------------------------------------------------------------------------------------------------- */

static void make_keys(void) {
    for (unsigned i = 0; i < KEYS; i++) {
        model[i].key_len = (size_t)snprintf(model[i].key, sizeof model[i].key, "%u", i);
        while (model[i].key_len < i % 50)
            model[i].key[model[i].key_len++] = (char)('a' + i % 26);
    }
}

/* Short numbers, texts and bytes of all sizes, most of them small. */
static size_t random_value(unsigned char *value) {
    uint64_t kind = check_below(&seed, 20);
    if (kind < 5)
        return (size_t)snprintf((char *)value, 32, "%" PRId64, (int64_t)check_random(&seed) >> check_below(&seed, 64));
    size_t length = check_below(&seed, kind < 18 ? 200 : MAX_VALUE + 1);
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word = check_random(&seed);
        memcpy(value + i, &word, length - i < 8 ? length - i : 8);
    }
    return length;
}

static uint64_t evictions(void) {
    struct hf_stats stats = HF_STATS_INIT;
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    return stats.evictions;
}

/* Cache mode: notices that the key was evicted, before an operation on it. */
static void notice_eviction(struct expected *e) {
    if (!cache || !e->present)
        return;
    int rc = hf_exists(store, e->key, e->key_len, NULL);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
    if (rc == HF_NOTFOUND) {
        e->present = false;
        vanished++;
    }
}

static void set_version(struct expected *e, uint64_t version) {
    CHECK(version > e->version);
    e->version = version;
}

static void same_meta(const struct expected *e, const struct hf_meta *meta) {
    CHECK_EQ(meta->value_len, e->len);
    CHECK_EQ(meta->flags, e->flags);
    CHECK(meta->version == e->version);
    CHECK(e->expires ? meta->ttl_ms > 0 && meta->ttl_ms <= LONG_TTL && meta->expires_ms > 0
                     : meta->ttl_ms == 0 && meta->expires_ms == 0);
}

/* ---- Operations ---------------------------------------------------------------------------------------------------------- */

static void random_options(const struct expected *e, struct hf_put_options *options) {
    *options = (struct hf_put_options)HF_PUT_INIT;
    options->condition = (uint32_t)check_below(&seed, 8);
    options->condition = options->condition > HF_IF_VERSION ? HF_ALWAYS : options->condition;
    options->version = check_below(&seed, 3) ? e->version : e->version + 1;
    options->flags = (uint32_t)check_random(&seed);
    options->ttl_ms = check_below(&seed, 4) ? 0 : LONG_TTL;
}

/* What a put must have returned; then the model has its value. */
static void judge_put(struct expected *e, const struct hf_put_options *options, const void *value, size_t length, int result,
                      uint64_t version) {
    int expected = HF_OK;
    if (options->condition == HF_IF_ABSENT && e->present)
        expected = HF_EXISTS;
    if (options->condition >= HF_IF_PRESENT && !e->present)
        expected = HF_NOTFOUND;
    else if (options->condition == HF_IF_VERSION && options->version != e->version)
        expected = HF_CHANGED;
    CHECK_RC(result, expected);
    if (expected != HF_OK)
        return;
    set_version(e, version);
    e->present = true;
    e->expires = options->ttl_ms != 0;
    e->flags = options->flags;
    e->len = length;
    memcpy(e->value, value, length);
}

static void do_put(struct expected *e) {
    struct hf_put_options options;
    unsigned char value[MAX_VALUE + 8];
    size_t length = random_value(value);
    uint64_t version = 0;
    random_options(e, &options);
    int rc = hf_put(store, e->key, e->key_len, value, length, &options, &version);
    judge_put(e, &options, value, length, rc, version);
}

enum { MANY = 80 };

/* One of the first keys, so that some are equal; in cache mode one key alone, for a put may evict what the next one replaces. */
static size_t several(struct expected *those[MANY]) {
    size_t count = cache ? 1 : check_below(&seed, check_below(&seed, 4) ? 8 : MANY + 1);
    for (size_t i = 0; i < count; i++) {
        those[i] = &model[check_below(&seed, check_below(&seed, 2) ? KEYS : 20)];
        notice_eviction(those[i]);
    }
    return count;
}

static void do_put_many(void) {
    static unsigned char values[MANY][MAX_VALUE + 8];
    struct hf_put_options options[MANY];
    struct hf_put_request requests[MANY];
    struct expected *those[MANY];
    size_t count = several(those);
    for (size_t i = 0; i < count; i++) {
        random_options(those[i], &options[i]);
        requests[i] = (struct hf_put_request){.key = those[i]->key, .key_len = those[i]->key_len, .value = values[i],
                                              .value_len = random_value(values[i]), .options = &options[i]};
    }
    CHECK_RC(hf_put_many(store, requests, count), HF_OK);
    for (size_t i = 0; i < count; i++)
        judge_put(those[i], &options[i], values[i], requests[i].value_len, requests[i].result, requests[i].version);
}

static void do_delete(struct expected *e) {
    uint64_t version = check_below(&seed, 3) ? 0 : e->version + check_below(&seed, 2);
    int expected = !e->present ? HF_NOTFOUND : version != 0 && version != e->version ? HF_CHANGED : HF_OK;
    CHECK_RC(hf_delete(store, e->key, e->key_len, version), expected);
    if (expected == HF_OK)
        e->present = false;
}

static size_t random_room(void) {
    return check_below(&seed, 4) ? MAX_VALUE : check_below(&seed, 100);
}

static void judge_read(const struct expected *e, const void *buffer, size_t size, int result, size_t length,
                       const struct hf_meta *meta) {
    CHECK_RC(result, !e->present ? HF_NOTFOUND : e->len > size ? HF_TRUNCATED : HF_OK);
    if (!e->present)
        return;
    CHECK_EQ(length, e->len);
    same_meta(e, meta);
    CHECK(memcmp(buffer, e->value, size < e->len ? size : e->len) == 0);
}

static void do_read(struct expected *e, bool take) {
    unsigned char buffer[MAX_VALUE];
    size_t size = random_room(), length = 0;
    struct hf_meta meta;
    int rc = take ? hf_take(store, e->key, e->key_len, buffer, size, &length, &meta)
                  : hf_get(store, e->key, e->key_len, buffer, size, &length, &meta);
    judge_read(e, buffer, size, rc, length, &meta);
    if (rc == HF_OK)
        e->present = !take;
}

static void do_get_many(void) {
    static unsigned char buffers[MANY][MAX_VALUE];
    struct hf_get_request requests[MANY];
    struct hf_meta metas[MANY];
    struct expected *those[MANY];
    size_t count = several(those);
    for (size_t i = 0; i < count; i++)
        requests[i] = (struct hf_get_request){.key = those[i]->key, .key_len = those[i]->key_len, .buffer = buffers[i],
                                              .size = random_room(), .meta = &metas[i]};
    CHECK_RC(hf_get_many(store, requests, count), HF_OK);
    for (size_t i = 0; i < count; i++)
        judge_read(those[i], buffers[i], requests[i].size, requests[i].result, requests[i].value_len, &metas[i]);
}

/* At most 20 bytes: a minus or none, then digits. */
static bool number_of(const struct expected *e, int64_t *number) {
    char text[32] = {0}, *end;
    if (e->len == 0 || e->len > 20)
        return false;
    memcpy(text, e->value, e->len);
    size_t digits = strspn(text + (text[0] == '-'), "0123456789");
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && digits > 0 && end == text + e->len;
}

static void refresh(struct expected *e) {
    struct hf_meta meta;
    CHECK_RC(hf_exists(store, e->key, e->key_len, &meta), HF_OK);
    set_version(e, meta.version);
}

static void do_incr(struct expected *e) {
    struct hf_incr_options options = HF_INCR_INIT;
    int64_t by = (int64_t)check_random(&seed) >> check_below(&seed, 64), old, sum = 0, result = 0;
    options.initial = (int64_t)check_below(&seed, 1000);
    options.ttl_ms = check_below(&seed, 2) * LONG_TTL;
    options.condition = check_below(&seed, 2) ? HF_IF_PRESENT : HF_ALWAYS;
    int expected = HF_OK;
    if (!e->present && options.condition == HF_IF_PRESENT)
        expected = HF_NOTFOUND;
    else if (e->present ? !number_of(e, &old) : (old = options.initial, false))
        expected = HF_ERR_NUMBER;
    else if (__builtin_add_overflow(old, by, &sum))
        expected = HF_ERR_NUMBER;
    CHECK_RC(hf_incr(store, e->key, e->key_len, by, &options, &result), expected);
    if (expected != HF_OK)
        return;
    CHECK(result == sum);
    if (!e->present) {
        e->flags = 0;
        e->expires = options.ttl_ms != 0;
    }
    e->present = true;
    e->len = (size_t)snprintf((char *)e->value, 32, "%" PRId64, sum);
    refresh(e);
}

static void do_append(struct expected *e) {
    unsigned char tail[MAX_VALUE + 8];
    size_t length = random_value(tail) % 300, old = e->present ? e->len : 0, whole = 0;
    int expected = old + length > MAX_VALUE ? HF_ERR_TOOBIG : HF_OK;
    CHECK_RC(hf_append(store, e->key, e->key_len, tail, length, &whole), expected);
    if (expected != HF_OK)
        return;
    if (!e->present) {
        e->flags = 0;
        e->expires = false;
    }
    memcpy(e->value + old, tail, length);
    e->len = old + length;
    e->present = true;
    CHECK_EQ(whole, e->len);
    refresh(e);
}

static void do_touch(struct expected *e) {
    uint64_t ttl = check_below(&seed, 2) * LONG_TTL;
    CHECK_RC(hf_touch(store, e->key, e->key_len, ttl), e->present ? HF_OK : HF_NOTFOUND);
    if (e->present)
        e->expires = ttl != 0;
}

static void do_clear(void) {
    for (unsigned i = 0; i < KEYS; i++) {
        notice_eviction(&model[i]);
        model[i].present = false;
    }
    CHECK_RC(hf_clear(store), HF_OK);
}

/* ---- Whole store --------------------------------------------------------------------------------------------------------- */

static struct expected *model_of(const struct hf_item *item) {
    char text[64] = {0};
    CHECK(item->key_len < sizeof text);
    memcpy(text, item->key, item->key_len);
    unsigned number = (unsigned)strtoul(text, NULL, 10);
    CHECK(number < KEYS && model[number].key_len == item->key_len);
    CHECK(memcmp(model[number].key, item->key, item->key_len) == 0);
    return &model[number];
}

static void compare_all(void) {
    struct hf_item item = HF_ITEM_INIT;
    bool seen[KEYS] = {false};
    uint64_t cursor = 0, count = 0, present = 0;
    int rc;
    while ((rc = hf_scan(store, &cursor, 0, &item)) == HF_OK) {
        struct expected *e = model_of(&item);
        CHECK(e->present && !seen[e - model]);
        seen[e - model] = true;
        CHECK_EQ(item.value_len, e->len);
        CHECK(memcmp(item.value, e->value, e->len) == 0);
        same_meta(e, &item.meta);
    }
    CHECK_RC(rc, HF_END);
    hf_item_free(&item);
    for (unsigned i = 0; i < KEYS; i++) {
        notice_eviction(&model[i]);
        CHECK(seen[i] == model[i].present);
        present += model[i].present;
    }
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK_EQ(count, present);
    CHECK(cache ? vanished == evictions() : vanished == 0);
    check_sound(store);
}

static void operate(void) {
    struct expected *e = &model[check_below(&seed, check_below(&seed, 4) ? KEYS : 20)];
    notice_eviction(e);
    switch (check_below(&seed, 18)) {
    case 0: case 1: case 2: case 3: case 4:
        do_put(e);
        break;
    case 5:
        do_delete(e);
        break;
    case 6:
        do_read(e, true);
        break;
    case 7: case 8:
        do_incr(e);
        break;
    case 9: case 10:
        do_append(e);
        break;
    case 11:
        do_touch(e);
        break;
    case 12:
        do_put_many();
        break;
    case 13:
        do_get_many();
        break;
    default:
        do_read(e, false);
    }
}

int test_run(int argc, char **argv) {
    uint64_t operations = check_number(argc, argv, "--operations", 1000000), done;
    uint64_t reopen = check_number(argc, argv, "--reopen", 0);
    uint64_t first = seed = check_number(argc, argv, "--seed", (uint64_t)time(NULL));
    cache = strcmp(check_text(argc, argv, "--mode", "store"), "cache") == 0;
    printf("seed %" PRIu64 ", %" PRIu64 " operations, mode %s, %s\n", first, operations, cache ? "cache" : "store",
           reopen ? "reopened" : "kept open");

    char path[CHECK_PATH];
    struct hf_options options = HF_OPTIONS_INIT;
    options.mode = cache ? HF_MODE_CACHE : HF_MODE_STORE;
    options.capacity = cache ? 160 << 10 : 8 << 20;
    options.max_value = MAX_VALUE;
    options.stripes = cache ? 2 : 4;
    make_keys();
    store = check_create("model", options);
    for (done = 0; done < operations; done++) {
        check_at("seed %" PRIu64 ", operation %" PRIu64, first, done);
        operate();
        if (done % 5000 == 0)
            compare_all();
        if (check_below(&seed, 200000) == 0)
            do_clear();
        if (reopen && done % reopen == reopen - 1) {
            CHECK_RC(hf_close(&store), HF_OK);
            store = check_open(check_path(path, "model"), NULL);
        }
    }
    compare_all();
    printf("%" PRIu64 " evictions, all accounted for\n", vanished);
    CHECK(!cache || operations < 100000 || vanished > 0);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}
