/* SPDX-License-Identifier: MIT */
/* Fill locks whose words were overwritten, or that somebody else broke: they may cost sharing, but nobody's time. */
#include "fill_cases.h"
#include "internal.h"

#include <pthread.h>

static struct hf_fill_options without_waiting(void) {
    struct hf_fill_options options = HF_FILL_INIT;
    options.flags = HF_FILL_NOWAIT;
    return options;
}

static int lock_of_k_held(void *store) {
    struct hf_fill_options nowait = without_waiting();
    struct maker maker = making("value");
    CHECK_RC(get_k(store, &maker, NULL, &nowait), HF_ERR_TIMEOUT);
    return 0;
}

/* ---- Leases --------------------------------------------------------------------------------------------------------------- */

static size_t locks_listed(hf_store *store) {
    size_t count;
    CHECK_RC(hf_locks(store, NULL, 0, &count), HF_OK);
    return count;
}

void fill_odd_leases(void) {
    hf_store *store = check_create("odd-leases", check_small_store(0));
    struct hf_fill_options nowait = without_waiting(), longest = HF_FILL_INIT;
    struct hf_fill value = {.value = "late", .value_len = 4};
    struct hf_lease lease;
    longest.lease_ms = UINT32_MAX;
    const uint64_t beyond[] = {hf__monotonic_us() + (UINT32_MAX + 3600000ull) * 1000, 1ull << 63, UINT64_MAX};
    for (unsigned i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        struct maker maker = making("value");
        CHECK_RC(hf_fill_begin(store, "k", 1, &longest, &lease), HF_OK);
        CHECK_EQ(locks_listed(store), 1);
        check_run(lock_of_k_held, store);
        hf__fill_at(store->region, lease.lock)->lease_until = beyond[i];
        check_at("a lease that ends at %llu", (unsigned long long)beyond[i]);
        CHECK_EQ(locks_listed(store), 0);
        CHECK_RC(get_k(store, &maker, NULL, &nowait), HF_OK);
        CHECK_EQ(maker.calls, 1);
        CHECK_RC(hf_fill_publish(store, "k", 1, &value, &lease, NULL), HF_CHANGED);
        check_value(store, "k", "value");
        CHECK_RC(hf_delete(store, "k", 1, 0), HF_OK);
    }
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Mutexes -------------------------------------------------------------------------------------------------------------- */

static int die_holding(void *mutex) {
    return pthread_mutex_lock(mutex);
}

/* As who knows nothing of robust mutexes does it. */
static void break_lock(pthread_mutex_t *mutex) {
    check_run(die_holding, mutex);
    CHECK_EQ(pthread_mutex_lock(mutex), EOWNERDEAD);
    pthread_mutex_unlock(mutex);
}

static int fill_it(void *store) {
    struct maker maker = making("value");
    CHECK_RC(get_k(store, &maker, NULL, NULL), HF_OK);
    CHECK_EQ(maker.calls, 1);
    CHECK_RC(hf_delete(store, "k", 1, 0), HF_OK);
    return 0;
}

static int ask_k(void *store, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)key, (void)key_len;
    check_run(lock_of_k_held, store);
    fill->value = "value";
    fill->value_len = 5;
    return HF_OK;
}

/* Is there one filler at a time? */
static void fill_shared(hf_store *store) {
    char value[8];
    CHECK_RC(hf_get_or_fill(store, "k", 1, value, sizeof value, NULL, NULL, ask_k, store, NULL), HF_OK);
    CHECK_RC(hf_delete(store, "k", 1, 0), HF_OK);
}

/* Each of the locks in turn until none is left. The key names the broken one, as if its filler had been at work. */
void fill_unrecoverable(void) {
    hf_store *store = check_create("unrecoverable", check_small_store(0));
    uint64_t hash = hf__hash_key(store->region, "k", 1);
    struct hf__fill *first = hf__fill_of(store->region, hash);
    break_lock(&first->mutex);
    for (unsigned i = 0; i < 3; i++) {
        first->key_hash = hash;
        fill_it(store); /* the same thread, which might take the lock for its own, and another */
        first->key_hash = hash;
        check_run(fill_it, store);
        first->key_hash = hash;
        fill_shared(store);
    }
    for (uint32_t i = 0; i < store->region->geometry.fills; i++) {
        if (hf__fill_at(store->region, i) != first)
            break_lock(&hf__fill_at(store->region, i)->mutex);
        hf__fill_at(store->region, i)->key_hash = hash;
    }
    fill_it(store);
    check_run(fill_it, store);
    fill_it(store);
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_open(check_path((char[CHECK_PATH]){0}, "unrecoverable"), NULL); /* the first writer makes them anew */
    fill_shared(store);
    CHECK_RC(hf_close(&store), HF_OK);
}
