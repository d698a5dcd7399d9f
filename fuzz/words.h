/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_WORDS_H
#define FUZZ_WORDS_H
/* Inputs that are text: changed by lines and by words that mean something to the target. */
#include "fuzz.h"

/* `words` ends with a NULL. */
size_t words_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random, const char *const *words);

#endif
