/* SPDX-License-Identifier: MIT */
/*
 * What a chaos run writes: key names, and values whose bytes, length and flags all follow from (run, key, state), so that any
 * process can say of any bytes which write made them. Knows nothing of the store and nothing of what was acknowledged.
 *
 * A value is a base and, after appends, tails of equal length. A base of 8 bytes or more begins with its key and sequence, so a
 * stale or foreign value is named as such; shorter ones are compared with every state that was possible during the read.
 * Every eighth key is a counter: decimal text, out of whose number key, sequence and steps can be read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos.h"

enum { STEPS_MAX = 255, COUNTER_STEPS_MAX = 4000, COUNTER_MIDDLE = 1 << 15, HEADER = 8, LONG_NAME = 200 };

uint64_t chaos_mix(uint64_t a, uint64_t b) {
    uint64_t x = a + UINT64_C(0x9e3779b97f4a7c15) * (b + 1);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t chaos_random(uint64_t *state) {
    return chaos_mix(*state += UINT64_C(0x9e3779b97f4a7c15), 0);
}

uint64_t chaos_below(uint64_t *state, uint64_t bound) {
    return chaos_random(state) % bound;
}

bool chaos_is_counter(uint32_t key) {
    return key % 8 == 0;
}

/* Most names are short; some are longer than many a value. */
size_t chaos_key_name(const struct chaos *chaos, uint32_t key, char *name) {
    int length = snprintf(name, CHAOS_KEY_SIZE, "chaos:%016" PRIx64 ":%" PRIu32, chaos->run, key);
    if (key % 37 == 36) {
        memset(name + length, '.', LONG_NAME);
        length += LONG_NAME;
    }
    return (size_t)length;
}

size_t chaos_shared_name(const struct chaos *chaos, unsigned counter, char *name) {
    return (size_t)snprintf(name, CHAOS_KEY_SIZE, "chaos:%016" PRIx64 ":shared:%u", chaos->run, counter);
}

/* Is this the name of one of the run's keys, and of which? */
bool chaos_key_index(const struct chaos *chaos, const void *name, size_t length, uint32_t *key) {
    char copy[CHAOS_KEY_SIZE], expected[CHAOS_KEY_SIZE];
    if (length >= sizeof copy)
        return false;
    memcpy(copy, name, length);
    copy[length] = '\0';
    const char *colon = strrchr(copy, ':');
    if (!colon)
        return false;
    unsigned long index = strtoul(colon + 1, NULL, 10);
    if (index >= chaos->keys || chaos_key_name(chaos, (uint32_t)index, expected) != length)
        return false;
    *key = (uint32_t)index;
    return memcmp(expected, copy, length) == 0;
}

chaos_state chaos_make(uint64_t sequence, unsigned steps, enum chaos_kind kind) {
    return sequence << 24 | (uint64_t)steps << 8 | (uint64_t)kind;
}

uint64_t chaos_sequence(chaos_state state) {
    return state >> 24;
}

unsigned chaos_steps(chaos_state state) {
    return (unsigned)(state >> 8 & 0xffff);
}

enum chaos_kind chaos_kind_of(chaos_state state) {
    return (enum chaos_kind)(state & 0xff);
}

static uint64_t source(const struct chaos *chaos, uint32_t key, uint64_t sequence) {
    return chaos_mix(chaos_mix(chaos->run, key), sequence);
}

uint32_t chaos_flags(const struct chaos *chaos, uint32_t key, chaos_state state) {
    return chaos_kind_of(state) == CHAOS_BY_PUT ? (uint32_t)(source(chaos, key, chaos_sequence(state)) >> 32) | 1 : 0;
}

/* ---- Counters ------------------------------------------------------------------------------------------------------------ */

int64_t chaos_increment(uint32_t key, chaos_state state) {
    uint64_t h = chaos_mix(key, chaos_sequence(state));
    int64_t by = (int64_t)(h % 7 + 1);
    return h & 256 ? -by : by;
}

int64_t chaos_number(uint32_t key, chaos_state state) {
    int64_t number = (int64_t)((chaos_sequence(state) << 12 | (key & 4095)) << 16) + COUNTER_MIDDLE;
    if (key & 8)
        number = -number;
    return number + (int64_t)chaos_steps(state) * chaos_increment(key, state);
}

