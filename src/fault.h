/* SPDX-License-Identifier: MIT */
#ifndef HF_FAULT_H
#define HF_FAULT_H
/*
 * Where the tests reach in. In the library both macros are nothing; the test build (HF_TEST) calls a hook at every named point,
 * where a test kills or stops the process, and can take out one precaution, so that a test is seen to fail without it.
 */
enum hf__bug {
    HF__BUG_NONE,
    HF__BUG_NO_SLOT_RELOAD,    /* read: the slot is not loaded again after the stamp                          */
    HF__BUG_STAMP_FIRST,       /* read: at the end the stamp is loaded before the slot                        */
    HF__BUG_NO_VALIDATION,     /* read: what was copied is not validated                                      */
    HF__BUG_NO_ACQUIRE_FENCE,  /* read: no acquire fence between the copy and its validation                  */
    HF__BUG_NO_RELEASE_FENCE,  /* write: no release fence before the first store into reused blocks           */
    HF__BUG_NO_OWN_RELOAD,     /* put: the own slot is not loaded again after room was made                   */
    HF__BUG_STAMP_KEPT,        /* move: the copy keeps the stamp of its source                                */
    HF__BUG_COUNTER_LATE,      /* write: the stamp counter is stored after the entry                          */
    HF__BUG_OVERFLOW_LATE,     /* insert: overflow counts are raised after the slot is stored                 */
    HF__BUG_OVERFLOW_EARLY,    /* delete: overflow counts are lowered before the slot is cleared              */
    HF__BUG_OVERFLOW_ZEROED,   /* recover: live overflow counts are zeroed before they are rebuilt            */
    HF__BUG_PUBLISH_FIRST,     /* put: the slot is stored before the entry is written                         */
    HF__BUG_FREE_FIRST,        /* put: the old blocks are freed, and reused, before the slot is stored        */
    HF__BUG_NO_FREE,           /* put: the old blocks are never freed                                         */
    HF__BUG_NO_RECOVERY,       /* lock: a dead owner's stripe is marked consistent and not repaired           */
    HF__BUG_CONSISTENT_FIRST,  /* lock: marked consistent before it is repaired                               */
    HF__BUG_RECORD_LATE,       /* write: the in-flight record is set after the slot is stored                 */
    HF__BUG_PENDING_KEPT,      /* lock: glibc's pending entry is left behind by a timed-out lock              */
    HF__BUG_UNMAP_HELD,        /* close: a mapping is unmapped while a lock in it is held                     */
    HF__BUG_STALE_MUTEXES,     /* open: the first writer does not make the mutexes anew                       */
    HF__BUG_IDENTITY_FIRST,    /* open: the boot id is written before the image is verified                   */
    HF__BUG_NO_RANGE_CHECK,    /* read: the slot's block run is not checked against the heap                  */
    HF__BUG_EXPIRY_IGNORED,    /* read: expired entries are returned                                          */
};

#ifdef HF_TEST
extern void (*hf__point_hook)(const char *point); /* NULL: none; called with the point's name, locks held as they are there */
extern enum hf__bug hf__planted;
#define HF_POINT(name) do { if (hf__point_hook) hf__point_hook(name); } while (0)
#define HF_PLANTED(bug) (hf__planted == (bug))
#else
#define HF_POINT(name) ((void)0)
#define HF_PLANTED(bug) 0
#endif

#endif
