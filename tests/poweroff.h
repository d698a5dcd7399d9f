/* SPDX-License-Identifier: MIT */
#ifndef POWEROFF_H
#define POWEROFF_H
/*
 * A simulated machine whose power fails. Writers work on a store; its pages are photographed at many moments, also in the middle
 * of an operation, as the kernel's writeback could have written them (poweroff_history.c, poweroff_live.c). A state is what the
 * disk may hold after the power failed: of each page, or sector, one of its photographs since it was last synced
 * (poweroff_states.c). Each state is opened and judged (poweroff_judge.c). It knows the library inside.
 */
#include "check.h"
#include "internal.h"

enum { IMAGES = 8, SECTOR = 512, KEYS_MAX = 2048, VALUE_MAX = 4096, FACTS = 1 << 16, PAGES_MAX = 256 };

/* An entry of the newest image: alive when the power failed. */
struct living {
    uint32_t slot, key;
    size_t at, size;   /* of the entry, in the file                                                  */
    uint64_t print;    /* see world_print                                                            */
    bool stable;       /* the same, in the same place, in every image a page can come from           */
};

struct world {
    uint64_t chance; /* state of check_random: everything follows from the history's number and it */
    char path[CHECK_PATH];
    unsigned char *file; /* the store's file, mapped by the test */
    size_t size;
    uint32_t pages;
    struct hf__region view; /* geometry and seed, to look at images with the library's eyes */
    uint32_t keys, small, large; /* how many keys; sizes of most values and of the largest */
    bool exact;             /* versions and expiries of what was stored are known, too */
    uint64_t boot;          /* the boot id that images get: never this machine's */

    uint64_t facts[FACTS]; /* a set: the print of everything ever stored */
    uint32_t fact_count;
    unsigned char *images[IMAGES]; /* oldest first; the last one is the moment at which the power failed */
    uint32_t image_count;
    uint8_t floor[PAGES_MAX]; /* the oldest image from which a page can be: it was synced then */

    struct living *living;
    uint32_t living_count;
};

/* ---- poweroff_world.c */
void world_make(struct world *world, uint64_t seed); /* a new store, of a random shape */
void world_end(struct world *world);
size_t world_key(char key[HF_KEY_MAX], uint32_t number);
uint32_t world_number(const void *key, size_t key_len); /* the opposite; fails on a key that no test ever made */
/* What a value of that key is known by. Values stored by put, incr, append and touch are remembered by it. */
uint64_t world_print(const struct world *world, uint32_t key, const void *value, size_t length, const struct hf_meta *meta);
void world_remember(struct world *world, uint64_t print);
bool world_knows(const struct world *world, uint64_t print);
void world_photograph(struct world *world);
void world_synced(struct world *world, size_t at, size_t size);
/* Forgets all images but a state, which becomes the file's content and the oldest image. */
void world_restart(struct world *world, const unsigned char *state);
/* Who lives in the newest image? */
void world_census(struct world *world);
/* Is that living entry wholly in this state, slot and bytes? */
bool world_holds(const struct world *world, const unsigned char *state, const struct living *entry);

/* ---- poweroff_history.c: one writer, deterministic. Ends with the photograph of the moment at which the power fails. */
void history_run(struct world *world);
/* As the machine's first writer: what the library syncs from here to the close is known to be on disk. Photographs at the n-th
 * point of the open, if `points` is not 0, and at some that follow. */
hf_store *history_open(struct world *world, uint32_t points);
void history_close(hf_store **store);

/* ---- poweroff_live.c: several processes, killed at a random moment, pages photographed one by one meanwhile. */
void live_run(struct world *world);

/* ---- poweroff_states.c */
struct strategy {
    const char *name;
    void (*choose)(struct world *world, uint8_t *from);
    bool torn; /* some pages are mixed by sectors */
};
extern const struct strategy strategies[];
extern const size_t strategy_count;
void state_build(struct world *world, const struct strategy *strategy, unsigned char *state);

/* ---- poweroff_judge.c */
struct tally {
    uint64_t states, entries, whole, survived, faults, stable, elder, again, values, writes;
};
/* Opens the state, first read-only and then for writing, and writes on. `left`, if not NULL, gets what the disk may hold when the
 * power fails a second time, during the verification; judge_again judges that. */
void judge(struct world *world, const unsigned char *state, struct tally *tally, unsigned char *left);
void judge_second(struct world *world, const unsigned char *state, unsigned char *left, struct tally *tally);

#endif
