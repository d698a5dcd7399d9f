/* SPDX-License-Identifier: MIT */
#ifndef SYSCALLS_H
#define SYSCALLS_H
/*
 * What syscalls.c (one call between two marks, and what it left behind) and syscalls_calls.c, syscalls_wait.c and
 * syscalls_whole.c (the calls) tell each other. It knows the public header only.
 */
#include <holdfast.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The places one call works on, and what it holds from `before` to `after`. */
struct stage {
    char path[200];  /* a store with the entries that syscalls.py puts into it */
    char made[200];  /* a name beside it, for what the call makes              */
    hf_store *store; /* opened before the call, or by it                       */
    hf_store *second;
    int fd;
    pid_t child;
    void *value;
    struct hf_item item;
    bool rehearsal;    /* nobody is to wait, so that the calls before the mark are always as many */
    const char *wrong; /* what the call answered wrongly; NULL: nothing */
};

/* `act` is the call under test: nothing else stands between the marks. */
struct call {
    const char *name;
    enum { CLOSED, WRITER, READER } opened; /* the store, before the call             */
    int (*act)(struct stage *stage);
    bool (*before)(struct stage *stage); /* NULL: nothing. False: the stage is broken */
    void (*after)(struct stage *stage);  /* NULL: nothing but closing the stores      */
};

/* syscalls_calls.c */
int open_with(hf_store **store, const char *path, uint32_t flags);
int open_rw(struct stage *stage);

/* Another process: begins with turn 0, sets 1 when it is ready, and goes on when its parent has set 2. `meet` starts it, so that
 * it opens the store first, then opens the store here: neither inherits a mapping. */
extern atomic_int *turn;
bool meet(struct stage *stage, int (*body)(struct stage *));
bool await_turn(int wanted);
void end_child(struct stage *stage);
hf_store *open_as_writer(const struct stage *stage);
int held_ms(const struct stage *stage); /* long enough for a process to run into, on a busy machine */
void rest_ms(int milliseconds);         /* not by a nanosleep, which is one of those that fail, and are counted */

/* syscalls_wait.c */
int fill(struct stage *stage);
bool before_fill(struct stage *stage);
bool before_shared_fill(struct stage *stage);
int wait_for_key(struct stage *stage);
int wait_for_any(struct stage *stage);
bool before_change(struct stage *stage);
int wait_for_change(struct stage *stage);

/* syscalls_whole.c */
int sync_it(struct stage *stage);
int copy(struct stage *stage);
bool before_replace(struct stage *stage);
int copy_over(struct stage *stage);
int check(struct stage *stage);
int repair(struct stage *stage);
int info(struct stage *stage);
bool before_detached(struct stage *stage);
int info_of_detached(struct stage *stage);
int stats(struct stage *stage);
int recoveries(struct stage *stage);
int locks(struct stage *stage);

extern const struct call calls[];
extern const unsigned call_count;

/* Must hold if the call succeeded. */
#define EXPECT(stage, condition) ((condition) ? (void)0 : (void)((stage)->wrong = #condition))

#endif
