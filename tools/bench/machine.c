/* SPDX-License-Identifier: MIT */
/*
 * What /proc, /sys and the C library tell about this machine. May not fail: what it does not find it calls unknown.
 */
#include "machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#ifndef BENCH_BUILD
#define BENCH_BUILD "unknown"
#endif

static void first_line(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "re");
    snprintf(text, size, "unknown");
    if (!file)
        return;
    if (fgets(text, (int)size, file))
        text[strcspn(text, "\n")] = '\0';
    fclose(file);
}

static void find_cpu(char *text, size_t size) {
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(text, size, "unknown");
    while (file && getline(&line, &room, file) > 0) {
        char *colon = strchr(line, ':');
        if (colon && (strncmp(line, "model name", 10) == 0 || strncmp(line, "Model", 5) == 0)) {
            snprintf(text, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    free(line);
    if (file)
        fclose(file);
}

/* A line of mountinfo: "36 35 98:0 / /mount rw,noatime master:1 - ext4 /dev/root rw,errors=continue". */
static void find_file_system(const char *path, char *text, size_t size) {
    struct stat status;
    char device[32], *line = NULL;
    size_t room = 0;
    snprintf(text, size, "unknown");
    if (stat(path, &status) != 0)
        return;
    snprintf(device, sizeof device, " %u:%u ", major(status.st_dev), minor(status.st_dev));
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && getline(&line, &room, file) > 0) {
        char kind[32], options[100] = "";
        const char *end = strstr(line, " - ");
        if (end && strstr(line, device) && sscanf(end, " - %31s %*s %99s", kind, options) >= 1) {
            snprintf(text, size, "%s (%s)", kind, options);
            break;
        }
    }
    free(line);
    if (file)
        fclose(file);
}

static void find_libc(char *text, size_t size) {
#ifdef __GLIBC__
    snprintf(text, size, "glibc %s", gnu_get_libc_version());
#else
    snprintf(text, size, "not glibc");
#endif
}

void bench_machine_now(struct bench_machine *machine, const char *path) {
    struct utsname name;
    cpu_set_t cores;
    memset(machine, 0, sizeof *machine);
    find_cpu(machine->cpu, sizeof machine->cpu);
    machine->cores = sched_getaffinity(0, sizeof cores, &cores) == 0 ? (unsigned)CPU_COUNT(&cores) : 1;
    if (uname(&name) == 0)
        snprintf(machine->kernel, sizeof machine->kernel, "%.20s %.60s %.20s", name.sysname, name.release, name.machine);
    find_libc(machine->libc, sizeof machine->libc);
    find_file_system(path, machine->file_system, sizeof machine->file_system);
    first_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", machine->huge_pages, sizeof machine->huge_pages);
    if (getloadavg(&machine->load, 1) != 1)
        machine->load = 0;
#ifdef __clang__
    snprintf(machine->compiler, sizeof machine->compiler, "%s", __VERSION__);
#else
    snprintf(machine->compiler, sizeof machine->compiler, "gcc %s", __VERSION__);
#endif
    snprintf(machine->build, sizeof machine->build, "%s", BENCH_BUILD);
}
