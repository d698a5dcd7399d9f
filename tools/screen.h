/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_SCREEN_H
#define HOLDFAST_SCREEN_H
/*
 * A terminal that is drawn anew again and again, by control sequences that every terminal of today knows (ECMA-48 and the
 * alternate screen of xterm). Restores it whatever ends the program, but for what no program can catch.
 */
#include <stdbool.h>
#include <stdint.h>

enum screen_event {
    SCREEN_TIME,    /* the time is over                                    */
    SCREEN_KEY,     /* a key was pressed                                   */
    SCREEN_RESIZED, /* ... or the program goes on after it was stopped     */
    SCREEN_END,     /* a signal ends the program, or nobody is there       */
};

/* False: standard input or output is no terminal, or one that knows no control sequences. */
bool screen_begin(void);

/* The terminal as it was. If a signal ended the program, it is raised now. */
void screen_end(void);

/* Waits so many milliseconds at most; *key is what was pressed. */
enum screen_event screen_wait(uint64_t milliseconds, char *key);

/* Of the terminal, or 80 x 24 if there is none. */
void screen_size(unsigned *columns, unsigned *rows);

#endif
