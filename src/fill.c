/* SPDX-License-Identifier: MIT */
/*
 * Get, or compute and store: by a function (hf_get_or_fill) or by a lease (hf_fill_begin, _publish, _cancel). Who may compute is
 * fill_lock.c's affair, and whether the result may still be stored guard.c's. After each wait, and after each claim, the value is
 * looked for again: somebody may just have stored it.
 */
#include "internal.h"
#include "tally.h"

#include <pthread.h>

#define LEASE_MS 10000u

struct request {
    hf_store *store;
    const void *key;
    size_t key_len;
    void *buffer;
    size_t size;
    size_t *value_len;
    struct hf_meta *meta;
    struct hf_fill_options options;
    struct hf__place place;
    uint64_t deadline;
    const struct hf__fill *awaited; /* the lock that is waited for, ... */
    uint32_t unstored;              /* ... and its count when that began */
    bool counted; /* as a hit or miss */
};

/* Functions of this thread that run under a fill lock. */
static _Thread_local struct {
    uint32_t depth;
    uint32_t pid; /* of which process */
} filling;

static uint32_t *depth(void) {
    if (filling.pid != hf__pid) {
        filling.pid = hf__pid;
        filling.depth = 0;
    }
    return &filling.depth;
}

static int prepare(struct request *request, hf_store *store, const void *key, size_t key_len,
                   const struct hf_fill_options *theirs) {
    static const struct hf_fill_options none = HF_FILL_INIT;
    int result = hf__key_check(store, key, key_len);
    if (result != HF_OK)
        return result;
    if (!hf__sized(&request->options, sizeof request->options, theirs ? theirs : &none) ||
        request->options.flags & ~(uint32_t)(HF_FILL_NOWAIT | HF_FILL_STALE) || request->options.early > 100000)
        return hf__fail(HF_ERR_ARGUMENT, "the fill options are not valid: start with HF_FILL_INIT");
    request->store = store;
    request->key = key;
    request->key_len = key_len;
    request->place = hf__locate(store->region, hf__hash_key(store->region, key, key_len));
    request->deadline = 0;
    request->awaited = NULL;
    request->counted = false;
    return HF_OK;
}

/* What is there: HF_OK, HF_TRUNCATED; HF_NOTFOUND: it is known that there is nothing; HF_END: nothing is known. */
static int look(struct request *request) {
    bool absent;
    int result = hf__get_known(request->store, request->key, request->key_len, request->buffer, request->size,
                               request->value_len, request->meta, &absent);
    if (!request->counted)
        hf__counted(request->store, result);
    request->counted = true;
    return result == HF_NOTFOUND && !absent ? HF_END : result;
}

/* What has expired and is still there, for those who take it; HF_NOTFOUND. */
static int look_stale(const struct request *request) {
    if (!(request->options.flags & HF_FILL_STALE) || HF_PLANTED(FILL_STALE_IGNORED))
        return HF_NOTFOUND;
    return hf_get_stale(request->store, request->key, request->key_len, request->buffer, request->size, request->value_len,
                        request->meta);
}

/* Were values computed, one after another, that could not be stored? So it would go on for all who wait. One may be bad luck: a
 * delete came in between. */
static bool in_vain(struct request *request, const struct hf__claim *claim) {
    uint32_t unstored = hf__load32(&claim->fill->unstored);
    if (request->awaited != claim->fill) {
        request->awaited = claim->fill;
        request->unstored = unstored;
    }
    return unstored - request->unstored > 1 && !HF_PLANTED(FILL_ONE_BY_ONE);
}

/* Somebody else fills the key: HF_OK after a while, what look_stale has found, or a failure. */
static int await(struct request *request, const struct hf__claim *claim) {
    int stale = look_stale(request);
    if (stale != HF_NOTFOUND)
        return stale;
    if (request->deadline == 0 && !(request->options.flags & HF_FILL_NOWAIT))
        hf__tally(request->store->region, HF__TALLY_fill_waits, 1);
    if (request->deadline == 0)
        request->deadline = request->options.flags & HF_FILL_NOWAIT
                                ? 1
                                : hf__deadline(request->options.wait_ms ? request->options.wait_ms : request->store->timeout_ms);
    if (hf__monotonic_us() >= request->deadline)
        return hf__fail(HF_ERR_TIMEOUT, "another thread or process computes the value and was not done before the deadline");
    hf__fill_wait(claim, request->deadline);
    return HF_OK;
}

