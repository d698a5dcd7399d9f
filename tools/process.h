/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_PROCESS_H
#define HOLDFAST_PROCESS_H
/*
 * What /proc tells of other processes: who a thread is, and who has which file mapped. All of it is a moment old, and what
 * belongs to other users may be hidden.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct thread_look {
    uint32_t pid;       /* its process; 0: not known            */
    const char *state;  /* "running", "stopped", "dead" or "?"  */
    char name[64];      /* of its command; "?" if not known     */
};
void look_at_thread(uint32_t thread, struct thread_look *look);

/* Who has a file mapped, this process left out. Set device and inode. */
struct mapped {
    dev_t device;
    ino_t inode;
    unsigned writers;
    unsigned readers;
};

/* Looks at the maps of all processes at once, as far as they may be read. */
void look_for_maps(struct mapped *files, unsigned count);

/* Whether a writer is attached to the store in this file, of whatever user: 1, 0, or -1: it cannot be known. */
int has_writer(int fd);

#endif
