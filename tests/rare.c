/* SPDX-License-Identifier: MIT */
/*
 * Room and recovery where they hardly ever come: keys with equal tags, an index or a heap without a free place, entries as large
 * as the heap, expired ones in the way, and stripes whose derived parts were damaged while writers go on, which may refuse but
 * not leave the stripe. Knows the library inside.
 */
#include "check.h"
#include "internal.h"

#include <sys/mman.h>

const unsigned test_seconds = 60;

static hf_store *store;
static char bytes[2 << 20];

static void open_tiny(uint32_t buckets, uint32_t blocks, uint32_t mode) {
    CHECK_RC(hf__open_tiny(&store, buckets, blocks, mode), HF_OK);
}

static void close_sound(void) {
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static struct hf__stripe *header(void) {
    return hf__stripe_at(store->region, 0);
}

/* A put of so many blocks in all, with a time to live if that is not 0. */
static int put_blocks(const char *key, uint32_t blocks, uint64_t ttl_ms) {
    struct hf_put_options options = HF_PUT_INIT;
    size_t key_len = strlen(key);
    options.ttl_ms = ttl_ms;
    size_t value_len = blocks * HF__BLOCK - sizeof(struct hf__entry) - hf__padded((uint32_t)key_len);
    return hf_put(store, key, key_len, bytes, value_len, &options, NULL);
}

static bool has(const char *key) {
    int rc = hf_exists(store, key, strlen(key), NULL);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
    return rc == HF_OK;
}

static struct hf__place place_of(const char *key) {
    return hf__locate(store->region, hf__hash_key(store->region, key, strlen(key)));
}

static struct hf__spot spot_of(const char *key) {
    struct hf__spot spot;
    struct hf__place place = place_of(key);
    hf__find(store->region, &place, key, strlen(key), &spot);
    CHECK(spot.word != 0);
    return spot;
}

static void seal(struct hf__entry *entry) {
    const unsigned char *key = (const unsigned char *)(entry + 1);
    uint32_t key_len = (uint32_t)(entry->expiry_and_key_len & 0xffff);
    uint64_t hash = hf__hash_key(store->region, key, key_len);
    entry->checksum = hf__hash_header(entry) ^ hf__hash_body(hash, key + hf__padded(key_len), entry->value_len);
}

static void repaired(uint64_t dropped) {
    struct hf_report report;
    CHECK_RC(hf_repair(store, &report), HF_OK);
    CHECK_EQ(report.dropped, dropped);
}

static uint64_t violations(void) {
    struct hf_report report;
    int rc = hf_check(store, NULL, &report);
    CHECK_RC(rc, report.violations ? HF_DAMAGED : HF_OK);
    return report.violations;
}

/* ---- The index ----------------------------------------------------------------------------------------------------------- */

/* The next key of so many digits with the tag of another. */
static uint32_t with_tag_of(const char *other, unsigned digits, uint32_t from, char key[16]) {
    do
        snprintf(key, 16, "%0*u", (int)digits, ++from);
    while (place_of(key).tag != place_of(other).tag);
    return from;
}

static void equal_tags(void) {
    char keys[4][16] = {"c"};
    open_tiny(1, 256, HF_MODE_STORE);
    uint32_t last = with_tag_of("c", 8, 0, keys[1]);
    with_tag_of("c", 8, last, keys[2]);
    with_tag_of("c", 9, 0, keys[3]);
    for (unsigned round = 0; round < 4; round++) { /* each of them is the first one once */
        for (unsigned i = 0; i < 4; i++)
            check_put(store, keys[(i + round) % 4], keys[(i + round) % 4]);
        repaired(0);
        for (unsigned i = 0; i < 4; i++)
            check_value(store, keys[i], keys[i]);
        CHECK_RC(hf_delete(store, keys[round], strlen(keys[round]), 0), HF_OK);
        CHECK(!has(keys[round]) && has(keys[(round + 1) % 4]));
        check_sound(store);
        CHECK_RC(hf_clear(store), HF_OK);
    }
    for (unsigned i = 0; i < 4; i++)
        check_put(store, keys[i], keys[i]);
    spot_of("c").view.entry->flags ^= 1; /* the first of them is damaged */
    repaired(1);
    CHECK(!has("c") && has(keys[1]) && has(keys[2]) && has(keys[3]));
    CHECK_RC(hf_clear(store), HF_OK);
    /* A word with that tag that names no blocks of this heap. */
    check_put(store, "c", "c");
    *hf__slot_at(store->region, 0) = hf__word(place_of("c").tag, 0, 2, 4096);
    *hf__slot_at(store->region, 1) = 0;
    CHECK_RC(hf_clear(store), HF_OK);
    check_put(store, keys[1], keys[1]);
    *hf__slot_at(store->region, 1) = *hf__slot_at(store->region, 0);
    hf__entry_at(store->region, (*hf__slot_at(store->region, 1) & HF__BLOCK_MASK) - 1)->slot = 1;
    seal(hf__entry_at(store->region, (*hf__slot_at(store->region, 1) & HF__BLOCK_MASK) - 1));
    *hf__slot_at(store->region, 0) = hf__word(place_of("c").tag, 0, 2, 4096);
    CHECK(violations() > 0);
    check_value(store, keys[1], keys[1]);
    repaired(1);
    check_value(store, keys[1], keys[1]);
    close_sound();
}

/* An entry further behind its home than a reader would look. */
static void far_from_home(void) {
    open_tiny(300, 256, HF_MODE_STORE);
    check_put(store, "c", "c");
    struct hf__spot spot = spot_of("c");
    uint32_t slot = (spot.slot + 150 * HF__SLOTS) % (300 * HF__SLOTS);
    spot.view.entry->slot = slot;
    seal(spot.view.entry);
    *hf__slot_at(store->region, slot) = spot.word;
    *hf__slot_at(store->region, spot.slot) = 0;
    CHECK(!has("c"));
    CHECK(violations() > 0);
    repaired(1);
    close_sound();
}

static void many_violations(void) {
    char key[16];
    struct hf_options readonly = HF_OPTIONS_INIT;
    char path[CHECK_PATH];
    open_tiny(64, 1024, HF_MODE_STORE);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "%u", i);
        check_put(store, key, "");
        spot_of(key).view.entry->flags ^= 1;
    }
    CHECK(violations() >= 100);
    CHECK_RC(hf_copy(store, check_path(path, "violated"), NULL), HF_OK);
    repaired(100);
    close_sound();
    readonly.flags = HF_RDONLY;
    store = check_open(path, &readonly);
    CHECK_EQ(violations(), 100);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void put_seven(uint64_t first_ttl_ms) {
    char key[2] = "a";
    for (; key[0] < 'a' + 7; key[0]++)
        CHECK_RC(put_blocks(key, 2, key[0] == 'a' ? first_ttl_ms : 0), HF_OK);
}

