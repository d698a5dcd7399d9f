/* SPDX-License-Identifier: MIT */
/*
 * Guarantee I: a store made for N entries takes N entries; a full store takes every replace by a value of the same size or
 * smaller; fragmentation alone never means "full".
 *
 *     capacity [promise] [replace] [mixed] [room] [--full]
 *
 * --full tries 5,000,000 entries too (about 1 GB of memory) and mixes sizes a million times.
 */
#include "check.h"

#include <inttypes.h>

const unsigned test_seconds = 1800;

static bool full;

enum { KEY_LEN = 16, VALUE_LEN = 100 };

static void sixteen_bytes(char key[KEY_LEN + 1], unsigned set, uint64_t number) {
    snprintf(key, KEY_LEN + 1, "%02u%014" PRIu64, set % 100, number % 100000000000000u);
}

/* ---- The promise --------------------------------------------------------------------------------------------------------- */

/* Fills a store made for so many entries, reads all of them back, replaces all of them: a new store has a new seed. */
static void promised(uint64_t entries, unsigned set) {
    check_at("a store for %" PRIu64 " entries, key set %u", entries, set);
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_info info = HF_INFO_INIT;
    options.entries = entries;
    options.entry_size = KEY_LEN + VALUE_LEN;
    hf_store *store = check_create("promise", options);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK(info.entries >= entries && info.entry_size >= KEY_LEN + VALUE_LEN);
    char key[KEY_LEN + 1], value[VALUE_LEN], found[VALUE_LEN];
    for (unsigned round = 1; round <= 2; round++) {
        for (uint64_t i = 0; i < entries; i++) {
            sixteen_bytes(key, set, i);
            value_make(value, VALUE_LEN, i, round);
            CHECK_RC(hf_put(store, key, KEY_LEN, value, VALUE_LEN, NULL, NULL), HF_OK);
        }
    }
    uint64_t count = 0, sequence = 0;
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK_EQ(count, entries);
    for (uint64_t i = 0; i < entries; i++) {
        sixteen_bytes(key, set, i);
        CHECK_RC(hf_get(store, key, KEY_LEN, found, VALUE_LEN, NULL, NULL), HF_OK);
        CHECK(value_whole(found, VALUE_LEN, i, &sequence) && sequence == 2);
    }
    check_sound(store);
    if (set == 1)
        printf("%8" PRIu64 " entries of 16 + 100 bytes: %.1f bytes of file each, %u stripes\n", entries,
               (double)info.file_size / (double)entries, info.stripes);
    CHECK_RC(hf_close(&store), HF_OK);
    char path[CHECK_PATH];
    unlink(check_path(path, "promise"));
}

static void promise(void) {
    static const uint64_t sizes[] = {1, 10, 1000, 10000, 100000, 5000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned set = 1; set <= 3; set++)
            if (sizes[i] <= 100000 || full)
                promised(sizes[i], set);
}

/* ---- A full store -------------------------------------------------------------------------------------------------------- */

static hf_store *small_store(uint32_t stripes) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    options.capacity = 1 << 20;
    options.max_value = 8000;
    options.stripes = stripes;
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
    return store;
}

/* Puts of one size until the first refusal; the number of entries. */
static uint64_t fill(hf_store *store, size_t size) {
    char key[KEY_LEN + 1], value[8000];
    for (uint64_t i = 0;; i++) {
        sixteen_bytes(key, 0, i);
        value_make(value, size, i, 1);
        int rc = hf_put(store, key, KEY_LEN, value, size, NULL, NULL);
        if (rc == HF_ERR_FULL)
            return i;
        CHECK_RC(rc, HF_OK);
    }
}

static void replace_each(hf_store *store, uint64_t entries, size_t size, uint64_t sequence) {
    char key[KEY_LEN + 1], value[8000];
    for (uint64_t i = 0; i < entries; i++) {
        check_at("replace %" PRIu64 " of %" PRIu64 " by %zu bytes", i, entries, size);
        sixteen_bytes(key, 0, i);
        value_make(value, size, i, sequence);
        CHECK_RC(hf_put(store, key, KEY_LEN, value, size, NULL, NULL), HF_OK);
    }
}

