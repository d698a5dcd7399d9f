/* SPDX-License-Identifier: MIT */
/*
 * A reader stopped at every instruction of a get, while a writer does the worst that can happen at that moment: the windows that
 * a stress hits once in a million, each of them every time.
 *
 *   reuse  The key's blocks are freed, hold another key's entry, are free again and are just being written with the key's own
 *          next value: the new stamp stands in them, the other key's bytes too. Then the same slot word is published once more.
 *          A reader that does not load the slot again after the stamp takes the other key's bytes for this entry.
 *   move   The entry moves away, its blocks are used by another key, and it moves back: the slot word is the old one. A copy that
 *          keeps the stamp of its source is indistinguishable from what the reader began with.
 *
 * Whatever the moment: the key is there all the time, so it must be found, whole. Knows the library inside.
 */
#include "internal.h"
#include "stepper.h"

#include <inttypes.h>
#include <signal.h>

const unsigned test_seconds = 600;

enum { SIZE = 100, FIRST = 0, SECOND = 24, THIRD = 48 }; /* places in a heap of 64 blocks, for entries of five */

/* A get has several times the instructions under a sanitizer, most of them not its own. */
#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 7
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRIDE 7
#endif
#endif
#ifndef STRIDE
#define STRIDE 1
#endif

static const char subject[] = "s", other[] = "o";

static struct shared {
    bool stop_when_copied, ended;
    int result;
    size_t length;
    unsigned char value[SIZE];
} *shared;

static hf_store *store;
static uint64_t sequence;

/* ---- The reader ---------------------------------------------------------------------------------------------------------- */

static void stop_when_copied(const char *point) {
    if (shared->stop_when_copied && strcmp(point, "read:copied") == 0) {
        shared->stop_when_copied = false;
        raise(SIGSTOP);
    }
}

static int read_once(void *unused) {
    (void)unused;
    hf__point_hook = stop_when_copied;
    shared->result = hf_get(store, subject, 1, shared->value, SIZE, &shared->length, NULL);
    shared->ended = true;
    return 0;
}

static void judge(void) {
    uint64_t found = 0;
    CHECK_RC(shared->result, HF_OK);
    CHECK_EQ(shared->length, SIZE);
    CHECK(value_whole(shared->value, SIZE, 's', &found));
    CHECK(found >= 1 && found <= sequence);
}

/* ---- The writer ---------------------------------------------------------------------------------------------------------- */

static struct hf__stripe *stripe(void) {
    return hf__stripe_at(store->region, 0);
}

/* Puts a value that lands at that place, which is free: the cursor is a hint that may have any value. */
static void put_at(const char *key, uint32_t place) {
    unsigned char value[SIZE];
    value_make(value, SIZE, (uint64_t)key[0], key == subject ? ++sequence : 1);
    stripe()->cursor = place;
    CHECK_RC(hf_put(store, key, 1, value, SIZE, NULL, NULL), HF_OK);
}

static struct hf__spot spot_of(const char *key) {
    struct hf__spot spot;
    struct hf__place place = hf__locate(store->region, hf__hash_key(store->region, key, 1));
    hf__find(store->region, &place, key, 1, &spot);
    CHECK(spot.word != 0);
    return spot;
}

static void lies_at(const char *key, uint32_t place) {
    CHECK_EQ(spot_of(key).view.block, place);
}

static void move_to(const char *key, uint32_t place) {
    struct hf__hold hold;
    CHECK_RC(hf__lock(store, 0, 1000, &hold), HF_OK);
    hf__record_set(stripe(), HF_OP_PUT, 0);
    struct hf__spot spot = spot_of(key);
    hf__move(store->region, 0, &spot, place);
    hf__record_clear(stripe());
    hf__unlock(&hold);
}

static struct stepper *reader;
static bool reader_runs;

static void let_reader_copy(void) {
    shared->stop_when_copied = true;
    if (reader_runs)
        reader_runs = stepper_run(reader);
}

static void let_reader_end(void) {
    shared->stop_when_copied = false;
    while (reader_runs)
        reader_runs = stepper_run(reader);
}

static void when_stamped(const char *point) {
    if (strcmp(point, "stamped") == 0)
        let_reader_copy();
}

static void reuse(void) {
    put_at(subject, SECOND);
    put_at(other, FIRST);
    put_at(other, THIRD);
    hf__point_hook = when_stamped;
    put_at(subject, FIRST);
    hf__point_hook = NULL;
}

static void move(void) {
    move_to(subject, SECOND);
    put_at(other, FIRST);
    let_reader_copy();
    put_at(other, THIRD);
    move_to(subject, FIRST);
}

/* ---- The script ---------------------------------------------------------------------------------------------------------- */

/* The subject at FIRST, the other key at THIRD + 8. */
static void make_store(void) {
    CHECK_RC(hf__open_tiny(&store, 1, 64, HF_MODE_CACHE), HF_OK);
    sequence = 0;
    put_at(subject, FIRST);
    put_at(other, THIRD + 8);
    lies_at(subject, FIRST);
    lies_at(other, THIRD + 8);
}

/* False: the get has come to its end within so many instructions. */
static bool stopped_after(unsigned long steps, void (*script)(void)) {
    struct stepper stepper;
    make_store();
    memset(shared, 0, sizeof *shared);
    uint64_t word = spot_of(subject).word;
    stepper_start(&stepper, read_once, NULL);
    reader = &stepper;
    reader_runs = stepper_steps(&stepper, steps);
    bool stopped = !shared->ended;
    script();
    CHECK(hf__same_word(spot_of(subject).word, word)); /* the script has come full circle */
    let_reader_end();
    judge();
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
    return stopped;
}

static void at_every_instruction(const char *name, void (*script)(void)) {
    unsigned long steps = 0;
    do
        check_at("%s, reader stopped after %lu instructions", name, steps);
    while (stopped_after((steps += STRIDE) - STRIDE, script));
    printf("%s: a reader stopped at each of %lu instructions, in steps of %d\n", name, steps - STRIDE, STRIDE);
    CHECK(steps > 100);
}

int test_run(int argc, char **argv) {
    bool all = argc == 1;
    shared = check_shared(sizeof *shared);
    if (all || check_argument(argc, argv, "reuse"))
        at_every_instruction("reuse", reuse);
    if (all || check_argument(argc, argv, "move"))
        at_every_instruction("move", move);
    return 0;
}
