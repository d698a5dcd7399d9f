/* SPDX-License-Identifier: MIT */
/*
 * Memory with the orderings of C11: relaxed, acquire and release accesses, acquire and release fences.
 *
 * All stores of all threads stand in one list, in the order in which they were made; number 0 stands for the zeros that every
 * location starts with. Where two stores to one location stand is their modification order. A load may return any store to its
 * location that its thread is not known to be past: neither older than one it has loaded or stored itself, nor older than one
 * that happened before. So a thread can see stores late, and in another order than they were made in.
 *
 * Writers hold a lock, so all stores of one happened before all stores of the next, and what a writer knows is everything up to
 * a number. Hence a store tells whom loads it with acquire one number, `tells`: everything up to there happened before. A release
 * store tells its own number; a relaxed store tells the number at which its writer last passed a release fence, or nothing.
 *
 * What a thread knows, in a process that loads:
 *      known       everything up to this number happened before
 *      hinted      the same, should it pass an acquire fence: the largest number told to its relaxed loads
 *      last[]      of each location, the number of the store it loaded last: loads of one location never go back
 *      at          which store a load returned
 *
 * Not in it: loads that return stores made later (a relaxed load delayed past a later store of its thread; readers store nothing
 * but heat), consume, seq_cst. The release sequence is that of C++20, the weaker: a read-modify-write hands on what the store it
 * replaces told; a later plain store of the same thread does not.
 *
 * Whoever includes this defines LOCATIONS and STORES (the most there can be).
 */
byte now;             /* stores made */
byte place[STORES];   /* of store i: the location, ... */
byte content[STORES]; /* ... the value, ... */
byte tells[STORES];   /* ... and what is told */

#define VIEW byte known, hinted, at; byte last[LOCATIONS]

inline store_relaxed(location, value, fenced) {
    d_step {
        now++;
        assert(now < STORES);
        place[now] = location;
        content[now] = value;
        tells[now] = fenced
    }
}

inline store_release(location, value) {
    store_relaxed(location, value, now) /* by now that is its own number */
}

/* The choice is free: from the newest store back to the oldest that is not ruled out. */
inline choose_store(location) {
    at = now;
    do
    :: at != 0 && place[at] != location -> at--
    :: else ->
        if
        :: break
        :: at > known && at > last[location] -> at--
        fi
    od;
    last[location] = at
}

inline load_relaxed(location, value) {
    choose_store(location);
    hinted = (tells[at] > hinted -> tells[at] : hinted);
    value = content[at];
    at = 0
}

inline load_acquire(location, value) {
    choose_store(location);
    known = (tells[at] > known -> tells[at] : known);
    value = content[at];
    at = 0
}

inline fence_acquire() {
    known = (hinted > known -> hinted : known)
}
