/* SPDX-License-Identifier: MIT */
/*
 * The walk holds one descriptor for each directory it is inside of, and goes down by openat, so that a directory renamed or
 * replaced by a link meanwhile leads nowhere else. nftw was rejected for its lack of a context and its working directory.
 */
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool walk_directory(struct walk *walk, int fd);

static bool cannot(struct walk *walk) {
    walk->failed++;
    if (!walk->silent)
        complain(walk->top, "%s%s%s", walk->path, walk->path_len ? ": " : "", strerror(errno));
    return true;
}

static bool walk_entry(struct walk *walk, int directory, const char *name) {
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || cannot(walk);
    if (S_ISREG(status.st_mode))
        return walk->visit(walk->context, directory, name, walk->path);
    if (!S_ISDIR(status.st_mode)) {
        walk->skipped++;
        return true;
    }
    int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? cannot(walk) : walk_directory(walk, fd);
}

/* The path grows by "/name" while the entry is walked. */
static bool step_into(struct walk *walk, int directory, const char *name) {
    size_t before = walk->path_len;
    size_t length = strlen(name);
    if (before + length + 2 > sizeof walk->path) {
        errno = ENAMETOOLONG;
        return cannot(walk);
    }
    if (before > 0)
        walk->path[walk->path_len++] = '/';
    memcpy(walk->path + walk->path_len, name, length + 1);
    walk->path_len += length;
    bool more = walk_entry(walk, directory, name);
    walk->path_len = before;
    walk->path[before] = '\0';
    return more;
}

/* Closes fd. */
static bool walk_directory(struct walk *walk, int fd) {
    DIR *stream = fdopendir(fd);
    if (!stream) {
        close(fd);
        return cannot(walk);
    }
    bool more = true;
    while (more) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry) {
            if (errno != 0)
                cannot(walk);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            more = step_into(walk, fd, entry->d_name);
    }
    closedir(stream);
    return more;
}

bool walk_files(struct walk *walk) {
    walk->path_len = 0;
    walk->path[0] = '\0';
    int fd = open(walk->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        cannot(walk);
        return false;
    }
    return walk_directory(walk, fd);
}
