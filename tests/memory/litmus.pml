/* SPDX-License-Identifier: MIT */
/*
 * Does the memory of memory.pml show what C11 allows, and nothing else? Message passing, in every combination of a writer's and a
 * reader's orderings: data, then flag; flag, then data. A reader that sees the flag and not the data is counted in `weak`, as a
 * number of two digits: the writer's kind and the reader's. Every kind with a half of the pair missing must be seen, no other:
 *
 *                           1 acquire load   2 relaxed load, acquire fence   3 relaxed load
 *     1 release store       never            never                           13
 *     2 release fence       never            never                           23
 *     3 relaxed store       31               32                              33
 *
 * `back` counts a reader that loads the flag twice and sees it go back: never.
 *
 * To be run to the end over all errors (pan -c0); each is printed once for its place in the text.
 */
#define DATA 0
#define FLAG 1
#define LOCATIONS 2
#define STORES 4
#include "memory.pml"

byte writing, reading, weak;
bool back;

proctype writer() {
    byte fenced;
    store_relaxed(DATA, 1, 0);
    if
    :: writing == 1 -> store_release(FLAG, 1)
    :: writing == 2 -> fenced = now; store_relaxed(FLAG, 1, fenced)
    :: writing == 3 -> store_relaxed(FLAG, 1, 0)
    fi
}

proctype reader() {
    VIEW;
    byte flag, data, later;
    if
    :: reading == 1 -> load_acquire(FLAG, flag)
    :: reading == 2 -> load_relaxed(FLAG, flag); fence_acquire()
    :: reading == 3 -> load_relaxed(FLAG, flag)
    fi;
    load_relaxed(DATA, data);
    load_relaxed(FLAG, later);
    back = later < flag;
    weak = (flag == 1 && data == 0 -> writing * 10 + reading : 0);
    assert(!back);
    assert(weak != 11);
    assert(weak != 12);
    assert(weak != 13);
    assert(weak != 21);
    assert(weak != 22);
    assert(weak != 23);
    assert(weak != 31);
    assert(weak != 32);
    assert(weak != 33)
}

init {
    atomic {
        select(writing : 1 .. 3);
        select(reading : 1 .. 3);
        run writer();
        run reader()
    }
}
