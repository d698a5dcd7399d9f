/* SPDX-License-Identifier: MIT */
/* Who holds which lock? Only looks: takes no lock, changes nothing, and may not rely on anything that it sees. */
#include "internal.h"

/* Whether the lock words mean anything, and whose thread ids stand in them. */
struct view_of_locks {
    bool made;    /* by a writer of this boot and file: before that they are what was left of another */
    bool foreign;
    uint64_t now_us;
};

static struct view_of_locks view_locks(const struct hf__region *region) {
    struct hf__identity identity;
    const struct hf__live *live = hf__live(region);
    struct view_of_locks view = { .made = hf__load32(&live->ready) == 1, .foreign = true, .now_us = hf__monotonic_us() };
    if (hf__identity_of(region->fd, &identity) != HF_OK)
        return view;
    view.made = (view.made && hf__identity_matches(&identity, live)) || HF_PLANTED(LOCK_WORDS_TRUSTED);
    view.foreign = hf__load(&live->namespace_device) != identity.namespace_device ||
                   hf__load(&live->namespace_inode) != identity.namespace_inode;
    return view;
}

/* What a lock's word says; HF_LOCK_UNFINISHED: that nobody holds it. */
static struct hf_lock look_at_word(const uint32_t *at, const struct view_of_locks *view) {
    uint32_t word = view->made ? hf__load32(at) : 0;
    struct hf_lock lock = { .state = HF_LOCK_UNFINISHED, .foreign = view->foreign, .waited = (word & HF__FUTEX_WAITS) != 0 };
    if (word & HF__FUTEX_DIED)
        lock.state = HF_LOCK_LEFT;
    else if (word & HF__FUTEX_THREAD)
        lock.state = HF_LOCK_HELD;
    if (lock.state == HF_LOCK_HELD)
        lock.thread = word & HF__FUTEX_THREAD;
    return lock;
}

/* False: it is free, and nothing is unfinished. */
static bool look_at_stripe(const struct hf__region *region, uint32_t number, const struct view_of_locks *view,
                           struct hf_lock *lock) {
    struct hf__stripe *stripe = hf__stripe_at(region, number);
    *lock = look_at_word(hf__robust_word(&stripe->mutex), view);
    lock->kind = HF_LOCK_STRIPE;
    lock->number = lock->stripe = number;
    lock->operation = hf__load32(&stripe->record.operation);
    if (lock->operation != HF_OP_NONE) {
        lock->pid = hf__load32(&stripe->record.pid);
        lock->step = hf__load32(&stripe->record.step);
        lock->key_hash = hf__load(&stripe->record.key_hash);
    }
    return lock->state != HF_LOCK_UNFINISHED || lock->operation != HF_OP_NONE;
}

static uint64_t ms_between(uint64_t from_us, uint64_t to_us) {
    return to_us > from_us ? (to_us - from_us) / 1000 : 0;
}

/* False: nobody computes under it. */
static bool look_at_fill(const struct hf__region *region, uint32_t number, const struct view_of_locks *view,
                         struct hf_lock *lock) {
    struct hf__fill *fill = hf__fill_at(region, number);
    *lock = look_at_word(hf__robust_word(&fill->mutex), view);
    lock->kind = HF_LOCK_FILL;
    lock->number = number;
    if (lock->state == HF_LOCK_UNFINISHED && view->made && hf__fill_leased(fill, view->now_us)) {
        lock->kind = HF_LOCK_LEASE;
        lock->state = HF_LOCK_HELD;
        lock->waited = 0;
        lock->left_ms = ms_between(view->now_us, hf__load(&fill->lease_until));
    }
    lock->pid = hf__load32(&fill->pid);
    lock->key_hash = hf__load(&fill->key_hash);
    lock->stripe = hf__locate(region, lock->key_hash).stripe;
    lock->held_ms = ms_between(hf__load(&fill->since), view->now_us);
    return lock->state != HF_LOCK_UNFINISHED;
}

int hf_locks(hf_store *store, struct hf_lock *locks, size_t size, size_t *count) {
    if (!store || !count || (!locks && size))
        return hf__fail(HF_ERR_ARGUMENT, "hf_locks needs a store, an array and a count");
    const struct hf__region *region = store->region;
    if (!hf__superblock_ours((const struct hf__superblock *)(const void *)region->base))
        return hf__fail(HF_ERR_ABI, "the store's writers use another C library or word size: ask with a program built as theirs");
    struct view_of_locks view = view_locks(region);
    *count = 0;
    uint32_t stripes = region->geometry.stripes;
    for (uint32_t i = 0; i < stripes + region->geometry.fills; i++) {
        struct hf_lock lock;
        if (i < stripes ? !look_at_stripe(region, i, &view, &lock) : !look_at_fill(region, i - stripes, &view, &lock))
            continue;
        if (*count < size)
            locks[*count] = lock;
        ++*count;
    }
    return HF_OK;
}
