/* SPDX-License-Identifier: MIT */
/* Who holds which lock? Only looks: takes no lock, changes nothing, and may not rely on anything that it sees. */
#include "internal.h"

/* Whether the lock words mean anything, and whose thread ids stand in them. */
struct view_of_locks {
    bool made;    /* by a writer of this boot and file: before that they are what was left of another */
    bool foreign;
};

static struct view_of_locks view_locks(const struct hf__region *region) {
    struct hf__identity identity;
    const struct hf__live *live = hf__live(region);
    struct view_of_locks view = { .made = hf__load32(&live->ready) == 1, .foreign = true };
    if (hf__identity_of(region->fd, &identity) != HF_OK)
        return view;
    view.made = (view.made && hf__identity_matches(&identity, live)) || HF_PLANTED(LOCK_WORDS_TRUSTED);
    view.foreign = hf__load(&live->namespace_device) != identity.namespace_device ||
                   hf__load(&live->namespace_inode) != identity.namespace_inode;
    return view;
}

/* False: it is free, and nothing is unfinished. */
static bool look_at(struct hf__stripe *stripe, const struct view_of_locks *view, struct hf_lock *lock) {
    uint32_t word = view->made ? hf__load32(hf__robust_word(&stripe->mutex)) : 0;
    *lock = (struct hf_lock){ .kind = HF_LOCK_STRIPE, .foreign = view->foreign, .waited = (word & HF__FUTEX_WAITS) != 0 };
    lock->operation = hf__load32(&stripe->record.operation);
    if (lock->operation != HF_OP_NONE) {
        lock->pid = hf__load32(&stripe->record.pid);
        lock->step = hf__load32(&stripe->record.step);
        lock->key_hash = hf__load(&stripe->record.key_hash);
    }
    if (word & HF__FUTEX_DIED)
        lock->state = HF_LOCK_LEFT;
    else if (word & HF__FUTEX_THREAD)
        lock->state = HF_LOCK_HELD;
    else
        lock->state = HF_LOCK_UNFINISHED;
    if (lock->state == HF_LOCK_HELD)
        lock->thread = word & HF__FUTEX_THREAD;
    return lock->state != HF_LOCK_UNFINISHED || lock->operation != HF_OP_NONE;
}

int hf_locks(hf_store *store, struct hf_lock *locks, size_t size, size_t *count) {
    if (!store || !count || (!locks && size))
        return hf__fail(HF_ERR_ARGUMENT, "hf_locks needs a store, an array and a count");
    const struct hf__region *region = store->region;
    if (!hf__superblock_ours((const struct hf__superblock *)(const void *)region->base))
        return hf__fail(HF_ERR_ABI, "the store's writers use another C library or word size: ask with a program built as theirs");
    struct view_of_locks view = view_locks(region);
    *count = 0;
    for (uint32_t stripe = 0; stripe < region->geometry.stripes; stripe++) {
        struct hf_lock lock;
        if (!look_at(hf__stripe_at(region, stripe), &view, &lock))
            continue;
        lock.number = stripe;
        if (*count < size)
            locks[*count] = lock;
        ++*count;
    }
    return HF_OK;
}
