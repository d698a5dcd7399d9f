/* SPDX-License-Identifier: MIT */
/* The sizes that a new store would get, for many wishes at random, most of which no test could fulfil: none may break a promise,
 * or be one that an open refuses. Knows the library inside, and makes no store. */
#include "check.h"
#include "internal.h"

const unsigned test_seconds = 60;

static void judge_sizes(const struct hf_options *options) {
    struct hf__geometry geometry;
    int rc = hf__geometry_make(&geometry, options);
    CHECK(rc == HF_OK || rc == HF_ERR_ARGUMENT);
    if (rc != HF_OK)
        return;
    CHECK_RC(hf__geometry_check(&geometry), HF_OK);
    CHECK(options->capacity == 0 || geometry.file_size <= options->capacity);
    CHECK(options->capacity < geometry.file_size + 5 * HF__PAGE + geometry.stripes * (64ull * HF__BLOCK + 16));
    CHECK(geometry.entries >= options->entries && geometry.entries >= 1);
    CHECK(geometry.entry_size >= options->entry_size && geometry.entry_size <= geometry.max_value + HF_KEY_MAX);
    CHECK(options->stripes == 0 || geometry.stripes == options->stripes);
    CHECK(options->max_value == 0 || geometry.max_value == options->max_value);
    CHECK(geometry.max_key == (options->max_key ? options->max_key : HF_KEY_MAX));
    uint32_t largest = hf__blocks_for(geometry.max_key, geometry.max_value), main = geometry.blocks - geometry.small_blocks;
    CHECK(main >= largest && geometry.blocks >= (geometry.mode == HF_MODE_CACHE && options->stripes ? 1ull : 4ull) * largest);
    CHECK((geometry.ghosts > 0) == (geometry.mode == HF_MODE_CACHE) && (geometry.ghosts == 0) == (geometry.ghosts_at == 0));
}

static uint64_t random_size(uint64_t *seed, unsigned bits) {
    uint64_t shift = check_below(seed, bits + 1);
    return check_below(seed, 3) == 0 ? 0 : (check_random(seed) >> 1) >> (63 - shift);
}

int test_run(int argc, char **argv) {
    uint64_t seed = check_number(argc, argv, "--seed", 1), wishes = check_number(argc, argv, "--wishes", 200000);
    for (uint64_t i = 0; i < wishes; i++) {
        struct hf_options options = HF_OPTIONS_INIT;
        options.mode = (uint32_t)check_below(&seed, 2);
        options.capacity = random_size(&seed, 46);
        options.entries = random_size(&seed, 31);
        options.entry_size = (uint32_t)random_size(&seed, 29);
        options.max_value = (uint32_t)random_size(&seed, 29);
        options.max_key = (uint32_t)check_below(&seed, check_below(&seed, 2) ? 1 : HF_KEY_MAX + 1);
        options.stripes = check_below(&seed, 2) ? 0 : 1u << check_below(&seed, 11);
        check_at("wish %llu", (unsigned long long)i);
        judge_sizes(&options);
    }
    return 0;
}
