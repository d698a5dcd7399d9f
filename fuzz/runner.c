/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target without an engine: runs it on the files that are given, or on mutations of a good input that the target makes.
 * Deterministic: a failure names the seed and the round, and --one repeats it.
 *
 *     replay_NAME FILE...
 *     replay_NAME [--rounds N] [--seed S] [--one ROUND] [--write FILE]
 */
#include "fuzz.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t next(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    long size;
    if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0) {
        perror(path);
        exit(2);
    }
    uint8_t *data = malloc((size_t)size + 1);
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
}

/* One change: a bit, a number that matters, a run of zeros or noise, a piece moved elsewhere. */
static void mutate(uint8_t *data, size_t size, uint64_t *random) {
    static const uint64_t numbers[] = {0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, UINT32_MAX, UINT64_MAX, 1ull << 63};
    size_t at = next(random) % size, rest = size - at;
    size_t run = 1 + next(random) % 64;
    uint64_t number = numbers[next(random) % (sizeof numbers / sizeof *numbers)];
    switch (next(random) % 6) {
    case 0:
        data[at] ^= (uint8_t)(1u << next(random) % 8);
        break;
    case 1:
        memcpy(data + at, &number, rest < 8 ? rest : 1u << next(random) % 4);
        break;
    case 2:
        at &= ~(size_t)7;
        number = next(random) % (1u << next(random) % 32);
        memcpy(data + at, &number, size - at < 8 ? size - at : 8);
        break;
    case 3:
        memset(data + at, 0, rest < run ? rest : run);
        break;
    case 4:
        for (size_t i = 0; i < run && i < rest; i++)
            data[at + i] = (uint8_t)next(random);
        break;
    default:
        run = rest < run ? rest : run;
        memmove(data + at, data + next(random) % (size - run + 1), run);
    }
}

static void run_round(const uint8_t *good, size_t good_size, uint64_t seed, uint64_t round, const char *write_to) {
    uint64_t random = seed * 1000003 + round;
    uint8_t *data = malloc(good_size);
    if (!data)
        exit(2);
    memcpy(data, good, good_size);
    size_t size = next(&random) % 10 ? good_size : next(&random) % good_size;
    uint64_t changes = next(&random) % 40;
    for (uint64_t i = 0; i < changes && size > 0; i++)
        mutate(data, size, &random);
    FILE *file = write_to ? fopen(write_to, "wb") : NULL;
    if (file) {
        fwrite(data, 1, size, file);
        fclose(file);
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static const char *option(int argc, char **argv, const char *name) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

static uint64_t number_option(int argc, char **argv, const char *name, uint64_t otherwise) {
    const char *text = option(argc, argv, name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv) {
    if (argc > 1 && strncmp(argv[1], "--", 2) != 0) {
        for (int i = 1; i < argc; i++)
            run_file(argv[i]);
        return 0;
    }
    uint64_t seed = number_option(argc, argv, "--seed", 1), rounds = number_option(argc, argv, "--rounds", 2000);
    bool one = option(argc, argv, "--one") != NULL;
    uint64_t first = number_option(argc, argv, "--one", 0);
    size_t size;
    uint8_t *good = fuzz_seed(seed, &size);
    for (uint64_t round = first; round < (one ? first + 1 : rounds); round++) {
        alarm(20); /* a target that loops ends here, with the round in the last line of output */
        if (round % 64 == 0 || one)
            printf("seed %" PRIu64 ", from round %" PRIu64 "\n", seed, round);
        fflush(stdout);
        run_round(good, size, seed, round, option(argc, argv, "--write"));
    }
    free(good);
    return 0;
}
