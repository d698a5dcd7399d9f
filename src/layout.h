/* SPDX-License-Identifier: MIT */
#ifndef HF_LAYOUT_H
#define HF_LAYOUT_H
/*
 * The file format: every struct that is shared between processes, with its picture and its assertions.
 *
 *     +-----------+------+---------------+----------------+--------------------+---------------+------------+--------+------+
 *     | superblock| live | recovery ring | stripe headers | fill locks, tombs | index buckets | block maps | ghosts | heap |
 *     +-----------+------+---------------+----------------+--------------------+---------------+------------+--------+------+
 *      0           4096   8192            each part begins on a page; all sizes are fixed at creation
 *                  6144: tallies
 *
 * The index slots are the only truth: everything else in a stripe is derived from them and rebuilt by recover.c. Stripe s owns
 * an equal, contiguous share of each part: its header, its buckets, its two maps and its range of the heap, so that one lock
 * covers all that a write touches.
 */
#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#define HF__MAGIC "Holdfast"
#define HF__FORMAT 2u
#define HF__PAGE 4096u
#define HF__LINE 64u

/* Feature bits this build knows. An unknown incompatible bit: refuse. An unknown compatible bit: open read-only. */
#define HF__INCOMPATIBLE 0u
#define HF__COMPATIBLE 0u

/* ---- Superblock: written once, at creation ----------------------------------------------------------------------------- */

struct hf__geometry {
    uint64_t file_size;
    uint64_t stripes_at; /* offsets of the parts */
    uint64_t index_at;
    uint64_t maps_at;
    uint64_t heap_at;
    uint64_t entries;       /* the promise of guarantee I ... */
    uint32_t entry_size;    /* ... for entries of this size   */
    uint32_t max_value;     /* bytes                          */
    uint32_t mode;          /* enum hf_mode                   */
    uint32_t stripes;       /* a power of two                 */
    uint32_t buckets;       /* of one stripe                  */
    uint32_t blocks;        /* of one stripe, a multiple of 64 */
    uint64_t ghosts_at;     /* 0: this store has no ghost tags */
    uint32_t ghosts;        /* of one stripe                   */
    uint32_t small_blocks;  /* of one stripe's small ring; 0: it has none */
    uint64_t default_ttl_ms; /* 0: entries live for ever                 */
    uint64_t fills_at;       /* the fill locks, ...                      */
    uint64_t tombs_at;       /* ... and behind them the stripes' tombs   */
    uint32_t fills;          /* how many locks: a power of two           */
    uint32_t max_key;        /* bytes of the longest key                 */
};
static_assert(sizeof(struct hf__geometry) == 120, "no padding");

struct hf__superblock {
    char magic[8];
    uint32_t format;
    uint32_t byte_order; /* 0x01020304 as its writers see it */
    uint32_t compatible;
    uint32_t incompatible;
    uint32_t pointer_size;
    uint32_t mutex_size;
    uint32_t mutex_align;
    uint32_t block_size;
    char libc[16];
    struct hf__geometry geometry;
    uint64_t seed; /* of the hash */
    uint64_t store_id;
    uint64_t created_ms;
    uint64_t checksum; /* XXH3 over all of the above */
};
static_assert(offsetof(struct hf__superblock, geometry) == 56, "no padding");
static_assert(sizeof(struct hf__superblock) == 208 && sizeof(struct hf__superblock) <= HF__PAGE, "fits its page");
#define HF__BYTE_ORDER 0x01020304u

/* The part of the superblock that lives: changed by the first writer under the file's exclusive lock only. */
struct hf__live {
    uint64_t boot_id[2];      /* the boot, ...                                                                   */
    uint64_t device;          /* ... and the file, for which the image was verified last                         */
    uint64_t inode;
    uint64_t namespace_device; /* the PID namespace of the writers                                               */
    uint64_t namespace_inode;
    uint32_t ready;           /* 1: the mutexes of this boot and file are made; 0 while the first writer works   */
    uint32_t in_use;          /* 1: written since it was last known to be complete on disk; 0 in a fresh snapshot */
    uint64_t recoveries;      /* sequence number of the newest record in the ring                                */
    uint64_t birth;           /* of the file, nanoseconds since 1970: inode numbers are used again. 0: not known */
    uint32_t turn;            /* a futex: grows while somebody watches the whole store                           */
    uint32_t reserved32;
    uint64_t reserved[6];
};
static_assert(sizeof(struct hf__live) == 128, "two lines");
#define HF__LIVE_AT HF__PAGE