static void full_index(void) {
    open_tiny(1, 256, HF_MODE_STORE);
    put_seven(0);
    CHECK_RC(put_blocks("h", 2, 0), HF_ERR_FULL);
    CHECK_RC(put_blocks("g", 4, 0), HF_OK);
    CHECK_RC(hf_clear(store), HF_OK);
    put_seven(2);
    check_sleep_ms(5);
    CHECK_RC(put_blocks("h", 2, 0), HF_OK); /* in the place of one that has expired */
    CHECK(!has("a") && has("b") && has("h"));
    close_sound();
}

static void full_index_of_cache(void) {
    struct hf_stats stats = HF_STATS_INIT;
    open_tiny(1, 256, HF_MODE_CACHE);
    put_seven(0);
    for (char key[2] = "a"; key[0] < 'a' + 7; key[0]++)
        for (int i = 0; key[0] != 'd' && i < 3; i++)
            CHECK(has(key));
    CHECK_RC(put_blocks("h", 2, 0), HF_OK); /* in the place of the one that was never read */
    CHECK(!has("d") && has("a") && has("h"));
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_EQ(stats.evictions, 1);
    check_sound(store);
    uint64_t *word = hf__slot_at(store->region, spot_of("b").slot), kept = *word;
    *word = hf__word(hf__word_tag(kept), 0, 2, 4096); /* the coolest one is no entry */
    CHECK_RC(put_blocks("i", 2, 0), HF_ERR_FULL);
    *word = kept;
    close_sound();
}

/* ---- The heap ------------------------------------------------------------------------------------------------------------ */

enum { HUGE_BLOCKS = 17000 }; /* more than a slot word can tell */

