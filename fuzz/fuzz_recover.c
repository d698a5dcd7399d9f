/* SPDX-License-Identifier: MIT */
/*
 * Recovery of a stripe in which a writer's mapping could hold anything.
 *
 *   derived   what follows from the slots is mutated, as a kill may leave it, and entries are gone: after the recovery that an
 *             open or the lock of a dead owner performs, hf_check is content, and every other key has its value
 *   verified  slots, entries and all the rest are mutated, as a machine crash or a stranger may leave it: after an open of
 *             another boot, or hf_repair, hf_check is content; and unless bytes of entries were mutated, which could forge a
 *             checksum, every value that is there was stored under its key
 *
 * Afterwards the store can be worked with.
 *
 *     head: image | which of the two | how the recovery is reached | whether the entries' checksums are made to fit
 *     records: the mutations (struct patch)
 */
#include "image.h"

#include <unistd.h>

enum how { BY_OPEN, BY_REPAIR, BY_DEAD_OWNER, HOWS };

struct mutated {
    const struct image *image;
    bool derived;      /* nothing but what follows from the slots, and emptied slots */
    bool same_entries; /* no byte of an entry was changed                          */
    uint8_t *bytes;
};

static bool follows_from_slots(uint8_t area) {
    return area == PATCH_STRIPE || area == PATCH_CONTROL || area == PATCH_USED || area == PATCH_FIRST || area == PATCH_RECORD ||
           area == PATCH_RING;
}

/* The stamp counter follows from nothing, and cannot be rebuilt: a kill leaves it as it was or larger. */
static bool is_stamp_counter(const struct patch *patch) {
    return patch->area % PATCH_AREAS == PATCH_STRIPE && patch->index / 256 % 16 == 0;
}

static void mutate(struct mutated *mutated, const struct patch *asked) {
    struct patch patch = *asked;
    patch.area %= PATCH_AREAS;
    if (patch.area == PATCH_SUPERBLOCK || patch.area == PATCH_ANYWHERE)
        patch.area = PATCH_SLOT;
    if (mutated->derived && patch.area == PATCH_SLOT)
        patch = (struct patch){.area = PATCH_SLOT, .how = 6, .index = patch.index};
    else if (mutated->derived && (!follows_from_slots(patch.area) || is_stamp_counter(&patch)))
        return;
    mutated->same_entries &= patch.area != PATCH_ENTRY && patch.area != PATCH_BODY;
    patch_apply(mutated->image, mutated->bytes, mutated->image->size, &patch);
}

/* ---- Reaching it ---------------------------------------------------------------------------------------------------------- */

static struct hf__stripe *header_of(const struct mutated *mutated, void *bytes, uint32_t stripe) {
    struct hf__region region = mutated->image->region;
    region.base = bytes;
    return hf__stripe_at(&region, stripe);
}

/* Something is in flight in every stripe. */
static void set_operations(const struct mutated *mutated) {
    for (uint32_t stripe = 0; stripe < mutated->image->region.geometry.stripes; stripe++) {
        struct hf__record *record = &header_of(mutated, mutated->bytes, stripe)->record;
        record->operation = record->operation % 8 + 1;
    }
}

/* Opens the image whole, and only then mutates it. */
static hf_store *open_and_mutate(const struct mutated *mutated, int fd) {
    hf_store *store = NULL;
    MUST(hf_open_fd(&store, fd, NULL) == HF_OK);
    uint8_t *base = store->region->base;
    for (uint32_t stripe = 0; stripe < mutated->image->region.geometry.stripes; stripe++) {
        struct hf__stripe *from = header_of(mutated, mutated->bytes, stripe);
        memcpy(from->mutex_line, header_of(mutated, base, stripe)->mutex_line, HF__LINE);
    }
    memcpy(base + HF__RING_AT, mutated->bytes + HF__RING_AT, mutated->image->size - HF__RING_AT);
    for (uint32_t stripe = 0; stripe < mutated->image->region.geometry.stripes; stripe++)
        image_owner_dies(header_of(mutated, base, stripe));
    return store;
}

static hf_store *recovered(const struct mutated *mutated, int fd, enum how how) {
    hf_store *store = NULL;
    if (how == BY_DEAD_OWNER && mutated->derived) {
        store = open_and_mutate(mutated, fd);
        return store;
    }
    bool verify = !mutated->derived && how == BY_OPEN;
    MUST(pwrite(fd, mutated->bytes, mutated->image->size, 0) == (ssize_t)mutated->image->size);
    image_identify(fd, verify ? IMAGE_FOREIGN : IMAGE_FITTING);
    MUST(hf_open_fd(&store, fd, NULL) == HF_OK);
    if (!mutated->derived && !verify)
        MUST(hf_repair(store, NULL) == HF_OK);
    return store;
}

/* ---- What must hold afterwards -------------------------------------------------------------------------------------------- */

static bool slot_emptied(const struct mutated *mutated, unsigned number) {
    struct hf__region region = mutated->image->region;
    region.base = mutated->image->bytes;
    char key[IMAGE_KEY_ROOM];
    size_t key_len = image_key(number, key);
    struct hf__place place = hf__locate(&region, hf__hash_key(&region, key, key_len));
    struct hf__spot spot;
    hf__find(&region, &place, key, key_len, &spot);
    MUST(spot.word != 0);
    region.base = mutated->bytes;
    return *hf__slot_at(&region, spot.slot) == 0;
}

static void look_at_values(const struct mutated *mutated, hf_store *store) {
    const struct image *image = mutated->image;
    for (unsigned number = 0; number < image->keys; number++) {
        char key[IMAGE_KEY_ROOM];
        void *value = NULL;
        size_t length = 0;
        int rc = hf_get_dup(store, key, image_key(number, key), &value, &length, NULL);
        MUST(rc == HF_OK || rc == HF_NOTFOUND);
        if (rc == HF_OK && mutated->same_entries)
            MUST(!image_expired(number) && image_has_value(image, number, value, length));
        if (mutated->derived)
            MUST((rc == HF_OK) == (!image_expired(number) && !slot_emptied(mutated, number)));
        free(value);
    }
}

void fuzz_one(const uint8_t *data, size_t size) {
    static const enum image_kind kinds[] = {IMAGE_STORE, IMAGE_CACHE, IMAGE_CROWDED, IMAGE_LARGE};
    struct records records = records_of(data, size);
    const struct image *image = image_of(kinds[records.head[0] % 4]);
    struct mutated mutated = {.image = image, .derived = records.head[1] % 2, .same_entries = true, .bytes = image_copy(image)};
    for (size_t i = 0; i < records.count; i++) {
        struct patch patch = patch_of(&records, i);
        mutate(&mutated, &patch);
    }
    if (mutated.derived)
        set_operations(&mutated);
    else if (records.head[3] % 2)
        patch_entry_checksums(image, mutated.bytes, image->size);
    int fd = image_file(image->bytes, image->size);
    image_identify(fd, IMAGE_FITTING);
    hf_store *store = recovered(&mutated, fd, records.head[2] % HOWS);
    MUST(hf_check(store, NULL, NULL) == HF_OK);
    look_at_values(&mutated, store);
    exercise(store);
    MUST(hf_close(&store) == HF_OK);
    close(fd);
    free(mutated.bytes);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random) {
    return records_mutate(data, size, max, random);
}
