/* SPDX-License-Identifier: MIT */
/*
 * From a user's wishes to the sizes of the parts, and the check of sizes that a file claims to have.
 *
 * Guarantee I. Keys spread over S stripes as balls over bins. A stripe is sized for n = m + t entries, m = N / S, where t is the
 * Chernoff bound P(X > m + t) < exp(-t^2 / (2 (m + t/3))) solved for exp(-27.6) = 1e-12, which leaves 1e-9 for 1,024 stripes.
 * Within a stripe the buckets are filled to at most 70 %: a run of full buckets longer than the 128 that a key may lie behind
 * its home has a probability below exp(-7 (0.3 + ln 0.7) 128) = exp(-50).
 *
 * Mode cache keeps what is small and often read, so that a stripe can come to hold many more entries than typical ones fit in:
 * its buckets are filled to a half by those, and there is a slot for each KiB of the heap at least. An eighth of the heap is the
 * small ring (small.c), unless that would hold fewer than two typical entries: what is too large for the ring has to fit beside.
 */
#include "internal.h"

#define MEBIBYTE (1024u * 1024)
#define DEFAULT_CAPACITY (64u * MEBIBYTE)
#define DEFAULT_ENTRY_SIZE 128u
#define DEFAULT_STRIPES 256u
#define STRIPE_ENTRIES 1024u /* a stripe should expect at least so many entries ...  */
#define STRIPE_ROOM 12u      /* ... have room for so many of the largest ...          */
#define STRIPE_ROOM_LEAST 4u /* ... (so many if the user chose the stripes; in mode cache the main region takes one) ... */
#define SPARE_ENTRIES 2u     /* mode store: the reserve; mode cache: what the ends of ring and main region cannot use */
#define SMALL_SHARE 8u       /* mode cache: of the heap is the small ring */
#define INDEXED_BYTES 2048u  /* mode cache: of the heap, for which there are two slots at least */
#define FILLS_PER_STRIPE 8u
#define FILLS_LEAST 16u
#define FILLS_MOST 256u
#define STRIPE_BYTES (8u * MEBIBYTE) /* ... and be no larger than this: repair and compaction stop its writers */

struct plan {
    uint64_t entries;
    uint32_t entry_blocks;
    uint32_t largest_blocks;
    uint32_t room; /* of the largest, in each stripe, with the reserve */
    uint32_t stripes;
    bool evicts;
    uint64_t capacity; /* 0: open */
};

static uint64_t square_root(uint64_t value) {
    uint64_t root = 0;
    for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
        if ((root + bit) * (root + bit) <= value)
            root += bit;
    return root;
}

/* What a stripe is sized for, so that none gets more. */
static uint64_t stripe_entries(uint64_t entries, uint32_t stripes) {
    if (stripes == 1)
        return entries;
    uint64_t mean = (entries + stripes - 1) / stripes;
    return mean + 19 + square_root(339 + 56 * mean);
}

static uint64_t page_up(uint64_t bytes) {
    return (bytes + HF__PAGE - 1) & ~(uint64_t)(HF__PAGE - 1);
}

/* A fill looks at four of them, so that a few more than there are fills at once are enough. */
static uint32_t fill_locks(uint32_t stripes) {
    uint32_t locks = stripes * FILLS_PER_STRIPE;
    locks = locks < FILLS_LEAST ? FILLS_LEAST : locks;
    return locks > FILLS_MOST ? FILLS_MOST : locks;
}

void hf__geometry_parts(struct hf__geometry *geometry) {
    uint64_t stripes = geometry->stripes;
    geometry->fills = fill_locks(geometry->stripes);
    geometry->stripes_at = HF__STRIPES_AT;
    geometry->fills_at = geometry->stripes_at + page_up(stripes * sizeof(struct hf__stripe));
    geometry->tombs_at = geometry->fills_at + geometry->fills * sizeof(struct hf__fill);
    geometry->index_at = page_up(geometry->tombs_at + stripes * sizeof(struct hf__tombs));
    geometry->maps_at = geometry->index_at + page_up(stripes * geometry->buckets * sizeof(struct hf__bucket));
    uint64_t end_of_maps = geometry->maps_at + page_up(stripes * 2 * (geometry->blocks / 64) * 8);
    geometry->ghosts_at = geometry->ghosts ? end_of_maps : 0;
    geometry->heap_at = end_of_maps + page_up(stripes * geometry->ghosts * sizeof(uint16_t));
    geometry->file_size = geometry->heap_at + page_up(stripes * geometry->blocks * HF__BLOCK);
}

static bool counts_fit(uint64_t stripes, uint64_t buckets, uint64_t blocks) {
    return buckets >= 1 && blocks >= 64 && stripes * buckets * HF__SLOTS < HF__NO_SLOT && stripes * blocks < UINT32_MAX - 1;
}