static void huge_entries(void) {
    open_tiny(4, 4 * HUGE_BLOCKS, HF_MODE_STORE);
    CHECK_RC(put_blocks("huge", HUGE_BLOCKS, 0), HF_OK);
    CHECK_RC(put_blocks("second", HUGE_BLOCKS, 0), HF_OK);
    CHECK_RC(put_blocks("third", HUGE_BLOCKS, 0), HF_ERR_FULL);
    CHECK_RC(put_blocks("small", 64, 0), HF_ERR_FULL);
    repaired(0);
    CHECK_RC(hf_delete(store, "second", 6, 0), HF_OK);
    CHECK_RC(put_blocks("small", 2, 0), HF_OK);
    struct hf__entry *entry = spot_of("huge").view.entry;
    entry->value_len += 4 * HUGE_BLOCKS * HF__BLOCK; /* past the end of the heap */
    CHECK(!has("huge"));
    CHECK_RC(put_blocks("third", 2 * HUGE_BLOCKS, 0), HF_ERR_FULL);
    CHECK(violations() > 0);
    repaired(1);
    close_sound();
}

static void larger_than_the_heap(void) {
    open_tiny(4, 64, HF_MODE_CACHE);
    CHECK_RC(hf_put(store, "k", 1, bytes, 64 * HF__BLOCK, NULL, NULL), HF_ERR_FULL);
    CHECK_RC(put_blocks("a", 20, 0), HF_OK);
    CHECK_RC(put_blocks("own", 20, 0), HF_OK);
    CHECK_RC(put_blocks("c", 20, 0), HF_OK);
    struct hf_put_options present = HF_PUT_INIT;
    present.condition = HF_IF_PRESENT;
    CHECK_RC(hf_put(store, "own", 3, bytes, 29 * HF__BLOCK, &present, NULL), HF_ERR_FULL); /* no side is large enough */
    CHECK(has("own"));
    CHECK_RC(put_blocks("own", 30, 0), HF_OK); /* the old one has to go first, for nothing of it is needed */
    CHECK(has("own"));
    close_sound();
}

/* Expired entries make room: all but the one that is replaced, and none that lives. */
static void expired_entries(void) {
    open_tiny(4, 64, HF_MODE_STORE);
    CHECK_RC(put_blocks("own", 4, 100000), HF_OK);
    CHECK_RC(put_blocks("later", 2, 200000), HF_OK);
    CHECK_RC(put_blocks("sooner", 2, 50000), HF_OK);
    CHECK_RC(put_blocks("between", 2, 70000), HF_OK);
    CHECK_RC(put_blocks("last", 2, 300000), HF_OK);
    CHECK_RC(put_blocks("forever", 4, 0), HF_OK);
    CHECK_RC(put_blocks("gone", 14, 2), HF_OK);
    check_sleep_ms(5);
    CHECK_RC(put_blocks("own", 18, 0), HF_ERR_FULL); /* the expired one has gone, and it is not enough */
    CHECK(has("own") && has("later") && has("sooner") && has("between") && has("last") && has("forever") && !has("gone"));
    CHECK_RC(put_blocks("own", 8, 0), HF_OK);
    close_sound();
}

static void expired_entries_of_cache(void) {
    struct hf_stats stats = HF_STATS_INIT;
    char key[16];
    open_tiny(8, 64, HF_MODE_CACHE);
    for (unsigned i = 0; i < 16; i++) {
        snprintf(key, sizeof key, "%u", i);
        CHECK_RC(put_blocks(key, 4, i % 2 ? 2 : 0), HF_OK);
        CHECK(i % 2 || has(key)); /* one that lives and was never read would cost nothing, either */
    }
    check_sleep_ms(5);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "new-%u", i);
        CHECK_RC(put_blocks(key, 4, 0), HF_OK);
    }
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK(stats.expirations >= 4);
    CHECK_EQ(stats.evictions, 0);
    close_sound();
}

/* ---- Damage, while writers go on ----------------------------------------------------------------------------------------- */

