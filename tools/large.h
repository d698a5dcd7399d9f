/* SPDX-License-Identifier: MIT */
#ifndef TOOL_LARGE_H
#define TOOL_LARGE_H
#include <stdint.h>

/* Bytes of a file that lie in large pages; 0 also where that cannot be told. */
uint64_t large_pages_of(const char *path);

#endif