/* The store's log may be told of a repair meanwhile, and fill keys itself: with the fill lock just claimed, so as one that must
 * not wait. It may also fork. */
static int claim_lock(const struct request *request, struct hf__claim *claim) {
    *depth() += !HF_PLANTED(FILL_LOG_WAITS);
    int result = hf__fill_claim(request->store, &request->place, claim);
    *depth() -= claim->pid == hf__pid && !HF_PLANTED(FILL_LOG_WAITS);
    return result;
}

/* HF_OK: look again. HF_END: the caller is to compute, under claim->fill or, if that is NULL, alone. Else the result. */
static int claim_or_wait(struct request *request, struct hf__claim *claim) {
    int result = claim_lock(request, claim);
    if (result != HF_ERR_BUSY)
        return result == HF_OK ? HF_END : result;
    if (hf__fill_is_own(claim) && (*depth() > 0 || !HF_PLANTED(FILL_OWN_AWAITED)))
        return hf__fail(HF_ERR_REENTERED,
                        "a function that fills a key, or a handler that interrupted a fill, asked for that key");
    if ((*depth() == 0 && !in_vain(request, claim)) || HF_PLANTED(FILL_NESTED_WAITS))
        return await(request, claim);
    claim->fill = NULL;
    return HF_END;
}

/* HF_END: the caller is to compute, as claim_or_wait says. Else what was found, or a failure. */
static int look_or_claim(struct request *request, struct hf__claim *claim) {
    int result;
    while ((result = look(request)) == HF_END) {
        if (!request->store->region->writable)
            return hf__fail(HF_ERR_READONLY, "the value is not there, and a read-only handle cannot store one");
        result = claim_or_wait(request, claim);
        if (result == HF_OK)
            continue;
        if (result != HF_END || !claim->fill || HF_PLANTED(FILL_UNREAD))
            return result;
        HF_POINT("fill:granted");
        result = look(request); /* the last holder may have stored it just before the claim */
        if (result != HF_END)
            hf__fill_release(claim);
        return result;
    }
    return result;
}

static int check_fill(const hf_store *store, const struct hf_fill *fill) {
    if (fill->absent > 1 || (fill->absent && fill->value_len > 0))
        return hf__fail(HF_ERR_ARGUMENT, "a fill that says the key is absent has no value, and `absent` is 0 or 1");
    return hf__value_check(store, fill->value, fill->value_len);
}

/* Stores what was computed, unless it may be out of date. *meta tells what became of it: version 0: it was not stored. */
static int store_fill(hf_store *store, const void *key, size_t key_len, const struct hf_fill *fill, uint64_t horizon,
                      struct hf_meta *meta) {
    struct hf__write write;
    *meta = (struct hf_meta){ .flags = fill->flags, .value_len = (uint32_t)fill->value_len };
    int result = hf__write_prepare(&write, store, HF_OP_PUT, key, key_len);
    if (result != HF_OK)
        return result;
    struct hf__content content = { .data = fill->value, .len = (uint32_t)fill->value_len, .flags = fill->flags };
    content.absent = fill->absent;
    content.body = hf__hash_body(write.place.hash, fill->value, fill->value_len);
    result = hf__write_lock(&write);
    if (result != HF_OK)
        return result;
    hf__write_find(&write);
    meta->ttl_ms = hf__ttl_of(store->region, fill->ttl_ms);
    meta->expires_ms = content.expiry = hf__expiry_of(store->region, fill->ttl_ms);
    result = hf__guard(&write, horizon);
    if (result == HF_OK)
        result = hf__write_content(&write, &content, &meta->version);
    result = hf__write_end(&write, result);
    uint64_t now_ms = meta->expires_ms ? hf__now_ms() : 0;
    meta->ttl_ms = meta->expires_ms > now_ms ? meta->expires_ms - now_ms : 0;
    return result;
}

