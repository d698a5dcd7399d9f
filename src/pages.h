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
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HF__LARGE_PAGE ((size_t)2 << 20)
#define HF__PAGES_STEP (32 * HF__LARGE_PAGE)
#define HF__TMPFS 0x01021994u
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Maps a file, or returns MAP_FAILED. It begins where a large page can, if it is large enough for one and addresses are not
 * scarce. The place is looked for by a mapping that is given back at once, and then only proposed: what is put over a mapping by
 * force may fail with the old one gone, whose addresses another thread can have by then. */
static inline void *hf__pages_map(int fd, size_t size, int protection) {
    unsigned char *room = MAP_FAILED, *proposed = NULL;
    size_t wide = size + HF__LARGE_PAGE;
    if (sizeof(size_t) >= 8 && size >= HF__LARGE_PAGE)
        room = mmap(NULL, wide, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room != MAP_FAILED) {
        proposed = room + (-(uintptr_t)room & (HF__LARGE_PAGE - 1));
        munmap(room, wide);
    }
    return mmap(proposed, size, protection, MAP_SHARED, fd, 0);
}

/* Is it tmpfs, and is there room? What does not fit would take all there is before it is refused. */
static inline bool hf__pages_fit(int fd, size_t size) {
    struct statfs system;
    if (fstatfs(fd, &system) != 0 || (uint32_t)system.f_type != HF__TMPFS)
        return false;
    return system.f_blocks == 0 || size / (size_t)system.f_bsize < system.f_bavail;
}

/* Before the pages of a new file that fits are allocated: they are made large at once, which takes less time than making small
 * ones. One small page must be there in each. Not for a file that others have made: its pages would be charged to the memory
 * cgroup of whoever asks, and could be more than that allows. In steps, between which a signal can end the process. */
static inline void hf__pages_gather(int fd, size_t size) {
    size_t whole = size & ~(HF__LARGE_PAGE - 1);
    unsigned char *base = whole > 0 ? hf__pages_map(fd, whole, PROT_READ | PROT_WRITE) : MAP_FAILED;
    bool going = base != MAP_FAILED;
    for (size_t at = 0, next; going && at < whole; at = next) {
        next = whole - at < HF__PAGES_STEP ? whole : at + HF__PAGES_STEP;
        for (size_t page = at; going && page < next; page += HF__LARGE_PAGE)
            going = posix_fallocate(fd, (off_t)page, (off_t)1) == 0;
        going = going && (madvise(base + at, next - at, MADV_COLLAPSE) == 0 || errno == EAGAIN);
    }
    if (base != MAP_FAILED)
        munmap(base, whole);
}

#endif
