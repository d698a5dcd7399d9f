/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_H
#define FUZZ_H
/*
 * A fuzz target is one function in a file of its own. With libFuzzer it is an executable fuzz_NAME; without one, runner.c makes
 * a plain replay_NAME of it, which is part of the tests, so that targets do not rot.
 */
#include <stddef.h>
#include <stdint.h>

/* Must return 0, whatever the bytes are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* runner.c: a good input to start from, made by the target's own file; to be freed. */
uint8_t *fuzz_seed(uint64_t seed, size_t *size);

#endif