/* As a hit would tell it. */
static int deliver(const struct request *request, const struct hf_fill *fill, const struct hf_meta *meta) {
    size_t part = fill->value_len < request->size ? fill->value_len : request->size;
    if (part > 0)
        memcpy(request->buffer, fill->value, part);
    if (request->value_len)
        *request->value_len = fill->value_len;
    *request->meta = *meta;
    if (fill->absent)
        return HF_NOTFOUND;
    return fill->value_len > request->size ? HF_TRUNCATED : HF_OK;
}

/* A child that was forked by the function has neither the lock nor the depth. */
static void drop_claim(void *claim) {
    if (((const struct hf__claim *)claim)->pid == hf__pid || HF_PLANTED(FILL_DEPTH_LOST))
        --*depth();
    if (!HF_PLANTED(FILL_KEPT))
        hf__fill_release(claim);
}

/* Runs the function and stores its result, with the claim in hand, which is dropped whatever happens. *filled: it gave one. */
static int compute(const struct request *request, struct hf__claim *claim, hf_fill_fn *fn, void *context, bool *filled) {
    struct hf_fill fill = { .value = NULL };
    struct hf_meta meta;
    uint64_t start = hf__monotonic_us();
    int result;
    ++*depth();
    pthread_cleanup_push(drop_claim, claim);
    hf__tally(request->store->region, HF__TALLY_fills, 1);
    result = fn(context, request->key, request->key_len, &fill);
    HF_POINT("fill:computed");
    if (result == HF_OK && (result = check_fill(request->store, &fill)) != HF_OK)
        hf__fill_unstored(claim->fill);
    *filled = result == HF_OK;
    if (result == HF_OK) {
        hf__store(&hf__fill_of(request->store->region, request->place.hash)->took, hf__monotonic_us() - start);
        if (store_fill(request->store, request->key, request->key_len, &fill, claim->horizon, &meta) != HF_OK) {
            meta.version = 0;
            hf__fill_unstored(claim->fill);
        }
        result = deliver(request, &fill, &meta);
    }
    HF_POINT("fill:stored");
    pthread_cleanup_pop(1);
    if (fill.done)
        fill.done(&fill);
    return result;
}

/* -ln of an evenly distributed number between 0 and 1, in 1/1024: an integer part from the leading zeros of its base-2 logarithm,
 * the rest by a straight line. 0 if there is no chance to be had. */
static uint64_t exponential(void) {
    uint64_t chance;
    if (!hf__random(&chance) || chance == 0)
        return 0;
    uint64_t zeros = (uint64_t)__builtin_clzll(chance), fraction = zeros < 63 ? chance << (zeros + 1) >> 54 : 0;
    return ((zeros + 1) * 1024 - fraction) * 710 >> 10; /* ln 2 = 710 / 1024 */
}

/* Should this caller fill the key anew, although its value is still there? */
static bool chosen_early(const struct request *request, const struct hf_meta *meta) {
    if (request->options.early == 0 || meta->ttl_ms == 0 || !request->store->region->writable || *depth() > 0)
        return false;
    uint64_t took_us = hf__load(&hf__fill_of(request->store->region, request->place.hash)->took);
    took_us = took_us < 1000000000 ? took_us : 1000000000;
    uint64_t scale_us = took_us * request->options.early / 100;
    if (meta->ttl_ms * 1000 > 46 * scale_us) /* -ln is at most 45 */
        return false;
    return meta->ttl_ms * 1000 <= exponential() * scale_us / 1024;
}

static int look_or_compute(struct request *request, hf_fill_fn *fn, void *context, bool *computed) {
    struct hf__claim claim;
    bool filled;
    int result = look_or_claim(request, &claim);
    *computed = result == HF_END;
    return *computed ? compute(request, &claim, fn, context, &filled) : result;
}

/* The value is in the caller's hands already: whatever goes wrong, it stays, and so nothing else is read into his buffer unless
 * there is something newer. */
