/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_TRACE_H
#define HOLDFAST_TRACE_H
/*
 * A trace of cache requests, read whole into memory: lines of a key's number and the bytes of its value. trace.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
    uint64_t key;
    uint32_t size;
};

struct trace {
    struct request *requests;
    size_t count, room;
    uint64_t keys;      /* distinct                                                                               */
    uint64_t footprint; /* of the distinct keys: 56 bytes and the first size, rounded up to a multiple of `round` */
    uint32_t largest;   /* size */
};

/* Reads the trace at `path`, "-" being standard input and .xz being unpacked by xz. False after an error that was told. */
bool trace_read(struct trace *trace, const char *path, uint32_t round);
void trace_free(struct trace *trace);

#endif
