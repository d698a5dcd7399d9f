/* SPDX-License-Identifier: MIT */
/* Read one key. No lock, no system call, no allocation, unless writers change the entry faster than it can be copied. */
#include "hash_key.h"
#include "read.h"
#include "tally.h"

#include <stdlib.h>

#define TRIES 64u          /* lock-free attempts before a reader asks for the lock      */
#define READONLY_TRIES 4096u /* ... and before one that cannot gives up                  */
#define SLICE_MS 5u        /* of the lock, between lock-free attempts                   */

struct want {
    struct hf__place place;
    const void *key;
    size_t key_len;
    void *buffer;
    size_t size;
    bool stale;           /* expired values, too */
    bool *absent;         /* NULL: */
    size_t *value_len;    /* ... */
    struct hf_meta *meta; /* ... not wanted */
};

bool hf__expired(uint64_t expiry, uint64_t *now_ms) {
    if (expiry == 0 || HF_PLANTED(EXPIRY_IGNORED))
        return false;
    if (*now_ms == 0)
        *now_ms = hf__now_ms();
    return expiry <= *now_ms;
}

int hf__key_check(const struct hf_store *store, const void *key, size_t key_len) {
    if (!store)
        return hf__fail(HF_ERR_ARGUMENT, "the store is NULL: open it first");
    if (HF_PLANTED(KEY_UNCHECKED))
        return HF_OK;
    if (!key || key_len < 1 || key_len > HF_KEY_MAX)
        return hf__fail(HF_ERR_ARGUMENT, "a key of %zu bytes: keys have 1 to %d", key ? key_len : 0, HF_KEY_MAX);
    return HF_OK;
}

void hf__meta_of(const struct hf__view *view, uint64_t now_ms, struct hf_meta *meta) {
    meta->version = view->version;
    meta->expires_ms = view->expiry;
    meta->ttl_ms = view->expiry > now_ms ? view->expiry - now_ms : 0;
    meta->flags = view->flags;
    meta->value_len = view->value_len;
}

/* Heat is a hint: one attempt, none when saturated, none where nothing is ever evicted. */
INLINE void warm(const struct hf__region *region, uint64_t *slot, uint64_t word) {
    bool wanted = region->evicts && region->writable && (word & HF__HEAT_MASK) != HF__HEAT_MASK;
    if (wanted && HF_PLANTED(HEAT_STORED))
        hf__store(slot, word + HF__HEAT_ONE);
    else if (wanted)
        hf__swap_if(slot, word, word + HF__HEAT_ONE);
}

INLINE int deliver(const struct want *want, const struct hf__view *view, uint64_t now_ms) {
    if (want->value_len)
        *want->value_len = view->value_len;
    if (want->meta)
        hf__meta_of(view, now_ms, want->meta);
    return view->value_len > want->size ? HF_TRUNCATED : HF_OK;
}

static int deliver_stale(const struct want *want, const struct hf__view *view, uint64_t now_ms) {
    if (view->absent)
        return HF_NOTFOUND;
    int result = deliver(want, view, now_ms);
    return result == HF_OK && !HF_PLANTED(STALE_UNMARKED) ? HF_STALE : result;
}

static int deliver_absent(const struct want *want, const struct hf__view *view, uint64_t now_ms) {
    if (want->absent) {
        *want->absent = true;
        deliver(want, view, now_ms);
    }
    return HF_NOTFOUND;
}

/* The slot whose tag fits: HF_OK or HF_TRUNCATED, HF_NOTFOUND (found, but expired), HF_END (another key), HF_ERR_BUSY (it
 * changed). */
