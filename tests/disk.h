/* SPDX-License-Identifier: MIT */
#ifndef DISK_H
#define DISK_H
/*
 * What the disk may hold of one directory, should the power fail, while a child works in it: the child is led from system call
 * to system call (ptrace). Bytes of a file are on disk for certain once it was synced (fsync, fdatasync, msync); before, each
 * page may be there or not. Names are on disk for certain once the directory was synced; before, the disk may hold any of the
 * listings since, for file systems write names in the order of their changes. It trusts no other way of syncing.
 */
#include "check.h"

enum { DISK_NAMES = 8, DISK_LISTINGS = 64, DISK_FILES = 16 };

struct disk_listing {
    uint32_t count;
    struct {
        char name[64];
        uint64_t inode;
    } names[DISK_NAMES];
};

/* The bytes of a file that were synced. */
struct disk_file {
    uint64_t inode;
    unsigned char *bytes;
    size_t size;
};

struct disk {
    const char *directory;
    pid_t child;
    uint64_t calls; /* system calls that have ended */
    bool changed;   /* the last call changed a name, or synced something */
    char call[64];  /* the last one, if it counts: "fsync of 12" */
    uint32_t listing_count; /* the first is on disk for certain, the last one is what the directory holds now */
    struct disk_listing listings[DISK_LISTINGS];
    uint32_t file_count;
    struct disk_file files[DISK_FILES];
};

/* Forks a child that is about to run body(argument), and stops it there. What the directory holds is taken for synced.
 * `no_tmpfile`: the child's file system does not know O_TMPFILE. */
void disk_start(struct disk *disk, const char *directory, bool no_tmpfile, check_body *body, void *argument);
/* To the end of the next system call. False: the child has ended, with status 0. */
bool disk_step(struct disk *disk);
/* Kills the child, as a step would be about to begin. */
void disk_kill(struct disk *disk);
void disk_end(struct disk *disk);

void disk_empty(const char *directory);

/* Writes into the directory `to`, which is emptied first, what the disk may hold under the names of a listing. The pages that
 * were not synced are there with a chance of density/8. */
void disk_build(const struct disk *disk, uint32_t listing, const char *to, uint64_t density, uint64_t *chance);

#endif