static void replace(void) {
    static const size_t sizes[] = {24, 100, 1000, 4000, 8000};
    char key[KEY_LEN + 1], found[8000];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        hf_store *store = small_store(i % 2 ? 1 : 4);
        uint64_t entries = fill(store, sizes[i]), sequence = 0;
        CHECK(entries > 20);
        replace_each(store, entries, sizes[i], 2);
        replace_each(store, entries, sizes[i] - sizes[i] / 4, 3);
        replace_each(store, entries, VALUE_MIN, 4);
        for (uint64_t number = 0; number < entries; number++) {
            sixteen_bytes(key, 0, number);
            CHECK_RC(hf_get(store, key, KEY_LEN, found, sizeof found, NULL, NULL), HF_OK);
            CHECK(value_whole(found, VALUE_MIN, number, &sequence) && sequence == 4);
        }
        check_sound(store);
        CHECK_RC(hf_close(&store), HF_OK);
    }
}

/* ---- Mixed sizes --------------------------------------------------------------------------------------------------------- */

enum { MIXED = 20000 }; /* more than the store takes of the smallest */

struct mixed {
    hf_store *store;
    uint64_t seed;
    size_t sizes[MIXED]; /* 0: absent */
    uint64_t sequence;
};

/* A present key from a random place on, smaller than that if there is such a one. */
static uint64_t pick_present(struct mixed *m, size_t below) {
    uint64_t start = check_below(&m->seed, MIXED), any = MIXED;
    for (uint64_t i = 0; i < MIXED; i++) {
        uint64_t number = (start + i) % MIXED;
        if (m->sizes[number] && m->sizes[number] < below)
            return number;
        any = m->sizes[number] ? number : any;
    }
    CHECK(any < MIXED);
    return any;
}

static size_t random_size(struct mixed *m) {
    uint64_t kind = check_below(&m->seed, 10);
    return VALUE_MIN + check_below(&m->seed, kind < 6 ? 200 : kind < 9 ? 2000 : 8000 - VALUE_MIN + 1);
}

static int put_mixed(struct mixed *m, uint64_t number, size_t size) {
    char key[KEY_LEN + 1], value[8000];
    sixteen_bytes(key, 0, number);
    value_make(value, size, number, ++m->sequence);
    int rc = hf_put(m->store, key, KEY_LEN, value, size, NULL, NULL);
    if (rc == HF_OK)
        m->sizes[number] = size;
    return rc;
}

static void delete_mixed(struct mixed *m, uint64_t number) {
    char key[KEY_LEN + 1];
    sixteen_bytes(key, 0, number);
    CHECK_RC(hf_delete(m->store, key, KEY_LEN, 0), m->sizes[number] ? HF_OK : HF_NOTFOUND);
    m->sizes[number] = 0;
}

/* Random sizes until many inserts in a row were refused. */
static void fill_mixed(struct mixed *m) {
    for (unsigned refused = 0; refused < 50;) {
        uint64_t number = check_below(&m->seed, MIXED);
        if (m->sizes[number])
            continue;
        int rc = put_mixed(m, number, random_size(m));
        CHECK(rc == HF_OK || rc == HF_ERR_FULL);
        refused += rc == HF_ERR_FULL;
    }
}

static void compare_mixed(struct mixed *m) {
    char key[KEY_LEN + 1], found[8000];
    for (uint64_t number = 0; number < MIXED; number++) {
        size_t length = 0;
        uint64_t sequence;
        sixteen_bytes(key, 0, number);
        int rc = hf_get(m->store, key, KEY_LEN, found, sizeof found, &length, NULL);
        CHECK_RC(rc, m->sizes[number] ? HF_OK : HF_NOTFOUND);
        if (rc == HF_OK)
            CHECK(length == m->sizes[number] && value_whole(found, length, number, &sequence));
    }
    check_sound(m->store);
}

