/* SPDX-License-Identifier: MIT */
#ifndef HF_FAULT_H
#define HF_FAULT_H
/*
 * Where the tests reach in. In the library both macros are nothing; the test build (HF_TEST) calls a hook at every named point,
 * where a test kills or stops the process, and can take out one precaution, so that a test is seen to fail without it
 * (tests/prove/plants.sh says which).
 */
#ifdef HF_TEST
#include <time.h>

#define HF__BUGS(X) \
    /* ---- read */ \
    X(NO_SLOT_RELOAD,       "the slot is not loaded again after the stamp") \
    X(STAMP_FIRST,          "at the end the stamp is loaded before the slot") \
    X(NO_VALIDATION,        "what was copied is not validated") \
    X(NO_ACQUIRE_FENCE,     "no acquire fence between the copy and its validation") \
    X(NO_RANGE_CHECK,       "the slot's block run is not checked against the heap") \
    X(CHECKSUM_SKIPPED,     "an image that no writer has verified is read without checksums") \
    X(KEY_UNCOMPARED,       "the tag and the length are taken for the key") \
    X(HOME_ONLY,            "a get looks for a key in its home bucket alone") \
    X(EXPIRY_IGNORED,       "expired entries are returned") \
    X(STALE_UNMARKED,       "an expired value is returned as if it had not") \
    X(HEAT_STORED,          "the heat is stored instead of swapped in") \
    X(AIM_TRUSTED,          "get_many takes a key for absent that is not where it is likely to be") \
    X(SCAN_GIVES_UP,        "a scan passes over an entry that changes while it is looked at") \
    X(SCAN_TWICE,           "a scan comes again to an entry that changed while it was looked at") \
    /* ---- write */ \
    X(KEY_UNCHECKED,        "a key may have any length") \
    X(SEED_IGNORED,         "the hash is the same in every store") \
    X(BLOCKS_WRAP,          "a slot word keeps the low bits of the number of blocks") \
    X(RECORD_LATE,          "the in-flight record is set after the slot is stored") \
    X(DELETE_FIRST,         "a replace deletes the old entry and inserts the new one") \
    X(VERSION_IGNORED,      "a conditional put does not compare the version") \
    X(TAKE_ANY,             "a take deletes what is there, whatever it returned") \
    X(TTL_ZERO,             "a time to live of 0 ends at once") \
    X(DEFAULT_TTL_IGNORED,  "the store's default time to live is not used") \
    X(CLOCK_UNBOUNDED,      "a clock before 1970, or after the last expiry, is taken as it is") \
    X(LOCK_KEPT,            "a delete that finds nothing returns with the lock") \
    X(FREE_FIRST,           "the old blocks are freed, and reused, before the slot is stored") \
    X(NO_FREE,              "the old blocks are never freed") \
    X(NO_OWN_RELOAD,        "the own slot is not loaded again after room was made") \
    X(OWN_EVICTED,          "what depends on the old entry evicts it to have room for the new one") \
    X(EVICT_OWN,            "the entry that is being replaced is evicted to make room") \
    X(HOLE_TRUSTED,         "the hole that was left last is not looked at before it is taken") \
    X(DRAFT_TRUSTED,        "what was written ahead is published whatever slot it was for") \
    X(SLOT_EARLY,           "an entry tells its slot before it is to be published") \
    X(DRAFT_KEPT,           "what was written ahead in vain keeps its blocks") \
    X(RING_HAND_IGNORED,    "what is written ahead may take the hole before the ring's hand") \
    X(HANDS_TRUSTED,        "the hands of the clock and of the ring are not checked against the heap") \
    X(NONE_PROMOTED,        "what is read often leaves the small ring like everything else") \
    X(GHOSTS_IGNORED,       "a key that comes back soon is taken for a new one") \
    X(LARGEST_STAYS,        "the largest entry goes and still counts") \
    X(RESERVE_ONCE,         "an insert leaves room for the largest entry once, not twice") \
    X(RESERVE_TAKEN,        "a new entry goes into the reserve, if the hole at hand is part of it") \
    X(NO_RELEASE_FENCE,     "no release fence before the first store into reused blocks") \
    X(PUBLISH_FIRST,        "the slot is stored before the entry is written") \
    X(COUNTER_LATE,         "the stamp counter is stored after the entry") \
    X(STAMP_KEPT,           "a moved entry keeps the stamp of its source") \
    X(VERSION_MOVED,        "a moved entry gets a new version") \
    X(OVERFLOW_NOT_RAISED,  "overflow counts are not raised") \
    X(OVERFLOW_LATE,        "overflow counts are raised after the slot is stored") \
    X(OVERFLOW_EARLY,       "overflow counts are lowered before the slot is cleared") \
    X(GROUP_RECORD_ONCE,    "of several puts under one lock only the first has an in-flight record") \
    X(GROUP_UNORDERED,      "puts of one stripe are done in another order than asked for") \
    X(GROUP_HOLDS_ON,       "a lock is held for as many puts as there are") \
    X(GROUP_GIVES_UP,       "a lock that is not to be had ends the whole call") \
    X(GROUP_WAITS_AGAIN,    "a lock that was waited for in vain is waited for again") \
    /* ---- lock */ \
    X(NO_RECOVERY,          "a dead owner's stripe is marked consistent and not repaired") \
    X(CONSISTENT_FIRST,     "a lock is marked consistent, and released, before the stripe is repaired") \
    X(NEVER_CONSISTENT,     "a lock is not marked consistent after the repair") \
    X(NO_WAKE,              "a release wakes nobody") \
    X(ORPHAN_KEPT,          "a lock that the kernel forgot stays locked") \
    X(TIMEOUT_IGNORED,      "the deadline is never reached") \
    X(TRIED_KEPT,           "a lock that is not recoverable stays taken by who tries it") \
    X(PENDING_KEPT,         "glibc's pending entry is left behind by a timed-out lock") \
    X(UNMAP_HELD,           "a mapping is unmapped while a lock in it is held") \
    X(HELD_INHERITED,       "a forked child takes its parent's locks for its own") \
    X(PID_STALE,            "a forked child signs with its parent's process id") \
    /* ---- recover */ \
    X(RECORD_CLEARED_FIRST, "the in-flight record is cleared before the repair") \
    X(MAP_TRUSTED,          "the block maps are not cleared before they are rebuilt") \
    X(OVERFLOW_ZEROED,      "live overflow counts are zeroed before they are rebuilt") \
    X(COUNTER_TRUSTED,      "the stamp counter is not raised above the stamps of the entries") \
    X(NO_JUMP,              "the stamp counter does not jump after a machine crash") \
    X(DUPLICATES_KEPT,      "of two entries with one key both stay") \
    X(OLDER_WINS,           "of two entries with one key the older stays") \
    X(OVERLAP_KEPT,         "of two entries that share blocks both stay") \
    X(RESERVE_LOST,         "after a machine crash the reserve is not made free again") \
    X(VERDICT_GUESSED,      "every operation is said to have happened") \
    X(RING_UNSEALED,        "a verdict in the ring is overwritten under its old number") \
    /* ---- open */ \
    X(ABI_IGNORED,          "the C library and word size of the other writers are not compared") \
    X(GEOMETRY_TRUSTED,     "the sizes in the superblock are not checked") \
    X(NAMESPACE_IGNORED,    "the PID namespace of the other writers is not compared") \
    X(NOT_ALLOCATED,        "a file gets its size, but no blocks") \
    X(STANDARD_TAKEN,       "a store is opened as standard output, where that is closed") \
    X(PAGES_UNFIT,          "a file that does not fit takes all there is before it is refused") \
    X(PAGES_TAKEN,          "the first writer makes large pages of a store that others have made") \
    X(MAGIC_FIRST,          "a new file has its magic before it is complete") \
    X(CLASSIC_LOCK,         "the election lock belongs to the process: any close of the file drops it") \
    X(ELECTION_SHARED,      "the election lock is taken shared: everybody is first") \
    X(ELECTION_KEPT,        "who waits for a first writer keeps his shared lock, and nobody can be first") \
    X(READY_IGNORED,        "a writer joins before the first one is ready") \
    X(STALE_MUTEXES,        "the first writer does not make the mutexes anew") \
    X(IN_USE_UNSET,         "an image in use is not marked so") \
    X(IN_USE_UNSYNCED,      "... or marked so in memory only") \
    X(VERIFY_SKIPPED,       "the image is not verified after another boot") \
    X(IDENTITY_FIRST,       "the boot id is written before the image is verified") \
    /* ---- count, tell */ \
    X(COUNTS_LOST,          "the reads that a thread has counted are not handed in") \
    X(ENDED_LISTED,         "a thread that has ended is listed again when it still reads") \
    X(COUNTS_INHERITED,     "a forked child hands in what its parent has counted, too") \
    X(LOCK_WORDS_TRUSTED,   "locks of another boot or file are said to be held") \
    /* ---- wait, fill */ \
    X(CHANGE_UNCOUNTED,     "a change does not move the stripe's change word on") \
    X(WAKE_LOST,            "who waits for a change, or a fill, is not woken") \
    X(TURN_KEPT,            "who is about to sleep when a writer clears his bit sleeps until his deadline") \
    X(SLICE_ENDLESS,        "who waits for a change does not look again by himself") \
    X(NO_FILL_OWNER_DEAD,   "who waits for a fill takes a dead filler for a living one") \
    X(FILL_NAMELESS,        "a fill lock does not name the key it is held for") \
    X(FILL_STRANGER,        "who finds no fill lock free waits for a stranger's") \
    X(FILL_NESTED_WAITS,    "who has a fill lock waits for another") \
    X(FILL_UNGUARDED,       "a computed value is stored whatever came since") \
    X(TOMB_LOST,            "a delete is not remembered for those who compute") \
    X(TOMB_TRUSTED,         "the oldest tomb is believed to be whole") \
    X(DROP_UNNOTED,         "a drop is noted for those who compute only when it is done") \
    X(FILL_DEPTH_LOST,      "a child forked in a fill counts its end as that of one it never began") \
    X(FILL_OWN_AWAITED,     "a signal handler waits for the fill that it interrupted") \
    X(RENEW_READS,          "who renews a value reads over the one that he will return if he fails") \
    X(FILL_NOT_OVERTAKEN,   "a fill lock is not told that its key was deleted") \
    X(FILL_UNKNOWN,         "what becomes of other keys is held against a fill") \
    X(DROPS_FORGOTTEN,      "who repairs after a repairer that was killed does not know that entries went") \
    X(LEASE_INHERITED,      "a stranger who tries the lock of one killed while he gave a lease makes it a lease") \
    X(FILL_KEPT,            "a fill that is cancelled keeps its lock") \
    X(FILL_STALE_IGNORED,   "who would take a stale value waits for a new one") \
    X(FILL_LOG_WAITS,       "a log that fills keys while a claim is made waits for other fillers") \
    X(FILL_ONE_BY_ONE,      "who waits for values that cannot be stored waits for all of them") \
    X(LEASE_UNBOUNDED,      "a lease may end at any time, a thousand years from now") \
    X(FILL_BROKEN_AWAITED,  "who waits for a fill lock that nobody can have any more goes on waiting") \
    X(FILL_UNREAD,          "who gets a fill lock does not look for the value again") \
    /* ---- copy */ \
    X(COPY_UNFROZEN,        "stripes are let go of before all are locked") \
    X(COPY_UNSYNCED,        "the copy gets its name before it is on the disk") \
    X(IN_USE_COPIED,        "a copy is marked as in use")

enum hf__bug {
    HF__BUG_NONE,
#define HF__BUG_ENUM(name, text) HF__BUG_##name,
    HF__BUGS(HF__BUG_ENUM)
#undef HF__BUG_ENUM
};

extern void (*hf__point_hook)(const char *point); /* NULL: none; called with the point's name, locks held as they are there */
extern void (*hf__clock_hook)(struct timespec *now); /* NULL: none; may change what CLOCK_REALTIME shows */
extern enum hf__bug hf__planted;
#define HF_POINT(name) do { if (hf__point_hook) hf__point_hook(name); } while (0)
#define HF_CLOCK(now) do { if (hf__clock_hook) hf__clock_hook(now); } while (0)
#define HF_PLANTED(bug) (hf__planted == HF__BUG_##bug)
#else
#define HF_POINT(name) ((void)0)
#define HF_CLOCK(now) ((void)0)
#define HF_PLANTED(bug) 0
#endif

#endif
