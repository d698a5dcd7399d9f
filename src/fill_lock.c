/* SPDX-License-Identifier: MIT */
/*
 * Fill locks: who computes the value of a missing key, over all processes.
 *
 * Robust mutexes of their own, never a stripe's: a fill may take long. A key may use any of four, and while it is being filled
 * one of them names it by its hash. Claims are made under the lock of the key's stripe, so that of two fillers of one key one
 * finds the other, whichever of the four locks that has. Nobody waits for a stranger: who finds the key nowhere and no lock free
 * computes without sharing.
 *
 *     order of locks: stripe, then fill lock by trylock only; with a fill lock, a stripe. Nobody who has a stripe's lock
 *     sleeps, and nobody who has a fill lock sleeps for another: fills in fills cannot wait for each other.
 *
 * A waiter does not queue up for the mutex, which two hundred would get one after the other. He sleeps on its word as the kernel
 * and the C library know it, with the bit set that says so. When the holder is killed, the kernel marks the word and wakes one
 * sleeper, who claims: EOWNERDEAD is his inheritance, there is nothing to repair. When the holder is done, all are woken, find
 * the value, and never touch the lock. A sleeper that is killed or stopped just when he is woken delays the others by a slice.
 *
 * A lease is the same without the mutex, for those whose computation has no thread of its own: a number, and a moment at which
 * it ends. The mutex is let go, and the hash stays.
 *
 * A mutex that nobody can have any more no longer names a key: its keys have the other three.
 */
#include "internal.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHOICES 4u
#define SLICE_US 100000u
#define LONGEST_LEASE_US (UINT32_MAX * 1000ull)

void hf__fill_init(struct hf__fill *fill) {
    memset(fill, 0, sizeof *fill);
    hf__robust_init(&fill->mutex);
}

/* 0 says of no key. */
static uint64_t name_of(uint64_t key_hash) {
    return key_hash ? key_hash : 1;
}

static struct hf__fill *choice(const struct hf__region *region, uint64_t key_hash, uint32_t i) {
    uint32_t mask = region->geometry.fills - 1, step = (uint32_t)(key_hash >> 32) | 1;
    return hf__fill_at(region, ((uint32_t)(key_hash >> 16) + i * step) & mask);
}

struct hf__fill *hf__fill_of(const struct hf__region *region, uint64_t key_hash) {
    return choice(region, key_hash, 0);
}

/* Whose giver was killed before he let go of the mutex is no lease: nobody knows its number. Nor is one that ends later than any
 * lease that can be given now: the words were overwritten, or that moment is of another time namespace. */
bool hf__fill_leased(struct hf__fill *fill, uint64_t now_us) {
    if (hf__observe(&fill->lease) == 0)
        return false;
    uint64_t until_us = hf__load(&fill->lease_until);
    return now_us < until_us && (until_us - now_us <= LONGEST_LEASE_US || HF_PLANTED(LEASE_UNBOUNDED)) &&
           !(hf__load32(hf__robust_word(&fill->mutex)) & HF__FUTEX_DIED);
}

static bool held(struct hf__fill *fill) {
    return hf__robust_held(hf__load32(hf__robust_word(&fill->mutex))) || HF_PLANTED(NO_FILL_OWNER_DEAD);
}

/* 0: it is ours. EBUSY: it is somebody's. Else nobody can have it: its words were overwritten, or what is not Holdfast let go of
 * it when its owner had died. */
static int try_lock(struct hf__fill *fill) {
    int error = hf__robust_try(&fill->mutex);
    if (error == EOWNERDEAD) {
        if (!HF_PLANTED(LEASE_INHERITED))
            hf__store(&fill->lease, 0); /* what tells it from a lease that was given goes with the next line */
        hf__in_order();
        pthread_mutex_consistent(&fill->mutex);
        hf__set_bits32(hf__robust_word(&fill->mutex), HF__FUTEX_WAITS); /* the others sleep on, for us */
        return 0;
    }
    return error == EDEADLK ? EBUSY : error;
}

