/* SPDX-License-Identifier: MIT */
/*
 * The publish, read and reuse protocol of Holdfast (src/write.c, entry.c, table.c, read.h, read.c) on a memory with the orderings
 * of C11, for all interleavings: spin -a, see prove/model.sh.
 *
 * One stripe: two buckets of one slot, two keys at home in the first bucket with the same tag (or not: TAGS=2), so that one of
 * them lies beyond its home if both are there; BLOCKS places in the heap for an entry. Writers (one process stands for all: the lock orders them)
 * do any OPS operations: put (insert or replace, into any free block), delete, move (to any free block). One of them may be
 * killed between any two stores; the next one rebuilds the overflow count. A reader does any READS reads: a get of either key, or
 * a look into either slot as a scan does, each of them with or without having heard (through a pipe, say) which operations are
 * finished. A read that finds that something changed is given up, which stands for starting over: that is a read like any other.
 *
 * What must hold is in hit() and miss(): a value comes from one entry, was put under the key asked for, was not replaced or
 * deleted before anything that this reader knows of (what it was told, what it saw in earlier reads), and a key is only missed if
 * it was absent at some moment after that.
 *
 * Not in it: several slots in a bucket (their tags are loaded at once), entries of more than two words and several blocks, the
 * copies that go past the caches (hf__copy_in has a full fence for them), reads under the lock, the hand-over of the lock itself
 * (its orderings are pthread's, or the kernel's after a death), expiry, and more operations and reads than asked for.
 *
 * A name of a precaution, given with -D, takes it out; the names are those of src/fault.h, and some more.
 */
#ifndef OPS
#define OPS 4
#endif
#ifndef READS
#define READS 2
#endif
#ifndef BLOCKS
#define BLOCKS 3
#endif
#ifndef KEYS
#define KEYS 2
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef TAGS
#define TAGS 1
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define SLOTS 2
#define CONTROL SLOTS                 /* the overflow count of the first bucket */
/* A slot word: the number of a block, from 1; 4 if it is warm; 8 if it has the second tag. 0: empty. */
#define HEAT 4
#define TAG(key) (8 * (TAGS - 1) * (key))
#define SAME(a, b) (((a) & 11) == ((b) & 11))
#define FITS(word) (word != 0 && (word & 8) == TAG(key))
#define STAMP(word) (3 * ((word) & 3))
#define HEAD(word) (3 * ((word) & 3) + 1) /* the header behind the stamp, and the key */
#define VALUE(word) (3 * ((word) & 3) + 2)
#define LOCATIONS (3 * BLOCKS + 3)
#define STORES (5 * OPS + 2 * KILLS + READERS * READS + 2)

#include "memory.pml"

/* What really happened. Operations are numbered from 1; an entry's head and value hold the number of the put that made it. */
byte key_of[OPS + 1];
byte when[OPS + 1];   /* the store that committed it; 0: not committed, or a move */
bool removed[OPS + 1]; /* it was a delete */
byte finished;        /* every operation that committed up to this store is finished */

byte word_in[SLOTS], put_in[SLOTS], stamp_in[SLOTS];

/* ---- Writers ---- */

mtype = { PUT, MOVE, DELETE };

#ifdef FREE_FIRST
#define FREE(block) ((word_in[0] != block || slot == 0) && (word_in[1] != block || slot == 1))
#else
#define FREE(block) (word_in[0] != block && word_in[1] != block)
#endif
/* Blocks that were never used are all alike: only the next of them is tried. */
#define TAKE(block) BLOCKS >= block && kind != DELETE && FREE(block) && block <= touched + 1 -> word = block

#define HELD_BY(at) (word_in[at] != 0 && key_of[put_in[at]] == key)

inline choose_operation() {
    op++;
    if
    :: key = 0
    :: KEYS > 1 && op > 1 -> key = 1
    fi;
    present = HELD_BY(0) || HELD_BY(1);
    slot = (present -> (HELD_BY(0) -> 0 : 1) : (word_in[0] == 0 -> 0 : 1));
    if
    :: kind = PUT
    :: present -> kind = MOVE
    :: present -> kind = DELETE
    fi;
    if
    :: kind == DELETE
    :: TAKE(1)
    :: TAKE(2)
    :: TAKE(3)
    :: else -> op = OPS; goto ended /* no room */
    fi;
    touched = (word > touched -> word : touched);
    key_of[op] = key;
    number = (kind == MOVE -> put_in[slot] : op)
}

