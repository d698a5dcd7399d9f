/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a change of a key, or of any.
 *
 * A stripe has a word that grows with every change, and a word of bits that tells who waits: one of 31 for a key, by its hash,
 * and one for the whole store. The waiter notes the change word, looks at the key, sets his bit, and looks whether the change
 * word has moved on. The writer commits, moves the change word on, unlocks, and looks for bits of the keys that he has changed.
 * Either the waiter sees the new word, or the writer the bit: each stores his own before he loads the other's. A put in which
 * nobody is interested costs a store and a load more, both on lines that it owns. (One word for both would have to be changed by
 * an atomic addition in every put.)
 *
 * The writer clears the bits that he found, and then wakes. A bit that he clears may be that of a waiter who came later, has seen
 * this change already, and is about to sleep until the next one, whose writer would not find it. So nobody sleeps on the change
 * word, but on the turn, which moves on between the two, and which the waiter notes before he sets his bit.
 *
 * Who watches the whole store cannot sleep on the words of all stripes. A turn of the store moves on when a writer finds bit 0.
 *
 * Whoever is killed between commit and wake takes the wake-up along; so does a waiter that is killed when it was just woken for
 * others, too. So nobody sleeps longer than a slice before he looks again. An expiry is no write: who waits for a key sleeps no
 * longer than its entry lives. Who can only read cannot set a bit, and looks again in shorter intervals.
 */
#include "internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLICE_US 250000u
#define POLL_US 20000u /* between two looks of a read-only handle */

uint64_t hf__deadline(uint32_t timeout_ms) {
    return timeout_ms == HF_FOREVER ? UINT64_MAX : hf__monotonic_us() + (uint64_t)timeout_ms * 1000;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void nap(uint64_t until_us) {
    uint64_t now_us = hf__monotonic_us(), wait_us = until_us > now_us ? least(until_us - now_us, POLL_US) : 0;
    struct timespec wait = { .tv_sec = 0, .tv_nsec = (long)wait_us * 1000 };
    nanosleep(&wait, NULL);
}

/* The kernel's words for a moment, which are the C library's only where a long has 64 bits. Where futexes are forbidden (seccomp)
 * it is a nap. */
void hf__sleep_on(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t until_us) {
    long until[2] = { (long)(until_us / 1000000), (long)(until_us % 1000000) * 1000 };
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, until, NULL, bits) != 0 && errno != EAGAIN && errno != EINTR &&
        errno != ETIMEDOUT)
        nap(until_us);
}

void hf__wake_all(uint32_t *word, uint32_t bits) {
    syscall(SYS_futex, word, FUTEX_WAKE_BITSET, INT32_MAX, NULL, NULL, bits);
}

void hf__wake(const struct hf__region *region, uint32_t stripe, uint32_t bits) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    hf__clear_bits32(&header->waiters, bits);
    HF_POINT("wake");
    if (bits & ~1u) {
        if (!HF_PLANTED(TURN_KEPT))
            hf__add32(&header->turn, 1);
        hf__wake_all(&header->turn, bits & ~1u);
    }
    if (bits & 1) {
        hf__add32(&hf__live(region)->turn, 1);
        hf__wake_all(&hf__live(region)->turn, 1);
    }
}

/* The end of a slice. */
static uint64_t slice_end(uint64_t deadline) {
    return HF_PLANTED(SLICE_ENDLESS) || HF_PLANTED(TURN_KEPT) ? deadline : least(deadline, hf__monotonic_us() + SLICE_US);
}

/* What is there now. */
static int look(hf_store *store, const void *key, size_t key_len, struct hf_meta *meta) {
    int result = hf__get(store, key, key_len, NULL, 0, NULL, meta);
    if (result == HF_NOTFOUND)
        memset(meta, 0, sizeof *meta);
    return result == HF_NOTFOUND || result == HF_TRUNCATED ? HF_OK : result;
}

/* What a waiter noted before he looked at the key. */
struct noted {
    uint32_t turn, change;
};

static struct noted note(const struct hf__stripe *header) {
    struct noted noted = { .turn = hf__observe32(&header->turn) };
    noted.change = hf__observe32(&header->change);
    return noted;
}

