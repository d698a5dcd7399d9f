/* SPDX-License-Identifier: MIT */
/* A disk under a traced child: see disk.h. */
#include "disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/ptrace.h>

enum { PAGE = 4096 };

/* ---- The child ----------------------------------------------------------------------------------------------------------- */

struct task {
    bool no_tmpfile;
    check_body *body;
    void *argument;
};

/* openat fails with EOPNOTSUPP if its flags (the third argument, here its low half) have the bit of O_TMPFILE. */
static void forbid_tmpfile(void) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        _exit(77);
}

static int traced(void *argument) {
    struct task *task = argument;
    if (task->no_tmpfile)
        forbid_tmpfile();
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return 77;
    raise(SIGSTOP);
    return task->body(task->argument);
}

/* ---- Names and bytes ----------------------------------------------------------------------------------------------------- */

static void list(const char *directory, struct disk_listing *listing) {
    DIR *open = opendir(directory);
    const struct dirent *entry;
    memset(listing, 0, sizeof *listing);
    CHECK(open != NULL);
    while ((entry = readdir(open))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        CHECK(listing->count < DISK_NAMES && strlen(entry->d_name) < sizeof listing->names[0].name);
        strcpy(listing->names[listing->count].name, entry->d_name);
        listing->names[listing->count++].inode = entry->d_ino;
    }
    closedir(open);
}

static void join(char path[CHECK_PATH], const char *directory, const char *name) {
    CHECK((size_t)snprintf(path, CHECK_PATH, "%s/%s", directory, name) < CHECK_PATH);
}

static struct disk_file *file_of(struct disk *disk, uint64_t inode) {
    for (uint32_t i = 0; i < disk->file_count; i++)
        if (disk->files[i].inode == inode)
            return &disk->files[i];
    CHECK(disk->file_count < DISK_FILES);
    disk->files[disk->file_count].inode = inode;
    return &disk->files[disk->file_count++];
}

static void sync_file(struct disk *disk, const char *path, uint64_t inode, size_t from, size_t to) {
    struct disk_file *file = file_of(disk, inode);
    size_t size;
    unsigned char *now = check_read_file(path, &size);
    if (size > file->size) {
        file->bytes = realloc(file->bytes, size);
        CHECK(file->bytes != NULL);
        memset(file->bytes + file->size, 0, size - file->size);
    }
    file->size = size;
    to = to < size ? to : size;
    if (from < to)
        memcpy(file->bytes + from, now + from, to - from);
    free(now);
}

/* ---- System calls -------------------------------------------------------------------------------------------------------- */

static void synced_descriptor(struct disk *disk, int fd) {
    char path[64];
    struct stat status, directory;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)disk->child, fd);
    CHECK(stat(path, &status) == 0 && stat(disk->directory, &directory) == 0);
    snprintf(disk->call, sizeof disk->call, "sync of inode %llu", (unsigned long long)status.st_ino);
    disk->changed = true;
    if (S_ISREG(status.st_mode)) {
        sync_file(disk, path, status.st_ino, 0, SIZE_MAX);
    } else if (status.st_ino == directory.st_ino && status.st_dev == directory.st_dev) {
        disk->listings[0] = disk->listings[disk->listing_count - 1];
        disk->listing_count = 1;
    }
}

static void synced_mapping(struct disk *disk, uint64_t address, uint64_t size) {
    char maps[64], line[512], path[CHECK_PATH];
    unsigned long long begin, end, offset, inode;
    snprintf(maps, sizeof maps, "/proc/%d/maps", (int)disk->child);
    FILE *stream = fopen(maps, "re");
    CHECK(stream != NULL);
    while (fgets(line, sizeof line, stream)) {
        if (sscanf(line, "%llx-%llx %*s %llx %*s %llu %255s", &begin, &end, &offset, &inode, path) != 5 || address < begin ||
            address >= end)
            continue;
        snprintf(disk->call, sizeof disk->call, "msync of inode %llu", inode);
        disk->changed = true;
        sync_file(disk, path, inode, address - begin + offset, address - begin + offset + size);
    }
    fclose(stream);
}

static void look_at_names(struct disk *disk) {
    struct disk_listing now;
    list(disk->directory, &now);
    if (memcmp(&now, &disk->listings[disk->listing_count - 1], sizeof now) == 0)
        return;
    CHECK(disk->listing_count < DISK_LISTINGS);
    disk->listings[disk->listing_count++] = now;
    snprintf(disk->call, sizeof disk->call, "change of names, now %u", now.count);
    disk->changed = true;
}

