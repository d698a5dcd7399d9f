/* SPDX-License-Identifier: MIT */
/*
 * Large pages: a new store, or copy, consists of them, and no addresses are lost by it; one that does not fit is refused without
 * taking what there is; who opens a store leaves its pages as they are; and to ask how many there are changes nothing. Needs the
 * test build of the library, a kernel that makes large pages for tmpfs on request, and the right to mount.
 *
 *     pages [CASE...]
 */
#include "check.h"
#include "fault.h"

#include "../tools/large.h"
#include "pages.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

const unsigned test_seconds = 60;

enum { LARGE = 2 << 20, CAPACITY = 5 * LARGE, WHOLE = 4 * LARGE }; /* up to 2 % of a capacity are not used */

static hf_store *create_large(const char *name) {
    struct hf_options options = HF_OPTIONS_INIT;
    char path[CHECK_PATH];
    options.capacity = CAPACITY;
    hf_store *store = check_create(name, options);
    if (large_pages_of(check_path(path, name)) == 0)
        check_skip("this kernel, or file system, makes no large pages (for which memory may be too scarce)");
    check_put(store, "key", "value");
    return store;
}

static void made(void) {
    char path[CHECK_PATH];
    hf_store *store = create_large("made");
    CHECK_EQ(large_pages_of(check_path(path, "made")), WHOLE);
    CHECK_RC(hf_copy(store, check_path(path, "copy"), NULL), HF_OK);
    CHECK_EQ(large_pages_of(path), WHOLE);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A file that was copied by other means has small pages, paid for by whoever copied it. */
static void opened(void) {
    char path[CHECK_PATH];
    size_t size;
    hf_store *store = create_large("first");
    CHECK_RC(hf_close(&store), HF_OK);
    void *bytes = check_read_file(check_path(path, "first"), &size);
    check_write_file(check_path(path, "second"), bytes, size);
    free(bytes);
    store = check_open(path, NULL);
    check_value(store, "key", "value");
    CHECK_EQ(large_pages_of(path), 0);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- What does not fit --------------------------------------------------------------------------------------------------- */

static char disk[CHECK_PATH];
static struct statvfs when_refused;

static void look_at_disk(const char *point) {
    if (strcmp(point, "create:allocated") == 0)
        CHECK_EQ(statvfs(disk, &when_refused), 0);
}

static int refused(void *unused) {
    (void)unused;
    char path[CHECK_PATH];
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        check_skip("needs the right to mount (root) for a small file system");
    CHECK_EQ(mkdir(check_path(disk, "disk"), 0700), 0);
    CHECK_EQ(mount("none", disk, "tmpfs", 0, "size=8m"), 0);
    options.flags = HF_CREATE;
    options.capacity = 64 << 20;
    hf__point_hook = look_at_disk;
    CHECK_RC(hf_open(&store, check_path(path, "disk/store"), &options), HF_ERR_SYSTEM);
    CHECK_EQ(errno, ENOSPC);
    CHECK(when_refused.f_blocks > 0 && when_refused.f_bfree + 4 > when_refused.f_blocks);
    CHECK_EQ(check_entries_of(disk), 0);
    return 0;
}

static void unfit(void) {
    check_run(refused, NULL);
}

/* ---- How many there are -------------------------------------------------------------------------------------------------- */

static void looked_at(void) {
    char path[CHECK_PATH];
    struct stat file;
    int fd = open(check_path(path, "holes"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 64 << 20) == 0 && pwrite(fd, "data", 4, 32 << 20) == 4 && fstat(fd, &file) == 0);
    int64_t blocks = file.st_blocks;
    CHECK_EQ(large_pages_of(path), 0);
    CHECK_EQ(fstat(fd, &file), 0);
    CHECK_EQ(file.st_blocks, blocks);
    close(fd);
}

/* ---- Asked without the library, and the addresses it took ---------------------------------------------------------------- */

/* Bytes of all mappings of this process that lie in large pages, and of all its mappings. */
static uint64_t large_bytes(uint64_t *mapped) {
    char line[512];
    uint64_t bytes = 0, kilobytes, from, to;
    FILE *file = fopen("/proc/self/smaps", "re");
    CHECK(file != NULL);
    for (*mapped = 0; fgets(line, sizeof line, file);) {
        if (sscanf(line, "ShmemPmdMapped: %" SCNu64, &kilobytes) == 1)
            bytes += kilobytes * 1024;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2)
            *mapped += to - from;
    }
    fclose(file);
    return bytes;
}

/* Does the kernel give large pages to who asks? Asked without the library. */
static bool large_pages_to_be_had(void) {
    size_t size = HF__LARGE_PAGE;
    int fd = memfd_create("holdfast-test", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)(2 * size)) == 0);
    char *base = mmap(NULL, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(base != MAP_FAILED);
    char *at = base + (-(uintptr_t)base & (size - 1));
    CHECK(mmap(at, 2 * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at);
    at[0] = at[size] = 1;
    bool had = sizeof(size_t) >= 8 && madvise(at, 2 * size, MADV_COLLAPSE) == 0;
    munmap(base, 3 * size);
    close(fd);
    return had;
}

static void addresses(void) {
    hf_store *store = NULL;
    struct hf_options options = HF_OPTIONS_INIT;
    uint64_t before, mapped;
    options.flags = HF_CREATE;
    options.capacity = (9 << 20) + 4096 * 3;
    int fd = memfd_create("holdfast-test", MFD_CLOEXEC);
    CHECK(fd >= 0);
    large_bytes(&before);
    CHECK_RC(hf_open_fd(&store, fd, &options), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK_RC(hf_open_fd(&store, fd, NULL), HF_OK);
    for (uint32_t i = 0; i < 5000; i++)
        CHECK_RC(hf_put(store, &i, sizeof i, "some value", 10, NULL, NULL), HF_OK);
    uint64_t large = large_bytes(&mapped);
    if (large_pages_to_be_had())
        CHECK(large >= 4 * HF__LARGE_PAGE && large <= (uint64_t)options.capacity + HF__LARGE_PAGE);
    else
        printf("not shown: this kernel gives no large pages\n");
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK_EQ(large_bytes(&mapped), 0);
    CHECK(mapped < before + HF__LARGE_PAGE); /* the C library's heap may have grown a little */
    close(fd);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"looked-at", looked_at}, {"unfit", unfit}, {"opened", opened}, {"made", made}, {"addresses", addresses},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
