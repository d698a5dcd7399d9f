/* SPDX-License-Identifier: MIT */
/*
 * What a slot word cannot tell by itself: which of the keys that share its 16 bits of tag is meant, how large an entry is that
 * has more blocks than its 14 bits count to; and that no two stores place their keys alike. Knows the library inside.
 */
#include "check.h"
#include "internal.h"

const unsigned test_seconds = 60;

/* ---- Keys that share a tag ----------------------------------------------------------------------------------------------- */

/* Two keys of four bytes with the same tag: among 65,536 tags some are soon found. */
static void same_tag_keys(const struct hf__region *region, uint32_t keys[2]) {
    static uint32_t key_of_tag[1 << 16];
    memset(key_of_tag, 0, sizeof key_of_tag);
    for (uint32_t key = 1;; key++) {
        uint32_t *known = &key_of_tag[hf__locate(region, hf__hash_key(region, &key, sizeof key)).tag];
        if (*known) {
            keys[0] = *known;
            keys[1] = key;
            return;
        }
        *known = key;
    }
}

static void holds(hf_store *store, uint32_t key, const char *value) {
    char found[16];
    size_t length = 0;
    CHECK_RC(hf_get(store, &key, sizeof key, found, sizeof found, &length, NULL), value ? HF_OK : HF_NOTFOUND);
    if (value)
        CHECK(length == strlen(value) && memcmp(found, value, length) == 0);
}

