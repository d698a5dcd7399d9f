/* SPDX-License-Identifier: MIT */
#ifndef HF_PAGES_H
#define HF_PAGES_H
/*
 * Large pages: a file in tmpfs that consists of them, and a mapping that can use them.
 *
 * A random read of a large store waits as long for the page tables as for the data. With pages of 2 MiB it waits for the data
 * alone. tmpfs makes small pages unless it is mounted otherwise, but since Linux 6.1 a program may ask for large ones, for a file
 * at hand (madvise(2), MADV_COLLAPSE). All of this is a wish: where it is not granted, small pages do. A process, and all that it
 * starts, goes without by prctl(PR_SET_THP_DISABLE).
 *
 * Knows nothing of the library, so that the benchmark can give its limits the same pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HF__LARGE_PAGE ((size_t)2 << 20)
#define HF__TMPFS 0x01021994u
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Maps a file, or returns MAP_FAILED. It begins where a large page can, if it is large enough for one and addresses are not
 * scarce: in a reserved range, of which the rest is given back. */
static inline void *hf__pages_map(int fd, size_t size, int protection) {
    unsigned char *room = MAP_FAILED;
    size_t wide = size + HF__LARGE_PAGE, page = (size_t)sysconf(_SC_PAGESIZE);
    if (sizeof(size_t) >= 8 && size >= HF__LARGE_PAGE)
        room = mmap(NULL, wide, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    size_t before = -(uintptr_t)room & (HF__LARGE_PAGE - 1), end = before + ((size + page - 1) & ~(page - 1));
    void *base = mmap(room + before, size, protection, MAP_SHARED | MAP_FIXED, fd, 0);
    int error = errno;
    if (base == MAP_FAILED)
        before = end = wide;
    if (before > 0)
        munmap(room, before);
    if (end < wide)
        munmap(room + end, wide - end);
    errno = error;
    return base;
}

/* Before the pages of a new file are allocated: they are made large at once, which takes less time than making small ones. One
 * small page must be there in each. */
static inline void hf__pages_gather(int fd, size_t size) {
    struct statfs system;
    size_t whole = size & ~(HF__LARGE_PAGE - 1);
    if (whole == 0 || fstatfs(fd, &system) != 0 || (uint32_t)system.f_type != HF__TMPFS)
        return;
    for (size_t at = 0; at < whole; at += HF__LARGE_PAGE)
        if (posix_fallocate(fd, (off_t)at, (off_t)1) != 0)
            return;
    void *base = hf__pages_map(fd, whole, PROT_READ | PROT_WRITE);
    if (base == MAP_FAILED)
        return;
    madvise(base, whole, MADV_COLLAPSE);
    munmap(base, whole);
}

#endif
