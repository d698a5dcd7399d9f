/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_WALK_H
#define HOLDFAST_WALK_H
/*
 * A walk over the regular files below a directory, for import. Knows nothing of stores.
 */
#include "tool.h"

/* Told about a regular file: `path` is relative to the top, name and directory are for openat. False ends the walk. */
typedef bool walk_fn(void *context, int directory, const char *name, const char *path);

struct walk {
    const char *top;
    walk_fn *visit;
    void *context;
    bool silent;       /* say nothing about directories that cannot be read: another walk does */
    uint64_t skipped;  /* symbolic links and special files      */
    uint64_t failed;   /* directories that could not be read    */
    char path[8192];   /* of where the walk is, relative to top */
    size_t path_len;
};

/* Visits everything below `top`, in no order. Symbolic links are not followed. A directory that cannot be read is told, counted
 * and left out. False: the visitor ended it, or the top cannot be read (told, and counted in `failed`). */
bool walk_files(struct walk *walk);

#endif
