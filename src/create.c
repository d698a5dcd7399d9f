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

/* The magic comes last: until then the file is no store. All of it is on disk before the file gets a name: after a power failure
 * a name without its bytes would be in the way of every later hf_open. */
int hf__format(int fd, const struct hf__geometry *geometry) {
    struct hf__superblock superblock;
    hf__superblock_make(&superblock, geometry);
    if (pwrite(fd, HF_PLANTED(MAGIC_FIRST) ? superblock.magic : making, sizeof making, 0) != sizeof making)
        return hf__fail_errno("write");
    HF_POINT("create:making");
    int result = hf__file_allocate(fd, geometry->file_size);
    HF_POINT("create:allocated");
    if (result != HF_OK)
        return result;
    struct hf__region region = { .geometry = *geometry, .evicts = geometry->mode == HF_MODE_CACHE };
    region.base = mmap(NULL, geometry->file_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (region.base == MAP_FAILED)
        return hf__fail_errno("mmap");
    for (uint32_t stripe = 0; stripe < geometry->stripes; stripe++)
        empty_stripe(&region, stripe);
    HF_POINT("create:stripes");
    size_t magic = sizeof superblock.magic;
    memcpy(region.base + magic, (unsigned char *)&superblock + magic, sizeof superblock - magic);
    hf__fence_release();
    memcpy(region.base, superblock.magic, magic);
    munmap(region.base, geometry->file_size);
    HF_POINT("create:complete");
    return fsync(fd) == 0 ? HF_OK : hf__fail_errno("fsync");
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

/* The file is empty, or its creator was killed before it was done. */
static bool unmade(int fd) {
    char magic[sizeof making];
    ssize_t length = pread(fd, magic, sizeof magic, 0);
    return length == 0 || (length == sizeof magic && memcmp(magic, making, sizeof magic) == 0);
}

int hf__create_in(int fd, const struct hf_options *options) {
    struct hf__geometry geometry;
    int result = HF_OK, error = 0;
    uint64_t deadline = hf__monotonic_us() + (uint64_t)options->timeout_ms * 1000;
    while (unmade(fd) && (error = hf__file_lock(fd, F_WRLCK)) != 0) {
        if (error != EAGAIN && error != EACCES)
            return hf__fail_errno("cannot lock the file");
        if (options->timeout_ms != HF_FOREVER && hf__monotonic_us() >= deadline)
            return hf__fail(HF_ERR_TIMEOUT, "another process keeps the file locked and makes no store in it");
        hf__pause();
    }
    if (unmade(fd)) {
        result = hf__geometry_make(&geometry, options);
        if (result == HF_OK && ftruncate(fd, 0) == 0)
            result = hf__format(fd, &geometry);
        if (result != HF_OK && ftruncate(fd, 0) != 0)
            result = hf__fail_errno("ftruncate");
    }
    hf__file_lock(fd, F_UNLCK);
    return result;
}
