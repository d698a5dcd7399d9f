/* SPDX-License-Identifier: MIT */
/* The images: see image.h. Their hash seed and times are constants, and what depends on a process is taken out. */
#include "image.h"

#include <linux/futex.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAR_AWAY UINT64_C(4102444800000) /* the year 2100 */

/* Stripes, buckets and blocks of each, how many keys. The crowded one has slots and blocks for few more; the large one an entry
 * whose blocks its slot word cannot tell; what is put into the timed one later lives for an hour. */
static const struct plan {
    uint32_t mode, stripes, buckets, blocks;
    unsigned keys;
    uint64_t default_ttl_ms;
} plans[IMAGE_KINDS] = {
    [IMAGE_STORE] = {HF_MODE_STORE, 2, 4, 256, 24, 0},
    [IMAGE_CACHE] = {HF_MODE_CACHE, 2, 4, 192, 24, 0},
    [IMAGE_CROWDED] = {HF_MODE_STORE, 1, 3, 128, 19, 0},
    [IMAGE_LARGE] = {HF_MODE_CACHE, 1, 1, 16512, 4, 0},
    [IMAGE_TIMED] = {HF_MODE_CACHE, 2, 4, 192, 24, 3600000},
};

static bool is_large(const struct image *image, unsigned number) {
    return image->region.geometry.blocks > HF__BLOCKS_LIMIT && number == 0;
}

size_t image_key(unsigned number, char key[IMAGE_KEY_ROOM]) {
    size_t length = (size_t)snprintf(key, IMAGE_KEY_ROOM, "key-%u", number);
    while (number % 8 == 5 && length < 100)
        key[length++] = 'k';
    return length;
}

size_t image_value_len(const struct image *image, unsigned number) {
    return is_large(image, number) ? 16385 * (size_t)HF__BLOCK : number * 29 % 230;
}

static unsigned char value_byte(unsigned number, size_t at) {
    return at < 1000 ? (unsigned char)('a' + (number + at) % 26) : 0;
}

bool image_has_value(const struct image *image, unsigned number, const void *value, size_t length) {
    const unsigned char *bytes = value;
    bool same = number < image->keys && length == image_value_len(image, number);
    for (size_t i = 0; same && i < length; i++)
        same = bytes[i] == value_byte(number, i);
    return same;
}

bool image_expired(unsigned number) {
    return number % 7 == 6;
}

/* ---- Files ---------------------------------------------------------------------------------------------------------------- */

int image_file(const void *bytes, size_t size) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    const char *at = bytes;
    static const char zeros[HF__PAGE];
    for (size_t done = 0; done < size; done += HF__PAGE) { /* most of a large image is a hole */
        size_t part = size - done < HF__PAGE ? size - done : HF__PAGE;
        if (memcmp(at + done, zeros, part) != 0)
            MUST(pwrite(fd, at + done, part, (off_t)done) == (ssize_t)part);
    }
    return fd;
}

int image_empty(const struct hf__geometry *geometry) {
    struct hf__superblock superblock;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(fd >= 0 && hf__format(fd, geometry) == HF_OK);
    MUST(pread(fd, &superblock, sizeof superblock, 0) == sizeof superblock);
    superblock.seed = 0x5eed;
    superblock.store_id = 1;
    superblock.created_ms = 1;
    superblock.checksum = hf__hash_superblock(&superblock);
    MUST(pwrite(fd, &superblock, sizeof superblock, 0) == sizeof superblock);
    return fd;
}

void image_identify(int fd, enum image_identity wanted) {
    struct hf__live live;
    struct hf__identity identity;
    if (pread(fd, &live, sizeof live, HF__LIVE_AT) != sizeof live)
        return;
    MUST(hf__identity_of(fd, &identity) == HF_OK);
    live.in_use = wanted != IMAGE_FRESH;
    live.boot_id[0] = wanted == IMAGE_FITTING ? identity.boot_id[0] : 0;
    live.boot_id[1] = wanted == IMAGE_FITTING ? identity.boot_id[1] : 0;
    live.device = identity.device;
    live.inode = identity.inode;
    live.birth = identity.birth;
    MUST(pwrite(fd, &live, sizeof live, HF__LIVE_AT) == sizeof live);
}

