/* SPDX-License-Identifier: MIT */
/*
 * The judge of `holdfast chaos`, judged: small random histories of one key, made by a variable that behaves or lies, are put to
 * the search and to brute force, which tries every order there is. They must agree on every one, and both verdicts must occur.
 *
 *     judge [--histories N] [--seed N]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos.h"

enum { CALLS = 6, REGISTER = 1, COUNTER = 8, SPAN = 24 };

static struct chaos chaos = { .run = 99, .max_value = 64, .keys = 16 };
static uint64_t random_state = 1;

/* ---- Brute force -------------------------------------------------------------------------------------------------------- */

/* May `next` come first of those that are left? Only if none of them ended before it began. */
static bool may_be_first(struct chaos_op *ops, size_t count, unsigned left, size_t next) {
    for (size_t i = 0; i < count; i++)
        if (left & 1u << i && atomic_load(&ops[i].returned) < ops[next].invoked)
            return false;
    return true;
}

static bool is_read(const struct chaos_op *op) {
    return op->verb == CHAOS_GET || op->verb == CHAOS_TOUCH || op->verb == CHAOS_FILL || op->verb == CHAOS_WAIT;
}

/* Has this call, as it takes effect, put or deleted the key? */
static bool writes(const struct chaos_op *op) {
    return !is_read(op) &&
           (op->flags & CHAOS_CRASHED || op->result == HF_OK || (op->verb == CHAOS_DELETE && op->result == HF_NOTFOUND));
}

/* `newest` is when of the puts and deletes that came first the latest was called: what began to be computed before that may not
 * come now. */
static bool explained(struct chaos_op *ops, size_t count, unsigned left, struct chaos_state state, uint64_t newest) {
    struct chaos_state evicted = state;
    if (left == 0)
        return true;
    for (size_t i = 0; i < count; i++) {
        struct chaos_state after = state;
        if (!(left & 1u << i) || !may_be_first(ops, count, left, i))
            continue;
        bool overtaken = ops[i].verb == CHAOS_PUBLISH && writes(&ops[i]) && newest > ops[i].invoked;
        uint64_t later = writes(&ops[i]) && ops[i].invoked > newest ? ops[i].invoked : newest;
        if (!overtaken && chaos_apply(&chaos, &ops[i], &after) != CHAOS_ILLEGAL &&
            explained(ops, count, left & ~(1u << i), after, later))
            return true;
        if (ops[i].flags & CHAOS_CRASHED && explained(ops, count, left & ~(1u << i), state, newest))
            return true;
    }
    return chaos.cache && chaos_evict(&evicted) && explained(ops, count, left, evicted, newest);
}

/* ---- Histories ---------------------------------------------------------------------------------------------------------- */

static uint64_t below(uint64_t bound) {
    return chaos_below(&random_state, bound);
}

static bool makes(enum chaos_verb verb) {
    return verb != CHAOS_GET && verb != CHAOS_DELETE && verb != CHAOS_TAKE && verb != CHAOS_TOUCH && verb != CHAOS_FILL &&
           verb != CHAOS_WAIT;
}

/* What the call tells: of a value that is read, or waited for, its version; of one that is made, a new one; or none. */
static uint64_t version_told(const struct chaos_op *op, const struct chaos_state *state) {
    if (op->verb == CHAOS_WAIT)
        return state->value.last ? state->version : 0;
    if (!makes(op->verb))
        return op->verb != CHAOS_TOUCH && op->verb != CHAOS_DELETE && state->exact ? state->version : 0;
    return op->verb != CHAOS_INCR && op->verb != CHAOS_APPEND && op->id % 2 == 0 ? state->version + 1 : 0;
}

/* What the call returns if it takes effect now. */
static void perform(struct chaos_op *op, struct chaos_state *state) {
    static const int8_t answers[] = { HF_OK, HF_NOTFOUND, HF_EXISTS, HF_CHANGED, HF_UNCHANGED };
    struct chaos_value asked = op->value;
    for (size_t i = 0; i < sizeof answers; i++) {
        struct chaos_state after = *state;
        bool reads = op->verb == CHAOS_GET || op->verb == CHAOS_TAKE || op->verb == CHAOS_FILL;
        op->result = answers[i];
        op->value = reads ? state->value : asked;
        op->version = version_told(op, state);
        if (op->verb == CHAOS_INCR)
            op->value.number = (state->value.last ? state->value.number : chaos_number(op->key, op->id)) +
                               chaos_increment(op->key, op->id);
        if (op->verb == CHAOS_APPEND)
            op->value.length = state->value.length + chaos_tail_length(&chaos, op->key, op->id);
        if (chaos_apply(&chaos, op, &after) == CHAOS_ILLEGAL)
            continue;
        *state = after;
        return;
    }
    op->result = HF_ERR_TOOBIG;
}

