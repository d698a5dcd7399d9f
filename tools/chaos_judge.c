/* SPDX-License-Identifier: MIT */
/*
 * The judge of a round: sorts the calls of all logs by key, has each key searched for an order that explains them, and carries
 * the state of every key over to the next round. Runs in the parent when no call is running. Tells a violation in words.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "chaos.h"

enum { SHOWN = 10, LINE = 170 };

struct chaos_judge {
    struct chaos *chaos;
    struct chaos_search *search;
    struct chaos_state *states; /* by key, at the beginning of the round */
    uint32_t *first;            /* by key, and one more: where its calls begin in `by_start` */
    struct chaos_op **by_start, **by_end;
    size_t room; /* of both */
    uint64_t calls, undecided;
};

struct chaos_judge *chaos_judge_new(struct chaos *chaos) {
    struct chaos_judge *judge = calloc(1, sizeof *judge);
    if (!judge)
        return NULL;
    judge->chaos = chaos;
    judge->search = chaos_search_new(chaos);
    judge->states = calloc(chaos->keys, sizeof *judge->states);
    judge->first = calloc((size_t)chaos->keys + 1, sizeof *judge->first);
    if (judge->search && judge->states && judge->first)
        return judge;
    chaos_judge_free(judge);
    return NULL;
}

void chaos_judge_free(struct chaos_judge *judge) {
    if (!judge)
        return;
    if (judge->search)
        chaos_search_free(judge->search);
    free(judge->states);
    free(judge->first);
    free(judge->by_start);
    free(judge->by_end);
    free(judge);
}

uint64_t chaos_judge_calls(const struct chaos_judge *judge) {
    return judge->calls;
}

uint64_t chaos_judge_undecided(const struct chaos_judge *judge) {
    return judge->undecided;
}

/* ---- Sorting ------------------------------------------------------------------------------------------------------------ */

/* Calls that failed have changed nothing, and what a crashed read saw is not known. */
static bool counts(const struct chaos *chaos, const struct chaos_op *op) {
    bool reads = op->verb == CHAOS_GET || op->verb == CHAOS_SCAN || op->verb == CHAOS_TOUCH || op->verb == CHAOS_FILL ||
                 op->verb == CHAOS_WAIT;
    if (op->flags & CHAOS_CRASHED)
        return !reads;
    return op->result >= 0 || op->result == HF_ERR_TOOBIG || (op->result == HF_ERR_FULL && !chaos->cache);
}

static void count_calls(struct chaos_judge *judge) {
    const struct chaos *chaos = judge->chaos;
    for (uint32_t key = 0; key <= chaos->keys; key++)
        judge->first[key] = 0;
    for (uint32_t i = 0; i < chaos->slot_count; i++)
        for (uint32_t n = 0; n < atomic_load(&chaos->slots[i].used); n++)
            if (counts(chaos, &chaos->slots[i].log[n]))
                judge->first[chaos->slots[i].log[n].key]++;
    uint32_t sum = 0;
    for (uint32_t key = 0; key <= chaos->keys; key++) {
        uint32_t calls = judge->first[key];
        judge->first[key] = sum;
        sum += calls;
    }
}

static bool reserve(struct chaos_judge *judge, size_t calls) {
    if (calls <= judge->room)
        return true;
    free(judge->by_start);
    free(judge->by_end);
    judge->room = calls + calls / 2;
    judge->by_start = malloc(judge->room * sizeof(struct chaos_op *));
    judge->by_end = malloc(judge->room * sizeof(struct chaos_op *));
    return judge->by_start && judge->by_end;
}

/* Moves first[key] to the end of the key's calls, which is where those of the next begin. */
static void place_calls(struct chaos_judge *judge) {
    const struct chaos *chaos = judge->chaos;
    for (uint32_t i = 0; i < chaos->slot_count; i++) {
        for (uint32_t n = 0; n < atomic_load(&chaos->slots[i].used); n++) {
            struct chaos_op *op = &chaos->slots[i].log[n];
            if (!counts(chaos, op))
                continue;
            uint32_t at = judge->first[op->key]++;
            judge->by_start[at] = op;
            judge->by_end[at] = op;
        }
    }
}

static int earlier_start(const void *a, const void *b) {
    const struct chaos_op *left = *(struct chaos_op *const *)a, *right = *(struct chaos_op *const *)b;
    return (left->invoked > right->invoked) - (left->invoked < right->invoked);
}

static int earlier_end(const void *a, const void *b) {
    const struct chaos_op *left = *(struct chaos_op *const *)a, *right = *(struct chaos_op *const *)b;
    uint64_t left_end = atomic_load(&left->returned), right_end = atomic_load(&right->returned);
    return (left_end > right_end) - (left_end < right_end);
}

/* ---- Judging ------------------------------------------------------------------------------------------------------------ */

/* The last calls of the key before the one that cannot be. */
static size_t show_calls(const struct chaos_judge *judge, char *text, size_t size, struct chaos_op **by_end, size_t count,
                         const struct chaos_op *culprit) {
    size_t at = 0, length = 0;
    while (at < count && by_end[at] != culprit)
        at++;
    for (size_t i = at > SHOWN ? at - SHOWN : 0; i <= at && i < count && length + LINE < size; i++) {
        char call[LINE];
        chaos_describe_op(judge->chaos, call, sizeof call, by_end[i]);
        length += (size_t)snprintf(text + length, size - length, "\n        %+" PRId64 " to %+" PRId64 " ns: %s",
                                   (int64_t)(by_end[i]->invoked - culprit->invoked),
                                   (int64_t)(atomic_load(&by_end[i]->returned) - culprit->invoked), call);
    }
    return length;
}

