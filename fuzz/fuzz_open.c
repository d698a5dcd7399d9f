/* SPDX-License-Identifier: MIT */
/*
 * Bytes as a store: opened read-only and read-write, read, scanned, checked and repaired. Guarantee G: every call returns. The
 * superblock's checksum is made to fit, because no fuzzer would guess it and what lies behind it is to be reached. Nothing is
 * written into a hostile file: whoever may write a store is trusted by its writers.
 */
#include "fuzz.h"
#include "hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MUST(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

static void fail(const char *text, int line) {
    fprintf(stderr, "fuzz_open.c:%d: not true: %s (%s)\n", line, text, hf_explain());
    abort();
}

enum { KEYS = 60 };

static size_t key_of(char key[16], unsigned number) {
    return (size_t)snprintf(key, 16, "key-%u", number);
}

uint8_t *fuzz_seed(uint64_t seed, size_t *size) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    char key[16], value[400];
    int fd = memfd_create("fuzz-seed", MFD_CLOEXEC);
    options.flags = HF_CREATE;
    options.capacity = 96 << 10;
    options.max_value = 400;
    options.stripes = 2;
    options.mode = seed % 2 ? HF_MODE_STORE : HF_MODE_CACHE;
    MUST(fd >= 0 && hf_open_fd(&store, fd, &options) == HF_OK);
    for (unsigned i = 0; i < KEYS; i++) {
        struct hf_put_options put = HF_PUT_INIT;
        memset(value, 'a' + (int)(i % 26), sizeof value);
        put.ttl_ms = i % 5 ? 0 : 1000000;
        MUST(hf_put(store, key, key_of(key, i), value, (i * 7) % sizeof value, &put, NULL) == HF_OK);
    }
    MUST(hf_close(&store) == HF_OK);
    *size = (size_t)lseek(fd, 0, SEEK_END);
    uint8_t *bytes = malloc(*size);
    MUST(bytes && pread(fd, bytes, *size, 0) == (ssize_t)*size);
    close(fd);
    return bytes;
}

static void get_all(hf_store *store) {
    char key[16], value[64];
    size_t length;
    struct hf_meta meta;
    for (unsigned i = 0; i < KEYS; i++) {
        void *copy = NULL;
        int rc = hf_get(store, key, key_of(key, i), value, sizeof value, &length, &meta);
        MUST(rc == HF_OK || rc == HF_NOTFOUND || rc == HF_TRUNCATED || rc < 0);
        rc = hf_get_dup(store, key, key_of(key, i), &copy, &length, NULL);
        MUST(rc == HF_OK || rc == HF_NOTFOUND || rc < 0);
        free(copy);
    }
}

static void look_around(hf_store *store, size_t size) {
    struct hf_item item = HF_ITEM_INIT;
    struct hf_info info = HF_INFO_INIT;
    struct hf_stats stats = HF_STATS_INIT;
    struct hf_recovery recoveries[8];
    size_t count, steps = 0;
    uint64_t cursor = 0, entries;
    int rc;
    while ((rc = hf_scan(store, &cursor, 0, &item)) != HF_END) {
        cursor += rc != HF_OK;
        MUST(++steps < size);
    }
    hf_item_free(&item);
    MUST(hf_info(store, &info) == HF_OK && hf_stats(store, &stats) == HF_OK && hf_count(store, &entries) == HF_OK);
    MUST(hf_recoveries(store, recoveries, 8, &count) == HF_OK && count <= 8);
    rc = hf_check(store, NULL, NULL);
    MUST(rc == HF_OK || rc == HF_DAMAGED || rc < 0);
}

static void open_readonly(int fd, size_t size) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    options.flags = HF_RDONLY;
    if (hf_open_fd(&store, fd, &options) != HF_OK)
        return;
    get_all(store);
    look_around(store, size);
    MUST(hf_close(&store) == HF_OK);
}

/* After a repair the store must be sound: whatever was in it. */
static void open_for_writing(int fd, size_t size) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    options.timeout_ms = 1000;
    if (hf_open_fd(&store, fd, &options) != HF_OK)
        return;
    get_all(store);
    look_around(store, size);
    if (hf_repair(store, NULL) == HF_OK)
        MUST(hf_check(store, NULL, NULL) == HF_OK);
    get_all(store);
    hf_close(&store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    open_readonly(fd, size);
    if (size >= sizeof(struct hf__superblock)) {
        struct hf__superblock superblock;
        memcpy(&superblock, data, sizeof superblock);
        superblock.checksum = hf__hash_superblock(&superblock);
        MUST(pwrite(fd, &superblock, sizeof superblock, 0) == sizeof superblock);
        open_readonly(fd, size);
    }
    open_for_writing(fd, size);
    close(fd);
    return 0;
}
