/* SPDX-License-Identifier: MIT */
/*
 * What each call does to a key and what it must return: the store as a variable. A pure function of one call and one state; knows
 * no other calls, and of time only when a call was made.
 *
 * Versions grow with every new value of a key, also after it was absent. What a cache evicts, chaos_evict takes away between two
 * calls.
 *
 * A computed value is older than what was changed while it was computed: it is not stored once a put or delete has taken effect
 * that was called after the computation began. That is so also of a delete that finds nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chaos.h"

static bool there(const struct chaos_state *state) {
    return state->value.last != 0;
}

static bool same(const struct chaos_value *a, const struct chaos_value *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* An entry of this version was seen; false: the value there must have another one. */
static bool learn(struct chaos_state *state, uint64_t version) {
    if (version == 0)
        return true;
    if (state->exact ? version != state->version : version < state->version)
        return false;
    state->version = version;
    state->exact = 1;
    return true;
}

/* A put or delete takes effect: what began to be computed before it was called is out of date. */
static enum chaos_effect overtake(const struct chaos_op *op, struct chaos_state *state) {
    if (state->newest >= op->invoked)
        return CHAOS_SEES;
    state->newest = op->invoked;
    return CHAOS_CHANGES;
}

static enum chaos_effect make(const struct chaos_op *op, struct chaos_state *state, struct chaos_value value, uint64_t version) {
    if (version != 0 && version <= state->version)
        return CHAOS_ILLEGAL;
    overtake(op, state);
    state->version = version ? version : state->version + 1;
    state->exact = version != 0;
    state->value = value;
    return CHAOS_CHANGES;
}

static enum chaos_effect unmake(struct chaos_state *state) {
    state->value = (struct chaos_value){ .last = 0 };
    state->exact = 0;
    return CHAOS_CHANGES;
}

static enum chaos_effect sees(bool legal) {
    return legal ? CHAOS_SEES : CHAOS_ILLEGAL;
}

/* ---- What the calls that change a key need ------------------------------------------------------------------------------ */

static enum chaos_effect put(const struct chaos *chaos, const struct chaos_op *op, struct chaos_state *state) {
    struct chaos_value made = { .base = op->id, .last = op->id, .length = chaos_length(chaos, op->key, op->id) };
    if (chaos_is_counter(op->key)) {
        made.last = 1;
        made.number = chaos_number(op->key, op->id);
    }
    if ((op->verb == CHAOS_ADD && there(state)) || (op->verb == CHAOS_REPLACE && !there(state)) ||
        (op->verb == CHAOS_CAS && !(there(state) && same(&state->value, &op->value))))
        return CHAOS_ILLEGAL;
    return make(op, state, made, op->version);
}

static enum chaos_effect publish(const struct chaos *chaos, const struct chaos_op *op, struct chaos_state *state) {
    if (state->newest > op->invoked)
        return CHAOS_ILLEGAL;
    if (!(op->flags & CHAOS_NOTHING))
        return put(chaos, op, state);
    enum chaos_effect effect = make(op, state, (struct chaos_value){ .last = 0 }, op->version);
    state->exact = 0;
    return effect;
}

static enum chaos_effect remove_key(const struct chaos_op *op, struct chaos_state *state) {
    bool told = op->verb == CHAOS_TAKE ? !(op->flags & CHAOS_CRASHED) : op->value.last != 0;
    if (!there(state) || (told && !same(&state->value, &op->value)) || !learn(state, op->version))
        return CHAOS_ILLEGAL;
    overtake(op, state);
    return unmake(state);
}

static enum chaos_effect increment(const struct chaos_op *op, struct chaos_state *state) {
    char text[24];
    struct chaos_value made = { .base = state->value.base, .last = 1, .number = state->value.number };
    if (!there(state) && op->flags & CHAOS_IF_PRESENT)
        return CHAOS_ILLEGAL;
    if (!there(state))
        made.number = chaos_number(op->key, op->id);
    made.number += chaos_increment(op->key, op->id);
    made.length = (uint32_t)snprintf(text, sizeof text, "%" PRId64, made.number);
    if (!(op->flags & CHAOS_CRASHED) && made.number != op->value.number)
        return CHAOS_ILLEGAL;
    return make(op, state, made, 0);
}

static enum chaos_effect append(const struct chaos *chaos, const struct chaos_op *op, struct chaos_state *state) {
    struct chaos_value made = { .base = state->value.base, .last = op->id, .before = state->value.last };
    made.length = state->value.length + chaos_tail_length(chaos, op->key, op->id);
    if (made.length > chaos->max_value || (!(op->flags & CHAOS_CRASHED) && made.length != op->value.length))
        return CHAOS_ILLEGAL;
    return make(op, state, made, 0);
}

/* ---- Results ------------------------------------------------------------------------------------------------------------ */

/* Tells a version and no value: if that of the value there is not known, it may be it or that of the next, and what is known
 * afterwards depends on when it took effect. */
static enum chaos_effect waited(const struct chaos_op *op, struct chaos_state *state) {
    return there(state) == (op->version != 0) && learn(state, op->version) ? CHAOS_CHANGES : CHAOS_ILLEGAL;
}

