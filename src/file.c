/* SPDX-License-Identifier: MIT */
/*
 * A new file that appears under its name only when it is complete, and the file systems that cannot hold a store.
 *
 * O_TMPFILE makes a file without a name: whoever is killed leaves nothing. Where a file system does not know it, or a file is to
 * be replaced by rename, the file has a temporary name for a while.
 */
#include "internal.h"
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HUGETLBFS 0x958458f6u
static const struct {
    uint32_t magic;
    const char *name;
} incoherent[] = {
    { 0x6969, "NFS" },     { 0x517b, "SMB" },     { 0xfe534d42, "SMB2" }, { 0xff534d42, "CIFS" }, { 0x00c36400, "Ceph" },
    { 0x01021997, "9P" },  { 0x5346414f, "AFS" }, { 0x73757245, "Coda" }, { 0x0bd00bd0, "Lustre" }, { 0x65735546, "FUSE" },
    { 0x7461636f, "OCFS2" }, { 0x01161970, "GFS2" },
};

/* In a process whose standard output is closed a file would get its number, and what is printed be written over the store. */
static int above_standard(int fd) {
    if (fd < 0 || fd > STDERR_FILENO || HF_PLANTED(STANDARD_TAKEN))
        return fd;
    int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), error = errno;
    close(fd);
    errno = error;
    return above;
}

int hf__file_open(const char *path, int flags, uint32_t mode) {
    int fd;
    do
        fd = open(path, flags, (mode_t)mode);
    while (fd < 0 && errno == EINTR);
    return above_standard(fd);
}

ssize_t hf__file_read(int fd, void *buffer, size_t size) {
    ssize_t length;
    do
        length = pread(fd, buffer, size, 0);
    while (length < 0 && errno == EINTR);
    return length;
}

int hf__file_sync(void *address, size_t size) {
    int failed;
    do
        failed = msync(address, size, MS_SYNC);
    while (failed && errno == EINTR);
    return failed ? hf__fail_errno("msync") : HF_OK;
}

int hf__file_fsync(int fd) {
    int failed;
    do
        failed = fsync(fd);
    while (failed && errno == EINTR);
    return failed ? hf__fail_errno("fsync") : HF_OK;
}

int hf__file_system_check(int fd) {
    struct statfs system;
    int failed;
    do
        failed = fstatfs(fd, &system);
    while (failed && errno == EINTR);
    if (failed)
        return hf__fail_errno("fstatfs");
    if ((uint32_t)system.f_type == HUGETLBFS)
        return hf__fail(HF_ERR_FILESYSTEM,
                        "hugetlbfs has files that cannot be written to: put the store in /dev/shm, which has large pages, too");
    for (size_t i = 0; i < sizeof incoherent / sizeof *incoherent; i++)
        if ((uint32_t)system.f_type == incoherent[i].magic)
            return hf__fail(HF_ERR_FILESYSTEM,
                            "%s does not keep shared mappings coherent: put the store on a local file system or in /dev/shm",
                            incoherent[i].name);
    return HF_OK;
}

/* Writes zeros behind the end of a file, up to a size; an errno. */
static int extend(int fd, uint64_t size) {
    static const char zeros[64 * 1024];
    struct stat file;
    if (fstat(fd, &file) != 0)
        return errno;
    for (uint64_t end = (uint64_t)file.st_size; end < size;) {
        size_t part = size - end < sizeof zeros ? (size_t)(size - end) : sizeof zeros;
        ssize_t written = pwrite(fd, zeros, part, (off_t)end);
        if (written < 0 && errno != EINTR)
            return errno;
        end += written > 0 ? (uint64_t)written : 0;
    }
    return 0;
}

/* Where the file system cannot allocate, glibc writes into every block, and musl says so. */
int hf__file_allocate(int fd, uint64_t size) {
    int error;
    do
        error = HF_PLANTED(NOT_ALLOCATED) ? ftruncate(fd, (off_t)size) : posix_fallocate(fd, 0, (off_t)size);
    while (error == EINTR);
    if (error == EOPNOTSUPP)
        error = extend(fd, size);
    errno = error;
    if (error == ENOSPC || error == EDQUOT)
        return hf__fail(HF_ERR_SYSTEM, "no room for the store's %llu bytes: free some, or ask for a smaller capacity",
                        (unsigned long long)size);
    return error ? hf__fail_errno("posix_fallocate") : HF_OK;
}