/* Did the computation of the value that was stored or read begin before the latest put or delete was called? */
static bool outdated(const struct chaos_state *state, struct chaos_op **by_end, size_t count, const struct chaos_op *culprit) {
    uint32_t id = culprit->id ? culprit->id : culprit->value.base;
    for (size_t i = 0; i < count; i++)
        if (by_end[i]->verb == CHAOS_PUBLISH && by_end[i]->id == id)
            return state->newest > by_end[i]->invoked;
    return false;
}

static void tell(const struct chaos_judge *judge, uint32_t key, const struct chaos_state *state, struct chaos_op **by_end,
                 size_t count, const struct chaos_op *culprit) {
    char before[80], call[LINE], calls[1700] = "";
    chaos_describe(before, sizeof before, key, &state->value);
    chaos_describe_op(judge->chaos, call, sizeof call, culprit);
    show_calls(judge, calls, sizeof calls, by_end, count, culprit);
    chaos_violation(judge->chaos, "key %" PRIu32 ": no order of its calls explains: %s; before it, possible was: %s, "
                    "version %s%" PRIu64 "%s; the calls, by their return:%s",
                    key, call, before, state->exact ? "" : "at least ", state->version,
                    outdated(state, by_end, count, culprit) ? ", and what was computed before that is not to come" : "", calls);
}

static bool removes(const struct chaos_op *op) {
    return (op->verb == CHAOS_DELETE || op->verb == CHAOS_TAKE || op->flags & CHAOS_NOTHING) &&
           (op->result == HF_OK || op->flags & CHAOS_CRASHED);
}

/* A scan may return a key twice only if it was removed meanwhile (guarantee H). In a cache it may have been evicted. */
static void judge_again(const struct chaos_judge *judge, struct chaos_op **ops, size_t count, const struct chaos_op *again) {
    bool removed = judge->chaos->cache;
    for (size_t i = 0; i < count && !removed; i++)
        removed = removes(ops[i]) && ops[i]->invoked <= atomic_load(&again->returned) &&
                  atomic_load(&ops[i]->returned) >= again->invoked;
    if (!removed)
        chaos_violation(judge->chaos, "scan: key %" PRIu32 " was returned twice, and nobody removed it meanwhile", again->key);
}

/* Versions do not come back: once a call has returned that knew of a newer one, who waits for that is late. */
static void judge_wait(const struct chaos_judge *judge, struct chaos_op **by_end, size_t count, const struct chaos_op *wait) {
    uint64_t seen = (uint64_t)wait->value.number, end = atomic_load(&wait->returned), known = UINT64_MAX;
    for (size_t i = 0; i < count && known == UINT64_MAX; i++)
        if (by_end[i]->version > seen)
            known = atomic_load(&by_end[i]->returned);
    if (seen == 0 || known > end)
        return;
    known = known < wait->invoked ? wait->invoked : known;
    chaos_count(&judge->chaos->sight, (end - known) / 1000);
    atomic_fetch_add(&judge->chaos->late, (end - known) / 1000000 >= CHAOS_LATE_MS);
}

static bool judge_key(struct chaos_judge *judge, uint32_t key, uint32_t from, uint32_t to) {
    struct chaos_op **by_start = judge->by_start + from, **by_end = judge->by_end + from;
    size_t count = to - from;
    const struct chaos_op *culprit = NULL;
    if (count == 0)
        return true;
    qsort(by_start, count, sizeof *by_start, earlier_start);
    qsort(by_end, count, sizeof *by_end, earlier_end);
    for (size_t i = 0; i < count; i++) {
        if (by_start[i]->flags & CHAOS_AGAIN)
            judge_again(judge, by_start, count, by_start[i]);
        if (by_start[i]->verb == CHAOS_WAIT)
            judge_wait(judge, by_end, count, by_start[i]);
    }
    struct chaos_state *state = &judge->states[key];
    enum chaos_finding finding = chaos_search_key(judge->search, by_start, by_end, count, state, &culprit);
    judge->calls += count;
    if (finding == CHAOS_IMPOSSIBLE)
        tell(judge, key, state, by_end, count, culprit);
    if (finding == CHAOS_UNDECIDED) {
        judge->undecided++;
        *state = (struct chaos_state){ .value = by_end[count - 1]->value };
    }
    return finding != CHAOS_IMPOSSIBLE;
}

/* False: out of memory. The logs are empty afterwards. */
bool chaos_judge_round(struct chaos_judge *judge) {
    struct chaos *chaos = judge->chaos;
    count_calls(judge);
    if (!reserve(judge, judge->first[chaos->keys]))
        return false;
    place_calls(judge);
    for (uint32_t key = 0; key < chaos->keys; key++)
        if (!judge_key(judge, key, key ? judge->first[key - 1] : 0, judge->first[key]))
            break;
    for (uint32_t i = 0; i < chaos->slot_count; i++)
        atomic_store(&chaos->slots[i].used, 0);
    atomic_store(&chaos->crowded, false);
    return true;
}
