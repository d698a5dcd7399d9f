/* SPDX-License-Identifier: MIT */
/* The simulated machine: its store, what was ever stored in it, and the images of its pages. See poweroff.h. */
#include "poweroff.h"

#include <fcntl.h>
#include <sys/mman.h>

/* ---- The store ----------------------------------------------------------------------------------------------------------- */

static uint32_t between(struct world *world, uint32_t least, uint32_t most) {
    return least + (uint32_t)check_below(&world->chance, most - least + 1);
}

/* Small stripes, so that entries spill, stripes fill up and compaction or eviction never ends. Half of them are so small that the
 * same slots and blocks are used by the same keys again and again. */
static struct hf__geometry random_shape(struct world *world) {
    struct hf__geometry geometry = { .entries = 1, .entry_size = 1 };
    uint32_t size = check_below(&world->chance, 2) ? 1 : 16;
    geometry.mode = check_below(&world->chance, 3) == 0 ? HF_MODE_CACHE : HF_MODE_STORE;
    geometry.stripes = 1u << check_below(&world->chance, size == 1 ? 2 : 3);
    geometry.buckets = between(world, 2, 10 * size / geometry.stripes);
    geometry.blocks = between(world, 2, 6 * size / geometry.stripes) * 64;
    world->large = geometry.blocks * HF__BLOCK / between(world, 6, 16);
    world->large = world->large < VALUE_MAX ? world->large : VALUE_MAX;
    geometry.max_value = world->large;
    geometry.max_key = HF_KEY_MAX;
    if (geometry.mode == HF_MODE_CACHE) {
        geometry.small_blocks = geometry.blocks / between(world, 4, 12);
        geometry.ghosts = HF__GHOST_ROUND;
    }
    hf__geometry_parts(&geometry);
    uint32_t slots = geometry.stripes * geometry.buckets * HF__SLOTS;
    world->keys = slots * between(world, 60, 140) / 100;
    world->keys = world->keys < KEYS_MAX ? world->keys : KEYS_MAX;
    uint32_t room = geometry.stripes * geometry.blocks * HF__BLOCK / world->keys * between(world, 60, 300) / 100;
    world->small = room > 100 ? room - 80 : 20;
    world->small = world->small < world->large ? world->small : world->large;
    return geometry;
}

static void look_at(struct world *world, const struct hf__geometry *geometry) {
    struct hf__superblock *superblock = (struct hf__superblock *)(void *)world->file;
    superblock->seed = check_random(&world->chance);
    superblock->checksum = hf__hash_superblock(superblock);
    world->view = (struct hf__region){ .geometry = *geometry, .seed = superblock->seed };
    world->view.probes = geometry->buckets < HF__PROBES ? geometry->buckets : HF__PROBES;
}

void world_make(struct world *world, uint64_t seed) {
    memset(world, 0, sizeof *world);
    world->chance = seed;
    world->exact = true;
    world->boot = check_random(&world->chance);
    char name[32];
    snprintf(name, sizeof name, "machine-%d", (int)getpid());
    check_path(world->path, name);
    struct hf__geometry geometry = random_shape(world);
    int fd = open(world->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_RC(hf__format(fd, &geometry), HF_OK);
    world->size = geometry.file_size;
    world->pages = (uint32_t)(world->size / HF__PAGE);
    CHECK(world->pages <= PAGES_MAX);
    world->file = mmap(NULL, world->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(world->file != MAP_FAILED);
    close(fd);
    look_at(world, &geometry);
    world->living = calloc((size_t)geometry.stripes * geometry.buckets * HF__SLOTS, sizeof *world->living);
    CHECK(world->living != NULL);
    world_photograph(world);
}

void world_end(struct world *world) {
    munmap(world->file, world->size);
    unlink(world->path);
    for (uint32_t i = 0; i < world->image_count; i++)
        free(world->images[i]);
    free(world->living);
}

/* ---- Keys and what was stored -------------------------------------------------------------------------------------------- */

size_t world_key(char key[HF_KEY_MAX], uint32_t number) {
    size_t length = (size_t)snprintf(key, 16, "%u.", number);
    size_t padding = number % 16 == 0 ? 200 + number % 90 : number % 23;
    memset(key + length, 'a' + (int)(number % 26), padding);
    return length + padding;
}

uint32_t world_number(const void *key, size_t key_len) {
    char text[HF_KEY_MAX], again[HF_KEY_MAX];
    size_t digits = key_len < 15 ? key_len : 15;
    memcpy(text, key, digits);
    text[digits] = 0;
    uint32_t number = (uint32_t)strtoul(text, NULL, 10);
    CHECK(number < KEYS_MAX && world_key(again, number) == key_len && memcmp(again, key, key_len) == 0);
    return number;
}

static uint64_t stirred(uint64_t sum, uint64_t word) {
    sum = (sum ^ word) * 0x9fb21c651e98df25u;
    return sum ^ sum >> 29;
}

uint64_t world_print(const struct world *world, uint32_t key, const void *value, size_t length, const struct hf_meta *meta) {
    uint64_t sum = stirred(stirred(key + 1, length), meta->flags);
    if (world->exact)
        sum = stirred(stirred(sum, meta->version), meta->expires_ms);
    const char *bytes = value;
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, length - at < 8 ? length - at : 8);
        sum = stirred(sum, word);
    }
    return sum | 1;
}

