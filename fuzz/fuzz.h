/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_H
#define FUZZ_H
/*
 * A fuzz target is a file fuzz_NAME.c that defines fuzz_one and fuzz_mutate. Two engines drive it: runner.c, a plain program
 * that is built everywhere and replays the corpus in the tests, and libFuzzer where the compiler has it. frame.c is what both
 * put around an input: at most so much CPU time, no descriptor left open.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- What a target defines ----------------------------------------------------------------------------------------------- */

/* Judges one input, by MUST. Whatever the bytes are, it returns. */
void fuzz_one(const uint8_t *data, size_t size);

/* Changes an input of `size` bytes, in place, to one of at most `max`: the new size. Knows how the target reads its input, which
 * an engine does not. */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random);

/* ---- frame.c ------------------------------------------------------------------------------------------------------------- */

#define MUST(condition) ((condition) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #condition))
__attribute__((noreturn)) void fuzz_failed(const char *file, int line, const char *condition);

/* CPU time that one input may take, wall time aside: the machine may be busy. */
extern unsigned fuzz_cpu_ms;

uint64_t fuzz_random(uint64_t *state);
size_t fuzz_below(uint64_t *state, size_t bound); /* 0 to bound - 1 */

/* ---- The engine's side: either engine calls these, in frame.c ... -------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

/* ... and defines this: a change that knows nothing of the target. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

#endif