/* A full store need not take what is larger than before; a value can outgrow what any store takes. */
static bool may_refuse(const struct chaos *chaos, const struct chaos_op *op, const struct chaos_state *state) {
    uint32_t tail = op->verb == CHAOS_APPEND ? chaos_tail_length(chaos, op->key, op->id) : 0;
    if (op->result == HF_ERR_TOOBIG)
        return tail != 0 && state->value.length + tail > chaos->max_value;
    return chaos->cache || chaos_is_counter(op->key) || op->verb == CHAOS_PUBLISH || tail != 0 || !there(state) ||
           state->value.length < chaos_length(chaos, op->key, op->id);
}

/* Does this call make a key that is absent? */
static bool makes(const struct chaos_op *op) {
    return op->verb == CHAOS_PUT || op->verb == CHAOS_ADD || op->verb == CHAOS_APPEND || op->verb == CHAOS_PUBLISH ||
           (op->verb == CHAOS_INCR && !(op->flags & CHAOS_IF_PRESENT));
}

static enum chaos_effect answered(const struct chaos *chaos, const struct chaos_op *op, struct chaos_state *state) {
    switch (op->result) {
    case HF_NOTFOUND:
        if (there(state) || makes(op))
            return CHAOS_ILLEGAL;
        return op->verb == CHAOS_DELETE ? overtake(op, state) : CHAOS_SEES;
    case HF_EXISTS: return sees((op->verb == CHAOS_ADD || op->verb == CHAOS_FILL) && there(state));
    case HF_CHANGED:
        return sees(op->verb == CHAOS_PUBLISH || (op->value.last != 0 && there(state) && !same(&state->value, &op->value)));
    case HF_UNCHANGED: return op->verb == CHAOS_WAIT ? waited(op, state) : CHAOS_ILLEGAL;
    case HF_ERR_FULL:
    case HF_ERR_TOOBIG: return sees(may_refuse(chaos, op, state));
    default: return CHAOS_ILLEGAL;
    }
}

bool chaos_evict(struct chaos_state *state) {
    return there(state) && unmake(state) == CHAOS_CHANGES;
}

/* What this call does to a key in this state, if its result is possible there. A call that crashed is asked for what it would
 * have done. */
enum chaos_effect chaos_apply(const struct chaos *chaos, const struct chaos_op *op, struct chaos_state *state) {
    if (!(op->flags & CHAOS_CRASHED) && op->result != HF_OK)
        return answered(chaos, op, state);
    switch ((enum chaos_verb)op->verb) {
    case CHAOS_GET:
    case CHAOS_FILL:
    case CHAOS_SCAN: return sees(there(state) && same(&state->value, &op->value) && learn(state, op->version));
    case CHAOS_TOUCH: return sees(there(state));
    case CHAOS_PUT:
    case CHAOS_ADD:
    case CHAOS_REPLACE:
    case CHAOS_CAS: return put(chaos, op, state);
    case CHAOS_DELETE:
    case CHAOS_TAKE: return remove_key(op, state);
    case CHAOS_INCR: return increment(op, state);
    case CHAOS_APPEND: return append(chaos, op, state);
    case CHAOS_PUBLISH: return publish(chaos, op, state);
    case CHAOS_WAIT: return waited(op, state);
    case CHAOS_VERB_COUNT: break;
    }
    return CHAOS_ILLEGAL;
}

const char *chaos_verb_name(unsigned verb) {
    static const char *const names[] = { CHAOS_VERBS(CHAOS_NAMED_TEXT) };
    return verb < CHAOS_VERB_COUNT ? names[verb] : "unknown";
}

void chaos_describe_op(const struct chaos *chaos, char *text, size_t size, const struct chaos_op *op) {
    char value[80];
    chaos_describe(value, sizeof value, op->key, &op->value);
    int length = snprintf(text, size, "%s by process %" PRIu32, chaos_verb_name(op->verb), op->process);
    if (op->flags & CHAOS_NOTHING)
        length += snprintf(text + length, size - (size_t)length, ", write %" PRIu32 " (that there is nothing)", op->id);
    else if (op->id != 0)
        length += snprintf(text + length, size - (size_t)length, ", write %" PRIu32 " (%" PRIu32 " bytes)", op->id,
                           op->verb == CHAOS_APPEND ? chaos_tail_length(chaos, op->key, op->id)
                                                    : chaos_length(chaos, op->key, op->id));
    if (op->verb == CHAOS_WAIT)
        length += snprintf(text + length, size - (size_t)length, ", until not version %" PRId64 ", version %" PRIu64,
                           op->value.number, op->version);
    else if (op->value.last != 0 || op->verb == CHAOS_GET || op->verb == CHAOS_SCAN)
        length += snprintf(text + length, size - (size_t)length, ", of %s, version %" PRIu64, value, op->version);
    snprintf(text + length, size - (size_t)length, ": %s",
             op->flags & CHAOS_CRASHED ? "crashed" : hf_result_name(op->result));
}