/* Where the print stands in the set, or would stand. */
static uint32_t fact_at(const struct world *world, uint64_t print) {
    uint32_t at = (uint32_t)(print >> 20) % FACTS;
    while (world->facts[at] != 0 && world->facts[at] != print)
        at = (at + 1) % FACTS;
    return at;
}

void world_remember(struct world *world, uint64_t print) {
    uint32_t at = fact_at(world, print);
    world->fact_count += world->facts[at] == 0;
    CHECK(world->fact_count < FACTS / 4 * 3);
    world->facts[at] = print;
}

bool world_knows(const struct world *world, uint64_t print) {
    return world->facts[fact_at(world, print)] == print;
}

/* ---- Images -------------------------------------------------------------------------------------------------------------- */

static void forget_image(struct world *world, uint32_t which) {
    free(world->images[which]);
    world->image_count--;
    memmove(&world->images[which], &world->images[which + 1], (world->image_count - which) * sizeof *world->images);
    for (uint32_t page = 0; page < world->pages; page++)
        world->floor[page] = (uint8_t)(world->floor[page] - (world->floor[page] > which));
}

void world_photograph(struct world *world) {
    if (world->image_count == IMAGES)
        forget_image(world, (uint32_t)check_below(&world->chance, IMAGES - 1));
    unsigned char *image = malloc(world->size);
    CHECK(image != NULL);
    memcpy(image, world->file, world->size);
    struct hf__live *live = (struct hf__live *)(void *)(image + HF__LIVE_AT);
    if (live->boot_id[0] || live->boot_id[1])
        live->boot_id[0] = world->boot;
    world->images[world->image_count++] = image;
}

/* What a page was before is out of the game; so is an image of which no page can come any more. */
void world_synced(struct world *world, size_t at, size_t size) {
    world_photograph(world);
    uint32_t end = (uint32_t)((at + size + HF__PAGE - 1) / HF__PAGE);
    for (uint32_t page = (uint32_t)(at / HF__PAGE); page < end && page < world->pages; page++)
        world->floor[page] = (uint8_t)(world->image_count - 1);
    for (;;) {
        uint8_t least = IMAGES;
        for (uint32_t page = 0; page < world->pages; page++)
            least = world->floor[page] < least ? world->floor[page] : least;
        if (least == 0)
            return;
        forget_image(world, 0);
    }
}

void world_restart(struct world *world, const unsigned char *state) {
    memcpy(world->file, state, world->size);
    while (world->image_count > 0)
        forget_image(world, 0);
    memset(world->floor, 0, sizeof world->floor);
    world->boot = check_random(&world->chance);
    world_photograph(world);
}

/* ---- Who lives ----------------------------------------------------------------------------------------------------------- */

static size_t slot_at(const struct world *world, uint32_t slot) {
    return world->view.geometry.index_at + (size_t)slot / HF__SLOTS * sizeof(struct hf__bucket) +
           slot % HF__SLOTS * sizeof(uint64_t);
}

bool world_holds(const struct world *world, const unsigned char *state, const struct living *entry) {
    const unsigned char *newest = world->images[world->image_count - 1];
    uint64_t word, then;
    memcpy(&word, state + slot_at(world, entry->slot), sizeof word);
    memcpy(&then, newest + slot_at(world, entry->slot), sizeof then);
    return hf__same_word(word, then) && memcmp(state + entry->at, newest + entry->at, entry->size) == 0;
}

/* Does every image say the same of the entry, from the oldest on that one of its pages can be from? */
static bool stable(const struct world *world, const struct living *entry) {
    uint32_t oldest = world->floor[slot_at(world, entry->slot) / HF__PAGE];
    for (size_t page = entry->at / HF__PAGE; page <= (entry->at + entry->size - 1) / HF__PAGE; page++)
        oldest = world->floor[page] < oldest ? world->floor[page] : oldest;
    for (uint32_t i = oldest; i < world->image_count; i++)
        if (!world_holds(world, world->images[i], entry))
            return false;
    return true;
}

void world_census(struct world *world) {
    struct hf__region view = world->view;
    view.base = world->images[world->image_count - 1];
    world->living_count = 0;
    uint32_t slots = hf__slots_of_stripe(&view);
    for (uint32_t slot = 0; slot < slots * view.geometry.stripes; slot++) {
        struct hf__spot spot;
        struct hf__place place;
        if (hf__load(hf__slot_at(&view, slot)) == 0)
            continue;
        CHECK(hf__spot_of_slot(&view, slot / slots, slot, &spot, &place) && hf__checksum_fits(&view, &spot.view));
        struct hf_meta meta = { .version = spot.view.version, .expires_ms = spot.view.expiry, .flags = spot.view.flags };
        struct living entry = { .slot = slot, .key = world_number(spot.view.key, spot.view.key_len) };
        if (meta.expires_ms && meta.expires_ms <= hf__now_ms())
            continue;
        entry.at = (size_t)((const unsigned char *)spot.view.entry - view.base);
        entry.size = sizeof(struct hf__entry) + hf__padded(spot.view.key_len) + spot.view.value_len;
        entry.print = world_print(world, entry.key, spot.view.value, spot.view.value_len, &meta);
        CHECK(world_knows(world, entry.print));
        entry.stable = stable(world, &entry);
        world->living[world->living_count++] = entry;
    }
}
