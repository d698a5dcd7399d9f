/* SPDX-License-Identifier: MIT */
/*
 * The only door to a stripe. Behind it the stripe is consistent: EOWNERDEAD is repaired here and seen nowhere else.
 *
 * Robust, process-shared, error-checking mutexes; never priority-inheriting (a stale word makes glibc abort) and never recursive
 * (equal thread ids in two PID namespaces would both own it).
 *
 * glibc 2.36 to 2.42 returns from a timed-out robust lock with its pending entry still set: when the thread ends, the kernel
 * would look at that address again, whatever is mapped there by then. Locking and unlocking any robust mutex clears it.
 *
 * The kernel forgets a lock whose owner calls execve in another thread than the first: that thread takes the first one's number
 * before its list of locks is looked at, and no lock there bears that number. Who waits for a slice in vain therefore asks
 * whether the owner's thread exists, and if not does what the kernel would have done.
 */
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLICE_US 1000000u
#define SPINS 40u /* of some 50 ns */

static void init_robust(pthread_mutex_t *mutex, int shared) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, shared);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

void hf__robust_init(pthread_mutex_t *mutex) {
    init_robust(mutex, PTHREAD_PROCESS_SHARED);
}

void hf__lock_init(struct hf__stripe *stripe) {
    memset(stripe->mutex_line, 0, sizeof stripe->mutex_line);
    hf__robust_init(&stripe->mutex);
}

static void clear_pending(void) {
    if (HF_PLANTED(PENDING_KEPT))
        return;
    pthread_mutex_t private_mutex;
    init_robust(&private_mutex, PTHREAD_PROCESS_PRIVATE);
    pthread_mutex_lock(&private_mutex);
    pthread_mutex_unlock(&private_mutex);
    pthread_mutex_destroy(&private_mutex);
}

/* Waits until a moment of hf__monotonic_us. musl has no clocklock, and ThreadSanitizer does not know it: there a clock that is
 * set back stretches a slice. */
