/* SPDX-License-Identifier: MIT */
/*
 * Guarantee H: while other processes replace, delete and insert, a scan tells every key that is there throughout exactly once.
 * And cursors: resumed in another process, kept over a reopen, abandoned, skipped.
 *
 *     scan [--seconds N]
 */
#include "check.h"

#include <stdatomic.h>

const unsigned test_seconds = 300;

enum { STABLE = 500, FLAPPING = 500, LARGEST = 700, WRITERS = 2 };

static hf_store *store;

static size_t key_of(char key[16], uint64_t number) {
    return (size_t)snprintf(key, 16, "key-%04u", (unsigned)number);
}

static uint64_t number_of(const struct hf_item *item) {
    char text[16] = {0};
    CHECK(item->key_len == 8);
    memcpy(text, item->key, item->key_len);
    return strtoull(text + 4, NULL, 10);
}

static void put_random(uint64_t number, uint64_t *seed) {
    char key[16], value[LARGEST];
    size_t size = VALUE_MIN + check_below(seed, LARGEST - VALUE_MIN);
    value_make(value, size, number, check_random(seed));
    int rc = hf_put(store, key, key_of(key, number), value, size, NULL, NULL);
    CHECK(rc == HF_OK || rc == HF_ERR_FULL);
}

static hf_store *make_store(const char *name, uint64_t capacity) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = capacity;
    options.max_value = 1000;
    options.stripes = 2;
    return check_create(name, options);
}

/* ---- While others write -------------------------------------------------------------------------------------------------- */

struct writer {
    uint64_t number;
    atomic_bool *stop;
};

static int write_on(void *argument) {
    struct writer *writer = argument;
    uint64_t seed = writer->number;
    while (!atomic_load(writer->stop)) {
        uint64_t number = check_below(&seed, STABLE + FLAPPING);
        if (number % WRITERS != writer->number)
            continue;
        char key[16];
        if (number >= STABLE && check_below(&seed, 2)) {
            int rc = hf_delete(store, key, key_of(key, number), 0);
            CHECK(rc == HF_OK || rc == HF_NOTFOUND);
        } else {
            put_random(number, &seed);
        }
    }
    return 0;
}

static uint64_t scan_round(uint32_t flags) {
    struct hf_item item = HF_ITEM_INIT;
    unsigned seen[STABLE + FLAPPING] = {0};
    uint64_t cursor = 0, sequence, entries = 0;
    int rc;
    while ((rc = hf_scan(store, &cursor, flags, &item)) == HF_OK) {
        uint64_t number = number_of(&item);
        CHECK(number < STABLE + FLAPPING);
        seen[number]++;
        entries++;
        CHECK(item.meta.version > 0 && item.meta.value_len >= VALUE_MIN);
        if (flags & HF_SCAN_KEYS)
            CHECK(item.value == NULL && item.value_len == 0);
        else
            CHECK(item.value_len == item.meta.value_len && value_whole(item.value, item.value_len, number, &sequence));
    }
    CHECK_RC(rc, HF_END);
    hf_item_free(&item);
    for (unsigned i = 0; i < STABLE; i++)
        if (seen[i] != 1)
            check_failed(__FILE__, __LINE__, "key %u, there throughout, was seen %u times", i, seen[i]);
    return entries;
}

static void while_others_write(double seconds) {
    atomic_bool *stop = check_shared(sizeof *stop);
    struct writer writers[WRITERS];
    pid_t children[WRITERS];
    uint64_t seed = 1, rounds = 0, entries = 0;
    store = make_store("busy", 1 << 20);
    for (uint64_t i = 0; i < STABLE; i++)
        put_random(i, &seed);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){i, stop};
        children[i] = check_spawn(write_on, &writers[i]);
    }
    for (double end = check_seconds() + seconds; check_seconds() < end; rounds++)
        entries += scan_round(rounds % 2 ? HF_SCAN_KEYS : 0);
    atomic_store(stop, true);
    for (unsigned i = 0; i < WRITERS; i++)
        check_ended(children[i], 20);
    printf("%llu scans of %llu entries while %d processes wrote\n", (unsigned long long)rounds, (unsigned long long)entries,
           WRITERS);
    CHECK(rounds > 10);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Cursors ------------------------------------------------------------------------------------------------------------- */

struct part {
    uint64_t cursor;
    unsigned seen[STABLE];
    unsigned count;
};

/* Up to ten entries from where the cursor stands, as a process of its own. */
static int scan_part(void *argument) {
    struct part *part = argument;
    struct hf_item item = HF_ITEM_INIT;
    int rc = HF_OK;
    for (unsigned i = 0; i < 10 && (rc = hf_scan(store, &part->cursor, 0, &item)) == HF_OK; i++) {
        part->seen[number_of(&item)]++;
        part->count++;
    }
    hf_item_free(&item);
    return rc == HF_END;
}

static void cursors(void) {
    struct part *part = check_shared(sizeof *part);
    char path[CHECK_PATH];
    uint64_t seed = 2;
    store = make_store("cursors", 1 << 20);
    struct hf_item item = HF_ITEM_INIT;
    CHECK_RC(hf_scan(store, &part->cursor, 0, &item), HF_END);
    CHECK_RC(hf_scan(store, &part->cursor, 0, &item), HF_END);
    part->cursor = 0;
    for (uint64_t i = 0; i < STABLE; i++)
        put_random(i, &seed);
    for (int status = 0; status == 0;) {
        status = check_wait(check_spawn(scan_part, part), 20);
        if (part->count == 100) {
            CHECK_RC(hf_close(&store), HF_OK);
            store = check_open(check_path(path, "cursors"), NULL);
        }
    }
    CHECK_EQ(part->count, STABLE);
    for (unsigned i = 0; i < STABLE; i++)
        CHECK_EQ(part->seen[i], 1);
    static const uint64_t wild[] = {1, 12345678, 1ull << 32, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        uint64_t cursor = wild[i];
        int rc = hf_scan(store, &cursor, 0, &item);
        CHECK(rc == HF_OK || rc == HF_END);
    }
    hf_item_free(&item);
    uint64_t cursor = 0;
    CHECK_RC(hf_scan(store, &cursor, 2, &item), HF_ERR_ARGUMENT);
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    cursors();
    while_others_write((double)check_number(argc, argv, "--seconds", 4));
    return 0;
}
