/* SPDX-License-Identifier: MIT */
#ifndef CRASH_SNAPSHOTS_H
#define CRASH_SNAPSHOTS_H
/*
 * Every moment of an operation, recovered on a copy of the file, in the two ways in which a dead process is ever followed: by
 * the next owner of its lock (on a copy that another store has open, with locks as the kernel leaves them), and by the first
 * writer that opens the file (on a copy that nobody has open).
 */
#include "crash_lead.h"

struct snapshots;

/* For one stage that was entered. */
struct snapshots *snapshots_new(const struct stage *stage);
void snapshots_free(struct snapshots *snapshots);
/* As if `victim` were killed now. How many copies were recovered and found sound. */
unsigned snapshots_recover(struct snapshots *snapshots, pid_t victim);

#endif
