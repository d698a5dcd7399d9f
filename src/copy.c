/* SPDX-License-Identifier: MIT */
/*
 * A snapshot of the whole store at one moment: freeze all stripes in the order of their numbers, copy the image into memory that
 * was touched before, thaw, and only then write it to disk. The image is made as clean as a new store's: no locks, no owner.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK (4u * 1024 * 1024)

static void thaw(struct hf__hold *holds, uint32_t held) {
    for (uint32_t stripe = held; stripe > 0; stripe--)
        hf__release(&holds[stripe - 1]);
    for (uint32_t stripe = 0; stripe < held; stripe++)
        hf__tell(&holds[stripe]);
}

static int freeze(hf_store *store, struct hf__hold *holds) {
    for (uint32_t stripe = 0; stripe < store->region->geometry.stripes; stripe++) {
        int result = hf__lock(store, stripe, store->timeout_ms, &holds[stripe]);
        if (result != HF_OK) {
            thaw(holds, stripe);
            return hf__result(result);
        }
        if (HF_PLANTED(COPY_UNFROZEN))
            hf__release(&holds[stripe]);
    }
    HF_POINT("copy:frozen");
    return HF_OK;
}

static int take_image(hf_store *store, unsigned char *image) {
    uint32_t stripes = store->region->geometry.stripes;
    struct hf__hold *holds = calloc(stripes, sizeof *holds);
    int result = holds ? freeze(store, holds) : hf__fail(HF_ERR_MEMORY, "no memory for the locks of a copy");
    if (result == HF_OK) {
        hf__copy_out(image, store->region->base, hf__mapped_size(&store->region->geometry));
        thaw(holds, stripes);
    }
    free(holds);
    return result;
}

static int clean_image(const struct hf__region *region, unsigned char *image) {
    struct hf__region copy = *region;
    copy.base = image;
    uint64_t recoveries = hf__live(&copy)->recoveries;
    *hf__live(&copy) = (struct hf__live){ .recoveries = recoveries, .in_use = HF_PLANTED(IN_USE_COPIED) };
    for (uint32_t stripe = 0; stripe < region->geometry.stripes; stripe++)
        memset(hf__stripe_at(&copy, stripe)->mutex_line, 0, HF__LINE);
    memset(hf__fill_at(&copy, 0), 0, region->geometry.fills * sizeof(struct hf__fill));
    return hf__superblock_renew((struct hf__superblock *)(void *)image);
}

static int write_image(int fd, const unsigned char *image, uint64_t size, const struct hf_copy_options *options) {
    for (uint64_t done = 0; done < size;) {
        size_t chunk = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
        ssize_t written = pwrite(fd, image + done, chunk, (off_t)done);
        if (written < 0 && errno != EINTR)
            return hf__fail_errno("write");
        done += written > 0 ? (uint64_t)written : 0;
        HF_POINT("copy:chunk");
        if (options->progress)
            options->progress(options->context, done, size);
    }
    return HF_PLANTED(COPY_UNSYNCED) ? HF_OK : hf__file_fsync(fd);
}

static int copy_to(hf_store *store, const char *path, unsigned char *image, const struct hf_copy_options *options) {
    uint64_t size = store->region->geometry.file_size;
    struct hf__new_file file;
    int result = hf__file_begin(&file, path, options->file_mode);
    if (result != HF_OK)
        return result;
    result = hf__file_allocate_new(file.fd, size);
    if (result == HF_OK)
        result = take_image(store, image);
    if (result == HF_OK)
        result = clean_image(store->region, image);
    if (result == HF_OK)
        result = write_image(file.fd, image, size, options);
    HF_POINT("copy:synced");
    if (result == HF_OK)
        result = hf__file_commit(&file, options->replace);
    hf__file_abandon(&file);
    return result;
}

static int check_arguments(hf_store *store, const char *path, const struct hf_copy_options *theirs,
                           struct hf_copy_options *options) {
    static const struct hf_copy_options none = HF_COPY_INIT;
    if (!store || !path || !hf__sized(options, sizeof *options, theirs ? theirs : &none) || options->replace > 1 ||
        options->file_mode > 07777)
        return hf__fail(HF_ERR_ARGUMENT, "hf_copy needs a store, a path, and options that start with HF_COPY_INIT");
    if (!store->region->writable)
        return hf__fail(HF_ERR_READONLY, "a copy needs a handle that can lock: open the store for writing");
    return !options->replace && access(path, F_OK) == 0 ? HF_EXISTS : HF_OK;
}

int hf_copy(hf_store *store, const char *path, const struct hf_copy_options *theirs) {
    struct hf_copy_options options;
    int result = check_arguments(store, path, theirs, &options);
    if (result == HF_OK && options.file_mode == 0)
        result = hf__file_mode(store->region->fd, &options.file_mode);
    if (result != HF_OK)
        return result;
    size_t size = hf__mapped_size(&store->region->geometry);
    unsigned char *image = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (image == MAP_FAILED)
        return hf__fail(HF_ERR_MEMORY, "a copy needs as much memory as the store is large, %llu bytes", (unsigned long long)size);
    result = copy_to(store, path, image, &options);
    munmap(image, size);
    return result;
}
