/* SPDX-License-Identifier: MIT */
/*
 * Is there an order of the calls of one key that explains all their results? Just-in-time linearization: the calls' starts and
 * ends are walked through in time, with all ways to explain what has returned so far. A way is the state of the key and which of
 * the running calls have taken effect already. Only the return of a call forces anything: ways in which it has not taken effect
 * yet let running calls take effect, in every order, until it has. A way that cannot dies; when none is left, there is no order.
 *
 * Two things keep the ways few. A call that only sees is let see as soon as the state is what it saw: that excludes nothing. And
 * values are unique, so that a read leaves only the ways that end in the write it saw.
 */
#include <stdlib.h>
#include <string.h>

#include "chaos.h"

enum { RUNNING_MAX = 64, WAYS_MAX = 1 << 17, TABLE = WAYS_MAX * 2 };

struct way {
    uint64_t done; /* of the running calls, by their place in `running` */
    struct chaos_state state;
};

/* Ways without duplicates: those of a generation are found by hash. */
struct ways {
    struct way *list;
    uint32_t count, size;
    uint32_t *table; /* index + 1 of a way ...          */
    uint32_t *stamp; /* ... if this is `generation`      */
    uint32_t generation;
};

struct chaos_search {
    const struct chaos *chaos;
    struct ways now, open;
    const struct chaos_op *running[RUNNING_MAX];
    uint64_t taken; /* places of `running` in use */
};

/* ---- Ways --------------------------------------------------------------------------------------------------------------- */

static bool ways_new(struct ways *ways) {
    ways->size = WAYS_MAX;
    ways->list = malloc(sizeof *ways->list * ways->size);
    ways->table = malloc(sizeof *ways->table * TABLE);
    ways->stamp = calloc(TABLE, sizeof *ways->stamp);
    return ways->list && ways->table && ways->stamp;
}

static void ways_free(struct ways *ways) {
    free(ways->list);
    free(ways->table);
    free(ways->stamp);
}

static void ways_clear(struct ways *ways) {
    ways->count = 0;
    ways->generation++;
}

static uint64_t hash_way(const struct way *way) {
    uint64_t words[sizeof *way / sizeof(uint64_t)], hash = 0;
    memcpy(words, way, sizeof *way);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        hash = chaos_mix(hash ^ words[i], i);
    return hash;
}

/* False: there are too many. */
static bool ways_add(struct ways *ways, const struct way *way) {
    uint64_t at = hash_way(way) % TABLE;
    for (; ways->stamp[at] == ways->generation; at = (at + 1) % TABLE)
        if (memcmp(&ways->list[ways->table[at] - 1], way, sizeof *way) == 0)
            return true;
    if (ways->count == ways->size)
        return false;
    ways->list[ways->count++] = *way;
    ways->stamp[at] = ways->generation;
    ways->table[at] = ways->count;
    return true;
}

/* ---- Calls -------------------------------------------------------------------------------------------------------------- */

static uint64_t bit(unsigned place) {
    return UINT64_C(1) << place;
}

static bool start(struct chaos_search *search, const struct chaos_op *op) {
    if (search->taken == UINT64_MAX)
        return false;
    unsigned place = (unsigned)__builtin_ctzll(~search->taken);
    search->running[place] = op;
    search->taken |= bit(place);
    return true;
}

static unsigned place_of(const struct chaos_search *search, const struct chaos_op *op) {
    unsigned place = 0;
    while (!(search->taken & bit(place)) || search->running[place] != op)
        place++;
    return place;
}

/* All running calls that see what is there take effect. */
static void let_see(const struct chaos_search *search, struct way *way) {
    for (uint64_t left = search->taken & ~way->done; left; left &= left - 1) {
        unsigned place = (unsigned)__builtin_ctzll(left);
        struct chaos_state state = way->state;
        if (chaos_apply(search->chaos, search->running[place], &state) != CHAOS_SEES)
            continue;
        way->state = state;
        way->done |= bit(place);
    }
}

