/* SPDX-License-Identifier: MIT */
/* Read one key. No lock, no system call, no allocation, unless writers change the entry faster than it can be copied. */
#include "hash_key.h"
#include "read.h"
#include "tally.h"

#include <stdlib.h>

#define TRIES 64u          /* lock-free attempts before a reader asks for the lock      */
#define READONLY_TRIES 4096u /* ... and before one that cannot gives up                  */
#define SLICE_MS 5u        /* of the lock, between lock-free attempts                   */

bool hf__expired(uint64_t expiry, uint64_t *now_ms) {
    if (expiry == 0 || HF_PLANTED(EXPIRY_IGNORED))
        return false;
    if (*now_ms == 0)
        *now_ms = hf__now_ms();
    return expiry <= *now_ms;
}

int hf__key_check(const struct hf_store *store, const void *key, size_t key_len) {
    return hf__key_check_here(store, key, key_len);
}

void hf__meta_of(const struct hf__view *view, uint64_t now_ms, struct hf_meta *meta) {
    meta->version = view->version;
    meta->expires_ms = view->expiry;
    meta->ttl_ms = view->expiry > now_ms ? view->expiry - now_ms : 0;
    meta->flags = view->flags;
    meta->value_len = view->value_len;
}

static int try_bucket(const struct hf__region *region, const struct hf__want *want, struct hf__bucket *bucket) {
    for (uint32_t matches = hf__tag_matches(bucket, want->place.tag); matches; matches &= matches - 1) {
        uint64_t *slot = &bucket->slot[__builtin_ctz(matches)];
        int result = hf__try_slot(region, want, slot, hf__observe(slot));
        if (result != HF_END)
            return result;
    }
    return HF_END;
}

static int look_up(const struct hf__region *region, const struct hf__want *want) {
    uint32_t at = want->place.home;
    for (uint32_t step = 0; step < region->probes; step++) {
        struct hf__bucket *bucket = hf__bucket_at(region, want->place.stripe, at);
        int result = try_bucket(region, want, bucket);
        if (result != HF_END)
            return result;
        if ((hf__observe(&bucket->control) & 0xffffffff) == 0)
            break;
        at = at + 1 < region->geometry.buckets ? at + 1 : 0;
    }
    return HF_NOTFOUND;
}

static int attempt_get(struct hf_store *store, void *want) {
    return look_up(store->region, want);
}

/* Under the lock nobody writes, so one attempt is enough. */
static int attempt_locked(struct hf_store *store, uint32_t stripe, hf__attempt_fn *attempt, void *context) {
    struct hf__hold hold;
    int result = hf__lock_any(store, stripe, SLICE_MS, &hold);
    if (result == HF_ERR_REENTERED)
        return HF_ERR_BUSY;
    if (result != HF_OK)
        return result;
    result = attempt(store, context);
    hf__unlock(&hold);
    return result;
}

static int attempt_often(struct hf_store *store, uint32_t tries, hf__attempt_fn *attempt, void *context) {
    int result = HF_ERR_BUSY;
    uint32_t failed = 0;
    while (failed < tries && (result = attempt(store, context)) == HF_ERR_BUSY)
        failed++;
    if (failed > 0)
        hf__tally(store->region, HF__TALLY_read_retries, failed);
    return result;
}

int hf__read_stable(struct hf_store *store, uint32_t stripe, hf__attempt_fn *attempt, void *context) {
    bool writable = store->region->writable;
    int result = attempt_often(store, writable ? TRIES : READONLY_TRIES, attempt, context);
    if (result != HF_ERR_BUSY || !writable)
        return hf__result(result);
    uint64_t deadline = hf__monotonic_us() + (uint64_t)store->timeout_ms * 1000;
    for (;;) {
        result = attempt_locked(store, stripe, attempt, context);
        if (result == HF_ERR_TIMEOUT || result == HF_ERR_BUSY)
            result = attempt_often(store, TRIES, attempt, context);
        if (result != HF_ERR_TIMEOUT && result != HF_ERR_BUSY)
            return hf__result(result);
        if (store->timeout_ms != HF_FOREVER && hf__monotonic_us() >= deadline)
            return hf__result(HF_ERR_TIMEOUT);
    }
}

int hf__get_stable(struct hf_store *store, struct hf__want want) {
    return hf__read_stable(store, want.place.stripe, attempt_get, &want);
}

INLINE int get(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
               struct hf_meta *meta, bool stale, bool *absent) {
    if (!buffer && size > 0)
        return hf__fail(HF_ERR_ARGUMENT, "the buffer is NULL but %zu bytes long", size);
    int result = hf__key_check_here(store, key, key_len);
    if (result != HF_OK)
        return result;
    struct hf__place place = hf__locate(store->region, hf__hash_key_here(store->region, key, key_len));
    return hf__get_at(store, place, key, key_len, buffer, size, value_len, meta, stale, absent);
}

int hf_get(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
           struct hf_meta *meta) {
    return hf__count_read(store, get(store, key, key_len, buffer, size, value_len, meta, false, NULL));
}

int hf__counted(const hf_store *store, int result) {
    return hf__count_read(store, result);
}

int hf__get(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
            struct hf_meta *meta) {
    return get(store, key, key_len, buffer, size, value_len, meta, false, NULL);
}

int hf__get_known(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                  struct hf_meta *meta, bool *absent) {
    *absent = false;
    return get(store, key, key_len, buffer, size, value_len, meta, false, absent);
}

int hf_get_stale(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                 struct hf_meta *meta) {
    struct hf_meta own, *seen = meta ? meta : &own;
    int result = get(store, key, key_len, buffer, size, value_len, seen, true, NULL);
    bool expired = result == HF_TRUNCATED && seen->expires_ms != 0 && seen->ttl_ms == 0;
    hf__count_read(store, expired && !HF_PLANTED(STALE_UNMARKED) ? HF_STALE : result);
    return result;
}

int hf_exists(hf_store *store, const void *key, size_t key_len, struct hf_meta *meta) {
    int result = hf_get(store, key, key_len, NULL, 0, NULL, meta);
    return result == HF_TRUNCATED ? HF_OK : result;
}

int hf_get_dup(hf_store *store, const void *key, size_t key_len, void **value, size_t *value_len, struct hf_meta *meta) {
    struct hf_meta seen;
    size_t length = 0;
    char *memory = NULL;
    if (!value)
        return hf__fail(HF_ERR_ARGUMENT, "hf_get_dup needs a place for the value");
    *value = NULL;
    int result = hf__get(store, key, key_len, NULL, 0, NULL, &seen);
    while (result == HF_OK || result == HF_TRUNCATED) {
        size_t size = seen.value_len;
        free(memory);
        memory = malloc(size + 1);
        if (!memory)
            return hf__fail(HF_ERR_MEMORY, "no memory for a value of %zu bytes", size);
        result = hf__get(store, key, key_len, memory, size, &length, &seen);
        if (result == HF_OK)
            break;
    }
    if (result != HF_OK) {
        free(memory);
        return hf__counted(store, result);
    }
    memory[length] = 0;
    *value = memory;
    if (value_len)
        *value_len = length;
    if (meta)
        *meta = seen;
    return hf__counted(store, HF_OK);
}