/* The blocks of the stripe look used, but nobody owns them; the last one is followed by memory that is not there. */
static void unowned_blocks(void) {
    enum { BUCKETS = 16, BLOCKS = 128 };
    open_tiny(BUCKETS, BLOCKS, HF_MODE_CACHE);
    size_t size = store->region->geometry.file_size;
    unsigned char *hole = mmap(NULL, size + HF__PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(hole != MAP_FAILED);
    CHECK(mremap(store->region->base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, hole) == hole);
    store->region->base = hole;
    char key[16];
    for (unsigned i = 0; i < BLOCKS / 2 - 1; i++) {
        snprintf(key, sizeof key, "%u", i);
        CHECK_RC(put_blocks(key, 2, 0), HF_OK);
        CHECK(has(key)); /* else the hand would look no further than the first one */
    }
    hf__map_at(store->region, 0)[1].used |= 1ull << 63;
    header()->hand = BLOCKS - 8;
    header()->cursor = 0;
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "new-%u", i);
        int rc = put_blocks(key, 2 + i % 3, 0);
        CHECK(rc == HF_OK || rc == HF_ERR_FULL);
    }
    for (unsigned i = 0; i < BLOCKS / 64; i++)
        hf__map_at(store->region, 0)[i] = (struct hf__map){ .used = UINT64_MAX };
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "more-%u", i);
        int rc = put_blocks(key, 2 + i % 3, 0);
        CHECK(rc == HF_OK || rc == HF_ERR_FULL);
    }
    repaired(0);
    CHECK_RC(put_blocks("k", 2, 0), HF_OK);
    close_sound();
    munmap(hole + size, HF__PAGE);
}

/* Fills the stripe; a put that needs the reserve to travel must be refused, whatever is wrong with the reserve. */
static void refused_with_reserve(uint32_t at, uint32_t len, uint32_t backwards) {
    char key[2] = "a";
    open_tiny(8, 64, HF_MODE_STORE);
    for (; key[0] < 'a' + 6; key[0]++)
        CHECK_RC(put_blocks(key, 4, 0), HF_OK);
    header()->reserve_at = at;
    header()->reserve_len = len;
    header()->backwards = backwards;
    CHECK_RC(put_blocks("new", 4, 0), HF_ERR_FULL);
    CHECK(violations() > 0);
    repaired(0);
    CHECK_RC(put_blocks("new", 4, 0), HF_OK);
    close_sound();
}

/* The entry before the reserve, and those that the hand of a cache passes, name no slot. */
static void nameless_entries(void) {
    char key[2] = "A";
    open_tiny(8, 64, HF_MODE_STORE);
    while (put_blocks(key, 2, 0) == HF_OK)
        key[0]++;
    for (key[0] = 'B'; key[0] < 'B' + 10; key[0] += 2) /* holes that are too small for what follows */
        CHECK_RC(hf_delete(store, key, 1, 0), HF_OK);
    hf__entry_at(store->region, header()->reserve_at - 2)->slot = UINT32_MAX;
    header()->backwards = 1;
    CHECK_RC(put_blocks("new", 4, 0), HF_ERR_FULL);
    repaired(1);
    CHECK_RC(put_blocks("new", 4, 0), HF_OK);
    close_sound();
    open_tiny(16, 64, HF_MODE_CACHE);
    for (key[0] = 'a'; key[0] < 'a' + 16; key[0]++)
        CHECK_RC(put_blocks(key, 4, 0), HF_OK);
    for (key[0] = 'a'; key[0] < 'a' + 12; key[0]++)
        CHECK(has(key));
    for (uint32_t block = 0; block < 32; block += 8)
        hf__entry_at(store->region, block)->slot = UINT32_MAX;
    header()->hand = 0;
    CHECK_RC(put_blocks("new", 4, 0), HF_OK);
    repaired(4);
    close_sound();
}

static void damaged_reserve(void) {
    refused_with_reserve(8, 0, 0);  /* between two entries */
    refused_with_reserve(8, 0, 1);
    refused_with_reserve(6, 0, 0);  /* inside of one */
    refused_with_reserve(12, 2, 0); /* smaller than the next */
    open_tiny(8, 64, HF_MODE_STORE);
    char key[2] = "a";
    while (put_blocks(key, 4, 0) == HF_OK)
        key[0]++;
    header()->used_blocks -= 24; /* more seems to be free than is */
    CHECK_RC(put_blocks("new", 4, 0), HF_OK); /* out of the reserve */
    CHECK_RC(put_blocks("newer", 8, 0), HF_ERR_FULL);
    repaired(1); /* which had the room of the reserve */
    close_sound();
}

/* ---- Recovery ------------------------------------------------------------------------------------------------------------ */

/* An entry comes back from the dead: complete, of another key, in blocks that are free by now. */
static void revive(const char *from, char key, uint32_t to) {
    struct hf__spot spot = spot_of(from);
    struct hf__entry *copy = hf__entry_at(store->region, to);
    memcpy(copy, spot.view.entry, spot.view.blocks * HF__BLOCK);
    *(char *)(copy + 1) = key;
    const char name[2] = {key, 0};
    struct hf__place place = place_of(name);
    hf__find(store->region, &place, name, 1, &spot);
    CHECK(spot.word == 0 && spot.slot != HF__NO_SLOT);
    copy->slot = spot.slot;
    copy->stamp = header()->next_stamp++;
    seal(copy);
    *hf__slot_at(store->region, spot.slot) = hf__word(place.tag, 0, spot_of(from).view.blocks, to);
}

