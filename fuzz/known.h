/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_KNOWN_H
#define FUZZ_KNOWN_H
/*
 * What the keys of a store must hold: a model in plain memory, and the verbs applied to both. A verb judges its result and tells
 * the model what it changed. It knows nothing of crashes.
 */
#include "image.h"

enum { KNOWN_KEYS = 16, KNOWN_VALUE_MAX = 1500 };

struct known {
    bool present;
    bool expires;
    uint32_t flags;
    uint32_t len;
    uint64_t version; /* the latest that was seen, also when the key is absent */
    unsigned char value[KNOWN_VALUE_MAX];
};

struct model {
    bool evicts; /* mode cache: a key may be absent at any time */
    struct known keys[KNOWN_KEYS];
};

/* A record as an operation. */
struct step {
    uint8_t verb;    /* enum verb, modulo VERBS                                                                        */
    uint8_t key;     /* modulo KNOWN_KEYS                                                                              */
    uint16_t size;   /* of the value, or what is added                                                                 */
    uint8_t crash;   /* the point of which a death is simulated; 0: none                                               */
    uint8_t again;   /* the same for the recovery after it                                                             */
    uint8_t how;     /* low half: which recovery; high half: condition and expiry                                      */
    uint8_t letter;
};
static_assert(sizeof(struct step) == RECORD_SIZE, "a step is a record");

enum verb {
    VERB_PUT, VERB_PUT_MANY, VERB_DELETE, VERB_TAKE, VERB_INCR, VERB_APPEND, VERB_TOUCH, VERB_CLEAR, VERB_REPAIR, VERBS
};

void known_apply(struct model *model, hf_store *store, const struct step *step);

/* Reads a key; `found->present` tells whether it is there. */
void known_read(hf_store *store, unsigned number, struct known *found);
bool known_same(const struct known *a, const struct known *b);

/* Every key as the model says, by get, scan and count; in mode cache the model forgets what was evicted. hf_check is content. */
void known_compare(struct model *model, hf_store *store);

#endif
