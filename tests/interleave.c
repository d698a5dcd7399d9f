/* SPDX-License-Identifier: MIT */
/*
 * A reader stopped at every instruction of a get, while a writer does the worst that can happen at that moment: the windows that
 * a stress hits once in a million, each of them every time.
 *
 *   reuse  The key's blocks are freed, hold another key's entry, are free again and are just being written with the key's own
 *          next value: the new stamp stands in them, the other key's bytes too. Then the same slot word is published once more.
 *          A reader that does not validate what it copied returns a mixture.
 *   rewritten  The same, but the bytes are those of the key's value before the last. A reader that does not load the slot again
 *          after the stamp takes the flags and the length of that one, and the bytes of the next.
 *   move   The entry moves away, its blocks are used by another key, and it moves back: the slot word is the old one. A copy that
 *          keeps the stamp of its source is indistinguishable from what the reader began with.
 *   heat   The key is replaced, and its old blocks hold another key. A reader that marks the slot as read without looking whether
 *          it still is what it was brings the old word back.
 *
 * Whatever the moment: the key is there all the time, so it must be found, whole. Knows the library inside.
 */
#include "internal.h"
#include "stepper.h"

#include <inttypes.h>
#include <signal.h>

const unsigned test_seconds = 600;

enum { SIZE = 100, FIRST = 0, SECOND = 24, THIRD = 48, BLOCKS = 5 }; /* places in a heap of 64 blocks, for entries of five */

static const char subject[] = "s", other[] = "o";

static struct shared {
    const char *stop_at; /* a point, once; NULL: none */
    bool ended;
    int result;
    size_t length;
    struct hf_meta meta;
    unsigned char value[SIZE];
} *shared;

static hf_store *store;
static uint64_t sequence;

/* ---- The reader ---------------------------------------------------------------------------------------------------------- */

static void stop_once(const char *point) {
    if (shared->stop_at && strcmp(point, shared->stop_at) == 0) {
        shared->stop_at = NULL;
        raise(SIGSTOP);
    }
}

static int read_once(void *unused) {
    (void)unused;
    hf__point_hook = stop_once;
    shared->result = hf_get(store, subject, 1, shared->value, SIZE, &shared->length, &shared->meta);
    shared->ended = true;
    return 0;
}

static void judge(void) {
    uint64_t found = 0;
    CHECK_RC(shared->result, HF_OK);
    CHECK_EQ(shared->length, SIZE);
    CHECK(value_whole(shared->value, SIZE, 's', &found));
    CHECK(found >= 1 && found <= sequence);
    CHECK_EQ(shared->meta.flags, found);
}

/* ---- The writer ---------------------------------------------------------------------------------------------------------- */

static struct hf__stripe *stripe(void) {
    return hf__stripe_at(store->region, 0);
}

static bool ahead; /* a replace is written before it has found what it replaces */

/* Puts a value that lands at that place, which is free: cursor and last hole are hints that may have any value. */
static void put_at(const char *key, uint32_t place) {
    unsigned char value[SIZE];
    value_make(value, SIZE, (uint64_t)key[0], key == subject ? ++sequence : 1);
    stripe()->cursor = place;
    stripe()->hole_at = place;
    stripe()->hole_len = ahead ? BLOCKS : 0;
    struct hf_put_options options = HF_PUT_INIT;
    options.flags = (uint32_t)sequence;
    CHECK_RC(hf_put(store, key, 1, value, SIZE, &options, NULL), HF_OK);
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

static void let_reader_go_to(const char *point) {
    shared->stop_at = point;
    if (reader_runs)
        reader_runs = stepper_run(reader);
}

static void let_reader_end(void) {
    shared->stop_at = NULL;
    while (reader_runs)
        reader_runs = stepper_run(reader);
}

static const char *until; /* to which point the reader goes when the writer has stored a stamp */

static void when_stamped(const char *point) {
    if (strcmp(point, "stamped") == 0)
        let_reader_go_to(until);
}

static void reuse(void) {
    put_at(subject, SECOND);
    put_at(other, FIRST);
    put_at(other, THIRD);
    until = "read:copied";
    hf__point_hook = when_stamped;
    put_at(subject, FIRST);
    hf__point_hook = NULL;
}

static void rewritten(void) {
    put_at(subject, SECOND);
    until = "read:compared";
    hf__point_hook = when_stamped;
    put_at(subject, FIRST);
    hf__point_hook = NULL;
}

static void move(void) {
    move_to(subject, SECOND);
    put_at(other, FIRST);
    let_reader_go_to("read:copied");
    put_at(other, THIRD);
    move_to(subject, FIRST);
}

static void heat(void) {
    put_at(subject, SECOND);
    put_at(other, FIRST);
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

static const struct script {
    const char *name;
    void (*run)(void);
} scripts[] = {{"reuse", reuse}, {"rewritten", rewritten}, {"move", move}, {"heat", heat}};

/* False: the get has come to its end within so many instructions. */
static bool stopped_after(unsigned long steps, const struct script *script) {
    struct stepper stepper;
    make_store();
    memset(shared, 0, sizeof *shared);
    uint64_t before = spot_of(subject).word;
    stepper_start(&stepper, read_once, NULL);
    reader = &stepper;
    reader_runs = stepper_steps(&stepper, steps);
    bool stopped = !shared->ended;
    script->run();
    uint64_t after = spot_of(subject).word;
    CHECK(hf__same_word(after, before) || script->run == heat); /* the others have come full circle */
    let_reader_end();
    judge();
    CHECK(hf__same_word(spot_of(subject).word, after));
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
    return stopped;
}

static unsigned long every; /* so many-th instruction */

static void at_every_instruction(const struct script *script) {
    unsigned long steps = 0;
    do
        check_at("%s, reader stopped after %lu instructions", script->name, steps);
    while (stopped_after((steps += every) - every, script));
    printf("%s%s: a reader stopped at each of %lu instructions, in steps of %lu\n", script->name, ahead ? ", ahead" : "",
           steps - every, every);
    CHECK(steps > 100);
}

int test_run(int argc, char **argv) {
    bool all = true;
    shared = check_shared(sizeof *shared);
    every = check_number(argc, argv, "--every", 1);
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        all &= !check_argument(argc, argv, scripts[i].name);
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        for (int twice = 0; twice < 2 && (all || check_argument(argc, argv, scripts[i].name)); twice++) {
            ahead = twice == 1;
            at_every_instruction(&scripts[i]);
        }
    return 0;
}
