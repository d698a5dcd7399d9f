/* SPDX-License-Identifier: MIT */
/*
 * The rule that readers lean on: whatever is written into blocks, moves included, bears a stamp that the stripe has never given
 * before. Looks at all slots after every operation on a store so small that entries move all the time. Knows the library inside.
 */
#include "check.h"
#include "internal.h"

#include <inttypes.h>

const unsigned test_seconds = 60;

enum { KEYS = 12, BUCKETS = 3, SLOTS = BUCKETS * HF__SLOTS };

static uint64_t words[SLOTS], highest;

/* Every entry that was written since the last look has a stamp above all that were there, and no two have the same. */
static void look(const struct hf__region *region) {
    uint64_t stamps[SLOTS], newest = highest;
    unsigned count = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint64_t word = hf__load(hf__slot_at(region, slot)), block;
        bool written = !hf__same_word(word, words[slot]);
        words[slot] = word;
        if (word == 0)
            continue;
        CHECK(hf__block_of(region, 0, word, &block));
        uint64_t stamp = hf__entry_at(region, block)->stamp;
        if (written && stamp <= highest)
            check_failed(__FILE__, __LINE__, "the entry in slot %u was written with stamp %" PRIu64 ", given before", slot,
                         stamp);
        for (unsigned i = 0; i < count; i++)
            CHECK(stamps[i] != stamp);
        stamps[count++] = stamp;
        newest = stamp > newest ? stamp : newest;
    }
    highest = newest;
    CHECK(hf__stripe_at(region, 0)->next_stamp > highest);
}

static void run(uint32_t mode) {
    hf_store *store = NULL;
    struct hf_stats stats = HF_STATS_INIT;
    uint64_t seed = 3;
    unsigned char value[400] = {0};
    memset(words, 0, sizeof words);
    highest = 0;
    CHECK_RC(hf__open_tiny(&store, BUCKETS, 64, mode), HF_OK);
    for (unsigned i = 0; i < 20000; i++) {
        check_at("operation %u, mode %u", i, mode);
        char key = (char)('a' + check_below(&seed, KEYS));
        int rc = check_below(&seed, 4) ? hf_put(store, &key, 1, value, check_below(&seed, sizeof value), NULL, NULL)
                                       : hf_delete(store, &key, 1, 0);
        CHECK(rc == HF_OK || rc == HF_ERR_FULL || rc == HF_NOTFOUND);
        look(store->region);
    }
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    printf("mode %u: %" PRIu64 " puts, %" PRIu64 " moves\n", mode, stats.puts, stats.moves);
    CHECK(stats.moves > 100);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    (void)argc, (void)argv;
    run(HF_MODE_STORE);
    run(HF_MODE_CACHE);
    return 0;
}
