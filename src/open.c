/* SPDX-License-Identifier: MIT */
/*
 * Open and close: from a path or descriptor to a handle.
 *
 * A process maps a file once, however often it opens it: a robust mutex must have one address in a process. The list of mappings
 * has a lock, held during a whole open and across fork, so that no child inherits an election that is half done.
 *
 * A mapping in which a thread holds a lock is never unmapped: the kernel could not tell the next owner that this one died.
 */
#include "internal.h"
#include "pages.h"
#include "tally.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t regions_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static struct hf__region *regions;

static void before_fork(void) {
    pthread_mutex_lock(&regions_lock);
}

static void after_fork_in_parent(void) {
    pthread_mutex_unlock(&regions_lock);
}

/* A child never owns its parent's locks. Its parent is invisible to it (0) only from another PID namespace. */
static void after_fork_in_child(void) {
    if (!HF_PLANTED(PID_STALE))
        hf__pid = (uint32_t)getpid();
    for (struct hf__region *region = regions; region; region = region->next) {
        if (!HF_PLANTED(HELD_INHERITED))
            memset(region->held, 0, region->geometry.stripes * sizeof *region->held);
        region->fills = 0;
        if (getppid() == 0)
            region->writable = false;
    }
    hf__tally_child();
    pthread_mutex_unlock(&regions_lock);
}