/* What is counted without a lock (tally.h), in lanes so that threads seldom meet. New ones go to the end; hits and misses are the
 * first two, which threads collect for themselves. */
#define HF__TALLIES(X) X(hits) X(misses) X(stale_hits) X(read_retries) X(fills) X(fill_waits)

enum hf__tally {
#define HF__TALLY_ENUM(name) HF__TALLY_##name,
    HF__TALLIES(HF__TALLY_ENUM)
#undef HF__TALLY_ENUM
    HF__TALLY_COUNT
};
#define HF__TALLY_READS 2u
#define HF__TALLY_ROOM 16u /* counters of a lane: two lines */
#define HF__TALLY_LANES 16u
#define HF__TALLIES_AT (HF__LIVE_AT + 2048)
static_assert(HF__TALLY_misses == HF__TALLY_READS - 1 && HF__TALLY_COUNT <= HF__TALLY_ROOM, "a lane");
static_assert(HF__TALLIES_AT + HF__TALLY_LANES * HF__TALLY_ROOM * sizeof(uint64_t) <= 2 * HF__PAGE, "in the page of what lives");

/* ---- Recovery ring ------------------------------------------------------------------------------------------------------ */

#define HF__RING 256u
#define HF__RING_AT (2 * HF__PAGE)

/* sequence is 0 while the record is being written and stored last: a reader takes a record whose sequence it found twice. */
struct hf__verdict {
    uint64_t sequence;
    uint64_t time_ms;
    uint64_t key_hash;
    uint32_t stripe;
    uint32_t pid;
    uint32_t repairer;
    uint32_t dropped;
    uint32_t microseconds;
    uint8_t cause;
    uint8_t operation;
    uint8_t step;
    uint8_t verdict;
    uint64_t reserved[2];
};
static_assert(sizeof(struct hf__verdict) == 64, "one line");
#define HF__STRIPES_AT (HF__RING_AT + HF__RING * sizeof(struct hf__verdict))
static_assert(HF__STRIPES_AT % HF__PAGE == 0, "page aligned");

/* ---- Stripe header ------------------------------------------------------------------------------------------------------ */

/* What the holder of the lock is doing; read by recovery alone. `operation` is the "set" word: stored last, cleared last. */
struct hf__record {
    uint32_t operation; /* enum hf_operation; HF_OP_NONE: nothing in flight */
    uint32_t step;      /* enum hf__step                                    */
    uint32_t pid;
    uint32_t slot;      /* of the store; HF__NO_SLOT until it is found      */
    uint64_t key_hash;
    uint64_t new_block; /* block + 1 the slot is to name; 0: it is to be empty; HF__NO_BLOCK: not known */
};
static_assert(sizeof(struct hf__record) == 32, "half a line");
#define HF__NO_SLOT UINT32_MAX
#define HF__NO_BLOCK UINT64_MAX
#define HF__STAMP_LIMIT (1ull << 62) /* no stamp was ever so large: one a microsecond for 146,000 years */

/*
 *   0   mutex, who waits for a change, and the last hole
 *   64  record, and what every write changes: a replace by an entry of the same length changes no other line of these
 *   128 state
 *   192 counters
 *
 * All but `next_stamp` of the state can be rebuilt from the slots; the last hole, cursors, hands, `sweep` and `lap_expiry` are
 * hints: any value will do.
 */
struct hf__stripe {
    alignas(HF__LINE) union {
        struct {
            pthread_mutex_t mutex;
            uint32_t waiters; /* bit 0: the whole store is watched; the others by hash: somebody waits for a key (wait.c) */
            uint32_t turn;    /* a futex: grows when a writer wakes those who wait for a key                              */
            uint32_t hole_at; /* the hole that was left last ...                                                          */
            uint32_t hole_len;
        };
        unsigned char mutex_line[HF__LINE];
    };

    struct hf__record record;
    uint64_t next_stamp; /* above every stamp and version in the stripe; stored before it is used */
    uint64_t puts;
    uint32_t entries;
    uint32_t used_blocks;
    uint32_t cursor; /* where the search for a hole begins */
    uint32_t change; /* grows with every change of a key   */

