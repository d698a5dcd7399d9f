/* SPDX-License-Identifier: MIT */
#ifndef CRASH_H
#define CRASH_H
/*
 * What crash_points.c, crash_steps.c and crash_calls.c kill: one operation, mostly on the key "subject", in a small store that
 * was prepared for it (crash_stores.c, crash_scenarios.c); where it takes place (crash_stage.c); and what must hold after each
 * death (crash_verify.c). Values are one letter, repeated; size 0 means that the key is absent.
 */
#include "internal.h"
#include "check.h"

struct content {
    size_t size;
    char letter;
};

/* Counters from before an operation, to see which path it took. */
struct moment {
    uint64_t moves, evictions, expirations, overflows, from_ring, promotions;
    uint64_t stamps; /* that the first stripe has given */
};

/* Who opens the file. */
enum crash_opening {
    CRASH_OPENED,       /* the store was open before                                      */
    CRASH_OPENS,        /* to open it as the first writer is the operation                */
    CRASH_OPENS_REBOOTED, /* ... and the machine has been started anew since it was open  */
};

struct scenario {
    const char *name;
    uint32_t mode, buckets, blocks, stripes;
    void (*prepare)(hf_store *store);
    int (*act)(hf_store *store);    /* NULL: to open is all                                                 */
    int result;                     /* what act returns when it completes                                   */
    uint32_t operation;             /* as the recovery log tells it; HF_OP_NONE: it leaves no record        */
    struct content before, after;   /* of the subject                                                       */
    void (*first)(hf_store *store); /* done by who has opened the store, before all else; NULL: nothing     */
    bool (*must_hold)(hf_store *store, const struct moment *was); /* after a complete run, or the store is prepared anew */
    bool others_may_go;             /* evicts or clears                                                     */
    bool by_openers;                /* crash_points: victims and repairers open the file themselves, too    */
    void (*also)(void);             /* a further check after each death; NULL: none                         */
    int (*killed_in)(hf_store *store); /* somebody was killed in this before, ...                           */
    enum hf__step killed_at;           /* ... at this step; NULL: nobody was                                */
    enum crash_opening opening;
    uint32_t small; /* blocks of the small ring (mode cache); 0: none */
};

extern const struct scenario crash_scenarios[];
extern const size_t crash_scenario_count;

#define SUBJECT "subject"
enum { CONTENT_MAX = 1000 };

/* ---- crash_stores.c ------------------------------------------------------------------------------------------------------ */

void crash_put(hf_store *store, const char *key, struct content content);
/* Reads a key into *content; false unless its value is one letter, repeated. */
bool crash_read(hf_store *store, const char *key, struct content *content);
bool crash_same(struct content a, struct content b);

/* What scenarios find in their stores. */
void with_others(hf_store *store);
void with_subject(hf_store *store);
void with_twin(hf_store *store); /* no subject, but a key with its stripe, bucket, tag and size */
void with_twin_and_subject(hf_store *store);
void with_subject_and_twin(hf_store *store);
void rewrite_twin(hf_store *store); /* the next put of the size writes ahead, into the hole of this one */
void with_number(hf_store *store);
void with_expired_subject(hf_store *store);
void scattered(hf_store *store); /* holes of three blocks, none of them large enough for much */
void scattered_with_subject(hf_store *store);
void full_of_others(hf_store *store);
void full_of_others_with_subject(hf_store *store);
void full_behind_subject(hf_store *store); /* ... which has the first blocks, where the clock's hand stands */
void full_with_holes(hf_store *store);
void hot_behind_ring(hf_store *store);  /* what is in the small ring is read often      */
void oldest_in_ring(hf_store *store);   /* the subject, in a full ring: its turn is next */
void full_with_ghost(hf_store *store);  /* a full store whose ring the subject has left */
void full_of_expired(hf_store *store); /* ... but for three */
void crowded(hf_store *store);         /* one free slot of fourteen: a new key is likely to find its own bucket full */
void crowded_with_subject(hf_store *store);

/* Which path an operation took. */
void crash_moment(hf_store *store, struct moment *moment);
bool has_moved(hf_store *store, const struct moment *was);
bool has_evicted(hf_store *store, const struct moment *was);
bool has_left_ring(hf_store *store, const struct moment *was);   /* evicted from the small ring     */
bool has_passed_ring(hf_store *store, const struct moment *was); /* evicted, but not from the ring  */
bool has_promoted(hf_store *store, const struct moment *was);
bool has_expired_spilled(hf_store *store, const struct moment *was);
bool has_drafted(hf_store *store, const struct moment *was);       /* ahead of the find              */
bool has_dropped_draft(hf_store *store, const struct moment *was); /* ... and then another instead */
bool has_spilled(hf_store *store, const struct moment *was);     /* the subject, and no other entry, lies beyond its own bucket */
bool subject_had_spilled(hf_store *store, const struct moment *was);

/* ---- crash_stage.c ------------------------------------------------------------------------------------------------------- */

enum { CRASH_KEYS_MAX = 64 };

/* What a store holds besides the subject, as a scan tells it; and what it tells of the subject. */
struct picture {
    unsigned count;
    struct {
        char key[16];
        struct content content;
    } others[CRASH_KEYS_MAX];
    struct content subject;
};

/* A scenario with its prepared store, kept as bytes. */
struct stage {
    const struct scenario *scenario;
    char path[CHECK_PATH];
    void *image; /* of a store that nobody has open */
    size_t image_size;
    struct picture original;
    /* Between crash_enter and crash_leave. */
    hf_store *store;      /* NULL where the operation opens the file itself                       */
    hf_store *viewer;     /* read-only: a look leaves nothing behind                              */
    unsigned char *file;  /* the file as others see it                                            */
    unsigned char *ready; /* its bytes just before the operation                                  */
    size_t ready_from;    /* ... of which those from here on are brought back by crash_reset      */
    uint32_t stripe;      /* of the key that crash_next_write writes                              */
};

/* Prepares stores until the operation, run once, takes the path it is meant to. */
void crash_prepare(struct stage *stage, const struct scenario *scenario);
void crash_dismiss(struct stage *stage);
/* The prepared store in a new file, open. */
hf_store *crash_renew(const struct stage *stage);
/* A path in the temporary directory that no other process uses. */
const char *crash_path(char path[CHECK_PATH], const char *name);

/* Makes everything ready for the operation, which may then be repeated from the same bytes; needs ptrace if somebody was killed
 * before. Nobody may have the file open for writing, or hold its locks, when it is reset. */
void crash_enter(struct stage *stage);
void crash_reset(const struct stage *stage);
void crash_leave(struct stage *stage);
/* Puts bytes of this stage's file into another store's file: an image that was taken in the middle of something. With its
 * identity, in so far as it is that of the stage's file, so that the next opener is deceived. */
void crash_transplant(const struct stage *stage, const unsigned char *bytes, unsigned char *to,
                      const struct hf__identity *identity);

/* ---- crash_verify.c ------------------------------------------------------------------------------------------------------ */

void crash_look(hf_store *store, struct picture *picture);
/* The state of the moment, with nobody writing: get and scan agree, the subject is old or new, the others are as they were. Once
 * *saw_new is true, it must be new. */
void crash_glance(const struct stage *stage, hf_store *store, bool *saw_new);
/* The first write that comes along: it changes no value, and in a store that evicts it needs no room. At most so many seconds. */
void crash_next_write(const struct stage *stage, hf_store *store, double seconds);
/* Everything that must hold in the store at `path` after the death of the victim (0: it completed, and the subject is new). */
void crash_verify(const struct stage *stage, hf_store *store, const char *path, pid_t victim);

#endif
