/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H
/*
 * Store images for the targets that attack them. An input does not hold an image but names one of a few, always the same, and
 * lists changes to it, so that a corpus file has some dozen bytes, shows what it changes, and stays true when the format changes.
 */
#include "internal.h"
#include "records.h"

enum { IMAGE_KEYS_MAX = 40, IMAGE_KEY_ROOM = 128, IMAGE_VALUE_MAX = 525000 };

enum image_kind { IMAGE_STORE, IMAGE_CACHE, IMAGE_CROWDED, IMAGE_LARGE, IMAGE_TIMED, IMAGE_KINDS };

struct image {
    struct hf__region region; /* geometry and seed; no mapping */
    uint8_t *bytes;
    size_t size;
    unsigned keys;
    uint32_t slots[IMAGE_KEYS_MAX]; /* where the keys' entries stand */
    uint32_t entries;
};

/* Made at the first call. */
const struct image *image_of(enum image_kind kind);

/* What the images hold: keys by number (also for numbers they do not hold), and the value of each. */
size_t image_key(unsigned number, char key[IMAGE_KEY_ROOM]);
size_t image_value_len(const struct image *image, unsigned number);
bool image_has_value(const struct image *image, unsigned number, const void *value, size_t length);
bool image_expired(unsigned number);

/* A copy to be changed; to be freed. */
uint8_t *image_copy(const struct image *image);

/* An empty file in memory with `size` bytes; to be closed. */
int image_file(const void *bytes, size_t size);

/* An empty store of that geometry whose hash and identity are always the same; to be closed. */
int image_empty(const struct hf__geometry *geometry);

/* As which file a writer meets the image: of another boot, to be verified; the one that was verified last; a fresh copy. */
enum image_identity { IMAGE_FOREIGN, IMAGE_FITTING, IMAGE_FRESH, IMAGE_IDENTITIES };
void image_identify(int fd, enum image_identity identity);

/* Leaves of a stripe's mutex what the kernel leaves of one whose owner died. */
void image_owner_dies(struct hf__stripe *header);

/* ---- patch.c: a record as a change of an image ---------------------------------------------------------------------------- */

enum patch_area {
    PATCH_STRIPE, PATCH_SLOT, PATCH_CONTROL, PATCH_USED, PATCH_FIRST, PATCH_ENTRY, PATCH_BODY, PATCH_RECORD,
    PATCH_RING, PATCH_LIVE, PATCH_MUTEX, PATCH_SUPERBLOCK, PATCH_ANYWHERE, PATCH_AREAS
};

struct patch {
    uint8_t area; /* enum patch_area, modulo PATCH_AREAS                         */
    uint8_t how;  /* what is done to the word, which part of it                  */
    uint16_t index; /* which stripe, slot, entry, ..., and which word of it     */
    uint32_t value;
};
static_assert(sizeof(struct patch) == RECORD_SIZE, "a patch is a record");

struct patch patch_of(const struct records *records, size_t number);
void patch_apply(const struct image *image, uint8_t *bytes, size_t size, const struct patch *patch);

/* Makes the checksums of all entries fit, or that of the superblock: the doors that no engine would guess its way through. */
void patch_entry_checksums(const struct image *image, uint8_t *bytes, size_t size);
void patch_superblock_checksum(uint8_t *bytes, size_t size);

/* ---- exercise.c: what is done with a store that must be sound ------------------------------------------------------------- */

/* Puts, counts, appends, deletes, clears; every result and value must be right, and hf_check content. */
void exercise(hf_store *store);

/* Looks at everything in a store of which nothing is known: every call must return one of its documented results. */
void look_at_all(hf_store *store, unsigned keys);

#endif
