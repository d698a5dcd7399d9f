/* SPDX-License-Identifier: MIT */
/*
 * The progress bar of long work: on standard error, only if that is a terminal. Drawn at most ten times a second, so that it
 * costs nothing; taken away when the work is done, so that it leaves nothing behind.
 */
#include "tool.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *label; /* NULL: no work is running, or nobody wants a bar */
static bool drawn;
static uint64_t last_ms;

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool progress_wanted(void) {
    return !tool.quiet && isatty(STDERR_FILENO);
}

void progress_start(const char *what) {
    label = progress_wanted() ? what : NULL;
    last_ms = 0;
}

static void draw(uint64_t done, uint64_t total) {
    static const char full[] = "##############################";
    const int width = (int)sizeof full - 1;
    if (total == 0) {
        fprintf(stderr, "\r\033[K%s %" PRIu64, label, done);
    } else {
        double share = done < total ? (double)done / (double)total : 1;
        int filled = (int)(share * width);
        fprintf(stderr, "\r\033[K%s [%.*s%*s] %3d%%", label, filled, full, width - filled, "", (int)(share * 100));
    }
    fflush(stderr);
    drawn = true;
}

void progress_show(uint64_t done, uint64_t total) {
    if (!label)
        return;
    uint64_t now = now_ms();
    if (last_ms != 0 && now - last_ms < 100)
        return;
    last_ms = now;
    draw(done, total);
}

void progress_callback(void *context, uint64_t done, uint64_t total) {
    (void)context;
    progress_show(done, total);
}

void progress_hide(void) {
    if (drawn)
        fputs("\r\033[K", stderr);
    drawn = false;
}

void progress_end(void) {
    progress_hide();
    label = NULL;
}