static void same_tag(void) {
    hf_store *store = NULL;
    uint32_t keys[2];
    CHECK_RC(hf__open_tiny(&store, 1, 64, HF_MODE_STORE), HF_OK);
    same_tag_keys(store->region, keys);
    CHECK_RC(hf_put(store, &keys[0], 4, "first", 5, NULL, NULL), HF_OK);
    holds(store, keys[0], "first");
    holds(store, keys[1], NULL);
    CHECK_RC(hf_delete(store, &keys[1], 4, 0), HF_NOTFOUND);
    CHECK_RC(hf_put(store, &keys[1], 4, "second", 6, NULL, NULL), HF_OK);
    holds(store, keys[0], "first");
    holds(store, keys[1], "second");
    CHECK_RC(hf_delete(store, &keys[0], 4, 0), HF_OK);
    holds(store, keys[0], NULL);
    holds(store, keys[1], "second");
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A put writes ahead what will replace the entry that most likely has the key. Here another one has the tag, the size, and left
 * the hole. */
static void drafts(void) {
    hf_store *store = NULL;
    uint32_t keys[2];
    CHECK_RC(hf__open_tiny(&store, 1, 64, HF_MODE_STORE), HF_OK);
    same_tag_keys(store->region, keys);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_RC(hf_put(store, &keys[0], 4, "one", 3, NULL, NULL), HF_OK);
        CHECK_RC(hf_put(store, &keys[0], 4, "two", 3, NULL, NULL), HF_OK);
        CHECK_RC(hf_put(store, &keys[1], 4, "three", 5, NULL, NULL), HF_OK);
        holds(store, keys[0], "two");
        holds(store, keys[1], "three");
        check_sound(store);
        CHECK_RC(hf_put(store, &keys[1], 4, "four", 4, NULL, NULL), HF_OK);
        holds(store, keys[0], "two");
        holds(store, keys[1], "four");
        check_sound(store);
        CHECK_RC(hf_delete(store, &keys[i % 2], 4, 0), HF_OK);
    }
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A put that a full store refuses was written ahead, over the value before the last of the key with its tag. Then the power
 * fails, and the slot word that comes back is the one that named that value: nothing may be there now, least of all what was
 * refused. */
static void refused_drafts(void) {
    hf_store *store = NULL;
    struct hf__spot before;
    uint32_t keys[2];
    CHECK_RC(hf__open_tiny(&store, 1, 64, HF_MODE_STORE), HF_OK);
    same_tag_keys(store->region, keys);
    struct hf__place place = hf__locate(store->region, hf__hash_key(store->region, &keys[0], 4));
    CHECK_RC(hf_put(store, &keys[0], 4, "one", 3, NULL, NULL), HF_OK);
    hf__find(store->region, &place, &keys[0], 4, &before);
    int rc = HF_OK;
    for (char filler = 1; rc == HF_OK; filler++)
        rc = hf_put(store, &filler, 1, "filler", 6, NULL, NULL);
    CHECK_RC(rc, HF_ERR_FULL);
    CHECK_RC(hf_put(store, &keys[0], 4, "two", 3, NULL, NULL), HF_OK);
    CHECK_RC(hf_put(store, &keys[1], 4, "new", 3, NULL, NULL), HF_ERR_FULL);
    CHECK(memcmp(before.view.key, &keys[1], 4) == 0); /* it was written ahead */
    hf__store(before.at, before.word);
    CHECK_EQ(hf__recover(store->region, 0, HF__RECOVER_VERIFY), 1);
    holds(store, keys[0], NULL);
    holds(store, keys[1], NULL);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Large entries ------------------------------------------------------------------------------------------------------- */

enum { LIMIT = HF__BLOCKS_LIMIT * HF__BLOCK, LARGEST = 2 * LIMIT + 100000 };

static unsigned char *value, *found;

static int put_large(hf_store *store, char key, size_t size) {
    value_make(value, size, (uint64_t)key, size);
    return hf_put(store, &key, 1, value, size, NULL, NULL);
}

static void holds_large(hf_store *store, char key, size_t size) {
    size_t length = 0;
    uint64_t sequence = 0;
    CHECK_RC(hf_get(store, &key, 1, found, LARGEST, &length, NULL), HF_OK);
    CHECK_EQ(length, size);
    CHECK(value_whole(found, length, (uint64_t)key, &sequence) && sequence == size);
}

/* Sizes whose number of blocks is just below, at and above what a slot word tells; and above twice that. */
static void sizes(hf_store *store) {
    for (size_t limit = LIMIT; limit <= 2 * LIMIT; limit += LIMIT) {
        for (size_t size = limit - 3 * HF__BLOCK; size <= limit + 3 * HF__BLOCK; size += HF__BLOCK) {
            check_at("a value of %zu bytes", size);
            CHECK_RC(put_large(store, 'a', size), HF_OK);
            holds_large(store, 'a', size);
            check_sound(store);
        }
    }
}

/* Large ones among small ones until nothing fits any more; then every other one makes room for the largest. */
static void moves(hf_store *store, bool evicts) {
    size_t kept[26] = {0};
    for (char key = 'a'; key <= 'z'; key++) {
        size_t size = key % 3 ? 1000 : LIMIT + (size_t)(key - 'a') * 7000;
        int rc = put_large(store, key, size);
        CHECK(rc == HF_OK || (rc == HF_ERR_FULL && !evicts));
        kept[key - 'a'] = rc == HF_OK && key % 2 ? size : 0;
    }
    for (char key = 'b'; key <= 'z'; key = (char)(key + 2))
        CHECK(hf_delete(store, &key, 1, 0) >= HF_OK);
    CHECK_RC(put_large(store, 'A', LARGEST), HF_OK);
    holds_large(store, 'A', LARGEST);
    for (char key = 'a'; key <= 'z' && !evicts; key++)
        if (kept[key - 'a'])
            holds_large(store, key, kept[key - 'a']);
    check_sound(store);
}

static void large(void) {
    value = malloc(LARGEST);
    found = malloc(LARGEST);
    CHECK(value && found);
    for (uint32_t mode = HF_MODE_STORE; mode <= HF_MODE_CACHE; mode++) {
        struct hf_options options = HF_OPTIONS_INIT;
        hf_store *store = NULL;
        options.mode = mode;
        options.capacity = 12 << 20;
        options.max_value = LARGEST;
        options.stripes = 1;
        CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
        sizes(store);
        moves(store, mode == HF_MODE_CACHE);
        CHECK_RC(hf_repair(store, NULL), HF_OK);
        holds_large(store, 'A', LARGEST);
        CHECK_RC(hf_close(&store), HF_OK);
    }
    free(value);
    free(found);
}

/* ---- Seeds --------------------------------------------------------------------------------------------------------------- */

enum { KEYS = 64 };

/* The keys of a new store in the order of its slots. */
static void order_of_keys(char order[KEYS + 1]) {
    struct hf_options options = check_small_store(0);
    struct hf_item item = HF_ITEM_INIT;
    hf_store *store = NULL;
    uint64_t cursor = 0;
    unsigned count = 0;
    options.stripes = 1;
    options.max_value = 1000;
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
    for (char key = 1; key <= KEYS; key++)
        CHECK_RC(hf_put(store, &key, 1, "", 0, NULL, NULL), HF_OK);
    for (; hf_scan(store, &cursor, 0, &item) == HF_OK; count++)
        order[count] = *(const char *)item.key;
    CHECK_EQ(count, KEYS);
    hf_item_free(&item);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* Who knows one store cannot choose keys that collide in another. */
static void seeds(void) {
    char one[KEYS + 1] = {0}, other[KEYS + 1] = {0};
    order_of_keys(one);
    order_of_keys(other);
    CHECK(strcmp(one, other) != 0);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"same-tag", same_tag}, {"drafts", drafts}, {"refused-drafts", refused_drafts}, {"large", large}, {"seeds", seeds},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
