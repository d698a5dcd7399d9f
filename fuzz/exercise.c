/* SPDX-License-Identifier: MIT */
/* What the targets do with a store: look_at_all with one of which nothing is known, exercise with one that must be sound. */
#include "image.h"

#include <stdio.h>

enum { BUSY_MOST = 3 }; /* each costs thousands of attempts: enough of them say nothing new */

static bool may_fail(int rc) {
    return rc == HF_ERR_BUSY || rc == HF_ERR_TIMEOUT || rc == HF_ERR_MEMORY;
}

/* True if it took very long. */
static bool look_at_key(hf_store *store, unsigned number) {
    char key[IMAGE_KEY_ROOM];
    size_t key_len = image_key(number, key), length = 0, room = number * 16;
    struct hf_meta meta;
    void *copy = NULL, *exact = malloc(room + 1);
    MUST(exact);
    bool stale = number % 2;
    int rc = (stale ? hf_get_stale : hf_get)(store, key, key_len, exact, room, &length, &meta);
    MUST(rc == HF_OK || rc == HF_NOTFOUND || rc == HF_TRUNCATED || (stale && rc == HF_STALE) || may_fail(rc));
    if (rc == HF_OK || rc == HF_TRUNCATED || rc == HF_STALE)
        MUST(length == meta.value_len && (length <= room) == (rc != HF_TRUNCATED));
    free(exact);
    if (may_fail(rc))
        return true;
    rc = hf_get_dup(store, key, key_len, &copy, &length, NULL);
    MUST(rc == HF_OK || rc == HF_NOTFOUND || may_fail(rc));
    if (rc == HF_OK)
        MUST(((char *)copy)[length] == 0);
    free(copy);
    return may_fail(rc);
}

/* All of them in one call, each with a room of its own length. */
static void look_at_many(hf_store *store, unsigned keys) {
    enum { MOST = 40 };
    struct hf_get_request requests[MOST];
    char texts[MOST][IMAGE_KEY_ROOM];
    unsigned count = keys < MOST ? keys : MOST;
    for (unsigned i = 0; i < count; i++) {
        requests[i] = (struct hf_get_request){.key = texts[i], .key_len = image_key(i, texts[i]), .size = i * 16};
        requests[i].buffer = malloc(requests[i].size + 1);
        MUST(requests[i].buffer);
    }
    int rc = hf_get_many(store, requests, count);
    MUST(rc == HF_OK || may_fail(rc));
    for (unsigned i = 0; i < count; i++) {
        rc = requests[i].result;
        MUST(rc == HF_OK || rc == HF_NOTFOUND || rc == HF_TRUNCATED || may_fail(rc));
        if (rc == HF_OK || rc == HF_TRUNCATED)
            MUST((requests[i].value_len <= requests[i].size) == (rc == HF_OK));
        free(requests[i].buffer);
    }
}

static void look_by_scan(hf_store *store, uint64_t slots) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0, steps = 0;
    unsigned busy = 0;
    int rc;
    while (busy < BUSY_MOST && (rc = hf_scan(store, &cursor, 0, &item)) != HF_END) {
        MUST(rc == HF_OK || may_fail(rc));
        if (rc == HF_OK)
            MUST(item.key_len >= 1 && item.key_len <= HF_KEY_MAX && item.value_len == item.meta.value_len);
        busy += rc != HF_OK;
        cursor += rc != HF_OK;
        MUST(++steps <= slots);
    }
    hf_item_free(&item);
}

static void look_at_health(hf_store *store) {
    struct hf_recovery recoveries[HF__RING];
    size_t count = 0;
    MUST(hf_recoveries(store, recoveries, HF__RING, &count) == HF_OK && count <= HF__RING);
    for (size_t i = 0; i < count; i++)
        MUST(hf_cause_name(recoveries[i].cause) && hf_operation_name(recoveries[i].operation) &&
             hf_step_name(recoveries[i].step) && hf_verdict_name(recoveries[i].verdict));
    struct hf_lock locks[2];
    int rc = hf_locks(store, locks, 2, &count);
    MUST(rc == HF_OK || rc == HF_ERR_ABI);
    rc = hf_check(store, NULL, NULL);
    MUST(rc == HF_OK || rc == HF_DAMAGED || may_fail(rc));
}