/* One call takes effect at `moment`; its interval lies around that, unless it lies. */
static void make_call(struct chaos_op *op, uint32_t key, uint32_t id, uint64_t moment, struct chaos_state *state) {
    static const enum chaos_verb verbs[] = { CHAOS_GET, CHAOS_GET, CHAOS_PUT, CHAOS_ADD, CHAOS_REPLACE, CHAOS_CAS, CHAOS_DELETE,
                                             CHAOS_TAKE, CHAOS_TOUCH, CHAOS_APPEND, CHAOS_FILL, CHAOS_PUBLISH, CHAOS_PUBLISH,
                                             CHAOS_WAIT };
    enum chaos_verb verb = verbs[below(sizeof verbs / sizeof *verbs)];
    *op = (struct chaos_op){ .key = key, .verb = (uint8_t)(verb == CHAOS_APPEND && key == COUNTER ? CHAOS_INCR : verb) };
    op->id = makes(verb) ? id : 0;
    if (verb == CHAOS_CAS)
        op->value = state->value.last ? state->value : (struct chaos_value){ .base = 9, .last = 9, .length = 3 };
    if (verb == CHAOS_PUBLISH && below(3) == 0)
        op->flags = CHAOS_NOTHING;
    op->invoked = moment - below(moment < SPAN ? moment : SPAN);
    struct chaos_state before = *state;
    perform(op, state);
    bool crashed = below(5) == 0, lost = crashed && below(2) == 0;
    if (crashed) {
        op->flags |= CHAOS_CRASHED;
        op->version = 0;
    }
    if (lost)
        *state = before;
    atomic_store(&op->returned, moment + 1 + below(SPAN));
}

/* A history that is true, or in which one call's moment was moved. */
static size_t make_history(struct chaos_op *ops, uint32_t key) {
    struct chaos_state state = { .version = 0 };
    size_t count = 0;
    for (uint32_t i = 0; i < CALLS; i++) {
        make_call(&ops[count], key, i + 1, 10 * (i + 1), &state);
        if (!(ops[count].flags & CHAOS_CRASHED && is_read(&ops[count])))
            count++;
    }
    if (count != 0 && below(2) == 0) {
        struct chaos_op *moved = &ops[below(count)];
        uint64_t length = atomic_load(&moved->returned) - moved->invoked;
        moved->invoked = 1 + below(10 * CALLS);
        atomic_store(&moved->returned, moved->invoked + length);
    }
    return count;
}

/* ---- Comparison --------------------------------------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b) {
    uint64_t left = (*(struct chaos_op *const *)a)->invoked, right = (*(struct chaos_op *const *)b)->invoked;
    return (left > right) - (left < right);
}

static int by_end(const void *a, const void *b) {
    uint64_t left = atomic_load(&(*(struct chaos_op *const *)a)->returned);
    uint64_t right = atomic_load(&(*(struct chaos_op *const *)b)->returned);
    return (left > right) - (left < right);
}

static bool found(struct chaos_search *search, struct chaos_op *ops, size_t count) {
    struct chaos_op *starts[CALLS], *ends[CALLS];
    struct chaos_state state = { .version = 0 };
    const struct chaos_op *culprit;
    for (size_t i = 0; i < count; i++)
        starts[i] = ends[i] = &ops[i];
    qsort(starts, count, sizeof *starts, by_start);
    qsort(ends, count, sizeof *ends, by_end);
    return chaos_search_key(search, starts, ends, count, &state, &culprit) == CHAOS_EXPLAINED;
}

static void show(struct chaos_op *ops, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char text[200];
        chaos_describe_op(&chaos, text, sizeof text, &ops[i]);
        fprintf(stderr, "  %" PRIu64 " to %" PRIu64 ": %s\n", ops[i].invoked, (uint64_t)atomic_load(&ops[i].returned), text);
    }
}

int main(int argc, char **argv) {
    uint64_t histories = 100000, verdicts[2] = { 0, 0 };
    for (int i = 1; i + 1 < argc; i += 2)
        *(strcmp(argv[i], "--seed") == 0 ? &random_state : &histories) = strtoull(argv[i + 1], NULL, 10);
    printf("seed %" PRIu64 "\n", random_state);
    struct chaos_search *search = chaos_search_new(&chaos);
    if (!search)
        return 3;
    for (uint64_t i = 0; i < histories; i++) {
        struct chaos_op ops[CALLS];
        struct chaos_state state = { .version = 0 };
        chaos.cache = i % 4 == 3;
        size_t count = make_history(ops, i % 3 == 0 ? COUNTER : REGISTER);
        bool expected = explained(ops, count, (1u << count) - 1, state, 0);
        verdicts[expected]++;
        if (count == 0 || found(search, ops, count) == expected)
            continue;
        fprintf(stderr, "history %" PRIu64 " (%s mode): the search says %s, brute force says %s\n", i,
                chaos.cache ? "cache" : "store", expected ? "impossible" : "explained", expected ? "explained" : "impossible");
        show(ops, count);
        return 1;
    }
    chaos_search_free(search);
    printf("%" PRIu64 " histories: %" PRIu64 " explained, %" PRIu64 " impossible\n", histories, verdicts[1], verdicts[0]);
    return verdicts[0] > histories / 100 && verdicts[1] > histories / 100 ? 0 : 1;
}
