/* SPDX-License-Identifier: MIT */
/*
 * An image whose bytes change while a read-only handle reads it (guarantee G): what is returned may be anything, but every call
 * returns, and nothing is read that lies outside. The changes are made at the named points inside of the reader's protocol, so
 * that an input does the same each time it is run; or by a second thread as well, for the instructions between the points.
 *
 *     head: image | at every how many points a change is made | after how many the first bytes are put back | thread
 *     records: the changes, over and over again (struct patch)
 */
#include "image.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHANGES_MOST = 200000 }; /* a writer that lives on for ever would be read for ever, ... */
enum { CHANGES_OF_LARGE = 2000 }; /* ... and each look at a large entry takes long */

static struct {
    const struct image *image;
    const struct records *records;
    uint8_t *bytes; /* the writer's mapping */
    unsigned every, points;
    size_t restore_after, changes, most;
} writer;

static void change(size_t number) {
    const struct records *records = writer.records;
    if (writer.restore_after > 0 && number % writer.restore_after == writer.restore_after - 1) {
        memcpy(writer.bytes, writer.image->bytes, writer.image->size);
        return;
    }
    struct patch patch = patch_of(records, number % records->count);
    patch_apply(writer.image, writer.bytes, writer.image->size, &patch);
}

static void at_point(const char *point) {
    (void)point;
    if (++writer.points % writer.every == 0 && writer.changes < writer.most)
        change(writer.changes++);
}

static atomic_bool stop;

static void *keep_changing(void *unused) {
    (void)unused;
    for (size_t number = 0; !atomic_load(&stop) && number < writer.most; number++)
        change(number);
    return NULL;
}

static void read_store(int fd) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    options.flags = HF_RDONLY;
    int rc = hf_open_fd(&store, fd, &options); /* the superblock may be changed, too */
    MUST(rc == HF_OK || rc == HF_ERR_FORMAT || rc == HF_ERR_VERSION || rc == HF_ERR_ABI);
    if (rc != HF_OK)
        return;
    look_at_all(store, writer.image->keys);
    MUST(hf_close(&store) == HF_OK);
}

static void read_beside_thread(int fd) {
    pthread_t thread;
    atomic_store(&stop, false);
    MUST(pthread_create(&thread, NULL, keep_changing, NULL) == 0);
    read_store(fd);
    read_store(fd);
    atomic_store(&stop, true);
    MUST(pthread_join(thread, NULL) == 0);
}

void fuzz_one(const uint8_t *data, size_t size) {
    static const enum image_kind kinds[] = {IMAGE_STORE, IMAGE_CACHE, IMAGE_CROWDED, IMAGE_LARGE};
    struct records records = records_of(data, size);
    if (records.count == 0)
        return;
    writer.image = image_of(kinds[records.head[0] % 4]);
    writer.records = &records;
    writer.every = 1 + records.head[1] % 16;
    writer.restore_after = records.head[2];
    writer.points = 0;
    writer.most = kinds[records.head[0] % 4] == IMAGE_LARGE ? CHANGES_OF_LARGE : CHANGES_MOST;
    writer.changes = 0;
    int fd = image_file(writer.image->bytes, writer.image->size);
    image_identify(fd, records.head[3] & 2 ? IMAGE_FOREIGN : IMAGE_FRESH); /* of another boot: checksums are verified */
    writer.bytes = mmap(NULL, writer.image->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(writer.bytes != MAP_FAILED);
    if (records.head[3] & 1) {
        read_beside_thread(fd);
    } else {
        hf__point_hook = at_point;
        read_store(fd);
        hf__point_hook = NULL;
    }
    munmap(writer.bytes, writer.image->size);
    close(fd);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random) {
    return records_mutate(data, size, max, random);
}
