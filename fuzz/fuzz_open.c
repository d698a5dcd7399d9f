/* SPDX-License-Identifier: MIT */
/*
 * Bytes as a store (guarantee G): opened read-only and for writing, read, scanned, checked, repaired. Every call returns one of
 * its documented results. Until a repair nothing is written, for a writer trusts whoever may write the file; after it the store
 * must be sound, can be worked with and copied.
 *
 *     head: image, or none (the rest is the file) | identity, checksums that are made to fit | what is done | bytes cut off
 *     records: changes of the image (struct patch)
 */
#include "image.h"

#include <stdio.h>
#include <unistd.h>

enum { FIT_SUPERBLOCK = 4, FIT_ENTRIES = 8, CUT = 16, EXTEND = 32 }; /* in head[1], whose lowest bits are the identity */
enum { WORK = 1, COPY = 2, WORK_UNREPAIRED = 4 };                    /* in head[2]                                     */

struct file {
    uint8_t *bytes;
    size_t size;
    unsigned keys;
};

static struct file raw_file(const uint8_t *data, size_t size) {
    struct file file = {.bytes = malloc(size + 1), .size = size > RECORDS_HEAD ? size - RECORDS_HEAD : 0, .keys = 2};
    MUST(file.bytes);
    if (file.size > 0)
        memcpy(file.bytes, data + RECORDS_HEAD, file.size);
    return file;
}

static struct file patched_file(enum image_kind kind, const struct records *records) {
    const struct image *image = image_of(kind);
    struct file file = {.bytes = image_copy(image), .size = image->size, .keys = image->keys};
    for (size_t i = 0; i < records->count; i++) {
        struct patch patch = patch_of(records, i);
        patch_apply(image, file.bytes, file.size, &patch);
    }
    if (records->head[1] & FIT_ENTRIES)
        patch_entry_checksums(image, file.bytes, file.size);
    if (records->head[1] & FIT_SUPERBLOCK)
        patch_superblock_checksum(file.bytes, file.size);
    if (records->head[1] & CUT)
        file.size -= file.size * records->head[3] / 256;
    return file;
}

static struct file file_of(const uint8_t *data, size_t size, const struct records *records) {
    static const enum image_kind kinds[] = {IMAGE_STORE, IMAGE_CACHE, IMAGE_CROWDED, IMAGE_STORE, IMAGE_TIMED, IMAGE_CROWDED,
                                            IMAGE_LARGE};
    unsigned kind = records->head[0] % 8;
    return kind == 7 ? raw_file(data, size) : patched_file(kinds[kind], records);
}

/* ---- What is done with it ------------------------------------------------------------------------------------------------- */

static bool refused(int rc) {
    MUST(rc <= 0);
    if (rc < 0)
        MUST(hf_explain()[0] != '\0');
    return rc != HF_OK;
}

static void read_it(int fd, unsigned keys) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    options.flags = HF_RDONLY;
    if (refused(hf_open_fd(&store, fd, &options)))
        return;
    look_at_all(store, keys);
    MUST(hf_put(store, "key", 3, "value", 5, NULL, NULL) == HF_ERR_READONLY && hf_repair(store, NULL) == HF_ERR_READONLY);
    MUST(hf_close(&store) == HF_OK);
}

static char directory[64];

static void remove_directory(void) {
    rmdir(directory);
}

static void make_directory(void) {
    const char *above = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%.40s/fuzz-XXXXXX", above ? above : access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    MUST(mkdtemp(directory) && atexit(remove_directory) == 0);
}

/* The copy of a sound store is one. */
static void copy_it(hf_store *store) {
    char path[80];
    hf_store *copy = NULL;
    struct hf_report here, there;
    if (!directory[0])
        make_directory();
    snprintf(path, sizeof path, "%s/copy", directory);
    MUST(hf_copy(store, path, NULL) == HF_OK && hf_open(&copy, path, NULL) == HF_OK);
    unlink(path);
    MUST(hf_check(store, NULL, &here) == HF_OK && hf_check(copy, NULL, &there) == HF_OK);
    MUST(here.entries == there.entries && here.bytes == there.bytes);
    MUST(hf_close(&copy) == HF_OK);
}

static void write_it(int fd, unsigned keys, uint8_t acts) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_report before, after;
    hf_store *store = NULL;
    options.timeout_ms = 1000;
    if (refused(hf_open_fd(&store, fd, &options)))
        return;
    struct hf_info info = HF_INFO_INIT;
    MUST(hf_info(store, &info) == HF_OK);
    look_at_all(store, keys);
    if (info.readonly) { /* of a later version */
        MUST(hf_close(&store) == HF_OK);
        return;
    }
    MUST(hf_repair(store, &before) == HF_OK && hf_check(store, NULL, &after) == HF_OK);
    MUST(before.entries == after.entries);
    if (acts & COPY)
        copy_it(store);
    if (acts & WORK)
        exercise(store);
    MUST(hf_close(&store) == HF_OK);
}

/* What another boot left is verified by the open, so it needs no repair to be worked with. */
static void write_verified(int fd, unsigned keys) {
    hf_store *store = NULL;
    image_identify(fd, IMAGE_FOREIGN);
    if (refused(hf_open_fd(&store, fd, NULL)))
        return;
    struct hf_info info = HF_INFO_INIT;
    MUST(hf_info(store, &info) == HF_OK);
    look_at_all(store, keys);
    if (!info.readonly) {
        MUST(hf_check(store, NULL, NULL) == HF_OK);
        exercise(store);
    }
    MUST(hf_close(&store) == HF_OK);
}

void fuzz_one(const uint8_t *data, size_t size) {
    struct records records = records_of(data, size);
    struct file file = file_of(data, size, &records);
    int fd = image_file(file.bytes, file.size);
    if (records.head[1] & EXTEND)
        MUST(ftruncate(fd, (off_t)(file.size + records.head[3] * 64u)) == 0);
    read_it(fd, file.keys);
    if (records.head[2] & WORK_UNREPAIRED) {
        write_verified(fd, file.keys);
    } else {
        if ((records.head[1] & 3) < IMAGE_IDENTITIES)
            image_identify(fd, records.head[1] & 3);
        write_it(fd, file.keys, records.head[2]);
    }
    read_it(fd, file.keys);
    close(fd);
    free(file.bytes);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random) {
    return records_mutate(data, size, max, random);
}