/* For how many entries a stripe needs slots. What is left of a capacity becomes heap later. */
static uint64_t indexed_entries(const struct plan *plan, uint64_t most, uint64_t blocks) {
    uint64_t bytes = blocks * HF__BLOCK, share = plan->capacity / plan->stripes;
    uint64_t entries = (bytes > share ? bytes : share) / INDEXED_BYTES;
    return plan->evicts && entries > most ? entries : most;
}

static void add_ring(struct hf__geometry *geometry, const struct plan *plan) {
    uint32_t small = plan->evicts ? geometry->blocks / SMALL_SHARE : 0;
    geometry->small_blocks = small / 2 >= plan->entry_blocks ? small : 0;
}

/* The parts for a plan; false if the counts exceed what the format can number. */
static bool lay_out(struct hf__geometry *geometry, const struct plan *plan) {
    uint64_t most = stripe_entries(plan->entries, plan->stripes);
    uint64_t blocks = (most + SPARE_ENTRIES) * plan->entry_blocks;
    uint64_t room = (uint64_t)plan->room * plan->largest_blocks;
    if (plan->room == 1)
        room += room / (SMALL_SHARE - 1) + 1; /* beside the ring */
    blocks = ((blocks > room ? blocks : room) + 63) & ~63ull;
    uint64_t buckets = indexed_entries(plan, most, blocks) * 10 / (HF__SLOTS * (plan->evicts ? 5 : 7)) + 1;
    if (!counts_fit(plan->stripes, buckets, blocks))
        return false;
    geometry->stripes = plan->stripes;
    geometry->buckets = (uint32_t)buckets;
    geometry->blocks = (uint32_t)blocks;
    geometry->entries = plan->entries;
    geometry->ghosts = plan->evicts ? (uint32_t)((most + HF__GHOST_ROUND - 1) / HF__GHOST_ROUND * HF__GHOST_ROUND) : 0;
    add_ring(geometry, plan);
    hf__geometry_parts(geometry);
    return true;
}

static bool fits(const struct plan *plan, uint64_t capacity) {
    struct hf__geometry geometry;
    return lay_out(&geometry, plan) && geometry.file_size <= capacity;
}

