/* SPDX-License-Identifier: MIT */
/*
 * What must be on the disk before something else happens: a copy before it gets its name; the mark that an image is in use before
 * the image changes. No power is cut here: the calls that write to the disk are watched, standing between the library and libc.
 * Knows the layout.
 */
#include "check.h"
#include "layout.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

const unsigned test_seconds = 60;

static struct {
    bool copying;
    bool dirty;                          /* written, and not on the disk yet       */
    unsigned writes, names, directories; /* how often each was seen                */
    unsigned marks;                      /* images marked as in use, on the disk   */
} seen;

/* ---- In the place of libc's ---------------------------------------------------------------------------------------------- */

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    seen.writes++;
    seen.dirty = true;
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    return pwritev(fd, &part, 1, at);
}

int fsync(int fd) {
    struct stat file;
    CHECK_EQ(fstat(fd, &file), 0);
    if (S_ISDIR(file.st_mode))
        seen.directories++;
    else
        seen.dirty = false;
    return (int)syscall(SYS_fsync, fd);
}

static void name_is_given(void) {
    seen.names++;
    CHECK(!seen.copying || !seen.dirty);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) {
    name_is_given();
    return (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int rename(const char *from, const char *to) {
    name_is_given();
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* At this moment the live part is what will be on the disk. */
int msync(void *memory, size_t size, int flags) {
    const struct hf__live *live = memory;
    CHECK(live->in_use == 1);
    CHECK(flags & MS_SYNC);
    seen.marks++;
    return (int)syscall(SYS_msync, memory, size, flags);
}

/* ---- Cases --------------------------------------------------------------------------------------------------------------- */

static hf_store *make_store(const char *name) {
    hf_store *store = check_create(name, check_small_store(0));
    check_put(store, "key", "value");
    return store;
}

static void copied(hf_store *store, const char *path, uint32_t replace, unsigned names) {
    struct hf_copy_options options = HF_COPY_INIT;
    options.replace = replace;
    seen.writes = seen.names = seen.directories = 0;
    seen.copying = true;
    CHECK_RC(hf_copy(store, path, &options), HF_OK);
    seen.copying = false;
    CHECK(seen.writes > 0);
    CHECK_EQ(seen.names, names);
    CHECK_EQ(seen.directories, 1);
}

/* A copy is as clean as a new store: nobody uses it, no lock is held, no boot is known. */
static void is_clean(const char *path) {
    static const unsigned char nothing[HF__LINE];
    size_t size;
    unsigned char *bytes = check_read_file(path, &size);
    const struct hf__live *live = (const struct hf__live *)(const void *)(bytes + HF__LIVE_AT);
    CHECK(live->in_use == 0 && live->ready == 0 && live->boot_id[0] == 0 && live->boot_id[1] == 0);
    CHECK(memcmp(bytes + HF__STRIPES_AT, nothing, sizeof nothing) == 0);
    free(bytes);
}

static void copy(void) {
    char path[CHECK_PATH];
    hf_store *store = make_store("copied");
    check_path(path, "copy");
    copied(store, path, 0, 1);
    is_clean(path);
    copied(store, path, 1, 2); /* a temporary name first */
    is_clean(path);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* Once, by the first writer of a complete image; never by a reader. */
static void in_use(void) {
    char path[CHECK_PATH];
    struct hf_options readonly = HF_OPTIONS_INIT;
    readonly.flags = HF_RDONLY;
    memset(&seen, 0, sizeof seen);
    hf_store *store = make_store("in-use");
    CHECK_EQ(seen.marks, 1);
    copied(store, check_path(path, "unused"), 0, 1);
    CHECK_RC(hf_close(&store), HF_OK);
    for (unsigned marks = 1; marks <= 2; marks++) {
        store = check_open(path, &readonly);
        CHECK_RC(hf_close(&store), HF_OK);
        CHECK_EQ(seen.marks, marks);
        store = check_open(path, NULL);
        CHECK_RC(hf_close(&store), HF_OK);
        CHECK_EQ(seen.marks, 2);
    }
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {{"copy", copy}, {"in-use", in_use}};
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
