/* SPDX-License-Identifier: MIT */
#ifndef CRASH_H
#define CRASH_H
/*
 * What crash_points.c kills: one operation on the key "subject" in a small store prepared for it (crash_scenarios.c). Values
 * are one letter, repeated; size 0 means that the key is absent.
 */
#include "check.h"

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

#endif
