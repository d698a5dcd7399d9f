/* SPDX-License-Identifier: MIT */
/*
 * What a chaos run writes: key names, and values whose bytes, length and flags all follow from (run, key, ids of the writes), so
 * that any process can say of any bytes which writes made them. Knows nothing of the store and nothing of what was returned.
 *
 * The flags of an entry are the id of the put that made it, so that values of no bytes at all are told apart, too. A tail begins
 * with the id of its append. Every eighth key is a counter: decimal text. Its increments all have one sign, and every put sets it
 * far beyond what they reach, so that no number comes back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos.h"

enum { LONG_NAME = 200, COUNTER_SHIFT = 28, TAIL_MORE = 24, COMMON_BITS = 16 };

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

/* ---- Names -------------------------------------------------------------------------------------------------------------- */

/* Most names are short; some are longer than many a value. */
size_t chaos_key_name(const struct chaos *chaos, uint32_t key, char *name) {
    int length = snprintf(name, CHAOS_KEY_SIZE, "chaos:%016" PRIx64 ":%" PRIu32, chaos->run, key);
    if (key % 37 == 36) {
        memset(name + length, '.', LONG_NAME);
        length += LONG_NAME;
        name[length] = '\0';
    }
    return (size_t)length;
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

static uint64_t source(const struct chaos *chaos, uint32_t key, uint32_t id) {
    return chaos_mix(chaos_mix(chaos->run, key), id);
}

/* ---- Counters ----------------------------------------------------------------------------------------------------------- */

int64_t chaos_increment(uint32_t key, uint32_t id) {
    int64_t by = (int64_t)(chaos_mix(key, id) % 7 + 1);
    return key & 8 ? -by : by;
}

/* What a put stores, and what an incr of an absent key counts from. */
int64_t chaos_number(uint32_t key, uint32_t id) {
    int64_t number = (int64_t)((uint64_t)id << COUNTER_SHIFT);
    return key & 8 ? -number : number;
}

static size_t print_number(int64_t number, char text[24]) {
    return (size_t)snprintf(text, 24, "%" PRId64, number);
}

static bool recognise_counter(uint32_t key, const unsigned char *bytes, size_t length, uint32_t flags,
                              struct chaos_value *value) {
    char text[24], again[24];
    if (length == 0 || length >= sizeof text)
        return false;
    memcpy(text, bytes, length);
    text[length] = '\0';
    int64_t number = strtoll(text, NULL, 10);
    *value = (struct chaos_value){ .base = flags, .last = 1, .length = (uint32_t)length, .number = number };
    uint64_t magnitude = number < 0 ? -(uint64_t)number : (uint64_t)number;
    return print_number(number, again) == length && memcmp(again, text, length) == 0 && (number < 0) == ((key & 8) != 0) &&
           (flags == 0 || magnitude >> COUNTER_SHIFT == flags);
}

/* ---- Values ------------------------------------------------------------------------------------------------------------- */

/* Up to 64 KiB every order of magnitude is as likely as any other; one in 32 is of any order the store takes, and one in 256 is
 * as large as it takes. */
uint32_t chaos_length(const struct chaos *chaos, uint32_t key, uint32_t id) {
    char text[24];
    if (chaos_is_counter(key))
        return (uint32_t)print_number(chaos_number(key, id), text);
    uint64_t h = source(chaos, key, id);
    unsigned bits = 0;
    while (chaos->max_value >> bits)
        bits++;
    if (h >> 56 == 0)
        return chaos->max_value;
    if (bits > COMMON_BITS && h >> 56 >= 8)
        bits = COMMON_BITS;
    uint64_t length = (h >> 8) % (UINT64_C(1) << (h % (bits + 1)));
    return length < chaos->max_value ? (uint32_t)length : chaos->max_value;
}

uint32_t chaos_tail_length(const struct chaos *chaos, uint32_t key, uint32_t id) {
    return (uint32_t)(source(chaos, key, id) >> 40) % TAIL_MORE + (uint32_t)sizeof id;
}

static void fill(uint64_t stream, unsigned char *bytes, size_t length) {
    for (size_t at = 0; at < length; at += sizeof stream) {
        uint64_t word = chaos_mix(stream, at);
        memcpy(bytes + at, &word, length - at < sizeof word ? length - at : sizeof word);
    }
}

/* Where bytes cease to be those of the stream; their length: nowhere. */
static size_t differ_at(uint64_t stream, const unsigned char *bytes, size_t length) {
    for (size_t at = 0; at < length; at += sizeof stream) {
        uint64_t word = chaos_mix(stream, at);
        size_t part = length - at < sizeof word ? length - at : sizeof word;
        const unsigned char *expected = (const unsigned char *)&word;
        if (memcmp(bytes + at, expected, part) == 0)
            continue;
        while (bytes[at] == *expected) {
            at++;
            expected++;
        }
        return at;
    }
    return length;
}

/* What a put stores. */
size_t chaos_bytes(const struct chaos *chaos, uint32_t key, uint32_t id, unsigned char *bytes) {
    char text[24];
    if (chaos_is_counter(key)) {
        size_t digits = print_number(chaos_number(key, id), text);
        memcpy(bytes, text, digits);
        return digits;
    }
    size_t length = chaos_length(chaos, key, id);
    fill(source(chaos, key, id), bytes, length);
    return length;
}

/* What an append appends. */
size_t chaos_tail(const struct chaos *chaos, uint32_t key, uint32_t id, unsigned char *bytes) {
    size_t length = chaos_tail_length(chaos, key, id);
    memcpy(bytes, &id, sizeof id);
    fill(~source(chaos, key, id), bytes + sizeof id, length - sizeof id);
    return length;
}

/* One tail at `at`; false: there is none. */
static bool recognise_tail(const struct chaos *chaos, uint32_t key, const unsigned char *bytes, size_t length, size_t *at,
                           struct chaos_value *value) {
    uint32_t id;
    if (length - *at < sizeof id)
        return false;
    memcpy(&id, bytes + *at, sizeof id);
    size_t tail = chaos_tail_length(chaos, key, id), body = tail - sizeof id;
    if (id == 0 || length - *at < tail)
        return false;
    size_t wrong = differ_at(~source(chaos, key, id), bytes + *at + sizeof id, body);
    *at += sizeof id + wrong;
    value->before = value->last;
    value->last = id;
    return wrong == body;
}

/* Which writes made these bytes and flags? False: none of this key; *wrong_at is where they cease to be a value. */
bool chaos_recognise(const struct chaos *chaos, uint32_t key, const unsigned char *bytes, size_t length, uint32_t flags,
                     struct chaos_value *value, size_t *wrong_at) {
    *wrong_at = 0;
    if (chaos_is_counter(key))
        return recognise_counter(key, bytes, length, flags, value);
    size_t base = flags ? chaos_length(chaos, key, flags) : 0;
    *value = (struct chaos_value){ .base = flags, .last = flags, .length = (uint32_t)length };
    size_t at = differ_at(source(chaos, key, flags), bytes, length < base ? length : base);
    bool sound = at == base && (flags != 0 || length != 0);
    while (sound && at < length)
        sound = recognise_tail(chaos, key, bytes, length, &at, value);
    *wrong_at = at;
    return sound;
}

void chaos_describe(char *text, size_t size, uint32_t key, const struct chaos_value *value) {
    if (value->last == 0)
        snprintf(text, size, "absent");
    else if (chaos_is_counter(key))
        snprintf(text, size, "%" PRId64 " of write %" PRIu32, value->number, value->base);
    else if (value->before == 0)
        snprintf(text, size, "write %" PRIu32 " (%" PRIu32 " bytes)", value->last, value->length);
    else
        snprintf(text, size, "write %" PRIu32 " after %" PRIu32 " (%" PRIu32 " bytes)", value->last, value->before,
                 value->length);
}