/* True: stopped at the beginning or the end of a system call. */
static bool to_stop(struct disk *disk) {
    int status;
    CHECK_EQ(ptrace(PTRACE_SYSCALL, disk->child, NULL, NULL), 0);
    CHECK(waitpid(disk->child, &status, 0) == disk->child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return false;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
        check_failed(__FILE__, __LINE__, "the traced child's wait status is 0x%x", status);
    return true;
}

bool disk_step(struct disk *disk) {
    struct ptrace_syscall_info begun, ended;
    disk->changed = false;
    if (!to_stop(disk))
        return false;
    CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, disk->child, sizeof begun, &begun) > 0 && begun.op == PTRACE_SYSCALL_INFO_ENTRY);
    if (!to_stop(disk))
        return false;
    CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, disk->child, sizeof ended, &ended) > 0 && ended.op == PTRACE_SYSCALL_INFO_EXIT);
    disk->calls++;
    snprintf(disk->call, sizeof disk->call, "system call %llu", (unsigned long long)begun.entry.nr);
    look_at_names(disk);
    if (!ended.exit.is_error && (begun.entry.nr == SYS_fsync || begun.entry.nr == SYS_fdatasync))
        synced_descriptor(disk, (int)begun.entry.args[0]);
    else if (!ended.exit.is_error && begun.entry.nr == SYS_msync)
        synced_mapping(disk, begun.entry.args[0], begun.entry.args[1]);
    return true;
}

void disk_start(struct disk *disk, const char *directory, bool no_tmpfile, check_body *body, void *argument) {
    struct task task = {no_tmpfile, body, argument};
    char path[CHECK_PATH];
    int status;
    memset(disk, 0, sizeof *disk);
    disk->directory = directory;
    list(directory, &disk->listings[disk->listing_count++]);
    for (uint32_t i = 0; i < disk->listings[0].count; i++) {
        join(path, directory, disk->listings[0].names[i].name);
        sync_file(disk, path, disk->listings[0].names[i].inode, 0, SIZE_MAX);
    }
    disk->child = check_spawn(traced, &task);
    CHECK(waitpid(disk->child, &status, 0) == disk->child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        check_skip("ptrace or seccomp is not permitted");
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
    CHECK_EQ(ptrace(PTRACE_SETOPTIONS, disk->child, NULL, (void *)options), 0);
}

void disk_kill(struct disk *disk) {
    kill(disk->child, SIGKILL);
    CHECK(check_killed(check_wait(disk->child, 20)));
}

void disk_end(struct disk *disk) {
    for (uint32_t i = 0; i < disk->file_count; i++)
        free(disk->files[i].bytes);
}

/* ---- States -------------------------------------------------------------------------------------------------------------- */

void disk_empty(const char *directory) {
    struct disk_listing listing;
    char path[CHECK_PATH];
    list(directory, &listing);
    for (uint32_t i = 0; i < listing.count; i++) {
        join(path, directory, listing.names[i].name);
        CHECK_EQ(unlink(path), 0);
    }
}

/* Where the file of that inode can be read now: under one of its names, or through a descriptor of the child. */
static bool find_file(const struct disk *disk, uint64_t inode, char path[CHECK_PATH]) {
    const struct disk_listing *now = &disk->listings[disk->listing_count - 1];
    struct stat status;
    for (uint32_t i = 0; i < now->count; i++) {
        join(path, disk->directory, now->names[i].name);
        if (now->names[i].inode == inode)
            return true;
    }
    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, CHECK_PATH, "/proc/%d/fd/%d", (int)disk->child, fd);
        if (stat(path, &status) == 0 && status.st_ino == inode)
            return true;
    }
    return false;
}

/* Pages that were not synced are as they are now, or as they were synced last, or zero. */
static void build_file(const struct disk *disk, uint64_t inode, const char *to, uint64_t density, uint64_t *chance) {
    static const struct disk_file nothing;
    const struct disk_file *synced = &nothing;
    char path[CHECK_PATH];
    for (uint32_t i = 0; i < disk->file_count; i++)
        if (disk->files[i].inode == inode)
            synced = &disk->files[i];
    if (!find_file(disk, inode, path)) {
        check_write_file(to, synced->bytes, synced->size);
        return;
    }
    size_t size;
    unsigned char *bytes = check_read_file(path, &size);
    for (size_t at = 0; at < size; at += PAGE) {
        size_t length = size - at < PAGE ? size - at : PAGE;
        if (check_below(chance, 8) < density)
            continue;
        memset(bytes + at, 0, length);
        if (at < synced->size)
            memcpy(bytes + at, synced->bytes + at, synced->size - at < length ? synced->size - at : length);
    }
    check_write_file(to, bytes, size);
    free(bytes);
}

void disk_build(const struct disk *disk, uint32_t listing, const char *to, uint64_t density, uint64_t *chance) {
    char path[CHECK_PATH];
    disk_empty(to);
    for (uint32_t i = 0; i < disk->listings[listing].count; i++) {
        join(path, to, disk->listings[listing].names[i].name);
        build_file(disk, disk->listings[listing].names[i].inode, path, density, chance);
    }
}
