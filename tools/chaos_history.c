/* SPDX-License-Identifier: MIT */
/*
 * The calls of a round as JSON Lines, for checkers that do not trust this one. Every call is written, also those that the judge
 * passes over. The man page tells what the fields mean. Names of keys, verbs and results need no escapes.
 */
#include <inttypes.h>

#include "chaos.h"

static void write_value(FILE *file, const char *name, uint32_t key, const struct chaos_value *value) {
    if (chaos_is_counter(key))
        fprintf(file, "\"%s\":{\"write\":%" PRIu32 ",\"number\":%" PRId64 "}", name, value->base, value->number);
    else
        fprintf(file, "\"%s\":{\"write\":%" PRIu32 ",\"after\":%" PRIu32 ",\"length\":%" PRIu32 "}", name, value->last,
                value->before, value->length);
}

static void write_argument(FILE *file, const struct chaos *chaos, const struct chaos_op *op) {
    bool counter = chaos_is_counter(op->key);
    const char *comma = "";
    fputs("\"argument\":{", file);
    if (op->id != 0) {
        fprintf(file, "\"write\":%" PRIu32, op->id);
        comma = ",";
    }
    if (op->flags & CHAOS_NOTHING)
        fputs(",\"absent\":true", file);
    else if (op->verb == CHAOS_WAIT)
        fprintf(file, "\"seen\":%" PRId64, op->value.number);
    else if (op->verb == CHAOS_INCR)
        fprintf(file, ",\"by\":%" PRId64 ",\"initial\":%" PRId64 ",\"if_present\":%s", chaos_increment(op->key, op->id),
                chaos_number(op->key, op->id), op->flags & CHAOS_IF_PRESENT ? "true" : "false");
    else if (op->id != 0 && counter)
        fprintf(file, ",\"number\":%" PRId64, chaos_number(op->key, op->id));
    else if (op->id != 0)
        fprintf(file, ",\"length\":%" PRIu32, op->verb == CHAOS_APPEND ? chaos_tail_length(chaos, op->key, op->id)
                                                                       : chaos_length(chaos, op->key, op->id));
    if ((op->verb == CHAOS_CAS || op->verb == CHAOS_DELETE) && op->value.last != 0) {
        fputs(comma, file);
        write_value(file, "expected", op->key, &op->value);
    }
    fputs("}", file);
}

static void write_result(FILE *file, const struct chaos_op *op) {
    bool read = op->verb == CHAOS_GET || op->verb == CHAOS_SCAN || op->verb == CHAOS_TAKE || op->verb == CHAOS_FILL;
    fprintf(file, ",\"result\":{\"code\":\"%s\"", hf_result_name(op->result));
    if (op->result == HF_OK && read) {
        fputs(",", file);
        write_value(file, "value", op->key, &op->value);
    }
    if (op->result == HF_OK && op->verb == CHAOS_INCR)
        fprintf(file, ",\"number\":%" PRId64, op->value.number);
    if (op->result == HF_OK && op->verb == CHAOS_APPEND)
        fprintf(file, ",\"length\":%" PRIu32, op->value.length);
    if (op->result >= 0 && (op->version != 0 || op->verb == CHAOS_WAIT))
        fprintf(file, ",\"version\":%" PRIu64, op->version);
    fputs("}", file);
}

static void write_call(FILE *file, const struct chaos *chaos, const struct chaos_op *op, uint32_t thread) {
    char name[CHAOS_KEY_SIZE];
    bool crashed = op->flags & CHAOS_CRASHED;
    chaos_key_name(chaos, op->key, name);
    fprintf(file, "{\"key\":\"%s\",\"operation\":\"%s\",", name, chaos_verb_name(op->verb));
    write_argument(file, chaos, op);
    if (!crashed)
        write_result(file, op);
    fprintf(file, ",\"invoked_ns\":%" PRIu64 ",\"returned_ns\":%" PRIu64 ",\"process\":%" PRIu32 ",\"thread\":%" PRIu32
            ",\"crashed\":%s}\n",
            op->invoked, (uint64_t)atomic_load(&op->returned), op->process, thread, crashed ? "true" : "false");
}

/* False: the file could not be written. */
bool chaos_history_write(FILE *file, const struct chaos *chaos, uint64_t round) {
    if (round == 1)
        fprintf(file, "{\"holdfast_history\":1,\"mode\":\"%s\",\"keys\":%" PRIu32 ",\"max_value\":%" PRIu32 ",\"seed\":%" PRIu64
                "}\n", chaos->cache ? "cache" : "store", chaos->keys, chaos->max_value, chaos->seed);
    for (uint32_t i = 0; i < chaos->slot_count; i++)
        for (uint32_t n = 0; n < atomic_load(&chaos->slots[i].used); n++)
            write_call(file, chaos, &chaos->slots[i].log[n], i);
    fprintf(file, "{\"round\":%" PRIu64 "}\n", round);
    return fflush(file) == 0 && !ferror(file);
}
