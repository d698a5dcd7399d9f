/* SPDX-License-Identifier: MIT */
/* Other processes, as /proc shows them (process.h). */
#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- A thread ------------------------------------------------------------------------------------------------------------- */

static FILE *open_proc(uint32_t number, const char *what) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/%s", number, what);
    return fopen(path, "re");
}

static const char *state_word(char letter) {
    switch (letter) {
    case 'T':
    case 't': return "stopped";
    case 'Z':
    case 'X': return "dead";
    default: return "running";
    }
}

/* "4711 (a name) S ...": the name may hold anything. */
static void read_stat(FILE *file, struct thread_look *look) {
    char line[512];
    size_t length = fread(line, 1, sizeof line - 1, file);
    line[length] = '\0';
    char *open = strchr(line, '('), *close = strrchr(line, ')');
    if (!open || !close || close < open || close[1] != ' ')
        return;
    look->state = state_word(close[2]);
    snprintf(look->name, sizeof look->name, "%.*s", (int)(close - open - 1), open + 1);
    for (char *at = look->name; *at; at++) {
        if (!isprint((unsigned char)*at))
            *at = '?';
    }
}

void look_at_thread(uint32_t thread, struct thread_look *look) {
    *look = (struct thread_look){.state = "?", .name = "?"};
    FILE *file = open_proc(thread, "stat");
    if (!file) {
        if (errno == ENOENT && access("/proc/self/stat", F_OK) == 0)
            look->state = "dead";
        return;
    }
    read_stat(file, look);
    fclose(file);
    file = open_proc(thread, "status");
    char line[256];
    while (file && fgets(line, sizeof line, file) && sscanf(line, "Tgid: %" SCNu32, &look->pid) != 1)
        continue;
    if (file)
        fclose(file);
}

/* ---- Who has a file mapped ------------------------------------------------------------------------------------------------ */

struct sight {
    bool reads, writes;
};

/* "7f..-7f.. rw-s 00000000 00:1a 1234    /dev/shm/store" */
static void see_line(const char *line, const struct mapped *files, unsigned count, struct sight *sights) {
    char permissions[5];
    unsigned major_number, minor_number;
    uint64_t inode;
    if (sscanf(line, "%*s %4s %*s %x:%x %" SCNu64, permissions, &major_number, &minor_number, &inode) != 4 ||
        permissions[3] != 's')
        return;
    for (unsigned i = 0; i < count; i++) {
        if (files[i].inode != inode || files[i].device != makedev(major_number, minor_number))
            continue;
        sights[i].reads = true;
        sights[i].writes = sights[i].writes || permissions[1] == 'w';
    }
}

static void see_maps(uint32_t pid, struct mapped *files, unsigned count, struct sight *sights) {
    FILE *file = open_proc(pid, "maps");
    if (!file)
        return;
    memset(sights, 0, count * sizeof *sights);
    char line[4096 + 256];
    while (fgets(line, sizeof line, file))
        see_line(line, files, count, sights);
    fclose(file);
    for (unsigned i = 0; i < count; i++) {
        files[i].writers += sights[i].writes;
        files[i].readers += sights[i].reads && !sights[i].writes;
    }
}

void look_for_maps(struct mapped *files, unsigned count) {
    struct sight *sights = calloc(count + 1, sizeof *sights);
    DIR *processes = sights ? opendir("/proc") : NULL;
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        uint32_t pid = isdigit((unsigned char)entry->d_name[0]) ? (uint32_t)strtoul(entry->d_name, NULL, 10) : 0;
        if (pid != 0 && pid != (uint32_t)getpid())
            see_maps(pid, files, count, sights);
    }
    if (processes)
        closedir(processes);
    free(sights);
}

/* A writer shares a lock on the first byte as long as it has the file mapped (holdfast.h, HF_ERR_TIMEOUT). */
int has_writer(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
        return -1;
    return lock.l_type != F_UNLCK;
}