void image_owner_dies(struct hf__stripe *header) {
#ifdef __GLIBC__
    enum { LOCK_WORD = 0 };
#else
    enum { LOCK_WORD = 4 };
#endif
    uint32_t word = FUTEX_OWNER_DIED;
    memcpy(header->mutex_line + LOCK_WORD, &word, sizeof word);
}

uint8_t *image_copy(const struct image *image) {
    uint8_t *bytes = malloc(image->size);
    MUST(bytes);
    return memcpy(bytes, image->bytes, image->size);
}

/* ---- Making them ---------------------------------------------------------------------------------------------------------- */

static void put_key(const struct image *image, hf_store *store, unsigned number) {
    char key[IMAGE_KEY_ROOM];
    struct hf_put_options put = HF_PUT_INIT;
    size_t key_len = image_key(number, key), length = image_value_len(image, number);
    unsigned char *value = malloc(length + 1);
    MUST(value);
    for (size_t i = 0; i < length; i++)
        value[i] = value_byte(number, i);
    put.flags = number;
    put.expires_ms = image_expired(number) ? 1000 : number % 7 == 3 ? FAR_AWAY : 0;
    put.ttl_ms = put.expires_ms ? 0 : HF_TTL_NEVER; /* a default would depend on the clock */
    MUST(hf_put(store, key, key_len, value, length, &put, NULL) == HF_OK);
    for (unsigned i = 0; i < number % 4; i++) {
        int rc = hf_exists(store, key, key_len, NULL); /* gives it heat */
        MUST(rc == (image_expired(number) ? HF_NOTFOUND : HF_OK));
    }
    free(value);
}

static void find_entries(struct image *image) {
    struct hf__region *region = &image->region;
    uint32_t slots = hf__slots_of_stripe(region) * region->geometry.stripes;
    region->base = image->bytes;
    for (uint32_t slot = 0; slot < slots; slot++)
        if (*hf__slot_at(region, slot) != 0)
            image->slots[image->entries++] = slot;
    for (uint32_t stripe = 0; stripe < region->geometry.stripes; stripe++) {
        hf__stripe_at(region, stripe)->record.pid = 0;
        memset(hf__stripe_at(region, stripe)->mutex_line, 0, HF__LINE);
    }
    region->base = NULL;
}

static void make(struct image *image, const struct plan *plan) {
    struct hf__geometry geometry = {.entries = plan->keys, .entry_size = 100, .mode = plan->mode, .stripes = plan->stripes,
                                    .buckets = plan->buckets, .blocks = plan->blocks, .max_value = IMAGE_VALUE_MAX,
                                    .max_key = HF_KEY_MAX, .default_ttl_ms = plan->default_ttl_ms};
    if (plan->mode == HF_MODE_CACHE) {
        geometry.small_blocks = plan->blocks > HF__BLOCKS_LIMIT ? 0 : plan->blocks / 8;
        geometry.ghosts = HF__GHOST_ROUND;
    }
    hf_store *store = NULL;
    hf__geometry_parts(&geometry);
    int fd = image_empty(&geometry);
    MUST(hf_open_fd(&store, fd, NULL) == HF_OK);
    image->region = (struct hf__region){
        .geometry = geometry, .seed = store->region->seed, .map_words = store->region->map_words, .probes = store->region->probes,
        .evicts = store->region->evicts, .fd = -1};
    image->keys = plan->keys;
    for (unsigned i = 0; i < plan->keys; i++)
        put_key(image, store, i);
    MUST(hf_check(store, NULL, NULL) == HF_OK);
    MUST(hf_close(&store) == HF_OK);
    image->size = (size_t)geometry.file_size;
    image->bytes = malloc(image->size);
    MUST(image->bytes && pread(fd, image->bytes, image->size, 0) == (ssize_t)image->size);
    close(fd);
    find_entries(image);
    MUST(image->entries == plan->keys);
}

const struct image *image_of(enum image_kind kind) {
    static struct image images[IMAGE_KINDS];
    struct image *image = &images[kind % IMAGE_KINDS];
    if (!image->bytes)
        make(image, &plans[kind % IMAGE_KINDS]);
    return image;
}