INLINE int try_slot(const struct hf__region *region, const struct want *want, uint64_t *slot, uint64_t word) {
    struct hf__glance glance;
    uint64_t now_ms = 0;
    if (!hf__usual(hf__glance_begin(region, want->place.stripe, slot, word, &glance)))
        return glance.view.entry ? HF_ERR_BUSY : HF_END;
    const struct hf__view *view = &glance.view;
    bool found = glance.whole && view->key_len == want->key_len &&
                 (HF_PLANTED(KEY_UNCOMPARED) || hf__same_bytes(view->key, want->key, want->key_len)) && hf__glance_sound(&glance);
    if (!hf__usual(found))
        return hf__glance_end(&glance) ? HF_END : HF_ERR_BUSY;
    HF_POINT("read:compared");
    /* The value lies where it does after a key so long, which need not wait for the header. */
    hf__copy_out(want->buffer, view->key + hf__padded((uint32_t)want->key_len),
                 view->value_len < want->size ? view->value_len : want->size);
    HF_POINT("read:copied");
    if (!hf__usual(hf__glance_end(&glance)))
        return HF_ERR_BUSY;
    if (hf__expired(view->expiry, &now_ms))
        return want->stale ? deliver_stale(want, view, now_ms) : HF_NOTFOUND;
    warm(region, slot, word);
    if (view->absent)
        return deliver_absent(want, view, now_ms);
    return deliver(want, view, now_ms);
}

static int try_bucket(const struct hf__region *region, const struct want *want, struct hf__bucket *bucket) {
    for (uint32_t matches = hf__tag_matches(bucket, want->place.tag); matches; matches &= matches - 1) {
        uint64_t *slot = &bucket->slot[__builtin_ctz(matches)];
        int result = try_slot(region, want, slot, hf__observe(slot));
        if (result != HF_END)
            return result;
    }
    return HF_END;
}