/* After a machine crash there is less free than mode store needs: entries beside the longest hole go. */
static void lost_reserve(uint32_t from_end) {
    struct hf_report report;
    char key[2] = "a";
    open_tiny(8, 64, HF_MODE_STORE);
    while (put_blocks(key, 6, 0) == HF_OK)
        key[0]++;
    uint32_t end = header()->reserve_at + header()->reserve_len;
    CHECK_EQ(end, 64);
    revive("a", 'Z', end - 6 - from_end);
    CHECK(violations() > 0);
    CHECK_RC(hf_repair(store, &report), HF_OK);
    CHECK(report.dropped >= 1 && report.dropped <= 2);
    close_sound();
}

static void lost_reserves(void) {
    for (uint32_t from_end = 0; from_end <= 8; from_end++)
        lost_reserve(from_end);
}

/* Stamps just below and just above what is believed: whatever stays, one repair is enough. */
static void last_stamps(void) {
    for (unsigned i = 0; i < 64; i++) {
        uint64_t stamp = (1ull << 62) - 32 + i;
        check_at("stamp 2^62 %+d", (int)i - 32);
        open_tiny(2, 64, HF_MODE_STORE);
        check_put(store, "key", "value");
        check_put(store, "old", "value");
        header()->next_stamp = stamp;
        CHECK_RC(hf_repair(store, NULL), HF_OK);
        check_sound(store);
        spot_of("key").view.entry->stamp = stamp;
        seal(spot_of("key").view.entry);
        CHECK_RC(hf_repair(store, NULL), HF_OK);
        CHECK(has("old"));
        close_sound();
    }
}

/* A file with the number of one that was deleted, made since: the time of its birth tells. */
static void same_inode(void) {
    char path[CHECK_PATH];
    struct hf_recovery recovery;
    size_t count;
    struct hf_options options = check_small_store(0);
    options.stripes = 1;
    options.max_value = 1000;
    store = check_create("reborn", options);
    check_put(store, "key", "value");
    if (hf__live(store->region)->birth == 0) {
        printf("skipped: same-inode: file system or C library do not tell when a file was made\n");
        close_sound();
        return;
    }
    hf__live(store->region)->birth ^= 1;
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_open(check_path(path, "reborn"), NULL);
    check_value(store, "key", "value");
    CHECK_RC(hf_recoveries(store, &recovery, 1, &count), HF_OK);
    CHECK(count == 1 && recovery.cause == HF_CAUSE_VERIFY);
    close_sound();
}

/* Every entry in turn grows over the one behind it. Of the two the newer one stays. */
static void overlaps_of(uint32_t blocks) {
    for (char older = 'a'; older < 'a' + 9; older++) {
        char key[2] = "a";
        open_tiny(2, 16 * blocks, HF_MODE_STORE);
        for (; key[0] < 'a' + 10; key[0]++)
            CHECK_RC(put_blocks(key, blocks, 0), HF_OK);
        key[0] = older;
        struct hf__spot spot = spot_of(key);
        spot.view.entry->value_len += HF__BLOCK;
        *hf__slot_at(store->region, spot.slot) += 1ull << HF__BLOCKS_SHIFT;
        seal(spot.view.entry);
        repaired(1);
        CHECK(!has(key));
        key[0]++;
        CHECK(has(key));
        close_sound();
    }
}

static void overlaps(void) {
    overlaps_of(3);
    overlaps_of(7); /* one of them crosses a word of the map */
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"equal-tags", equal_tags},
        {"far-from-home", far_from_home},
        {"many-violations", many_violations},
        {"full-index", full_index},
        {"full-index-of-cache", full_index_of_cache},
        {"huge-entries", huge_entries},
        {"larger-than-the-heap", larger_than_the_heap},
        {"expired-entries", expired_entries},
        {"expired-entries-of-cache", expired_entries_of_cache},
        {"unowned-blocks", unowned_blocks},
        {"nameless-entries", nameless_entries},
        {"damaged-reserve", damaged_reserve},
        {"lost-reserve", lost_reserves},
        {"last-stamps", last_stamps},
        {"same-inode", same_inode},
        {"overlaps", overlaps},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
