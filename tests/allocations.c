/* SPDX-License-Identifier: MIT */
/*
 * A module for LD_PRELOAD, behind libfiu and its fiu_posix_preload.so, which do the work: it lets the nth allocation of a process
 * fail, and says so on standard error. n is in HOLDFAST_FAILING_ALLOCATION; counted is from the start of the program, or from a
 * call of allocation_fails where the program knows of it (syscalls.c). What the process executes is left alone.
 */
#define FIU_ENABLE
#include <fiu.h>
#include <fiu-control.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned wanted, counted;

void allocation_fails(unsigned nth);

void allocation_fails(unsigned nth) {
    counted = 0;
    wanted = nth;
}

static int decide(const char *name, int *failnum, void **failinfo, unsigned *flags) {
    static const char told[] = "(INJECTED allocation)\n";
    (void)name, (void)failnum, (void)failinfo, (void)flags;
    if (wanted == 0 || ++counted != wanted)
        return 0;
    return write(STDERR_FILENO, told, sizeof told - 1) > 0;
}

__attribute__((constructor)) static void begin(void) {
    static const char *const points[] = {"libc/mm/malloc", "libc/mm/calloc", "libc/mm/realloc", "libc/str/strdup",
                                         "libc/str/strndup"};
    const char *nth = getenv("HOLDFAST_FAILING_ALLOCATION");
    unsetenv("LD_PRELOAD");
    fiu_init(0);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        fiu_enable_external(points[i], 1, (void *)ENOMEM, 0, decide);
    allocation_fails(nth ? (unsigned)atoi(nth) : 0);
}