inline begin_entry() {
#ifdef STAMP_KEPT
    stamps = (kind == PUT -> stamps + 1 : stamps);
    stamp = (kind == MOVE -> stamp_in[slot] : stamps);
#else
    stamps = (kind == DELETE -> stamps : stamps + 1);
    stamp = stamps;
#endif
#ifndef NO_RELEASE_FENCE
    fenced = now
#endif
}

#ifdef CONTROL_RELAXED
#define STORE_CONTROL(count) store_relaxed(CONTROL, count, fenced)
#else
#define STORE_CONTROL(count) store_release(CONTROL, count)
#endif
#ifdef PUBLISH_RELAXED
#define STORE_SLOT store_relaxed(slot, word + TAG(key) * (word != 0), fenced)
#else
#define STORE_SLOT store_release(slot, word + TAG(key) * (word != 0))
#endif

/* The commit, and what really happened by it. */
inline publish() {
    d_step {
        STORE_SLOT;
        word_in[slot] = word;
        put_in[slot] = (word -> number : 0);
        stamp_in[slot] = (word -> stamp : 0);
        if
        :: kind != MOVE && when[op] == 0 -> when[op] = now; removed[op] = (kind == DELETE)
        :: else
        fi
    }
}

/* Before every store the writer may die. */
#define STEP(action) atomic { if :: true :: kills > 0 -> kills--; goto dead fi; action }
#define STEP_IF(condition, action) if :: condition -> STEP(action) :: else fi

proctype writer() {
    byte op, key, slot, word, number, stamp, stamps, fenced, touched;
    byte kills = KILLS;
    bool present;
    mtype kind;
next_operation:
    atomic {
        finished = now;
        fenced = 0; word = 0; /* the next writer is another thread */
        if
        :: op == OPS -> goto ended
        :: else -> choose_operation(); begin_entry()
        fi
    }
    if
    :: kind == DELETE ->
#ifdef OVERFLOW_EARLY
        STEP_IF(slot == 1, STORE_CONTROL(0));
#endif
        STEP(publish());
#ifndef OVERFLOW_EARLY
        STEP_IF(slot == 1, STORE_CONTROL(0))
#endif
    :: else ->
#ifdef PUBLISH_FIRST
        STEP(publish());
#endif
        STEP(store_relaxed(STAMP(word), stamp, fenced));
        STEP(store_relaxed(VALUE(word), number, fenced));
        STEP(store_relaxed(HEAD(word), number, fenced));
#ifndef OVERFLOW_LATE
        STEP_IF(slot == 1 && !present, STORE_CONTROL(1));
#endif
        STEP(publish());
#ifdef OVERFLOW_LATE
        STEP_IF(slot == 1 && !present, STORE_CONTROL(1))
#endif
    fi;
    goto next_operation;
dead: /* the next writer recovers */
#ifdef OVERFLOW_ZEROED
    STORE_CONTROL(0);
#endif
    STORE_CONTROL(word_in[1] != 0);
    goto next_operation;
ended:
    skip
}

/* ---- Readers ---- */

#ifdef NO_ACQUIRE_FENCE
#define FENCE_ACQUIRE skip
#else
#define FENCE_ACQUIRE fence_acquire()
#endif
#ifdef CONTROL_RELAXED
#define LOAD_CONTROL load_relaxed(CONTROL, again)
#else
#define LOAD_CONTROL load_acquire(CONTROL, again)
#endif
#ifdef STAMP_RELAXED
#define LOAD_STAMP load_relaxed(STAMP(word), stamp)
#else
#define LOAD_STAMP load_acquire(STAMP(word), stamp)
#endif
#ifdef SLOT_RELAXED
#define LOAD_SLOT_AGAIN load_relaxed(slot, again)
#else
#define LOAD_SLOT_AGAIN load_acquire(slot, again)
#endif
#ifdef LAST_SLOT_RELAXED
#define LOAD_SLOT_LAST load_relaxed(slot, again)
#else
#define LOAD_SLOT_LAST load_acquire(slot, again)
#endif
#define UNLESS(condition, label) if :: !(condition) -> goto label :: else fi