    uint64_t next_expiry;    /* no entry expires before this moment; UINT64_MAX: none expires                         */
    uint64_t newest_dropped; /* no entry of a later version was ever dropped to make room, or repaired away (guard.c) */
    uint64_t lap_expiry;     /* the first expiry seen since the sweep looked at the first bucket                      */
    uint32_t sweep;          /* the bucket that is looked at next for expired entries                                 */
    uint32_t largest;        /* blocks of the largest entry, or more                                                  */
    uint32_t reserve_at;     /* store mode: a free run that is kept as large as the largest entry                     */
    uint32_t reserve_len;
    uint32_t backwards;      /* store mode: 1 while the reserve travels to lower blocks                               */
    uint32_t hand;           /* cache mode: where the clock stands                                                    */
    union {
        uint32_t small_hand; /* cache mode: where the hand of the small ring stands                                   */
        uint32_t loose;      /* store mode: 0: `largest` is not too large                                             */
    };
    uint32_t small_cursor;   /* where the search for a hole of the small ring begins                                  */
    uint32_t quarantined;    /* 1: could not be repaired                                                              */
    uint32_t filled;         /* 1: a fill lock was claimed for a key of this stripe; never 0 again                    */

    uint64_t deletes;
    uint64_t evictions;
    uint64_t evictions_small; /* of the evictions: from the small ring                */
    uint64_t evictions_slot;  /* ... because a key had no free slot                   */
    uint64_t expirations;
    uint64_t moves;
    uint64_t promotions;      /* of the moves: from the small ring to the main region */
    uint64_t refusals;

    uint64_t recoveries;
    uint64_t dropped;
    uint64_t contended;
};
static_assert(sizeof(pthread_mutex_t) + 4 * sizeof(uint32_t) <= HF__LINE, "the mutex and what is beside it: a line");
#define HF__MUTEX_SIZE sizeof(pthread_mutex_t)
#define HF__MUTEX_ALIGN alignof(pthread_mutex_t)
static_assert(offsetof(struct hf__stripe, record) == 64, "line 1");
static_assert(offsetof(struct hf__stripe, next_expiry) == 128, "line 2");
static_assert(offsetof(struct hf__stripe, deletes) == 192, "line 3");
static_assert(sizeof(struct hf__stripe) == 320, "five lines");

/* ---- Fill locks and tombs ------------------------------------------------------------------------------------------------ */

/*
 * Who computes the value of a missing key holds one of these (fill_lock.c). `key_hash` names the key for which the mutex is held,
 * or which is leased; it is stored under the lock of the key's stripe, and outlives a holder that was killed.
 */
struct hf__fill {
    alignas(HF__LINE) union {
        struct {
            pthread_mutex_t mutex;
            alignas(8) uint64_t since; /* it was claimed for the key, microseconds of CLOCK_MONOTONIC */
        };
        unsigned char mutex_line[HF__LINE];
    };
    uint64_t key_hash;    /* 0: of no key                                                           */
    uint64_t lease;       /* the number of the lease; 0: none. It ends by being set to 0, ...       */
    uint64_t lease_until; /* ... or at this moment, microseconds of CLOCK_MONOTONIC                 */
    uint64_t leases;      /* how many were given                                                    */
    uint64_t horizon;     /* the next stamp of the key's stripe when the key was claimed; since then ... */
    uint64_t took;        /* microseconds of the last fill under this lock                          */
    uint32_t pid;         /* of the holder                                                          */
    uint32_t turn;        /* a futex: grows when a lease ends                                       */
    uint32_t overtaken;   /* ... 1: the key was deleted, or a put of it came and was dropped (guard.c)   */
    uint32_t unstored;    /* grows when a value was computed under this lock that could not be stored    */
};
static_assert(sizeof(struct hf__fill) == 2 * HF__LINE, "two lines");

/*
 * The latest deletes of a stripe: a value computed before one of them must not be stored after it (guard.c). Changed under the
 * stripe's lock.
 */
#define HF__TOMBS 31u
struct hf__tombs {
    uint64_t count;   /* deletes; the next one goes to tomb[count % HF__TOMBS] */
    uint64_t cleared; /* the stamp of the last clear                           */
    struct {
        uint64_t key_hash;
        uint64_t stamp;
    } tomb[HF__TOMBS];
};
static_assert(sizeof(struct hf__tombs) == 512, "eight lines");

/* ---- Index --------------------------------------------------------------------------------------------------------------- */