static void prepare(void) {
    hf__pid = (uint32_t)getpid();
    hf__tally_prepare();
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* A thread that is cancelled in between would keep the list locked. */
static int lock_regions(void) {
    int cancel;
    pthread_once(&prepared, prepare);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_mutex_lock(&regions_lock);
    return cancel;
}

static void unlock_regions(int cancel) {
    pthread_mutex_unlock(&regions_lock);
    pthread_setcancelstate(cancel, &cancel);
}

static struct hf__region *find_region(const struct stat *file, bool writable) {
    for (struct hf__region *region = regions; region; region = region->next)
        if (region->device == file->st_dev && region->inode == file->st_ino && region->mapped_writable == writable)
            return region;
    return NULL;
}

static void free_region(struct hf__region *region) {
    if (region->base && region->base != MAP_FAILED)
        munmap(region->base, hf__mapped_size(&region->geometry));
    close(region->fd);
    free(region->held);
    free(region->own);
    free(region);
}

static int not_regular(void) {
    return hf__fail(HF_ERR_FORMAT, "not a regular file: a store is one");
}

static int read_superblock(int fd, const struct stat *file, struct hf__superblock *superblock, bool *readonly) {
    if (!S_ISREG(file->st_mode))
        return not_regular();
    if (file->st_size == 0)
        return hf__fail(HF_ERR_FORMAT, "the file is empty: delete it, and make a store in its place");
    ssize_t length = hf__file_read(fd, superblock, sizeof *superblock);
    if (length < 0)
        return hf__fail_errno("read");
    if ((size_t)length < sizeof *superblock)
        return hf__fail(HF_ERR_FORMAT, "not a Holdfast store: it has only %zd bytes", length);
    return hf__superblock_check(superblock, (uint64_t)file->st_size, readonly);
}

static void describe_region(struct hf__region *region, const struct stat *file, const struct hf__superblock *superblock) {
    region->geometry = superblock->geometry;
    region->seed = superblock->seed;
    region->store_id = superblock->store_id;
    region->created_ms = superblock->created_ms;
    region->map_words = region->geometry.blocks / 64;
    region->probes = region->geometry.buckets < HF__PROBES ? region->geometry.buckets : HF__PROBES;
    region->evicts = region->geometry.mode == HF_MODE_CACHE;
    region->device = file->st_dev;
    region->inode = file->st_ino;
    region->references = 1;
}

static int map_region(struct hf__region *region) {
    if (!hf__mappable(&region->geometry))
        return hf__fail(HF_ERR_ABI, "the store is larger than the addresses of this program: use a 64-bit one");
    region->held = calloc(region->geometry.stripes, sizeof *region->held);
    region->own = calloc(HF__TALLY_COUNT, sizeof *region->own);
    if (!region->held || !region->own)
        return hf__fail_errno("calloc");
    int protection = region->mapped_writable ? PROT_READ | PROT_WRITE : PROT_READ;
    region->base = hf__pages_map(region->fd, hf__mapped_size(&region->geometry), protection);
    return region->base == MAP_FAILED ? hf__fail_errno("mmap") : HF_OK;
}

/* Without /proc it is not known, so every get verifies. */
static bool unverified(const struct hf__region *region) {
    struct hf__identity identity;
    const struct hf__live *live = hf__live(region);
    if (!hf__load32(&live->in_use))
        return false;
    return hf__identity_of(region->fd, &identity) != HF_OK || !hf__identity_matches(&identity, live);
}

/* A mapping of an open file, which it takes over. */
static int new_region(int fd, const struct stat *file, bool readonly, uint32_t timeout_ms, struct hf__region **made) {
    struct hf__superblock superblock;
    struct hf__region *region = calloc(1, sizeof *region);
    if (!region) {
        close(fd);
        return hf__fail(HF_ERR_MEMORY, "no memory for a handle");
    }
    region->fd = fd;
    int result = read_superblock(fd, file, &superblock, &readonly);
    if (result == HF_OK) {
        describe_region(region, file, &superblock);
        region->writable = region->mapped_writable = !readonly;
        result = map_region(region);
    }
    if (result == HF_OK)
        region->recoveries_before = hf__load(&hf__live(region)->recoveries);
    if (result == HF_OK && region->writable)
        result = hf__attach(region, timeout_ms);
    if (result != HF_OK) {
        free_region(region);
        return result;
    }
    region->unverified = !region->writable && unverified(region);
    hf__tally_attach(region);
    region->next = regions;
    regions = *made = region;
    return HF_OK;
}

/* Takes over `fd`. Called with the list locked. */
static int open_region(int fd, const struct hf_options *options, struct hf__region **found) {
    bool readonly = options->flags & HF_RDONLY;
    struct stat file;
    int result = fstat(fd, &file) == 0 ? hf__file_system_check(fd) : hf__fail_errno("fstat");
    if (result != HF_OK) {
        close(fd);
        return result;
    }
    *found = find_region(&file, !readonly);
    if (!*found)
        return new_region(fd, &file, readonly, options->timeout_ms, found);
    close(fd);
    if (!readonly && !(*found)->writable)
        return hf__fail(HF_ERR_NAMESPACE, "this process was forked into another PID namespace: open the store read-only");
    ++(*found)->references;
    return HF_OK;
}

static int open_file(const char *path, const struct hf_options *options, int *fd) {
    int access = options->flags & HF_RDONLY ? O_RDONLY : O_RDWR;
    *fd = hf__file_open(path, access | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (*fd >= 0)
        return HF_OK;
    if (errno == ENOENT)
        return HF_NOTFOUND;
    if (errno == EISDIR || errno == ENXIO)
        return not_regular();
    bool refused = errno == EACCES || errno == EROFS;
    return hf__fail_errno(refused && access == O_RDWR ? "cannot open for writing (is read-only enough?)" : "cannot open");
}

#define CREATE_TRIES 10 /* against somebody who makes and deletes it all the time */

/* What HF_EXCLUSIVE says of something that is there already; HF_OK if nothing is. */
static int taken(const char *path) {
    struct stat file;
    if (lstat(path, &file) != 0)
        return HF_OK;
    return S_ISREG(file.st_mode) || S_ISLNK(file.st_mode) ? HF_EXISTS : not_regular();
}

static int open_or_create(const char *path, const struct hf_options *options, struct hf__region **region) {
    bool create = options->flags & HF_CREATE, exclusive = options->flags & HF_EXCLUSIVE;
    int present = exclusive ? taken(path) : HF_OK;
    if (present != HF_OK)
        return present;
    for (int try = 0; try < CREATE_TRIES; try++) {
        int fd, result = exclusive && try == 0 ? HF_NOTFOUND : open_file(path, options, &fd);
        if (result == HF_OK)
            return open_region(fd, options, region);
        if (result != HF_NOTFOUND || !create)
            return result;
        result = hf__create(path, options);
        if (result != HF_OK && (result != HF_EXISTS || exclusive))
            return result;
    }
    return hf__fail(HF_ERR_SYSTEM, "there is something under that name, but it cannot be opened: a symbolic link to nothing?");
}

/* An open file description of our own: OFD locks belong to it, and the one we were given may be shared with other processes. */
static int reopen(int fd, const struct hf_options *options) {
    char proc[64];
    if (options->flags & HF_RDONLY)
        return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    return hf__file_open(proc, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
}

static int open_descriptor(int given, const struct hf_options *options, struct hf__region **region) {
    struct stat file;
    int access = fcntl(given, F_GETFL);
    if (access < 0)
        return hf__fail_errno("the descriptor");
    if (!(options->flags & HF_RDONLY) && (access & O_ACCMODE) != O_RDWR)
        return hf__fail(HF_ERR_ARGUMENT, "the descriptor is not open for reading and writing: use HF_RDONLY, or open it so");
    int fd = reopen(given, options);
    if (fd < 0)
        return hf__fail_errno("cannot open the descriptor anew (through /proc/self/fd)");
    int result = fstat(fd, &file) == 0 ? HF_OK : hf__fail_errno("fstat");
    bool regular = result == HF_OK && S_ISREG(file.st_mode);
    if (regular && file.st_size > 0 && (options->flags & HF_EXCLUSIVE))
        result = HF_EXISTS;
    else if (regular && (options->flags & HF_CREATE))
        result = hf__create_in(fd, options);
    if (result == HF_OK)
        return open_region(fd, options, region);
    close(fd);
    return result;
}

/* Tells the log what the first writer had to repair. */
static void tell_recoveries(hf_store *store, uint64_t after) {
    struct hf_recovery recoveries[HF__RING];
    size_t count;
    if (!store->log || hf_recoveries(store, recoveries, HF__RING, &count) != HF_OK)
        return;
    for (size_t i = 0; i < count; i++)
        if (recoveries[i].sequence > after && recoveries[i].repairer == hf__pid)
            store->log(store->log_context, &recoveries[i]);
}

/* Opens by path, or by descriptor if the path is NULL. */
static int open_store(hf_store **store, const char *path, int fd, const struct hf_options *theirs) {
    struct hf_options options;
    struct hf__region *region = NULL;
    int result = hf__options_check(&options, theirs);
    hf_store *handle = result == HF_OK ? calloc(1, sizeof *handle) : NULL;
    if (!handle)
        return result == HF_OK ? hf__fail(HF_ERR_MEMORY, "no memory for a handle") : result;
    int cancel = lock_regions();
    result = path ? open_or_create(path, &options, &region) : open_descriptor(fd, &options, &region);
    if (result == HF_OK && path)
        hf__store32(&region->named, 1);
    bool first = result == HF_OK && region->references == 1 && region->writable;
    uint64_t before = first ? region->recoveries_before : 0;
    unlock_regions(cancel);
    if (result != HF_OK) {
        free(handle);
        return result;
    }
    *handle = (hf_store){ region, options.timeout_ms, options.log, options.log_context };
    *store = handle;
    if (first)
        tell_recoveries(handle, before);
    return HF_OK;
}

int hf_open(hf_store **store, const char *path, const struct hf_options *options) {
    if (!store || !path)
        return hf__fail(HF_ERR_ARGUMENT, "hf_open needs a place for the handle and a path");
    *store = NULL;
    return open_store(store, path, -1, options);
}

int hf_open_fd(hf_store **store, int fd, const struct hf_options *options) {
    if (!store || fd < 0)
        return hf__fail(HF_ERR_ARGUMENT, "hf_open_fd needs a place for the handle and a descriptor");
    *store = NULL;
    return open_store(store, NULL, fd, options);
}

int hf_open_anonymous(hf_store **store, const struct hf_options *theirs) {
    struct hf_options options;
    if (!store)
        return hf__fail(HF_ERR_ARGUMENT, "hf_open_anonymous needs a place for the handle");
    *store = NULL;
    int result = hf__options_check(&options, theirs);
    if (result != HF_OK)
        return result;
    int fd = memfd_create("holdfast", MFD_CLOEXEC);
    if (fd < 0)
        return hf__fail_errno("memfd_create");
    options.flags |= HF_CREATE;
    result = hf_open_fd(store, fd, &options);
    close(fd);
    return result;
}

/* Takes a mapping from the list, which is locked, and ends it if nothing in it is held. */
static int end_region(struct hf__region *region) {
    struct hf__region **link = &regions;
    if (hf__locks_held(region) && !HF_PLANTED(UNMAP_HELD))
        return hf__fail(HF_ERR_BUSY, "a thread of this process holds a lock of the store: the mapping stays until it ends");
    while (*link != region)
        link = &(*link)->next;
    *link = region->next;
    hf__tally_detach(region);
    free_region(region);
    return HF_OK;
}

int hf_close(hf_store **store) {
    int result = HF_OK;
    if (!store || !*store)
        return HF_OK;
    int cancel = lock_regions();
    if (--(*store)->region->references == 0)
        result = end_region((*store)->region);
    unlock_regions(cancel);
    free(*store);
    *store = NULL;
    return result;
}

#ifdef HF_TEST
int hf__open_tiny(hf_store **store, uint32_t buckets, uint32_t blocks, uint32_t mode) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf__geometry geometry = { .entries = 1, .entry_size = 1, .mode = mode, .stripes = 1, .buckets = buckets,
                                     .blocks = (blocks + 63) & ~63u, .max_value = blocks * HF__BLOCK, .max_key = HF_KEY_MAX };
    int fd = memfd_create("holdfast", MFD_CLOEXEC);
    hf__geometry_parts(&geometry);
    int result = fd < 0 ? hf__fail_errno("memfd_create") : hf__format(fd, &geometry);
    if (result == HF_OK)
        result = hf_open_fd(store, fd, &options);
    close(fd);
    return result;
}
#endif