static bool recognise_counter(const struct chaos_view *view, const unsigned char *bytes, size_t length, chaos_state *state) {
    char text[24], again[24];
    if (length == 0 || length >= sizeof text)
        return false;
    memcpy(text, bytes, length);
    text[length] = '\0';
    int64_t number = strtoll(text, NULL, 10);
    uint64_t magnitude = number < 0 ? -(uint64_t)number : (uint64_t)number;
    *state = chaos_make(magnitude >> 28, 0, CHAOS_BY_PUT);
    int64_t moved = number - chaos_number(view->key, *state);
    int64_t by = chaos_increment(view->key, *state);
    if (moved % by != 0 || moved / by < 0 || moved / by > COUNTER_STEPS_MAX)
        return false;
    *state = chaos_make(magnitude >> 28, (unsigned)(moved / by), CHAOS_BY_PUT);
    return snprintf(again, sizeof again, "%" PRId64, number) == (int)length && memcmp(again, text, length) == 0;
}

/* ---- Values -------------------------------------------------------------------------------------------------------------- */

/* Every order of magnitude is as likely as any other; one in 256 is as large as the store takes. */
static size_t base_length(const struct chaos *chaos, uint32_t key, uint64_t sequence) {
    uint64_t h = source(chaos, key, sequence);
    unsigned bits = 0;
    while (chaos->max_value >> bits)
        bits++;
    if (h >> 56 == 0)
        return chaos->max_value;
    size_t length = (size_t)((h >> 8) % (UINT64_C(1) << (h % (bits + 1))));
    return length < chaos->max_value ? length : chaos->max_value;
}

static size_t tail_length(const struct chaos *chaos, uint32_t key, uint64_t sequence) {
    return (size_t)(source(chaos, key, sequence) >> 40) % 24 + 1;
}

static void fill(uint64_t stream, unsigned char *bytes, size_t length) {
    for (size_t at = 0; at < length; at += sizeof stream) {
        uint64_t word = chaos_mix(stream, at);
        memcpy(bytes + at, &word, length - at < sizeof word ? length - at : sizeof word);
    }
}

static void fill_base(const struct chaos *chaos, uint32_t key, uint64_t sequence, unsigned char *bytes, size_t length) {
    fill(source(chaos, key, sequence), bytes, length);
    if (length >= HEADER) {
        uint64_t header = sequence << 32 | key;
        memcpy(bytes, &header, HEADER);
    }
}

size_t chaos_length(const struct chaos *chaos, uint32_t key, chaos_state state) {
    if (chaos_kind_of(state) == CHAOS_ABSENT)
        return 0;
    if (chaos_is_counter(key))
        return (size_t)snprintf(NULL, 0, "%" PRId64, chaos_number(key, state));
    uint64_t sequence = chaos_sequence(state);
    return base_length(chaos, key, sequence) + chaos_steps(state) * tail_length(chaos, key, sequence);
}

/* The newest tail of a state: what the append that made it appended. */
size_t chaos_tail(const struct chaos *chaos, uint32_t key, chaos_state state, unsigned char *bytes) {
    uint64_t sequence = chaos_sequence(state);
    size_t length = tail_length(chaos, key, sequence);
    fill(source(chaos, key, sequence) + chaos_steps(state), bytes, length);
    return length;
}

/* The whole value of a state. */
size_t chaos_bytes(const struct chaos *chaos, uint32_t key, chaos_state state, unsigned char *bytes) {
    size_t length = chaos_length(chaos, key, state);
    if (chaos_is_counter(key)) {
        char text[24];
        snprintf(text, sizeof text, "%" PRId64, chaos_number(key, state));
        memcpy(bytes, text, length);
        return length;
    }
    uint64_t sequence = chaos_sequence(state);
    size_t at = base_length(chaos, key, sequence);
    fill_base(chaos, key, sequence, bytes, at);
    for (unsigned step = 1; step <= chaos_steps(state); step++)
        at += chaos_tail(chaos, key, chaos_make(sequence, step, CHAOS_BY_PUT), bytes + at);
    return length;
}