/* The ways that follow when one call more takes effect, or the key is evicted. */
static bool let_change(struct chaos_search *search, const struct way *way) {
    for (uint64_t left = search->taken & ~way->done; left; left &= left - 1) {
        unsigned place = (unsigned)__builtin_ctzll(left);
        struct way next = { .done = way->done | bit(place), .state = way->state };
        if (chaos_apply(search->chaos, search->running[place], &next.state) == CHAOS_CHANGES && !ways_add(&search->open, &next))
            return false;
    }
    struct way next = *way;
    return !search->chaos->cache || !chaos_evict(&next.state) || ways_add(&search->open, &next);
}

static bool keep(struct chaos_search *search, struct way way, unsigned place) {
    way.done &= ~bit(place);
    return ways_add(&search->now, &way);
}

/* The call at `place` has returned: only ways stay in which it has taken effect. If it crashed, it has by now or it never will,
 * so the ways in which it has not stay as they are. */
static enum chaos_finding finish(struct chaos_search *search, unsigned place, bool crashed) {
    ways_clear(&search->open);
    for (uint32_t i = 0; i < search->now.count; i++)
        ways_add(&search->open, &search->now.list[i]);
    uint32_t before = search->open.count;
    ways_clear(&search->now);
    for (uint32_t i = 0; i < search->open.count; i++) {
        struct way way = search->open.list[i];
        let_see(search, &way);
        bool over = (way.done & bit(place)) != 0;
        bool stays = over || (crashed && i < before);
        if ((stays && !keep(search, way, place)) || (!over && !let_change(search, &way)))
            return CHAOS_UNDECIDED;
    }
    search->taken &= ~bit(place);
    return search->now.count ? CHAOS_EXPLAINED : CHAOS_IMPOSSIBLE;
}

/* ---- The walk ----------------------------------------------------------------------------------------------------------- */

struct chaos_search *chaos_search_new(const struct chaos *chaos) {
    struct chaos_search *search = calloc(1, sizeof *search);
    if (!search)
        return NULL;
    search->chaos = chaos;
    if (ways_new(&search->now) && ways_new(&search->open))
        return search;
    chaos_search_free(search);
    return NULL;
}

void chaos_search_free(struct chaos_search *search) {
    ways_free(&search->now);
    ways_free(&search->open);
    free(search);
}

/* The state of the key after all calls: the last one is a read by the parent, so all ways agree but for bounds of a version. */
static struct chaos_state conclude(const struct chaos_search *search) {
    struct chaos_state state = search->now.list[0].state;
    for (uint32_t i = 1; i < search->now.count; i++)
        if (search->now.list[i].state.version < state.version)
            state.version = search->now.list[i].state.version;
    return state;
}

/* The calls sorted by their invocation, and by their return. *state is that before all of them, and becomes that after them.
 * Impossible: *culprit is the call that no way explains, and *state one that was possible before it returned. */
enum chaos_finding chaos_search_key(struct chaos_search *search, struct chaos_op **by_start, struct chaos_op **by_end,
                                    size_t count, struct chaos_state *state, const struct chaos_op **culprit) {
    struct way first = { .done = 0, .state = *state };
    size_t started = 0;
    search->taken = 0;
    ways_clear(&search->now);
    ways_add(&search->now, &first);
    for (size_t ended = 0; ended < count; ended++) {
        const struct chaos_op *op = by_end[ended];
        uint64_t end = atomic_load(&op->returned);
        for (; started < count && by_start[started]->invoked <= end; started++)
            if (!start(search, by_start[started]))
                return CHAOS_UNDECIDED;
        struct chaos_state before = search->now.list[0].state;
        enum chaos_finding finding = finish(search, place_of(search, op), op->flags & CHAOS_CRASHED);
        if (finding == CHAOS_EXPLAINED)
            continue;
        *state = before;
        *culprit = op;
        return finding;
    }
    *state = conclude(search);
    return CHAOS_EXPLAINED;
}
