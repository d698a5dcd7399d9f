/* SPDX-License-Identifier: MIT */
/*
 * Sizes that several engines ask for.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "peers.h"

uint64_t peer_bytes(const struct bench_config *config) {
    return config->entries * (config->key_size + config->value_size);
}

static uint64_t blocks_of(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

/* Of what a directory holds, where the names begin with `prefix`. */
static uint64_t sum_up(const char *directory, const char *prefix) {
    uint64_t sum = 0;
    struct dirent *entry;
    DIR *opened = opendir(directory);
    if (!opened)
        return 0;
    while ((entry = readdir(opened))) {
        char path[600];
        snprintf(path, sizeof path, "%.300s/%.255s", directory, entry->d_name);
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            sum += blocks_of(path);
    }
    closedir(opened);
    return sum;
}

uint64_t peer_footprint(const char *path) {
    const char *slash = strrchr(path, '/');
    char directory[300];
    if (!slash || slash - path >= (ptrdiff_t)sizeof directory)
        return 0;
    memcpy(directory, path, (size_t)(slash - path));
    directory[slash - path] = '\0';
    return sum_up(directory, slash + 1) + sum_up(path, "");
}