/* Are these bytes the value of this sequence, after however many appends? */
static bool same(const struct chaos *chaos, uint32_t key, uint64_t sequence, const unsigned char *bytes, size_t length,
                 unsigned char *scratch, chaos_state *state) {
    size_t base = base_length(chaos, key, sequence), tail = tail_length(chaos, key, sequence);
    if (length < base || (length - base) % tail != 0 || (length - base) / tail > STEPS_MAX)
        return false;
    *state = chaos_make(sequence, (unsigned)((length - base) / tail), CHAOS_BY_PUT);
    return chaos_bytes(chaos, key, *state, scratch) == length && memcmp(bytes, scratch, length) == 0;
}

/* The flags say how a value was made, and must be those of its sequence. */
static bool with_flags(const struct chaos *chaos, uint32_t key, uint32_t flags, chaos_state *state) {
    if (flags == 0)
        *state = chaos_make(chaos_sequence(*state), chaos_steps(*state), CHAOS_BY_CHANGE);
    return flags == chaos_flags(chaos, key, *state);
}

/* Two states of one sequence were made alike; an absent one has no value. */
static bool agrees(chaos_state found, chaos_state bound) {
    return chaos_sequence(found) != chaos_sequence(bound) || chaos_kind_of(found) == chaos_kind_of(bound);
}

bool chaos_not_before(const struct chaos_view *view) {
    return view->found >= view->low && agrees(view->found, view->low);
}

bool chaos_not_after(const struct chaos_view *view) {
    return view->found <= view->high && agrees(view->found, view->high);
}

/* A value of a few bytes may be that of several writes: one that was possible, if any. */
static bool recognise_short(const struct chaos *chaos, struct chaos_view *view, const unsigned char *bytes, size_t length,
                            uint32_t flags, unsigned char *scratch) {
    bool any = false;
    for (uint64_t sequence = chaos_sequence(view->low); sequence <= chaos_sequence(view->high); sequence++) {
        if (base_length(chaos, view->key, sequence) >= HEADER ||
            !same(chaos, view->key, sequence, bytes, length, scratch, &view->found) ||
            !with_flags(chaos, view->key, flags, &view->found))
            continue;
        any = true;
        if (chaos_not_before(view) && chaos_not_after(view))
            break;
    }
    return any;
}

/* Sets view->found to the state that these bytes and flags are; false: no write of this key made them. */
bool chaos_recognise(const struct chaos *chaos, struct chaos_view *view, const unsigned char *bytes, size_t length,
                     uint32_t flags, unsigned char *scratch) {
    if (chaos_is_counter(view->key))
        return recognise_counter(view, bytes, length, &view->found) && with_flags(chaos, view->key, flags, &view->found);
    uint64_t header = 0;
    if (length >= HEADER)
        memcpy(&header, bytes, HEADER);
    if (length < HEADER || (uint32_t)header != view->key || base_length(chaos, view->key, header >> 32) < HEADER)
        return recognise_short(chaos, view, bytes, length, flags, scratch);
    return same(chaos, view->key, header >> 32, bytes, length, scratch, &view->found) &&
           with_flags(chaos, view->key, flags, &view->found);
}

/* Where bytes that begin as a value of this key cease to be it; their length if the length itself is wrong. */
size_t chaos_wrong_at(const struct chaos *chaos, uint32_t key, const unsigned char *bytes, size_t length,
                      unsigned char *scratch) {
    chaos_state state;
    uint64_t header = 0;
    memcpy(&header, bytes, length < HEADER ? length : HEADER);
    if (length < HEADER || (uint32_t)header != key || same(chaos, key, header >> 32, bytes, length, scratch, &state))
        return 0;
    size_t base = base_length(chaos, key, header >> 32), at = 0;
    if (length < base || (length - base) % tail_length(chaos, key, header >> 32) != 0)
        return length;
    while (at < length && bytes[at] == scratch[at])
        at++;
    return at;
}

void chaos_describe(char *text, size_t size, uint32_t key, chaos_state state) {
    if (chaos_kind_of(state) == CHAOS_ABSENT)
        snprintf(text, size, "absent (write %" PRIu64 ")", chaos_sequence(state));
    else
        snprintf(text, size, "write %" PRIu64 " with %u %s", chaos_sequence(state), chaos_steps(state),
                 chaos_is_counter(key) ? "increments" : "appends");
}
