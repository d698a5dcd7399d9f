/* SPDX-License-Identifier: MIT */
/* From a record to a change of an image: which word, and what becomes of it. */
#include "image.h"

struct patch patch_of(const struct records *records, size_t number) {
    struct patch patch;
    memcpy(&patch, records->first + number * RECORD_SIZE, sizeof patch);
    return patch;
}

/* ---- Where ---------------------------------------------------------------------------------------------------------------- */

static uint64_t entry_at(const struct image *image, uint32_t number) {
    struct hf__region region = image->region;
    uint64_t block;
    region.base = image->bytes;
    uint32_t slot = image->slots[number % image->entries];
    MUST(hf__block_of(&region, slot / hf__slots_of_stripe(&region), *hf__slot_at(&region, slot), &block));
    return region.geometry.heap_at + block * HF__BLOCK;
}

/* The offset of the word; index % 256 tells which thing, index / 256 which of its words. */
static uint64_t word_at(const struct image *image, uint8_t area, uint32_t index) {
    const struct hf__geometry *geometry = &image->region.geometry;
    uint32_t thing = index % 256, word = index / 256;
    uint64_t stripe = geometry->stripes_at + thing % geometry->stripes * sizeof(struct hf__stripe);
    uint64_t buckets = (uint64_t)geometry->stripes * geometry->buckets;
    uint64_t maps = geometry->maps_at + thing % geometry->stripes * image->region.map_words * sizeof(struct hf__map);
    switch (area) {
    case PATCH_STRIPE: return stripe + offsetof(struct hf__stripe, next_stamp) + word % 16 * 8;
    case PATCH_RECORD: return stripe + offsetof(struct hf__stripe, record) + word % 4 * 8;
    case PATCH_MUTEX: return stripe + word % 8 * 8;
    case PATCH_SLOT: return geometry->index_at + index % (buckets * HF__SLOTS) / HF__SLOTS * HF__LINE +
                            index % (buckets * HF__SLOTS) % HF__SLOTS * 8;
    case PATCH_CONTROL: return geometry->index_at + (index % buckets + 1) * HF__LINE - 8;
    case PATCH_USED: return maps + word % image->region.map_words * sizeof(struct hf__map);
    case PATCH_FIRST: return maps + word % image->region.map_words * sizeof(struct hf__map) + offsetof(struct hf__map, first);
    case PATCH_ENTRY: return entry_at(image, thing) + word % 5 * 8;
    case PATCH_BODY: return entry_at(image, thing) + sizeof(struct hf__entry) + word * 8;
    case PATCH_RING: return HF__RING_AT + thing % HF__RING * sizeof(struct hf__verdict) + word % 6 * 8;
    case PATCH_LIVE: return HF__LIVE_AT + word % 9 * 8;
    case PATCH_SUPERBLOCK: return word % 22 * 8;
    default: return (uint64_t)index * 8;
    }
}

/* ---- What ----------------------------------------------------------------------------------------------------------------- */

static uint64_t field(uint64_t word, unsigned shift, uint64_t mask, uint64_t value) {
    return (word & ~(mask << shift)) | (value & mask) << shift;
}

/* The word after the change. Some changes know the fields of a slot word: see layout.h. */
static uint64_t changed(uint64_t word, unsigned how, uint32_t value) {
    static const uint64_t nasty[] = {
        0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, UINT32_MAX, UINT64_MAX, 1ull << 63, INT64_MAX, 1ull << 62,
        (1ull << 62) - 1, 0x3fff00000001, 1ull << 40, UINT64_MAX - 7, 0xffff0000,
    };
    switch (how) {
    case 0: return value;
    case 1: return nasty[value % (sizeof nasty / sizeof *nasty)];
    case 2: return word ^ 1ull << value % 64;
    case 3: return word + (uint64_t)(int64_t)(int32_t)value;
    case 4: return (uint64_t)value << 32;
    case 5: return ~(uint64_t)value;
    case 6: return 0;
    case 7: return UINT64_MAX;
    case 8: return field(word, 0, HF__BLOCK_MASK, value);
    case 9: return field(word, HF__BLOCKS_SHIFT, HF__BLOCKS_LIMIT, value);
    case 10: return field(word, HF__TAG_SHIFT, 0xffff, value);
    case 11: return field(word, HF__HEAT_SHIFT, 3, value);
    case 12: return word << value % 64;
    case 13: return word >> value % 64;
    default: return word + (uint64_t)value * 0x100000001u;
    }
}

enum { COPY = 15 }; /* of the same thing with the number `value` */

void patch_apply(const struct image *image, uint8_t *bytes, size_t size, const struct patch *patch) {
    uint8_t area = patch->area % PATCH_AREAS;
    unsigned how = patch->how % 16, width = 8u >> (patch->how >> 4) % 4, part = (patch->how >> 6) * 2;
    uint64_t at = word_at(image, area, patch->index), from = word_at(image, area, patch->value & 0xffff), word = 0;
    at += part + width <= 8 ? part : 0;
    if (at + width > size || (how == COPY && from + width > size))
        return;
    memcpy(&word, bytes + (how == COPY ? from : at), width);
    word = how == COPY ? word : changed(word, how, patch->value);
    memcpy(bytes + at, &word, width);
}

/* ---- Doors ---------------------------------------------------------------------------------------------------------------- */

void patch_entry_checksums(const struct image *image, uint8_t *bytes, size_t size) {
    struct hf__region region = image->region;
    region.base = bytes;
    if (size < image->size)
        return;
    for (uint32_t slot = 0; slot < hf__slots_of_stripe(&region) * region.geometry.stripes; slot++) {
        struct hf__view view;
        uint64_t word = *hf__slot_at(&region, slot);
        if (word == 0 || !hf__view_word(&region, slot / hf__slots_of_stripe(&region), word, &view))
            continue;
        uint64_t key_hash = hf__hash_key(&region, view.key, view.key_len);
        view.entry->checksum = hf__hash_header(view.entry) ^ hf__hash_body(key_hash, view.value, view.value_len);
    }
}

void patch_superblock_checksum(uint8_t *bytes, size_t size) {
    struct hf__superblock superblock;
    if (size < sizeof superblock)
        return;
    memcpy(&superblock, bytes, sizeof superblock);
    superblock.checksum = hf__hash_superblock(&superblock);
    memcpy(bytes, &superblock, sizeof superblock);
}