int hf__file_allocate_new(int fd, uint64_t size) {
    if (size <= SIZE_MAX && (hf__pages_fit(fd, (size_t)size) || HF_PLANTED(PAGES_UNFIT)) && !HF_PLANTED(NOT_ALLOCATED))
        hf__pages_gather(fd, (size_t)size);
    return hf__file_allocate(fd, size);
}

int hf__file_mode(int fd, uint32_t *mode) {
    struct stat file;
    if (fstat(fd, &file) != 0)
        return hf__fail_errno("cannot ask for the store's permissions");
    *mode = file.st_mode & 07777;
    return HF_OK;
}

/* "DIR/.holdfast.RANDOM", beside the file it will become. */
static char *temporary_name(const char *path) {
    char *name = NULL;
    uint64_t number;
    const char *slash = strrchr(path, '/');
    int directory = slash ? (int)(slash - path) + 1 : 0;
    if (!hf__random(&number) || asprintf(&name, "%.*s.holdfast.%016llx", directory, path, (unsigned long long)number) < 0)
        return NULL;
    return name;
}

/* Opens the directory of a file. */
static int open_directory_of(const char *path, int flags, uint32_t mode) {
    const char *slash = strrchr(path, '/');
    char *directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!directory)
        return -1;
    int fd = hf__file_open(directory, flags | O_CLOEXEC, mode);
    free(directory);
    return fd;
}

/* The name is remembered, to be removed, only once the file is ours. */
static int open_with_name(struct hf__new_file *file, uint32_t mode) {
    char *name = temporary_name(file->path);
    int fd = name ? hf__file_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode) : -1;
    if (fd >= 0)
        file->temporary = name;
    else
        free(name);
    return fd;
}

int hf__file_begin(struct hf__new_file *file, const char *path, uint32_t mode) {
    *file = (struct hf__new_file){ .fd = -1, .path = strdup(path) };
    if (!file->path)
        return hf__fail_errno("strdup");
    file->fd = open_directory_of(path, O_TMPFILE | O_RDWR, mode);
    if (file->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
        file->fd = open_with_name(file, mode);
    int result = file->fd >= 0 ? hf__file_system_check(file->fd) : hf__fail_errno("cannot make a file in that directory");
    if (result != HF_OK)
        hf__file_abandon(file);
    return result;
}

static int link_to(const struct hf__new_file *file, const char *name) {
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", file->fd);
    return linkat(AT_FDCWD, proc, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

static int renamed(struct hf__new_file *file) {
    free(file->temporary);
    file->temporary = NULL;
    return 0;
}

/* Under a name that must be free. In one step where the file system can, so that no removal of the temporary name can fail. */
static int name_as(struct hf__new_file *file) {
    if (!file->temporary)
        return link_to(file, file->path);
#ifdef RENAME_NOREPLACE
    if (renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path, RENAME_NOREPLACE) == 0)
        return renamed(file);
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
#endif
    return link(file->temporary, file->path);
}

/* Over a file that may be there already. */
static int rename_to(struct hf__new_file *file) {
    if (!file->temporary) {
        char *name = temporary_name(file->path);
        if (!name || link_to(file, name) != 0) {
            free(name);
            return -1;
        }
        file->temporary = name;
    }
    HF_POINT("file:rename");
    return rename(file->temporary, file->path) == 0 ? renamed(file) : -1;
}

/* So that the name outlasts a power failure. Best effort: not every file system can. */
static void sync_directory(const char *path) {
    int fd = open_directory_of(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

int hf__file_commit(struct hf__new_file *file, bool replace) {
    HF_POINT("file:link");
    int failed = replace ? rename_to(file) : name_as(file);
    if (failed && errno == EEXIST)
        return HF_EXISTS;
    if (failed && errno == ENOENT && access("/proc/self/fd", F_OK) != 0)
        return hf__fail(HF_ERR_SYSTEM, "the new file gets its name through /proc/self/fd, which is missing: mount /proc");
    if (failed)
        return hf__fail_errno(replace ? "cannot replace the file of that name" : "cannot give the new file its name");
    HF_POINT("file:linked");
    sync_directory(file->path);
    return HF_OK;
}

void hf__file_abandon(struct hf__new_file *file) {
    int kept = errno;
    if (file->temporary)
        unlink(file->temporary);
    if (file->fd >= 0)
        close(file->fd);
    free(file->temporary);
    free(file->path);
    *file = (struct hf__new_file){ .fd = -1 };
    errno = kept;
}
