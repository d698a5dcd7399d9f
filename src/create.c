/* SPDX-License-Identifier: MIT */
/* A new, empty image in a file that nobody else can see yet, or that nobody else may touch. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static void empty_stripe(const struct hf__region *region, uint32_t stripe) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    header->next_stamp = 1; /* 0 is no version */
    header->next_expiry = UINT64_MAX;
    header->reserve_len = region->evicts ? 0 : region->geometry.blocks;
}

/* In the place of the magic while a store is made: who finds it after a kill knows that nobody's data is behind it. */
static const char making[8] = "Holdfas-";

static int write_magic(int fd, const char magic[8]) {
    ssize_t written;
    do
        written = pwrite(fd, magic, sizeof making, 0);
    while (written < 0 && errno == EINTR);
    return written == sizeof making ? HF_OK : hf__fail_errno("write");
}

/* The magic comes last: until then the file is no store. All of it is on disk before the file gets a name: after a power failure
 * a name without its bytes would be in the way of every later hf_open. */
int hf__format(int fd, const struct hf__geometry *geometry) {
    struct hf__superblock superblock;
    if (!hf__mappable(geometry))
        return hf__fail(HF_ERR_ARGUMENT, "a store of %llu bytes is larger than the addresses of this program: use a 64-bit one",
                        (unsigned long long)geometry->file_size);
    int result = hf__superblock_make(&superblock, geometry);
    if (result == HF_OK)
        result = write_magic(fd, HF_PLANTED(MAGIC_FIRST) ? superblock.magic : making);
    HF_POINT("create:making");
    if (result == HF_OK)
        result = hf__file_allocate_new(fd, geometry->file_size);
    HF_POINT("create:allocated");
    if (result != HF_OK)
        return result;
    struct hf__region region = { .geometry = *geometry, .evicts = geometry->mode == HF_MODE_CACHE };
    region.base = mmap(NULL, hf__mapped_size(geometry), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (region.base == MAP_FAILED)
        return hf__fail_errno("mmap");
    for (uint32_t stripe = 0; stripe < geometry->stripes; stripe++)
        empty_stripe(&region, stripe);
    HF_POINT("create:stripes");
    size_t magic = sizeof superblock.magic;
    memcpy(region.base + magic, (unsigned char *)&superblock + magic, sizeof superblock - magic);
    hf__fence_release();
    memcpy(region.base, superblock.magic, magic);
    munmap(region.base, hf__mapped_size(geometry));
    HF_POINT("create:complete");
    return hf__file_fsync(fd);
}

int hf__create(const char *path, const struct hf_options *options) {
    struct hf__geometry geometry;
    struct hf__new_file file;
    int result = hf__geometry_make(&geometry, options);
    if (result == HF_OK)
        result = hf__file_begin(&file, path, options->file_mode);
    if (result != HF_OK)
        return result;
    HF_POINT("create:file");
    result = hf__format(file.fd, &geometry);
    if (result == HF_OK)
        result = hf__file_commit(&file, false);
    hf__file_abandon(&file);
    return result;
}

/* HF_OK: the file is empty, or its creator was killed before it was done. HF_EXISTS: it is made. */
static int unmade(int fd) {
    char magic[sizeof making];
    ssize_t length = hf__file_read(fd, magic, sizeof magic);
    if (length < 0)
        return hf__fail_errno("read");
    return length == 0 || (length == sizeof magic && memcmp(magic, making, sizeof magic) == 0) ? HF_OK : HF_EXISTS;
}

static int empty(int fd) {
    int failed;
    do
        failed = ftruncate(fd, 0);
    while (failed && errno == EINTR);
    return failed ? hf__fail_errno("ftruncate") : HF_OK;
}

/* What failed first is told; a file that cannot be emptied then is still known as half made. */
static int make_in(int fd, const struct hf_options *options) {
    struct hf__geometry geometry;
    int result = hf__geometry_make(&geometry, options);
    if (result == HF_OK)
        result = empty(fd);
    if (result == HF_OK)
        result = hf__format(fd, &geometry);
    int error = errno;
    bool emptied = result == HF_OK || ftruncate(fd, 0) == 0;
    (void)emptied;
    errno = error;
    return result;
}

int hf__create_in(int fd, const struct hf_options *options) {
    int result;
    uint64_t deadline = hf__monotonic_us() + (uint64_t)options->timeout_ms * 1000;
    while ((result = unmade(fd)) == HF_OK && (errno = hf__file_lock(fd, F_WRLCK)) != 0) {
        if (errno != EAGAIN)
            return hf__fail_errno("cannot lock the file");
        if (options->timeout_ms != HF_FOREVER && hf__monotonic_us() >= deadline)
            return hf__fail(HF_ERR_TIMEOUT, "another process keeps the file locked and makes no store in it");
        hf__pause();
    }
    if (result == HF_OK)
        result = unmade(fd);
    if (result == HF_OK)
        result = make_in(fd, options);
    hf__file_lock(fd, F_UNLCK);
    return result == HF_EXISTS ? HF_OK : result;
}
