/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target without an engine: replays the files that are given (of a directory, all in it), and then makes mutations of
 * them. Deterministic: a failure names the file, or the seed and the round, and --one repeats the round.
 *
 *     replay_NAME [FILE|DIRECTORY]... [--rounds N | --seconds N] [--seed S] [--one ROUND] [--write FILE] [--cpu-ms N]
 *                 [--planted BUG]
 *
 * --write keeps the input of a round. --cpu-ms is for slow frames such as valgrind: what one input may take.
 */
#include "fuzz.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_MAX = 4096, INPUTS_MAX = 1000 };

struct input {
    uint8_t data[INPUT_MAX];
    size_t size;
};

static struct input inputs[INPUTS_MAX]; /* to be mutated: the last ones */
static size_t file_count;
static uint64_t slowest_us;
static char at[512]; /* what is run, for the message of a failure */

/* Defined by tests/plant.c in programs that are linked with the test build of the library. */
__attribute__((weak)) void test_plant(const char *name);

static void wrong(const char *what) {
    perror(what);
    exit(2);
}

/* ---- Running one ---------------------------------------------------------------------------------------------------------- */

static uint64_t microseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void run(const struct input *input) {
    uint8_t *exact = malloc(input->size); /* so that a read beyond it is seen */
    if (!exact && input->size > 0)
        wrong("malloc");
    if (input->size > 0)
        memcpy(exact, input->data, input->size);
    uint64_t start = microseconds(CLOCK_PROCESS_CPUTIME_ID);
    LLVMFuzzerTestOneInput(exact, input->size);
    uint64_t took = microseconds(CLOCK_PROCESS_CPUTIME_ID) - start;
    slowest_us = took > slowest_us ? took : slowest_us;
    free(exact);
}

static void told_by(int number) {
    size_t length = strlen(at);
    if (write(STDERR_FILENO, at, length) < 0)
        _exit(1);
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- Files ---------------------------------------------------------------------------------------------------------------- */

static void run_file(const char *path) {
    struct input *input = &inputs[file_count++ % INPUTS_MAX];
    FILE *file = fopen(path, "rb");
    if (!file)
        wrong(path);
    input->size = fread(input->data, 1, sizeof input->data, file); /* more than the engine would give is left out */
    if (ferror(file))
        wrong(path);
    fclose(file);
    snprintf(at, sizeof at, "... with the input %s\n", path);
    run(input);
}

static void run_path(const char *path) {
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    if (count < 0) {
        run_file(path);
        return;
    }
    for (int i = 0; i < count; i++) {
        char below[512];
        snprintf(below, sizeof below, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            run_file(below);
        free(names[i]);
    }
    free(names);
}

/* ---- Mutations ------------------------------------------------------------------------------------------------------------ */

static uint64_t engine_random;

/* A bit, a byte, a run of one byte, a piece moved elsewhere, bytes that come or go. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) {
    uint64_t *random = &engine_random;
    if (size == 0) {
        data[0] = (uint8_t)fuzz_random(random);
        return max > 0;
    }
    size_t place = fuzz_below(random, size), run_length = 1 + fuzz_below(random, 16);
    run_length = run_length < size - place ? run_length : size - place;
    switch (fuzz_below(random, 6)) {
    case 0:
        data[place] ^= (uint8_t)(1u << fuzz_below(random, 8));
        return size;
    case 1:
        data[place] = (uint8_t)fuzz_random(random);
        return size;
    case 2:
        memset(data + place, (int)fuzz_below(random, 256), run_length);
        return size;
    case 3:
        memmove(data + place, data + fuzz_below(random, size - run_length + 1), run_length);
        return size;
    case 4:
        memmove(data + place, data + place + run_length, size - place - run_length);
        return size - run_length;
    default:
        run_length = run_length < max - size ? run_length : max - size;
        memmove(data + place + run_length, data + place, size - place);
        for (size_t i = 0; i < run_length; i++)
            data[place + i] = (uint8_t)fuzz_random(random);
        return size + run_length;
    }
}

static void run_round(uint64_t seed, uint64_t round, const char *write_to) {
    uint64_t random = seed * 1000003 + round;
    struct input input = {.size = 0};
    if (file_count > 0)
        input = inputs[fuzz_below(&random, file_count < INPUTS_MAX ? file_count : INPUTS_MAX)];
    engine_random = fuzz_random(&random);
    for (size_t changes = 1 + fuzz_below(&random, 8); changes > 0; changes--)
        input.size = LLVMFuzzerCustomMutator(input.data, input.size, INPUT_MAX, (unsigned)fuzz_random(&random));
    FILE *file = write_to ? fopen(write_to, "wb") : NULL;
    if (write_to && (!file || fwrite(input.data, 1, input.size, file) != input.size || fclose(file) != 0))
        wrong(write_to);
    snprintf(at, sizeof at, "... with --seed %" PRIu64 " --one %" PRIu64 "\n", seed, round);
    run(&input);
}

/* ---- Arguments ------------------------------------------------------------------------------------------------------------ */

struct wishes {
    uint64_t rounds, seconds, seed, one;
    bool only_one;
    const char *write_to;
};

/* Sets an option from `value`; false if `name` is none. */
static bool take_option(const char *name, const char *value, struct wishes *wishes) {
    uint64_t number = strtoull(value, NULL, 0);
    if (strcmp(name, "--rounds") == 0)
        wishes->rounds = number;
    else if (strcmp(name, "--seconds") == 0)
        wishes->seconds = number;
    else if (strcmp(name, "--seed") == 0)
        wishes->seed = number;
    else if (strcmp(name, "--cpu-ms") == 0)
        fuzz_cpu_ms = (unsigned)number;
    else if (strcmp(name, "--write") == 0)
        wishes->write_to = value;
    else if (strcmp(name, "--planted") == 0 && test_plant)
        test_plant(value);
    else if (strcmp(name, "--one") == 0)
        *wishes = (struct wishes){.one = number, .only_one = true, .seed = wishes->seed, .write_to = wishes->write_to};
    else
        return false;
    return true;
}

static uint64_t run_rounds(const struct wishes *wishes) {
    uint64_t round = 0, end = microseconds(CLOCK_MONOTONIC) + wishes->seconds * 1000000;
    while (round < wishes->rounds || (wishes->seconds && microseconds(CLOCK_MONOTONIC) < end))
        run_round(wishes->seed, round++, wishes->write_to);
    return round;
}

/* A sanitizer's own handlers stay. */
static void tell_of_crashes(void) {
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction now;
        if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            signal(numbers[i], told_by);
    }
}

int main(int argc, char **argv) {
    struct wishes wishes = {.seed = 1};
    tell_of_crashes();
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            continue;
        if (i + 1 == argc || !take_option(argv[i], argv[i + 1], &wishes)) {
            fprintf(stderr, "%s: what is %s? See fuzz/runner.c\n", argv[0], argv[i]);
            return 2;
        }
        argv[i] = argv[i + 1] = NULL;
        i++;
    }
    for (int i = 1; i < argc; i++)
        if (argv[i])
            run_path(argv[i]);
    uint64_t rounds = 1;
    if (wishes.only_one)
        run_round(wishes.seed, wishes.one, wishes.write_to);
    else
        rounds = run_rounds(&wishes);
    fprintf(stderr, "%zu files and %" PRIu64 " mutations, the slowest took %" PRIu64 " ms of CPU time\n", file_count, rounds,
            slowest_us / 1000);
    return 0;
}
