/* SPDX-License-Identifier: MIT */
/*
 * Reads traces for replay. xz unpacks what ends in .xz, as a child that gets the open file and never a name or a shell: a library
 * for it was rejected, because the tool would need it wherever it is installed.
 */
#include "trace.h"

#include "formats.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_BYTES = 200, ENTRY_OVERHEAD = 56 };

extern char **environ;

/* ---- Requests ------------------------------------------------------------------------------------------------------------- */

static bool no_memory(const char *path) {
    complain(path, "no memory for the trace");
    return false;
}

static bool add_request(struct trace *trace, struct request request) {
    if (trace->count == trace->room) {
        size_t room = trace->room ? trace->room * 2 : 1 << 16;
        struct request *requests = realloc(trace->requests, room * sizeof *requests);
        if (!requests)
            return false;
        trace->requests = requests;
        trace->room = room;
    }
    trace->requests[trace->count++] = request;
    trace->largest = request.size > trace->largest ? request.size : trace->largest;
    return true;
}

/* "KEY SIZE", decimal; spaces and what follows a third one do not matter. */
static bool parse_request(char *line, struct request *request) {
    char *rest = line, *key = strtok_r(line, " \t,\r", &rest), *size = strtok_r(NULL, " \t,\r", &rest);
    uint64_t bytes;
    if (!key || !size || !parse_number(key, &request->key) || !parse_number(size, &bytes) || bytes > HF_VALUE_MAX)
        return false;
    request->size = (uint32_t)bytes;
    return true;
}

static bool read_requests(struct trace *trace, int fd, const char *path) {
    struct lines lines = { .fd = fd, .limit = LINE_BYTES };
    enum line_result result;
    char *line, text[LINE_BYTES + 1];
    size_t length;
    bool good = true;
    while (good && (result = next_line(&lines, &line, &length)) != LINE_END) {
        struct request request;
        if (result == LINE_FAILED)
            complain(path, "%s", strerror(errno));
        good = result == LINE_OK;
        if (good) {
            memcpy(text, line, length);
            text[length] = '\0';
            if (length == 0 || text[0] == '#')
                continue;
        }
        if (result != LINE_FAILED && (!good || !parse_request(text, &request))) {
            complain(path, "line %llu is no request: a key's number and the bytes of its value are wanted",
                     (unsigned long long)lines.number);
            good = false;
        }
        if (good && !add_request(trace, request))
            good = no_memory(path);
    }
    free_buffer(&lines.buffer);
    return good;
}

/* ---- Distinct keys -------------------------------------------------------------------------------------------------------- */

/* Open addressing in twice as many places as there are requests at most; a place holds the number of a request + 1. */
static bool count_keys(struct trace *trace, uint32_t round) {
    unsigned bits = 1;
    while (((size_t)1 << bits) < 2 * trace->count)
        bits++;
    size_t places = (size_t)1 << bits;
    uint64_t *table = calloc(places, sizeof *table);
    if (!table)
        return false;
    for (size_t i = 0; i < trace->count; i++) {
        uint64_t key = trace->requests[i].key;
        size_t at = (size_t)((key * 0x9e3779b97f4a7c15u) >> (64 - bits));
        while (table[at] != 0 && trace->requests[table[at] - 1].key != key)
            at = (at + 1) % places;
        if (table[at] != 0)
            continue;
        table[at] = i + 1;
        trace->keys++;
        trace->footprint += ((uint64_t)ENTRY_OVERHEAD + trace->requests[i].size + round - 1) / round * round;
    }
    free(table);
    return true;
}

/* ---- Files ---------------------------------------------------------------------------------------------------------------- */

/* Starts `xz -dc` on the file and puts the descriptor of what it unpacks in the file's place. 0, or errno. */
static int start_xz(int *fd, pid_t *child) {
    char *const arguments[] = { "xz", "-dc", NULL };
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_adddup2(&actions, *fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int error = posix_spawnp(child, "xz", &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    close(*fd);
    *fd = ends[0];
    return error;
}

static bool end_xz(pid_t child, const char *path) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status == 0)
        return true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        complain(path, "cannot run xz, which unpacks .xz: install xz-utils, or unpack the file first");
    else
        complain(path, "xz could not unpack the file");
    return false;
}

static bool ends_with(const char *text, const char *tail) {
    size_t length = strlen(text), wanted = strlen(tail);
    return length >= wanted && strcmp(text + length - wanted, tail) == 0;
}

/* Reads the descriptor to its end and closes it. */
static bool read_file(struct trace *trace, int fd, const char *path) {
    pid_t child = -1;
    int error = ends_with(path, ".xz") ? start_xz(&fd, &child) : 0;
    if (error)
        complain(path, "cannot run xz, which unpacks .xz: %s: install xz-utils, or unpack the file first", strerror(error));
    bool good = !error && read_requests(trace, fd, path);
    close(fd);
    return child < 0 || error ? good : (end_xz(child, path) && good);
}

bool trace_read(struct trace *trace, const char *path, uint32_t round) {
    *trace = (struct trace){ .count = 0 };
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        complain(path, "%s", strerror(errno));
        return false;
    }
    if (!read_file(trace, fd, path))
        return false;
    if (trace->count == 0) {
        complain(path, "no requests in it");
        return false;
    }
    return count_keys(trace, round) || no_memory(path);
}

void trace_free(struct trace *trace) {
    free(trace->requests);
    *trace = (struct trace){ .count = 0 };
}