/* The largest value of *field from 1 to `most` with which the plan fits; 0: none. */
static uint64_t largest_that_fits(struct plan *plan, bool of_entries, uint64_t most, uint64_t capacity) {
    uint64_t good = 0;
    for (uint64_t low = 1, high = most; low <= high;) {
        uint64_t middle = low + (high - low) / 2;
        if (of_entries)
            plan->entries = middle;
        else
            plan->entry_blocks = (uint32_t)middle;
        if (fits(plan, capacity)) {
            good = middle;
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    return good;
}

static uint32_t default_max_value(uint64_t bytes, uint32_t entry_size) {
    uint64_t value = bytes / 1024;
    value = value > MEBIBYTE / 2 ? MEBIBYTE / 2 : value;
    value = value < 4096 ? 4096 : value;
    return value < entry_size ? entry_size : (uint32_t)value;
}

/* `room` is the least number of bytes a stripe needs. */
static uint32_t default_stripes(uint64_t entries, uint64_t heap, uint64_t room) {
    uint32_t stripes = DEFAULT_STRIPES;
    while (stripes > 1 && (entries / stripes < STRIPE_ENTRIES || heap / stripes < room))
        stripes /= 2;
    while (stripes < HF_STRIPES_MAX && heap / stripes > STRIPE_BYTES && entries / (2 * stripes) >= STRIPE_ENTRIES &&
           heap / (2 * stripes) >= room)
        stripes *= 2;
    return stripes;
}

/* Fills what is left of the capacity with heap; false if that is more than the format can number. */
static bool use_rest(struct hf__geometry *geometry, const struct plan *plan, uint64_t capacity) {
    uint64_t rest = capacity - geometry->file_size;
    rest -= rest < 2 * HF__PAGE ? rest : 2 * HF__PAGE; /* maps and heap may need another page each */
    uint64_t more = rest / geometry->stripes / (64 * HF__BLOCK + 16) * 64;
    struct hf__geometry larger = *geometry;
    larger.blocks += (uint32_t)more;
    add_ring(&larger, plan);
    hf__geometry_parts(&larger);
    if (more > 0 && !counts_fit(larger.stripes, larger.buckets, geometry->blocks + more))
        return false;
    if (larger.file_size <= capacity)
        *geometry = larger;
    return true;
}

static int too_small(struct plan *plan, const struct hf_options *options) {
    struct hf__geometry geometry;
    if (!lay_out(&geometry, plan))
        return hf__fail(HF_ERR_ARGUMENT, "the store would have more than 2^32 blocks of %u bytes: ask for less", HF__BLOCK);
    return hf__fail(HF_ERR_ARGUMENT,
                    "capacity %llu is too small for %llu entries, values of up to %u bytes and %u stripes: %llu is needed",
                    (unsigned long long)options->capacity, (unsigned long long)plan->entries, options->max_value, plan->stripes,
                    (unsigned long long)geometry.file_size);
}

/* Solves for the one of capacity, entries and entry size that was left open. */
static int solve(struct hf__geometry *geometry, struct plan *plan, const struct hf_options *options) {
    bool open_entries = options->entries == 0, open_size = !open_entries && options->capacity && options->entry_size == 0;
    if (open_entries && !(plan->entries = largest_that_fits(plan, true, UINT32_MAX, options->capacity))) {
        plan->entries = 1;
        return too_small(plan, options);
    }
    if (open_size) {
        uint32_t good = (uint32_t)largest_that_fits(plan, false, plan->largest_blocks, options->capacity);
        plan->entry_blocks = good >= 2 ? good : 2;
    }
    if (!lay_out(geometry, plan) || (options->capacity && geometry->file_size > options->capacity))
        return too_small(plan, options);
    if (options->capacity && !use_rest(geometry, plan, options->capacity))
        return hf__fail(HF_ERR_ARGUMENT, "capacity is out of range: a store has at most 2^32 blocks of %u bytes", HF__BLOCK);
    return HF_OK;
}

int hf__geometry_make(struct hf__geometry *geometry, const struct hf_options *wishes) {
    struct hf_options options = *wishes;
    if (options.capacity == 0 && options.entries == 0)
        options.capacity = DEFAULT_CAPACITY;
    uint32_t size = options.entry_size ? options.entry_size : DEFAULT_ENTRY_SIZE;
    struct plan plan = { .entries = options.entries, .capacity = options.capacity };
    plan.evicts = options.mode == HF_MODE_CACHE;
    plan.entry_blocks = hf__blocks_for(0, size);
    uint64_t bytes = options.capacity ? options.capacity : options.entries * plan.entry_blocks * HF__BLOCK;
    if (options.max_value == 0)
        options.max_value = default_max_value(bytes, options.entry_size);
    if (options.max_key == 0)
        options.max_key = HF_KEY_MAX;
    if (options.max_value + hf__padded(options.max_key) < options.entry_size)
        return hf__fail(HF_ERR_ARGUMENT, "entry_size %u is larger than the largest key and value", options.entry_size);
    plan.largest_blocks = hf__blocks_for(options.max_key, options.max_value);
    plan.room = !options.stripes ? STRIPE_ROOM : plan.evicts ? 1 : STRIPE_ROOM_LEAST;
    plan.room += plan.evicts ? 0 : 2;
    uint64_t expected = options.entries ? options.entries : bytes / (plan.entry_blocks * HF__BLOCK + 40);
    uint64_t room = (uint64_t)plan.room * plan.largest_blocks * HF__BLOCK;
    plan.stripes = options.stripes ? options.stripes : default_stripes(expected, bytes - bytes / 16, room);

    memset(geometry, 0, sizeof *geometry);
    int result = solve(geometry, &plan, &options);
    geometry->entry_size = plan.entry_blocks * HF__BLOCK - (uint32_t)sizeof(struct hf__entry);
    if (options.entry_size || geometry->entry_size > options.max_value + hf__padded(options.max_key))
        geometry->entry_size = options.entry_size ? options.entry_size : options.max_value;
    geometry->max_value = options.max_value;
    geometry->max_key = options.max_key;
    geometry->mode = options.mode;
    geometry->default_ttl_ms = options.default_ttl_ms == HF_TTL_NEVER ? 0 : options.default_ttl_ms;
    return result;
}

/* Only mode cache has a ring and ghosts; how large they are is free within bounds that keep the code simple. */
static bool hints_fit(const struct hf__geometry *geometry) {
    if (geometry->mode != HF_MODE_CACHE)
        return geometry->small_blocks == 0 && geometry->ghosts == 0;
    return geometry->small_blocks <= geometry->blocks / 2 && geometry->ghosts % HF__GHOST_ROUND == 0;
}

int hf__geometry_check(const struct hf__geometry *geometry) {
    struct hf__geometry again = *geometry;
    uint32_t stripes = geometry->stripes;
    bool sound = stripes >= 1 && stripes <= HF_STRIPES_MAX && (stripes & (stripes - 1)) == 0 &&
                 geometry->blocks % 64 == 0 && counts_fit(stripes, geometry->buckets, geometry->blocks) &&
                 geometry->max_value <= HF_VALUE_MAX && geometry->max_key >= 1 && geometry->max_key <= HF_KEY_MAX &&
                 geometry->mode <= HF_MODE_CACHE && geometry->default_ttl_ms <= HF__EXPIRY_MAX && hints_fit(geometry);
    if (HF_PLANTED(GEOMETRY_TRUSTED))
        return HF_OK;
    if (sound)
        hf__geometry_parts(&again);
    if (!sound || memcmp(&again, geometry, sizeof again) != 0)
        return hf__fail(HF_ERR_FORMAT, "the sizes in the superblock do not fit together: the file is damaged");
    return HF_OK;
}
