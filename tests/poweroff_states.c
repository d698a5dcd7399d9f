/* SPDX-License-Identifier: MIT */
/* What the disk may hold after the power failed: from which image each page is, and each sector of a torn page. */
#include "poweroff.h"

static uint8_t newest(const struct world *world) {
    return (uint8_t)(world->image_count - 1);
}

/* Any image but the newest, if the page has another one. */
static uint8_t older(struct world *world, uint32_t page) {
    uint8_t floor = world->floor[page], count = (uint8_t)(newest(world) - floor);
    return count == 0 ? floor : (uint8_t)(floor + check_below(&world->chance, count));
}

static uint8_t any(struct world *world, uint32_t page) {
    uint8_t floor = world->floor[page];
    return (uint8_t)(floor + check_below(&world->chance, (uint64_t)(newest(world) - floor) + 1));
}

static void all_new(struct world *world, uint8_t *from) {
    memset(from, newest(world), world->pages);
}

/* Everything from one image, as far as it was not synced later. */
static void all_old(struct world *world, uint8_t *from) {
    uint8_t image = (uint8_t)check_below(&world->chance, world->image_count);
    for (uint32_t page = 0; page < world->pages; page++)
        from[page] = image > world->floor[page] ? image : world->floor[page];
}

static void any_density(struct world *world, uint8_t *from) {
    uint64_t density = check_below(&world->chance, 65);
    for (uint32_t page = 0; page < world->pages; page++)
        from[page] = check_below(&world->chance, 64) < density ? newest(world) : older(world, page);
}

static void any_age(struct world *world, uint8_t *from) {
    for (uint32_t page = 0; page < world->pages; page++)
        from[page] = any(world, page);
}

static void one_old(struct world *world, uint8_t *from) {
    all_new(world, from);
    uint32_t page = (uint32_t)check_below(&world->chance, world->pages);
    from[page] = older(world, page);
}

static void one_new(struct world *world, uint8_t *from) {
    all_old(world, from);
    from[check_below(&world->chance, world->pages)] = newest(world);
}

/* Written from the beginning of the file on, or from its end. */
static void prefix(struct world *world, uint8_t *from) {
    uint32_t cut = (uint32_t)check_below(&world->chance, world->pages + 1);
    bool backwards = check_below(&world->chance, 2);
    all_old(world, from);
    for (uint32_t page = 0; page < world->pages; page++)
        if ((page < cut) != backwards)
            from[page] = newest(world);
}

/* ---- Parts of the file --------------------------------------------------------------------------------------------------- */

enum part { LIVE, RING, HEADERS, INDEX, MAPS, HEAP };

static enum part part_of(const struct world *world, uint32_t page) {
    const struct hf__geometry *geometry = &world->view.geometry;
    uint64_t at = (uint64_t)page * HF__PAGE;
    if (at < HF__RING_AT)
        return LIVE;
    if (at < geometry->stripes_at)
        return RING;
    if (at < geometry->index_at)
        return HEADERS;
    if (at < geometry->maps_at)
        return INDEX;
    return at < geometry->heap_at ? MAPS : HEAP;
}

/* The parts named are old, some of their pages or all; the others new. */
static void parts_old(struct world *world, uint8_t *from, unsigned parts) {
    bool all = check_below(&world->chance, 2);
    all_new(world, from);
    for (uint32_t page = 0; page < world->pages; page++)
        if (parts >> part_of(world, page) & 1)
            from[page] = all ? older(world, page) : any(world, page);
}

static void index_old(struct world *world, uint8_t *from) {
    parts_old(world, from, 1u << INDEX);
}

static void heap_old(struct world *world, uint8_t *from) {
    parts_old(world, from, 1u << HEAP);
}

static void headers_old(struct world *world, uint8_t *from) {
    parts_old(world, from, 1u << HEADERS | 1u << LIVE);
}

static void any_parts_old(struct world *world, uint8_t *from) {
    parts_old(world, from, (unsigned)check_below(&world->chance, 1u << (HEAP + 1)));
}

const struct strategy strategies[] = {
    { "all new", all_new, false },
    { "all of one age", all_old, false },
    { "any density of new pages", any_density, false },
    { "pages of any age", any_age, false },
    { "all new but one page", one_old, false },
    { "all old but one page", one_new, false },
    { "a prefix by offset", prefix, false },
    { "index old, heap new", index_old, false },
    { "heap old, index new", heap_old, false },
    { "headers and identity old", headers_old, false },
    { "any parts old", any_parts_old, false },
    { "torn, all new but one page", one_old, true },
    { "torn, a prefix by offset", prefix, true },
    { "torn, pages of any age", any_age, true },
};
const size_t strategy_count = sizeof strategies / sizeof *strategies;

/* The sectors of some pages are of different ages, as when the power fails while they are written. */
static void tear(struct world *world, unsigned char *state) {
    uint64_t share = 1 + check_below(&world->chance, 8);
    for (uint32_t page = 0; page < world->pages; page++) {
        if (check_below(&world->chance, share) != 0)
            continue;
        for (size_t at = (size_t)page * HF__PAGE; at < (size_t)(page + 1) * HF__PAGE; at += SECTOR)
            if (check_below(&world->chance, 2))
                memcpy(state + at, world->images[any(world, page)] + at, SECTOR);
    }
}

void state_build(struct world *world, const struct strategy *strategy, unsigned char *state) {
    uint8_t from[PAGES_MAX];
    strategy->choose(world, from);
    for (uint32_t page = 0; page < world->pages; page++)
        memcpy(state + (size_t)page * HF__PAGE, world->images[from[page]] + (size_t)page * HF__PAGE, HF__PAGE);
    if (strategy->torn)
        tear(world, state);
}