static void sleep_for_key(hf_store *store, const struct hf__place *place, struct noted noted, uint64_t until_us) {
    struct hf__stripe *header = hf__stripe_at(store->region, place->stripe);
    if (!store->region->writable) {
        nap(until_us);
        return;
    }
    hf__set_bits32(&header->waiters, hf__bit_of(place->hash));
    HF_POINT("wait:set");
    if (hf__observe32(&header->change) == noted.change)
        hf__sleep_on(&header->turn, noted.turn, hf__bit_of(place->hash), until_us);
}

int hf_wait(hf_store *store, const void *key, size_t key_len, uint64_t seen, uint32_t timeout_ms, struct hf_meta *meta) {
    struct hf_meta now;
    int result = hf__key_check(store, key, key_len);
    if (result != HF_OK)
        return result;
    struct hf__place place = hf__locate(store->region, hf__hash_key(store->region, key, key_len));
    const struct hf__stripe *header = hf__stripe_at(store->region, place.stripe);
    uint64_t deadline = hf__deadline(timeout_ms);
    for (;;) {
        struct noted noted = note(header);
        result = look(store, key, key_len, &now);
        if (result == HF_OK && now.version == seen)
            result = hf__monotonic_us() < deadline ? HF_UNCHANGED : HF_END;
        if (result != HF_UNCHANGED)
            break;
        uint64_t until_us = slice_end(deadline);
        if (now.ttl_ms)
            until_us = least(until_us, hf__monotonic_us() + now.ttl_ms * 1000);
        sleep_for_key(store, &place, noted, until_us);
    }
    if (result >= 0 && meta)
        *meta = now;
    return result == HF_END ? HF_UNCHANGED : result;
}

/* The next stripe, round and round, whose change word is not the one seen; false if there is none. */
static bool find_changed(const struct hf__region *region, struct hf_watch *watch) {
    uint32_t stripes = region->geometry.stripes, *seen = watch->memory;
    uint64_t slots = hf__slots_of_stripe(region);
    for (uint32_t i = 0; i < stripes; i++) {
        uint32_t stripe = (watch->next + i) % stripes;
        uint32_t change = hf__observe32(&hf__stripe_at(region, stripe)->change);
        if (change == seen[stripe])
            continue;
        seen[stripe] = change;
        watch->next = (stripe + 1) % stripes;
        watch->from = stripe * slots;
        watch->to = (stripe + 1) * slots;
        return true;
    }
    return false;
}

static void set_everywhere(const struct hf__region *region) {
    for (uint32_t stripe = 0; region->writable && stripe < region->geometry.stripes; stripe++) {
        uint32_t *waiters = &hf__stripe_at(region, stripe)->waiters;
        if (!(hf__load32(waiters) & 1))
            hf__set_bits32(waiters, 1);
    }
    hf__fence_full();
    HF_POINT("wait:set");
}

int hf_wait_any(hf_store *store, struct hf_watch *watch, uint32_t timeout_ms) {
    if (!store || !watch)
        return hf__fail(HF_ERR_ARGUMENT, "hf_wait_any needs a store and a watch that starts with HF_WATCH_INIT");
    struct hf__region *region = store->region;
    uint64_t deadline = hf__deadline(timeout_ms);
    if (!watch->memory && !(watch->memory = calloc(region->geometry.stripes, sizeof(uint32_t))))
        return hf__fail(HF_ERR_MEMORY, "no memory for a watch");
    watch->next %= region->geometry.stripes;
    for (;;) {
        uint32_t turn = hf__observe32(&hf__live(region)->turn);
        if (find_changed(region, watch))
            return HF_OK;
        set_everywhere(region);
        if (find_changed(region, watch))
            return HF_OK;
        if (hf__monotonic_us() >= deadline)
            return HF_UNCHANGED;
        if (region->writable)
            hf__sleep_on(&hf__live(region)->turn, turn, 1, slice_end(deadline));
        else
            nap(deadline);
    }
}

void hf_watch_free(struct hf_watch *watch) {
    static const struct hf_watch fresh = HF_WATCH_INIT;
    free(watch->memory);
    *watch = fresh;
}
