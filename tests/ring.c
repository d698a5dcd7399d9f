/* SPDX-License-Identifier: MIT */
/*
 * The recovery ring while it is written: a repairer stopped at every instruction of an append; and a reader stopped at every
 * instruction, while the ring turns round and the one who writes over its record is killed. A verdict that is told is one
 * verdict. Knows the library inside.
 */
#include "internal.h"
#include "puppet.h"
#include "stepper.h"

const unsigned test_seconds = 300;

static hf_store *store;

/* Every field tells the number that the record will get. */
static void append(void) {
    uint64_t number = hf__load(&hf__live(store->region)->recoveries) + 1;
    struct hf_recovery recovery = {.time_ms = number, .key_hash = number};
    recovery.stripe = recovery.pid = recovery.repairer = recovery.dropped = recovery.microseconds = (uint32_t)number;
    hf__ring_append(store->region, &recovery);
}

static void append_many(unsigned count) {
    while (count-- > 0)
        append();
}

static void judge(const struct hf_recovery *recovery) {
    uint64_t number = recovery->sequence;
    CHECK(number > 0 && number <= hf__load(&hf__live(store->region)->recoveries));
    CHECK(recovery->time_ms == number && recovery->key_hash == number);
    CHECK(recovery->stripe == number && recovery->pid == number && recovery->repairer == number);
    CHECK(recovery->dropped == number && recovery->microseconds == number);
}

/* ---- The writer ---------------------------------------------------------------------------------------------------------- */

static int append_once(void *unused) {
    (void)unused;
    append();
    return 0;
}

/* All records but the one that is being written are told. */
static void read_all(void) {
    struct hf_recovery all[HF__RING];
    size_t count = 0;
    CHECK_RC(hf_recoveries(store, all, HF__RING, &count), HF_OK);
    CHECK(count >= HF__RING - 1);
    for (size_t i = 0; i < count; i++)
        judge(&all[i]);
}

static void writer_stopped(void) {
    struct stepper stepper;
    stepper_start(&stepper, append_once, NULL);
    while (stepper_step(&stepper)) {
        check_at("writer stopped after %lu instructions", stepper.steps);
        read_all();
    }
    printf("a writer of the ring stopped at each of %lu instructions\n", stepper.steps);
    CHECK(stepper.steps > 20);
}

/* ---- The reader ---------------------------------------------------------------------------------------------------------- */

static struct puppet *puppet;
static struct answer {
    struct hf_recovery newest;
    size_t count;
    bool ended;
} *answer;

static int read_newest(void *unused) {
    (void)unused;
    CHECK_RC(hf_recoveries(store, &answer->newest, 1, &answer->count), HF_OK);
    answer->ended = true;
    return 0;
}

/* False: the reader has come to its end within so many instructions. */
static bool stopped_after(unsigned long steps) {
    struct stepper stepper;
    memset(answer, 0, sizeof *answer);
    stepper_start(&stepper, read_newest, NULL);
    bool runs = stepper_steps(&stepper, steps), stopped = !answer->ended;
    append_many(HF__RING - 1);
    CHECK(puppet_killed_at(puppet, 1, append_once, NULL));
    while (runs)
        runs = stepper_run(&stepper);
    if (answer->count)
        judge(&answer->newest);
    return stopped;
}

static void reader_stopped(void) {
    unsigned long steps = 0, told = 0;
    do {
        check_at("reader stopped after %lu instructions", steps);
        told += answer->count;
        append(); /* over what was left half written */
    } while (stopped_after(steps++));
    printf("a reader of the ring stopped at each of %lu instructions, told %lu verdicts\n", steps - 1, told);
    CHECK(steps > 20 && told > 0 && told < steps);
}

int test_run(int argc, char **argv) {
    (void)argc, (void)argv;
    CHECK_RC(hf__open_tiny(&store, 1, 64, HF_MODE_STORE), HF_OK);
    answer = check_shared(sizeof *answer);
    puppet = puppet_new();
    append_many(2 * HF__RING);
    writer_stopped();
    reader_stopped();
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}