/* A full store of random sizes lives on: deletes, inserts that may be refused, replaces that may not. */
static void mixed(void) {
    uint64_t rounds = full ? 1000000 : 150000, replaced = 0, refused = 0;
    struct mixed m = {small_store(1), 7, {0}, 0};
    fill_mixed(&m);
    for (uint64_t i = 0; i < rounds; i++) {
        check_at("mixed sizes, round %" PRIu64, i);
        uint64_t number = check_below(&m.seed, 4) ? pick_present(&m, SIZE_MAX) : check_below(&m.seed, MIXED);
        if (m.sizes[number] == 0) {
            int rc = put_mixed(&m, number, random_size(&m));
            CHECK(rc == HF_OK || rc == HF_ERR_FULL);
            refused += rc == HF_ERR_FULL;
        } else if (check_below(&m.seed, 8) == 0) {
            delete_mixed(&m, number);
        } else {
            size_t smaller = VALUE_MIN + check_below(&m.seed, m.sizes[number] - VALUE_MIN + 1);
            CHECK_RC(put_mixed(&m, number, check_below(&m.seed, 2) ? m.sizes[number] : smaller), HF_OK);
            replaced++;
        }
        if (i % 20000 == 0)
            compare_mixed(&m);
    }
    compare_mixed(&m);
    printf("mixed sizes: %" PRIu64 " replaces, none refused; %" PRIu64 " inserts refused\n", replaced, refused);
    CHECK(refused > 0);
    CHECK_RC(hf_close(&m.store), HF_OK);
}

/* Bytes an entry takes in blocks of 32, generously. */
static size_t blocks_of(size_t size) {
    return (40 + KEY_LEN + size + 31) / 32 * 32;
}

/* Deleting as much as twice the largest entry and the new one need always makes room for it, however scattered the holes. */
static void room(void) {
    unsigned tries = full ? 2000 : 300;
    struct mixed m = {small_store(1), 9, {0}, 0};
    for (unsigned i = 0; i < tries; i++) {
        check_at("room, try %u", i);
        fill_mixed(&m);
        size_t size = random_size(&m), freed = 0, largest = size;
        uint64_t number;
        do
            number = check_below(&m.seed, MIXED);
        while (m.sizes[number]);
        for (uint64_t other = 0; other < MIXED; other++)
            largest = m.sizes[other] > largest ? m.sizes[other] : largest;
        while (freed < 2 * blocks_of(largest) + blocks_of(size)) {
            uint64_t victim = pick_present(&m, 300); /* many small holes are the harder case */
            freed += blocks_of(m.sizes[victim]);
            delete_mixed(&m, victim);
        }
        CHECK_RC(put_mixed(&m, number, size), HF_OK);
    }
    compare_mixed(&m);
    CHECK_RC(hf_close(&m.store), HF_OK);
}

/* Puts entries of 224 bytes until the store is full; how many it took. */
static unsigned fill_with_small(hf_store *store, uint32_t *next) {
    static const char value[170];
    unsigned taken = 0;
    int result;
    while ((result = hf_put(store, next, sizeof *next, value, sizeof value, NULL, NULL)) == HF_OK)
        ++*next, ++taken;
    CHECK_RC(result, HF_ERR_FULL);
    return taken;
}

/* When the largest entry has gone, deleted or replaced by a smaller one, the room that was kept for its sake can be had. */
static void shrunk(void) {
    static const char large[8000];
    for (int replaced = 0; replaced < 2; replaced++) {
        uint32_t next = 0;
        hf_store *store = small_store(1);
        CHECK_RC(hf_put(store, "large", 5, large, sizeof large, NULL, NULL), HF_OK);
        fill_with_small(store, &next);
        CHECK_EQ(fill_with_small(store, &next), 0);
        CHECK_RC(replaced ? hf_put(store, "large", 5, "", 0, NULL, NULL) : hf_delete(store, "large", 5, 0), HF_OK);
        CHECK(fill_with_small(store, &next) > 2 * sizeof large / 224); /* it, and most of what two more would take */
        CHECK_RC(hf_close(&store), HF_OK);
    }
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {{"promise", promise}, {"replace", replace}, {"mixed", mixed}, {"room", room},
                                              {"shrunk", shrunk}};
    char *rest[8];
    int count = 0;
    for (int i = 0; i < argc && count < 8; i++) {
        if (strcmp(argv[i], "--full") == 0)
            full = true;
        else
            rest[count++] = argv[i];
    }
    check_cases(count, rest, cases, sizeof cases / sizeof *cases);
    return 0;
}
