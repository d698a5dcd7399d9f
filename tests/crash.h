/* SPDX-License-Identifier: MIT */
#ifndef CRASH_H
#define CRASH_H
/*
 * What crash_points.c and crash_steps.c kill: one operation on the key "subject" in a small store prepared for it
 * (crash_scenarios.c), and what must hold after each death (crash_verify.c). Values are one letter, repeated; size 0 means that
 * the key is absent.
 */
#include "puppet.h"

struct content {
    size_t size;
    char letter;
};

struct scenario {
    const char *name;
    uint32_t mode, buckets, blocks;
    void (*prepare)(hf_store *store);
    int (*act)(hf_store *store);
    int result;                     /* what act returns when it completes                                   */
    uint32_t operation;             /* as the recovery log tells it; HF_OP_NONE: it leaves no record       */
    struct content before, after;   /* of the subject                                                       */
    const char *must_pass;          /* a point that a complete run must pass, or the store is prepared anew */
    bool (*must_hold)(hf_store *store); /* ... and what must be true after it; NULL: nothing               */
    bool others_may_go;             /* evicts or clears                                                     */
    bool by_openers;                /* also: victims and repairers open the file themselves                 */
    void (*also)(void);             /* a further check after each death; NULL: none                         */
};

extern const struct scenario crash_scenarios[];
extern const size_t crash_scenario_count;

#define SUBJECT "subject"
enum { CONTENT_MAX = 1000 };

void crash_put(hf_store *store, const char *key, struct content content);
/* Reads a key into *content; false unless its value is one letter, repeated. */
bool crash_read(hf_store *store, const char *key, struct content *content);
bool crash_same(struct content a, struct content b);

/* ---- crash_verify.c ------------------------------------------------------------------------------------------------------ */

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
    void *image;
    size_t image_size;
    struct picture original;
};

/* Prepares stores until the operation, run once, takes the path it is meant to; `puppet` counts its points. */
void crash_prepare(struct stage *stage, const struct scenario *scenario, struct puppet *puppet);
/* The prepared store in a new file, open. */
hf_store *crash_renew(const struct stage *stage);

/* The state of the moment, with nobody writing: get and scan agree, the subject is old or new, the others are as they were. Once
 * *saw_new is true, it must be new. */
void crash_glance(const struct stage *stage, hf_store *store, bool *saw_new);
/* The first write that comes along: it changes no value, and in a store that evicts it needs no room. At most two seconds. */
void crash_next_write(const struct stage *stage, hf_store *store);
/* Everything that must hold after the death of the victim (0: it completed, and the subject is new). */
void crash_verify(const struct stage *stage, hf_store *store, pid_t victim);

#endif