static int take(struct hf__claim *claim, struct hf__fill *fill, uint64_t now_us) {
    const struct hf__region *region = claim->store->region;
    hf__stripe_at(region, claim->place.stripe)->filled = 1;
    claim->horizon = hf__horizon(region, claim->place.stripe);
    hf__store(&fill->key_hash, 0); /* first: hf__fill_known of the key that it named may be looking */
    hf__fence_release();
    hf__store(&fill->lease, 0);
    hf__store32(&fill->pid, hf__pid);
    hf__store(&fill->since, now_us);
    hf__store(&fill->horizon, claim->horizon);
    hf__store32(&fill->overtaken, 0);
    if (!HF_PLANTED(FILL_NAMELESS))
        hf__publish(&fill->key_hash, name_of(claim->place.hash));
    claim->fill = fill;
    hf__add32(&claim->store->region->fills, 1);
    HF_POINT("fill:claimed");
    return HF_OK;
}

/* Under the lock of the key's stripe: HF_ERR_BUSY, and the lock to wait for; HF_OK, and the lock that was taken, or none. */
static int claim_one(struct hf__claim *claim, uint64_t now_us) {
    const struct hf__region *region = claim->store->region;
    uint64_t name = name_of(claim->place.hash);
    for (uint32_t i = 0; i < CHOICES; i++) {
        struct hf__fill *fill = claim->fill = choice(region, claim->place.hash, i);
        if (hf__observe(&fill->key_hash) != name)
            continue;
        int error = hf__fill_leased(fill, now_us) ? EBUSY : try_lock(fill);
        if (error == 0)
            return take(claim, fill, now_us);
        if (error == EBUSY || HF_PLANTED(FILL_BROKEN_AWAITED))
            return HF_ERR_BUSY;
        hf__store(&fill->key_hash, 0);
    }
    for (uint32_t i = 0; i < 2 * CHOICES; i++) { /* that of a dead stranger last: his waiters sleep on it */
        struct hf__fill *fill = choice(region, claim->place.hash, i % CHOICES);
        bool died = hf__load32(hf__robust_word(&fill->mutex)) & HF__FUTEX_DIED;
        if ((died && i < CHOICES) || hf__fill_leased(fill, now_us) || try_lock(fill) != 0)
            continue;
        if (!hf__fill_leased(fill, now_us))
            return take(claim, fill, now_us);
        pthread_mutex_unlock(&fill->mutex);
    }
    claim->fill = HF_PLANTED(FILL_STRANGER) ? choice(region, claim->place.hash, 0) : NULL;
    return claim->fill ? HF_ERR_BUSY : HF_OK;
}

/* The lock that names the key; NULL. */
static struct hf__fill *named(const struct hf__region *region, uint64_t key_hash) {
    for (uint32_t i = 0; i < CHOICES; i++)
        if (hf__observe(&choice(region, key_hash, i)->key_hash) == name_of(key_hash))
            return choice(region, key_hash, i);
    return NULL;
}

/* It may just have been taken by a stranger, whose fill is then called overtaken without need: never the other way round. */
void hf__fill_overtake(const struct hf__region *region, const struct hf__place *place, uint64_t version) {
    struct hf__fill *fill = hf__stripe_at(region, place->stripe)->filled ? named(region, place->hash) : NULL;
    if (fill && version >= hf__load(&fill->horizon) && !HF_PLANTED(FILL_NOT_OVERTAKEN))
        hf__store32(&fill->overtaken, 1);
}

bool hf__fill_known(const struct hf__region *region, const struct hf__place *place, uint64_t horizon, bool *overtaken) {
    struct hf__fill *fill = named(region, place->hash);
    if (!fill || hf__load(&fill->horizon) != horizon || HF_PLANTED(FILL_UNKNOWN))
        return false;
    *overtaken = hf__load32(&fill->overtaken) != 0;
    hf__fence_acquire();
    return hf__observe(&fill->key_hash) == name_of(place->hash);
}

