/* SPDX-License-Identifier: MIT */
/*
 * Operations on a store of a few blocks, some of which die, against a model (guarantees A, B, D, F, I).
 *
 * A death is simulated: at the n-th named point of an operation the image is kept as it is; the operation then goes on, so that
 * its result can be judged as well, but its store is thrown away, and work goes on with the image, as after a kill there. First a
 * read-only handle looks at it, then a writer recovers it: by opening it, by finding the lock of a dead owner, or as after
 * another boot. Each key must have its old or its new value, and the same one before and after the recovery, which may itself
 * die.
 *
 *     head: size and mode of the store | - | - | -
 *     records: operations (struct step)
 */
#include "known.h"

#include <unistd.h>

enum { STEPS_MOST = 100, DEATHS_MOST = 16 };
enum recovery { BY_OPEN, BY_DEAD_OWNER, BY_OTHER_BOOT, RECOVERIES };

/* The store that is worked with, and the death that is to come. */
static struct {
    int fd;
    hf_store *store; /* NULL while it is opened */
    size_t size;
    unsigned die_at, points;
    uint8_t *kept; /* the image at that point; NULL: it was not reached */
    bool held[HF_STRIPES_MAX];
} scene;

/* ---- Dying ---------------------------------------------------------------------------------------------------------------- */

static void at_point(const char *point) {
    (void)point;
    if (++scene.points != scene.die_at)
        return;
    scene.kept = malloc(scene.size);
    MUST(scene.kept && pread(scene.fd, scene.kept, scene.size, 0) == (ssize_t)scene.size);
    memset(scene.held, 0, sizeof scene.held);
    for (uint32_t stripe = 0; scene.store && stripe < scene.store->region->geometry.stripes; stripe++)
        scene.held[stripe] = scene.store->region->held[stripe];
}

static void arm(unsigned die_at) {
    scene.die_at = die_at;
    scene.points = 0;
    scene.kept = NULL;
    hf__point_hook = die_at ? at_point : NULL;
}

static void leave_store(void) {
    hf__point_hook = NULL;
    MUST(hf_close(&scene.store) == HF_OK);
    close(scene.fd);
}

/* ---- Recovering ----------------------------------------------------------------------------------------------------------- */

static void open_scene(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.timeout_ms = 1000;
    MUST(hf_open_fd(&scene.store, scene.fd, &options) == HF_OK);
}

/* Opens the image as if nothing were in flight, and then lets the owners of the locks that were held be dead. */
static void open_beside_dead(void) {
    struct hf__region region;
    uint32_t operations[HF_STRIPES_MAX];
    struct hf__superblock superblock;
    MUST(pread(scene.fd, &superblock, sizeof superblock, 0) == sizeof superblock);
    region.geometry = superblock.geometry;
    for (uint32_t stripe = 0; stripe < region.geometry.stripes; stripe++) {
        off_t at = (off_t)(region.geometry.stripes_at + stripe * sizeof(struct hf__stripe) + offsetof(struct hf__stripe, record));
        static const uint32_t none = HF_OP_NONE;
        MUST(pread(scene.fd, &operations[stripe], sizeof none, at) == sizeof none);
        MUST(pwrite(scene.fd, &none, sizeof none, at) == sizeof none);
    }
    open_scene();
    for (uint32_t stripe = 0; stripe < region.geometry.stripes; stripe++) {
        struct hf__stripe *header = hf__stripe_at(scene.store->region, stripe);
        header->record.operation = operations[stripe];
        if (scene.held[stripe] || operations[stripe] != HF_OP_NONE) /* the recovery that died may not have come to it */
            image_owner_dies(header);
    }
}

/* What a read-only handle sees, each key its old or its new value; in mode cache also none. */
static void look(int fd, const struct model *old, const struct model *new, struct model *seen) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    options.flags = HF_RDONLY;
    MUST(hf_open_fd(&store, fd, &options) == HF_OK);
    for (unsigned number = 0; number < KNOWN_KEYS; number++) {
        struct known found;
        known_read(store, number, &found);
        MUST(known_same(&found, &old->keys[number]) || known_same(&found, &new->keys[number]) || (old->evicts && !found.present));
        if (!found.present) /* nobody was told the version of what died */
            found.version = old->keys[number].version;
        seen->keys[number] = found;
    }
    seen->evicts = old->evicts;
    MUST(hf_close(&store) == HF_OK);
}

static void nothing_dropped(void) {
    struct hf_stats stats = HF_STATS_INIT;
    MUST(hf_stats(scene.store, &stats) == HF_OK && stats.dropped == 0);
}

/* Goes on with the image that was kept. */
static void recover(const struct step *step, const struct model *old, struct model *model) {
    unsigned die_again = step->again;
    for (;;) {
        enum recovery recovery = step->how % 4 % RECOVERIES;
        struct model new = *model;
        uint8_t *image = scene.kept;
        scene.fd = image_file(image, scene.size);
        free(image);
        image_identify(scene.fd, IMAGE_FITTING);
        look(scene.fd, old, &new, model);
        image_identify(scene.fd, recovery == BY_OTHER_BOOT ? IMAGE_FOREIGN : IMAGE_FITTING);
        if (recovery == BY_DEAD_OWNER)
            open_beside_dead();
        arm(die_again);
        if (recovery != BY_DEAD_OWNER)
            open_scene();
        MUST(hf_check(scene.store, NULL, NULL) == HF_OK); /* takes every lock */
        hf__point_hook = NULL;
        known_compare(model, scene.store);
        nothing_dropped();
        if (!scene.kept)
            return;
        leave_store();
        die_again = 0;
    }
}

/* ---- An input ------------------------------------------------------------------------------------------------------------- */

static void begin(uint8_t choice, struct model *model) {
    static const struct {
        uint32_t stripes, buckets, blocks;
    } sizes[] = {{1, 1, 64}, {1, 2, 64}, {1, 4, 128}, {2, 2, 128}, {2, 1, 192}};
    unsigned size = choice % (sizeof sizes / sizeof *sizes);
    struct hf__geometry geometry = {.entries = 1, .entry_size = 1, .mode = choice / 128, .stripes = sizes[size].stripes,
                                    .buckets = sizes[size].buckets, .blocks = sizes[size].blocks, .max_value = KNOWN_VALUE_MAX,
                                    .max_key = HF_KEY_MAX};
    if (geometry.mode == HF_MODE_CACHE && choice / 64 % 2) {
        geometry.small_blocks = geometry.blocks / 4;
        geometry.ghosts = HF__GHOST_ROUND;
    }
    hf__geometry_parts(&geometry);
    *model = (struct model){.evicts = geometry.mode == HF_MODE_CACHE};
    scene.fd = image_empty(&geometry);
    scene.size = (size_t)geometry.file_size;
    scene.store = NULL;
    open_scene();
}

void fuzz_one(const uint8_t *data, size_t size) {
    static struct model model, old;
    struct records records = records_of(data, size);
    unsigned deaths = 0;
    begin(records.head[0], &model);
    for (size_t i = 0; i < records.count && i < STEPS_MOST; i++) {
        struct step step;
        memcpy(&step, records.first + i * RECORD_SIZE, sizeof step);
        old = model;
        arm(deaths < DEATHS_MOST ? step.crash : 0);
        known_apply(&model, scene.store, &step);
        if (scene.kept) {
            deaths++;
            leave_store();
            recover(&step, &old, &model);
        }
    }
    arm(0);
    known_compare(&model, scene.store);
    leave_store();
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random) {
    return records_mutate(data, size, max, random);
}