inline choose_read() {
    reads++;
    if
    :: scan = true; slot = 0
    :: KEYS > 1 -> scan = true; slot = 1
    :: key = 0
    :: KEYS > 1 -> key = 1
    fi;
    if
    :: finished > known -> /* told what is finished */
        known = finished;
        floor[0] = (finished > floor[0] -> finished : floor[0]);
        floor[1] = (finished > floor[1] -> finished : floor[1])
    :: true
    fi
}

/* The operation after which, at the moment `floor[key]`, the key was as it was; 0: none yet. */
inline find_newest_known() {
    i = OPS;
    do
    :: i > 0 && !(key_of[i] == key && when[i] != 0 && when[i] <= floor[key]) -> i--
    :: else -> break
    od
}

inline hit() {
    d_step {
        assert(head == value);             /* one entry, not parts of two */
        assert(scan || key_of[head] == key);
        assert(when[head] != 0);           /* really put */
        key = key_of[head];
        find_newest_known();
        assert(i <= head);                 /* still there at some moment after the floor */
        floor[key] = (when[head] > floor[key] -> when[head] : floor[key])
    }
}

inline miss() {
    d_step {
        find_newest_known();
        if
        :: i != 0 && !removed[i] ->
            do
            :: i <= OPS && !(key_of[i] == key && when[i] != 0 && removed[i]) -> i++
            :: else -> break
            od;
            assert(i <= OPS);              /* deleted at some moment after the floor */
            floor[key] = when[i]
        :: else
        fi
    }
}

/* Heat is a hint: one attempt. What replaces the newest store of the slot hands on what that told. */
inline warm() {
#ifdef HEAT_STORED
    store_relaxed(slot, word + HEAT, 0)
#else
    d_step {
        at = now;
        do
        :: at != 0 && place[at] != slot -> at--
        :: else -> break
        od;
        if
        :: content[at] == word -> store_relaxed(slot, word + HEAT, tells[at]); last[slot] = now
        :: else
        fi;
        at = 0
    }
#endif
}

proctype reader() {
    VIEW;
    byte floor[2];
    byte reads, key, slot, word, stamp, head, value, again, i;
    bool scan, matches;
next_read:
    atomic {
        key = 0; slot = 0; word = 0; stamp = 0; head = 0; value = 0; again = 0; i = 0;
        scan = false; matches = false; hinted = 0; /* what was hinted and not fenced is forgotten: more can happen */
        if
        :: reads == READS -> goto ended
        :: else -> choose_read()
        fi
    }
look:
    if
    :: !scan -> atomic { load_relaxed(slot, word); UNLESS(FITS(word), next_slot) } /* the tags of a bucket are looked at first */
    :: else
    fi;
    atomic { load_acquire(slot, word); UNLESS(word != 0, next_slot) }
    atomic { LOAD_STAMP }
#ifndef NO_SLOT_RELOAD
    atomic { LOAD_SLOT_AGAIN; UNLESS(SAME(again, word), next_read) }
#endif
    atomic {
        load_relaxed(HEAD(word), head);
        matches = head != 0 && (scan || key_of[head] == key);
#ifdef MISMATCH_TRUSTED
        UNLESS(matches, next_slot)
#endif
    }
    if
    :: matches -> atomic { load_relaxed(VALUE(word), value) }
    :: else
    fi;
#ifndef NO_VALIDATION
#ifdef STAMP_FIRST
    atomic { FENCE_ACQUIRE; load_acquire(STAMP(word), again); UNLESS(again == stamp, next_read) }
    atomic { LOAD_SLOT_LAST; UNLESS(SAME(again, word), next_read) }
#else
    atomic { FENCE_ACQUIRE; LOAD_SLOT_LAST; UNLESS(SAME(again, word), next_read) }
    atomic { load_relaxed(STAMP(word), again); UNLESS(again == stamp, next_read) }
#endif
#endif
    if
    :: matches ->
        hit();
#if defined(WARM) || defined(HEAT_STORED)
        if
        :: !scan && (word & HEAT) == 0 -> warm()
        :: else
        fi;
#endif
        goto next_read
    :: else
    fi;
next_slot:
    atomic {
        if
        :: scan -> goto next_read
        :: !scan && slot == 1 -> miss(); goto next_read
        :: else -> LOAD_CONTROL
        fi;
        if
        :: again == 0 -> miss(); goto next_read
        :: else -> word = 0; stamp = 0; head = 0; again = 0; slot = 1; goto look
        fi
    }
ended:
    skip
}

init {
    atomic {
        run writer();
        run reader();
#if READERS > 1
        run reader()
#endif
    }
}
