/* SPDX-License-Identifier: MIT */
/*
 * Counters that no lock guards (tally.h).
 *
 * A thread that reads often hands in every 256 reads, one that reads seldom about once a second: the time between two hand-ins
 * tells how many it may keep next time. So what is seen from outside is about a second old, or misses 255 reads of a thread, and
 * the same is lost when it is killed.
 *
 * All threads that may keep something are listed, so that who closes a store can hand in for them, and leave the list when they
 * end. The list has a lock of its own, which a read only tries to take: who does not get it, because a signal came while its
 * thread held it, counts in the file at once and is listed another time.
 */
#include "internal.h"
#include "tally.h"

#include <threads.h>

#define KEYS 32u             /* of a C library that sets them without allocating, which a read must not do */
#define OFTEN_MS 100u        /* who hands in again so soon may keep more, ...                              */
#define SELDOM_MS 1000u      /* ... and who comes so late, less                                            */
#define PROCESS_LANE 0x9e37u /* odd: threads of one process, and processes in a row, use different lanes   */

HF__TLS struct hf__thread hf__thread;

static tss_t key;         /* set in listed threads, to be told of their end */
static bool listable;
static uint32_t list_lock; /* 1: taken */
static struct hf__thread *threads;
static const struct hf__region *counted[HF__TALLIED]; /* the last is never used: regions with that number are too many */
static uint32_t listed;

static void lock(void) {
    while (!hf__take32(&list_lock))
        hf__pause();
}

static void unlock(void) {
    hf__publish32(&list_lock, 0);
}

/* ---- Into the file, or where a handle that may not write it keeps its own ---- */

void hf__tally(const struct hf__region *region, enum hf__tally which, uint64_t by) {
    uint64_t *lane = region->own;
    if (region->writable)
        lane = hf__tally_lane(region, hf__thread.lane + hf__pid * PROCESS_LANE);
    hf__add(&lane[which], by);
}

void hf__tally_sum(const struct hf__region *region, uint64_t sums[HF__TALLY_COUNT]) {
    for (uint32_t which = 0; which < HF__TALLY_COUNT; which++) {
        sums[which] = hf__load(&region->own[which]);
        for (uint32_t lane = 0; lane < HF__TALLY_LANES; lane++)
            sums[which] += hf__load(&hf__tally_lane(region, lane)[which]);
    }
}

/* ---- A thread ---- */

/* A signal handler may have been faster: then it has counted them. */
static void hand_in(struct hf__thread *thread, const struct hf__region *region, bool keep) {
    uint32_t number = region->number;
    for (uint32_t which = 0; which < HF__TALLY_READS; which++) {
        int32_t full = thread->full[number], left = thread->left[number][which];
        uint32_t *word = (uint32_t *)&thread->left[number][which];
        if (left != full && hf__swap_if32(word, (uint32_t)left, (uint32_t)full) && !HF_PLANTED(COUNTS_LOST))
            hf__tally(region, which, (uint64_t)(full - left));
        if (!keep)
            thread->left[number][which] = 0;
    }
    if (!keep)
        thread->full[number] = 0;
}

static void hand_in_all(struct hf__thread *thread, bool keep) {
    for (uint32_t number = 0; number < HF__TALLIED; number++)
        if (counted[number])
            hand_in(thread, counted[number], keep);
}

static void thread_ends(void *ending) {
    struct hf__thread *thread = ending, **link = &threads;
    lock();
    hand_in_all(thread, false);
    while (*link && *link != thread) /* process_ends may have been faster */
        link = &(*link)->next;
    if (*link)
        *link = thread->next;
    thread->listed = false;
    thread->ended = true; /* handlers of others that still read: who would take it off the list again? */
    unlock();
}

static bool list(struct hf__thread *thread) {
    if (thread->listed)
        return true;
    if (!listable || (thread->ended && !HF_PLANTED(ENDED_LISTED)) || !hf__take32(&list_lock))
        return false;
    thread->listed = tss_set(key, thread) == thrd_success;
    if (thread->listed) {
        thread->lane = listed++;
        thread->next = threads;
        threads = thread;
    }
    unlock();
    return thread->listed;
}

/* How many it may keep until it comes again. */
static void adapt(struct hf__thread *thread, uint32_t number) {
    uint32_t now_ms = (uint32_t)(hf__monotonic_us() / 1000), since_ms = now_ms - thread->handed_ms[number];
    int kept = thread->full[number] + 1;
    if (since_ms < OFTEN_MS)
        kept = kept < HF__TALLY_KEPT ? kept * 2 : kept;
    else if (since_ms >= SELDOM_MS)
        kept = kept >= 4 ? kept / 4 : 1;
    thread->handed_ms[number] = now_ms;
    thread->full[number] = (int16_t)(kept - 1);
    for (uint32_t which = 0; which < HF__TALLY_READS; which++)
        thread->left[number][which] = kept - 1;
}

void hf__tally_hand_in(const struct hf__region *region) {
    hand_in(&hf__thread, region, true);
}

void hf__tally_full(const struct hf__region *region) {
    hand_in(&hf__thread, region, true);
    if (counted[region->number] == region && list(&hf__thread))
        adapt(&hf__thread, region->number);
}

/* ---- A process ---- */

void hf__tally_prepare(void) {
    listable = tss_create(&key, thread_ends) == thrd_success && key < KEYS;
}

/* What the thread that calls exit, or dlclose, has kept; other threads still run, and lose theirs. The code that their end would
 * call may be gone by then. */
__attribute__((destructor)) static void process_ends(void) {
    if (listable)
        tss_delete(key);
    if (!listable || !hf__take32(&list_lock))
        return;
    listable = false;
    threads = NULL; /* those that end from now on are gone without a word */
    hand_in_all(&hf__thread, false);
    unlock();
}

void hf__tally_attach(struct hf__region *region) {
    lock();
    while (region->number < HF__TALLIED - 1 && counted[region->number])
        region->number++;
    if (region->number < HF__TALLIED - 1)
        counted[region->number] = region;
    unlock();
}

void hf__tally_detach(struct hf__region *region) {
    if (counted[region->number] != region)
        return;
    lock();
    for (struct hf__thread *thread = threads; thread; thread = thread->next)
        hand_in(thread, region, false);
    counted[region->number] = NULL;
    unlock();
}

/* Only the thread that forked lives on, and another may have held the lock. */
void hf__tally_child(void) {
    struct hf__thread *thread = &hf__thread;
    threads = thread->listed ? thread : NULL;
    thread->next = NULL;
    list_lock = 0;
    if (HF_PLANTED(COUNTS_INHERITED))
        return;
    memset(thread->left, 0, sizeof thread->left);
    memset(thread->full, 0, sizeof thread->full);
}
