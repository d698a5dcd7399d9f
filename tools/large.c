/* SPDX-License-Identifier: MIT */
/*
 * How much of a file lies in large pages: mapped as the library maps it, looked at once in each, and asked of the kernel.
 *
 * To look into a hole would fill it, and to look behind the end of a file that is cut off meanwhile would end the process: holes
 * are passed over, and it is the kernel that looks.
 */
#include "large.h"

#include "../src/pages.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* The line of smaps that begins a mapping starts with its first address; those that follow tell its figures. */
static uint64_t mapped_large(const void *base) {
    char line[512], start[32];
    uint64_t bytes = 0, kilobytes;
    bool ours = false;
    FILE *file = fopen("/proc/self/smaps", "re");
    snprintf(start, sizeof start, "%lx-", (unsigned long)(uintptr_t)base);
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, start, strlen(start)) == 0)
            ours = true;
        else if (ours && sscanf(line, "ShmemPmdMapped: %" SCNu64, &kilobytes) == 1) {
            bytes = kilobytes * 1024;
            break;
        }
    }
    if (file)
        fclose(file);
    return bytes;
}

static uint64_t look_at(int fd, size_t size) {
    unsigned char *base = hf__pages_map(fd, size, PROT_READ);
    if (base == MAP_FAILED)
        return 0;
    bool looking = true;
    for (size_t at = 0; looking && at < size; at += HF__LARGE_PAGE)
        looking = lseek(fd, (off_t)at, SEEK_DATA) != (off_t)at || madvise(base + at, 1, MADV_POPULATE_READ) == 0;
    uint64_t bytes = mapped_large(base);
    munmap(base, size);
    return bytes;
}

uint64_t large_pages_of(const char *path) {
    struct stat file;
    struct statfs system;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    bool may_have = fstat(fd, &file) == 0 && fstatfs(fd, &system) == 0 && (uint32_t)system.f_type == HF__TMPFS &&
                    file.st_size >= (off_t)HF__LARGE_PAGE;
    uint64_t bytes = may_have ? look_at(fd, (size_t)file.st_size) : 0;
    close(fd);
    return bytes;
}
