/* SPDX-License-Identifier: MIT */
/*
 * A store in memory lies in large pages where the kernel gives them to who asks, and no addresses are lost by it.
 */
#include "check.h"
#include "pages.h"

#include <inttypes.h>

const unsigned test_seconds = 60;

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

static void large_pages(void) {
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
    (void)argc, (void)argv;
    large_pages();
    return 0;
}