static int renew(struct request *request, int found, hf_fill_fn *fn, void *context) {
    struct hf__claim claim;
    struct hf_meta now = { .version = 0 };
    bool filled, absent;
    if (claim_lock(request, &claim) != HF_OK || !claim.fill)
        return found;
    int again = hf__get_known(request->store, request->key, request->key_len, NULL, 0, NULL, &now, &absent);
    if (again >= 0 && now.version != 0 && now.version != request->meta->version) {
        hf__fill_release(&claim);
        return look_or_compute(request, fn, context, &filled);
    }
    if (HF_PLANTED(RENEW_READS))
        look(request);
    int result = compute(request, &claim, fn, context, &filled);
    return filled ? result : found;
}

int hf_get_or_fill(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                   struct hf_meta *meta, hf_fill_fn *fn, void *context, const struct hf_fill_options *options) {
    struct request request;
    struct hf_meta own;
    int result = prepare(&request, store, key, key_len, options);
    if (result == HF_OK && (!fn || (!buffer && size > 0)))
        result = hf__fail(HF_ERR_ARGUMENT, "hf_get_or_fill needs a function, and a buffer unless its size is 0");
    if (result != HF_OK)
        return result;
    request.buffer = buffer;
    request.size = size;
    request.value_len = value_len;
    request.meta = meta ? meta : &own;
    bool computed;
    result = look_or_compute(&request, fn, context, &computed);
    if (!computed && result >= 0 && chosen_early(&request, request.meta))
        return renew(&request, result, fn, context);
    return result;
}

int hf_fill_begin(hf_store *store, const void *key, size_t key_len, const struct hf_fill_options *options,
                  struct hf_lease *lease) {
    struct hf_meta meta;
    struct request request = { .meta = &meta };
    struct hf__claim claim;
    int result = lease ? prepare(&request, store, key, key_len, options)
                       : hf__fail(HF_ERR_ARGUMENT, "hf_fill_begin needs a place for the lease");
    if (result == HF_OK)
        result = look_or_claim(&request, &claim);
    if (result == HF_TRUNCATED && meta.expires_ms && !meta.ttl_ms)
        return HF_STALE;
    if (result != HF_END)
        return result == HF_OK || result == HF_TRUNCATED ? HF_EXISTS : result;
    hf__tally(store->region, HF__TALLY_fills, 1);
    *lease = (struct hf_lease){ .key_hash = request.place.hash, .horizon = claim.horizon };
    if (claim.fill) {
        lease->lock = (uint32_t)(claim.fill - hf__fill_at(store->region, 0));
        lease->number = hf__fill_lease(&claim, request.options.lease_ms ? request.options.lease_ms : LEASE_MS);
    }
    return HF_OK;
}

static int check_lease(const hf_store *store, const struct hf_lease *lease) {
    if (!store || !lease || lease->lock >= store->region->geometry.fills || lease->reserved)
        return hf__fail(HF_ERR_ARGUMENT, "a store is needed, and a lease as hf_fill_begin gave it");
    return store->region->writable ? HF_OK : hf__result(HF_ERR_READONLY);
}

static void end_lease(const hf_store *store, const struct hf_lease *lease) {
    if (lease->number)
        hf__fill_lease_end(hf__fill_at(store->region, lease->lock), lease->number);
}

int hf_fill_publish(hf_store *store, const void *key, size_t key_len, const struct hf_fill *fill, const struct hf_lease *lease,
                    uint64_t *version) {
    struct hf_meta meta;
    int result = check_lease(store, lease);
    if (result == HF_OK)
        result = hf__key_check(store, key, key_len);
    if (result == HF_OK && (!fill || hf__hash_key(store->region, key, key_len) != lease->key_hash))
        result = hf__fail(HF_ERR_ARGUMENT, "the lease is for another key, or there is nothing to publish");
    if (result == HF_OK)
        result = check_fill(store, fill);
    if (result != HF_OK)
        return result;
    result = store_fill(store, key, key_len, fill, lease->horizon, &meta);
    if (result == HF_OK && version)
        *version = meta.version;
    if (result != HF_OK && lease->number)
        hf__fill_unstored(hf__fill_at(store->region, lease->lock));
    HF_POINT("fill:published");
    end_lease(store, lease);
    return result;
}

int hf_fill_cancel(hf_store *store, const struct hf_lease *lease) {
    int result = check_lease(store, lease);
    if (result == HF_OK)
        end_lease(store, lease);
    return result;
}