static int lock_until(pthread_mutex_t *mutex, uint64_t until_us) {
#if defined(__GLIBC__) && !HF__TSAN
    struct timespec until = { .tv_sec = (time_t)(until_us / 1000000), .tv_nsec = (long)(until_us % 1000000) * 1000 };
    int error = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
#else
    uint64_t now_us = hf__monotonic_us(), wait_us = until_us > now_us ? until_us - now_us : 0;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + wait_us % 1000000 * 1000;
    until.tv_sec += (time_t)(wait_us / 1000000 + nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    int error = pthread_mutex_timedlock(mutex, &until);
#endif
    if (error && error != EOWNERDEAD)
        clear_pending();
    return error;
}

uint32_t *hf__robust_word(pthread_mutex_t *mutex) {
#ifdef __GLIBC__
    return (uint32_t *)(void *)&mutex->__data.__lock;
#else
    return (uint32_t *)(void *)mutex + 1; /* musl: _m_lock */
#endif
}

bool hf__robust_held(uint32_t word) {
    return (word & HF__FUTEX_THREAD) != 0 && !(word & HF__FUTEX_DIED);
}

/* True: the owner's thread is no more, and the lock says so now. All writers live in one PID namespace. */
bool hf__robust_orphaned(pthread_mutex_t *mutex) {
    uint32_t *word = hf__robust_word(mutex), seen = hf__load32(word);
    if (!hf__robust_held(seen) || HF_PLANTED(ORPHAN_KEPT))
        return false;
    if (syscall(SYS_tkill, (int)(seen & HF__FUTEX_THREAD), 0) == 0 || errno != ESRCH)
        return false;
    return hf__swap_if32(word, seen, (seen & HF__FUTEX_WAITS) | HF__FUTEX_DIED);
}

/* glibc's trylock leaves a lock that is not recoverable taken, and lists it nowhere: who comes next would wait for this one. */
static void leave_as_found(pthread_mutex_t *mutex) {
    uint32_t *word = hf__robust_word(mutex), seen = hf__load32(word);
    while (seen != 0 && (seen & ~HF__FUTEX_WAITS) == (uint32_t)syscall(SYS_gettid) && !HF_PLANTED(TRIED_KEPT)) {
        if (hf__swap_if32(word, seen, 0))
            hf__wake_all(word, UINT32_MAX);
        seen = hf__load32(word);
    }
}

int hf__robust_try(pthread_mutex_t *mutex) {
    int error = pthread_mutex_trylock(mutex);
    if (error == ENOTRECOVERABLE)
        leave_as_found(mutex);
    return error;
}

/* In slices, so that a wake-up that an old kernel or C library loses costs a slice and not the deadline. */
static int wait_for(pthread_mutex_t *mutex, uint32_t timeout_ms) {
    uint64_t deadline = timeout_ms == HF_FOREVER ? UINT64_MAX : hf__monotonic_us() + (uint64_t)timeout_ms * 1000;
    int error;
    do {
        uint64_t slice = hf__monotonic_us() + SLICE_US;
        error = lock_until(mutex, deadline < slice ? deadline : slice);
    } while (error == ETIMEDOUT && (hf__robust_orphaned(mutex) || hf__monotonic_us() < deadline || HF_PLANTED(TIMEOUT_IGNORED)));
    return error;
}

/* The stripe's last owner died. Repair, say so, and only then mark the lock consistent: a repairer that is killed in between is
 * followed by the next one. */
static void take_over(struct hf__hold *hold) {
    struct hf__region *region = hold->store->region;
    struct hf__stripe *stripe = hf__stripe_at(region, hold->stripe);
    if (HF_PLANTED(CONSISTENT_FIRST)) {
        pthread_mutex_consistent(&stripe->mutex);
        pthread_mutex_unlock(&stripe->mutex);
    }
    hold->recovery = (struct hf_recovery){ .stripe = hold->stripe };
    HF_POINT("recover:start");
    if (HF_PLANTED(NO_RECOVERY))
        hf__record_clear(stripe);
    else
        hf__recover_logged(region, hold->stripe, HF_CAUSE_DEATH, &hold->recovery);
    hold->recovered = true;
    region->held[hold->stripe] = HF__EVERY_KEY; /* the dead one may have changed something, and woken nobody */
    HF_POINT("recover:repaired");
    if (!HF_PLANTED(NEVER_CONSISTENT))
        pthread_mutex_consistent(&stripe->mutex);
    HF_POINT("recover:consistent");
}

static int result_of(int error) {
    switch (error) {
    case ETIMEDOUT: return HF_ERR_TIMEOUT;
    case EDEADLK: return HF_ERR_REENTERED;
    case ENOTRECOVERABLE: return HF_ERR_QUARANTINED;
    default: return HF_ERR_FORMAT;
    }
}

/* A write takes less time than to sleep and be woken: for about as long as a few of them last, the lock is tried again and again,
 * unless others sleep for it already. EBUSY: in vain. */
static int try_for_a_moment(pthread_mutex_t *mutex) {
    int error = EBUSY;
    for (unsigned i = 0; error == EBUSY && i < SPINS; i++) {
        uint32_t word = hf__load32(hf__robust_word(mutex));
        if (word & HF__FUTEX_WAITS)
            break;
        if (hf__robust_held(word))
            hf__relax();
        else
            error = hf__robust_try(mutex);
    }
    return error;
}

int hf__lock_any(struct hf_store *store, uint32_t stripe, uint32_t timeout_ms, struct hf__hold *hold) {
    struct hf__stripe *header = hf__stripe_at(store->region, stripe);
    hold->store = store;
    hold->stripe = stripe;
    hold->recovered = false;
    int error = hf__robust_try(&header->mutex);
    bool contended = error == EBUSY;
    if (contended)
        error = try_for_a_moment(&header->mutex);
    if (error == EBUSY)
        error = wait_for(&header->mutex, timeout_ms);
    if (error != 0 && error != EOWNERDEAD)
        return result_of(error);
    store->region->held[stripe] = 1;
    if (error == EOWNERDEAD)
        take_over(hold);
    if (contended)
        hf__count(&header->contended, 1);
    return HF_OK;
}

int hf__lock(struct hf_store *store, uint32_t stripe, uint32_t timeout_ms, struct hf__hold *hold) {
    int result = hf__lock_any(store, stripe, timeout_ms, hold);
    if (result == HF_OK && hf__stripe_at(store->region, stripe)->quarantined) {
        hf__unlock(hold);
        return HF_ERR_QUARANTINED;
    }
    return result;
}

/* `held` is cleared first: afterwards another thread may hold the lock. */
void hf__release(struct hf__hold *hold) {
    HF_POINT("unlock");
    uint32_t changed = hold->store->region->held[hold->stripe];
    hold->store->region->held[hold->stripe] = 0;
    struct hf__stripe *header = hf__stripe_at(hold->store->region, hold->stripe);
    if (HF_PLANTED(NO_WAKE))
        header->mutex_line[3] &= 0x7f; /* glibc's mark that somebody sleeps */
    pthread_mutex_unlock(&header->mutex);
    hf__fence_released();
    hold->wake = changed > 1 ? changed & hf__load32(&header->waiters) : 0;
    HF_POINT("unlocked");
}

void hf__tell(const struct hf__hold *hold) {
    struct hf_store *store = hold->store;
    if (hold->wake && !HF_PLANTED(WAKE_LOST))
        hf__wake(store->region, hold->stripe, hold->wake);
    if (hold->recovered && store->log)
        store->log(store->log_context, &hold->recovery);
}

void hf__unlock(struct hf__hold *hold) {
    hf__release(hold);
    hf__tell(hold);
}

bool hf__locks_held(const struct hf__region *region) {
    for (uint32_t stripe = 0; stripe < region->geometry.stripes; stripe++)
        if (region->held[stripe])
            return true;
    return hf__load32(&region->fills) > 0;
}