/* Without a lock: is somebody at it? */
static bool busy(struct hf__claim *claim, uint64_t now_us) {
    uint64_t name = name_of(claim->place.hash);
    for (uint32_t i = 0; i < CHOICES; i++) {
        struct hf__fill *fill = claim->fill = choice(claim->store->region, claim->place.hash, i);
        if (hf__observe(&fill->key_hash) == name && (hf__fill_leased(fill, now_us) || held(fill)))
            return true;
    }
    return false;
}

int hf__fill_claim(struct hf_store *store, const struct hf__place *place, struct hf__claim *claim) {
    struct hf__hold hold;
    uint64_t now_us = hf__monotonic_us();
    *claim = (struct hf__claim){ .store = store, .place = *place, .pid = hf__pid };
    claim->horizon = hf__horizon(store->region, place->stripe);
    if (busy(claim, now_us))
        return HF_ERR_BUSY;
    HF_POINT("fill:claim");
    int result = hf__lock(store, place->stripe, store->timeout_ms, &hold);
    if (result != HF_OK)
        return hf__result(result);
    result = claim_one(claim, now_us);
    hf__unlock(&hold);
    return result;
}

bool hf__fill_is_own(const struct hf__claim *claim) {
    uint32_t word = hf__load32(hf__robust_word(&claim->fill->mutex));
    return (word & HF__FUTEX_THREAD) == (uint32_t)syscall(SYS_gettid);
}

/* Until the one whom hf__fill_claim found busy is done, or dead, or a moment of hf__monotonic_us, or a slice has passed. */
void hf__fill_wait(const struct hf__claim *claim, uint64_t until_us) {
    struct hf__fill *fill = claim->fill;
    uint64_t now_us = hf__monotonic_us(), slice = now_us + SLICE_US;
    uint32_t turn = hf__observe32(&fill->turn), *word = hf__robust_word(&fill->mutex);
    until_us = until_us < slice ? until_us : slice;
    if (hf__fill_leased(fill, now_us)) {
        uint64_t end = hf__load(&fill->lease_until);
        hf__sleep_on(&fill->turn, turn, UINT32_MAX, end < until_us ? end : until_us);
        return;
    }
    uint32_t seen = hf__load32(word), waited = seen | HF__FUTEX_WAITS;
    if (hf__observe(&fill->key_hash) != name_of(claim->place.hash) || !hf__robust_held(seen) ||
        (seen != waited && !hf__swap_if32(word, seen, waited)))
        return;
    HF_POINT("fill:wait");
    hf__sleep_on(word, waited, UINT32_MAX, until_us);
    if (hf__monotonic_us() >= slice)
        hf__robust_orphaned(&fill->mutex);
}

static void let_go(struct hf__claim *claim) {
    struct hf__fill *fill = claim->fill;
    pthread_mutex_unlock(&fill->mutex);
    HF_POINT("fill:unlocked");
    if (!HF_PLANTED(WAKE_LOST))
        hf__wake_all(hf__robust_word(&fill->mutex), UINT32_MAX);
    hf__add32(&claim->store->region->fills, UINT32_MAX);
    claim->fill = NULL;
}

void hf__fill_release(struct hf__claim *claim) {
    if (!claim->fill || claim->pid != hf__pid)
        return;
    hf__publish(&claim->fill->key_hash, 0);
    HF_POINT("fill:done");
    let_go(claim);
}

void hf__fill_unstored(struct hf__fill *fill) {
    if (fill)
        hf__add32(&fill->unstored, 1);
}

uint64_t hf__fill_lease(struct hf__claim *claim, uint32_t lease_ms) {
    struct hf__fill *fill = claim->fill;
    uint64_t lease = fill->leases + 1;
    hf__store(&fill->leases, lease);
    hf__store(&fill->lease_until, hf__monotonic_us() + (uint64_t)lease_ms * 1000);
    hf__publish(&fill->lease, lease);
    HF_POINT("fill:leased");
    let_go(claim);
    return lease;
}

void hf__fill_lease_end(struct hf__fill *fill, uint64_t lease) {
    if (!hf__swap_if(&fill->lease, lease, 0))
        return;
    hf__add32(&fill->turn, 1);
    HF_POINT("fill:ended");
    hf__wake_all(&fill->turn, UINT32_MAX);
}