/*
 * A slot word, 0 when empty:
 *
 *      63       48 47  46 45            32 31                              0
 *     +-----------+------+----------------+---------------------------------+
 *     |  tag 16   |heat 2|   blocks 14    |        block + 1, 32            |
 *     +-----------+------+----------------+---------------------------------+
 *
 * The block number counts through the heaps of all stripes. blocks all ones: so many or more, the entry's lengths tell.
 */
#define HF__TAG_SHIFT 48
#define HF__HEAT_SHIFT 46
#define HF__BLOCKS_SHIFT 32
#define HF__HEAT_MASK (3ull << HF__HEAT_SHIFT)
#define HF__HEAT_ONE (1ull << HF__HEAT_SHIFT)
#define HF__BLOCKS_LIMIT 0x3fffu
#define HF__BLOCK_MASK 0xffffffffull

#define HF__SLOTS 7u
#define HF__PROBES 128u /* buckets a key may lie behind its home, home included */

/*
 * control:  high 32: recovery's new count, while it builds one
 *           low 32:  overflow count: entries that passed over this bucket because it was full, and lie in a later one
 * An entry never changes its slot while it lives.
 */
struct hf__bucket {
    uint64_t slot[HF__SLOTS];
    uint64_t control;
};
static_assert(sizeof(struct hf__bucket) == HF__LINE, "one line");

/* ---- Ghosts (mode cache): for each stripe an array of 16-bit tags, in sets; hints, 0 where there is none ------------------- */

#define HF__GHOST_WAYS 8u
#define HF__GHOST_ROUND (HF__LINE / sizeof(uint16_t)) /* each stripe has whole lines of them */
static_assert(HF__GHOST_ROUND % HF__GHOST_WAYS == 0, "whole sets");

/* ---- Block maps: for each stripe an array of these, one bit a block ------------------------------------------------------- */

/* In pairs, because who changes one word changes the other: a write touches one line for both. */
struct hf__map {
    uint64_t used;  /* the block belongs to an entry */
    uint64_t first; /* ... and is its first          */
};
static_assert(sizeof(struct hf__map) == 16, "a pair");

/* ---- Heap ---------------------------------------------------------------------------------------------------------------- */

#define HF__BLOCK 32u

/*
 *   0   stamp      unique in the stripe for ever, new with every write into blocks
 *   8   version    what the user sees; kept by moves
 *   16  expiry     high 48: milliseconds since 1970, 0: never; then 1 bit: the key is known to be absent; low 15: key length
 *   24  value length, then user flags
 *   32  slot number in the store, HF__NO_SLOT until it is to be published; then checksum
 *   40  key, padded to 8 bytes; value
 */
struct hf__entry {
    uint64_t stamp;
    uint64_t version;
    uint64_t expiry_and_key_len;
    uint32_t value_len;
    uint32_t flags;
    uint32_t slot;
    uint32_t checksum;
};
static_assert(sizeof(struct hf__entry) == 40, "no padding");
#define HF__ABSENT 0x8000u
#define HF__EXPIRY_MAX ((1ull << 48) - 1)

/* ---- Steps of an operation: the names of crash points, and of the record's step in a verdict ---------------------------- */

#define HF__STEPS(X) \
    X(BEGIN, "begin")             /* the record is set                                       */ \
    X(ROOM, "room")               /* looking for blocks                                      */ \
    X(MOVE_COPY, "move-copy")     /* making room: an entry was copied                        */ \
    X(MOVE_PUBLISH, "move-publish") /* ... its slot names the copy                           */ \
    X(MOVE_FREE, "move-free")     /* ... its old blocks are free                             */ \
    X(DROP, "drop")               /* evicted or expired: an entry's slot was emptied         */ \
    X(DROP_FREE, "drop-free")     /* ... its blocks are free                                 */ \
    X(ALLOCATED, "allocated")     /* the new blocks are marked                               */ \
    X(STAMPED, "stamped")         /* the stamp is stored, the entry not yet                  */ \
    X(FILLED, "filled")           /* the entry is written                                    */ \
    X(PASSED, "passed")           /* overflow counts are raised                              */ \
    X(PUBLISHED, "published")     /* the slot is stored: the commit                          */ \
    X(UNPASSED, "unpassed")       /* overflow counts are lowered                             */ \
    X(FREED, "freed")             /* the old blocks are free                                 */ \
    X(COUNTED, "counted")         /* the counters are stored                                 */

enum hf__step {
#define HF__STEP_ENUM(name, text) HF__STEP_##name,
    HF__STEPS(HF__STEP_ENUM)
#undef HF__STEP_ENUM
};

#endif
