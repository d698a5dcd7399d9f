/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_RECORDS_H
#define FUZZ_RECORDS_H
/*
 * An input as a head of four bytes and records of eight: changes of an image (image.h), or operations (fuzz_operations.c). So a
 * mutation that inserts, drops or doubles something leaves the rest of the input as it was.
 */
#include "fuzz.h"

enum { RECORDS_HEAD = 4, RECORD_SIZE = 8 };

struct records {
    uint8_t head[RECORDS_HEAD]; /* zeros where the input ends before */
    const uint8_t *first;
    size_t count;
};

struct records records_of(const uint8_t *data, size_t size);
size_t records_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random);

#endif