static int look_up(const struct hf__region *region, const struct want *want) {
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

/* Most keys are found here: the first slot of its home bucket that has the key's tag. HF_END: it must be looked for. */
INLINE int try_home(const struct hf__region *region, const struct want *want) {
    struct hf__bucket *bucket = hf__bucket_at(region, want->place.stripe, want->place.home);
    uint32_t matches = hf__tag_matches(bucket, want->place.tag);
    if (!hf__usual(matches))
        return (hf__observe(&bucket->control) & 0xffffffff) == 0 || HF_PLANTED(HOME_ONLY) ? HF_NOTFOUND : HF_END;
    uint64_t *slot = &bucket->slot[__builtin_ctz(matches)];
    return try_slot(region, want, slot, hf__observe(slot));
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

/* A copy of its own, so that hf_get can keep what it wants in registers. */
static __attribute__((noinline)) int get_stable(struct hf_store *store, struct want want) {
    return hf__read_stable(store, want.place.stripe, attempt_get, &want);
}

INLINE int get_at(hf_store *store, struct hf__place place, const void *key, size_t key_len, void *buffer, size_t size,
                  size_t *value_len, struct hf_meta *meta, bool stale, bool *absent) {
    struct want want = { place, key, key_len, buffer, size, stale, absent, value_len, meta };
    int result = try_home(store->region, &want);
    if (!hf__usual(result != HF_END && result != HF_ERR_BUSY))
        return get_stable(store, (struct want){ place, key, key_len, buffer, size, stale, absent, value_len, meta });
    return result;
}

INLINE int get(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
               struct hf_meta *meta, bool stale, bool *absent) {
    if (!buffer && size > 0)
        return hf__fail(HF_ERR_ARGUMENT, "the buffer is NULL but %zu bytes long", size);
    int result = hf__key_check(store, key, key_len);
    if (result != HF_OK)
        return result;
    struct hf__place place = hf__locate(store->region, hf__hash_key_here(store->region, key, key_len));
    return get_at(store, place, key, key_len, buffer, size, value_len, meta, stale, absent);
}

INLINE int count(const hf_store *store, int result) {
    if (hf__usual(result == HF_OK) || result == HF_TRUNCATED)
        hf__tally_read(store->region, HF__TALLY_hits);
    else if (result == HF_NOTFOUND)
        hf__tally_read(store->region, HF__TALLY_misses);
    else if (result == HF_STALE)
        hf__tally(store->region, HF__TALLY_stale_hits, 1);
    return result;
}

int hf_get(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
           struct hf_meta *meta) {
    return count(store, get(store, key, key_len, buffer, size, value_len, meta, false, NULL));
}

int hf__counted(const hf_store *store, int result) {
    return count(store, result);
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
    count(store, expired && !HF_PLANTED(STALE_UNMARKED) ? HF_STALE : result);
    return result;
}

/* ---- Many keys ----------------------------------------------------------------------------------------------------------- */

#define CHUNK 16u /* keys at once: processors have about so many lines under way */

/* Where a key is likely to be. Only what is fetched early depends on it: each is then read as by hf_get. */
struct aim {
    struct hf__place place;
    uint64_t word; /* of the first slot with the key's tag; 0: none */
};

static int take_aim(struct hf_store *store, const struct hf_get_request *request, struct aim *aim) {
    aim->place = (struct hf__place){ .hash = 0 };
    if (!request->buffer && request->size > 0)
        return hf__fail(HF_ERR_ARGUMENT, "the buffer is NULL but %zu bytes long", request->size);
    if (request->reserved != 0)
        return hf__fail(HF_ERR_ARGUMENT, "the reserved field of a request must be 0");
    int result = hf__key_check(store, request->key, request->key_len);
    if (result == HF_OK)
        aim->place = hf__locate(store->region, hf__hash_key_here(store->region, request->key, request->key_len));
    return result;
}

INLINE uint64_t likely_word(const struct hf__region *region, const struct hf__place *place) {
    const struct hf__bucket *bucket = hf__bucket_at(region, place->stripe, place->home);
    uint32_t matches = hf__tag_matches(bucket, place->tag);
    return matches ? hf__load(&bucket->slot[__builtin_ctz(matches)]) : 0;
}

INLINE void fetch_aimed(const struct hf__region *region, const struct aim *aim) {
    uint64_t block;
    if (hf__block_of(region, aim->place.stripe, aim->word, &block))
        hf__fetch_entry(hf__entry_at(region, block), hf__word_blocks(aim->word));
}

static int get_aimed(struct hf_store *store, struct hf_get_request *request, struct hf__place place) {
    return count(store, get_at(store, place, request->key, request->key_len, request->buffer, request->size,
                               &request->value_len, request->meta, false, NULL));
}

/* Loops that do one thing each: a line is under way only once its address is known, and a processor looks some hundred
 * instructions ahead. */
static void get_chunk(struct hf_store *store, struct hf_get_request *requests, size_t count) {
    struct aim aims[CHUNK];
    for (size_t i = 0; i < count; i++)
        requests[i].result = take_aim(store, &requests[i], &aims[i]);
    for (size_t i = 0; i < count; i++)
        hf__fetch(hf__bucket_at(store->region, aims[i].place.stripe, aims[i].place.home));
    for (size_t i = 0; i < count; i++)
        aims[i].word = likely_word(store->region, &aims[i].place);
    for (size_t i = 0; i < count; i++)
        fetch_aimed(store->region, &aims[i]);
    for (size_t i = 0; i < count; i++)
        if (requests[i].result == HF_OK && HF_PLANTED(AIM_TRUSTED) && aims[i].word == 0)
            requests[i].result = HF_NOTFOUND;
        else if (requests[i].result == HF_OK)
            requests[i].result = get_aimed(store, &requests[i], aims[i].place);
}

/* Says again what was said of the first request that failed: others may have failed after it. */
static int tell_failure(struct hf_store *store, const struct hf_get_request *failed) {
    struct aim aim;
    return take_aim(store, failed, &aim) == failed->result ? failed->result : hf__result(failed->result);
}

int hf_get_many(hf_store *store, struct hf_get_request *requests, size_t count) {
    const struct hf_get_request *failed = NULL;
    if (!store || (!requests && count > 0))
        return hf__fail(HF_ERR_ARGUMENT, "hf_get_many needs a store, and requests: one of them is NULL");
    for (size_t done = 0; done < count; done += CHUNK) {
        size_t chunk = count - done < CHUNK ? count - done : CHUNK;
        get_chunk(store, requests + done, chunk);
        for (size_t i = done; i < done + chunk && !failed; i++)
            if (requests[i].result < 0)
                failed = &requests[i];
    }
    return failed ? tell_failure(store, failed) : HF_OK;
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