void look_at_all(hf_store *store, unsigned keys) {
    struct hf_info info = HF_INFO_INIT;
    struct hf_stats stats = HF_STATS_INIT;
    uint64_t entries;
    unsigned busy = 0;
    MUST(hf_info(store, &info) == HF_OK && hf_stats(store, &stats) == HF_OK && hf_count(store, &entries) == HF_OK);
    for (unsigned i = 0; i < keys && busy < BUSY_MOST; i++)
        busy += look_at_key(store, i);
    if (busy < BUSY_MOST)
        look_at_many(store, keys);
    look_by_scan(store, info.buckets * HF__SLOTS);
    look_at_health(store);
}

/* ---- Work ----------------------------------------------------------------------------------------------------------------- */

/* What is put without a time to live may have gone at once, for the store's default may be anything. */
static bool is_brief(hf_store *store) {
    struct hf_info info = HF_INFO_INIT;
    MUST(hf_info(store, &info) == HF_OK);
    return info.default_ttl_ms != 0 && info.default_ttl_ms < 60000;
}

static void must_hold(hf_store *store, const char *key, size_t key_len, const char *value, size_t length) {
    char found[512];
    size_t found_len = 0;
    int rc = hf_get(store, key, key_len, found, sizeof found, &found_len, NULL);
    if (rc == HF_NOTFOUND && is_brief(store))
        return;
    MUST(length <= sizeof found && rc == HF_OK);
    MUST(found_len == length && memcmp(found, value, length) == 0);
}

/* False: there is no room. */
static bool put_one(hf_store *store, unsigned number, char letter) {
    char key[IMAGE_KEY_ROOM], value[400];
    size_t key_len = image_key(number, key), length = number * 53 % sizeof value;
    memset(value, letter, sizeof value);
    int rc = hf_put(store, key, key_len, value, length, NULL, NULL);
    MUST(rc == HF_OK || rc == HF_ERR_FULL || rc == HF_ERR_TOOBIG);
    if (rc == HF_OK)
        must_hold(store, key, key_len, value, length);
    return rc == HF_OK;
}

static void count_up(hf_store *store) {
    int64_t sum;
    int rc = hf_delete(store, "counter", 7, 0);
    MUST(rc == HF_OK || rc == HF_NOTFOUND);
    rc = hf_incr(store, "counter", 7, 40, NULL, &sum);
    if (rc == HF_OK)
        rc = hf_incr(store, "counter", 7, 2, NULL, &sum);
    MUST(rc == HF_ERR_FULL || rc == HF_ERR_TOOBIG || (rc == HF_OK && (sum == 42 || (sum == 2 && is_brief(store)))));
    if (rc == HF_OK)
        rc = hf_append(store, "counter", 7, "!", 1, NULL);
    MUST(rc == HF_ERR_FULL || rc == HF_ERR_TOOBIG || rc == HF_OK);
    if (rc == HF_OK && !is_brief(store))
        must_hold(store, "counter", 7, "42!", 3);
}

void exercise(hf_store *store) {
    uint64_t entries;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 10; i < 30; i++)
            put_one(store, i, (char)('A' + round));
        count_up(store);
        MUST(hf_check(store, NULL, NULL) == HF_OK);
        for (unsigned i = round; i < 30; i += 2) {
            char key[IMAGE_KEY_ROOM];
            size_t key_len = image_key(i, key);
            int rc = hf_delete(store, key, key_len, 0);
            MUST(rc == HF_OK || rc == HF_NOTFOUND);
            MUST(hf_exists(store, key, key_len, NULL) == HF_NOTFOUND);
        }
        MUST(hf_check(store, NULL, NULL) == HF_OK);
    }
    MUST(hf_clear(store) == HF_OK && hf_count(store, &entries) == HF_OK && entries == 0);
    put_one(store, 1, 'z');
    MUST(hf_check(store, NULL, NULL) == HF_OK);
}
