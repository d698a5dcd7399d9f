/* SPDX-License-Identifier: MIT */
/*
 * hf_check and hf_repair: each invariant is violated by hand, hf_check must name it, a read-only handle too where a reader
 * relies on it, and hf_repair must make the store sound again without losing an entry that was. Knows the library inside.
 */
#include "check.h"
#include "internal.h"

const unsigned test_seconds = 60;

enum { KEYS = 10, SIZE = 40, OLDER = 1, CURRENT = 2 }; /* OLDER, CURRENT: sequences of values */

static hf_store *store;
static char path[CHECK_PATH];

static const struct hf__region *region(void) {
    return store->region;
}

static struct hf__stripe *header(void) {
    return hf__stripe_at(region(), 0);
}

static struct hf__spot spot_of(char key) {
    struct hf__spot spot;
    struct hf__place place = hf__locate(region(), hf__hash_key(region(), &key, 1));
    hf__find(region(), &place, &key, 1, &spot);
    CHECK(spot.word != 0);
    return spot;
}

static uint64_t *word_of(char key) {
    return hf__slot_at(region(), spot_of(key).slot);
}

static struct hf__entry *entry_of(char key) {
    return spot_of(key).view.entry;
}

static void seal(struct hf__entry *entry) {
    const unsigned char *key = (const unsigned char *)(entry + 1);
    uint32_t key_len = (uint32_t)(entry->expiry_and_key_len & 0xffff);
    uint64_t hash = hf__hash_key(region(), key, key_len);
    entry->checksum = hf__hash_header(entry) ^ hf__hash_body(hash, key + hf__padded(key_len), entry->value_len);
}

/* ---- Damages: of the entry 'c', or of what is derived -------------------------------------------------------------------- */

static void out_of_range(void) {
    *word_of('c') += region()->geometry.blocks;
}

static void wrong_slot(void) {
    entry_of('c')->slot ^= 1;
    seal(entry_of('c'));
}

static void wrong_length(void) {
    entry_of('c')->value_len += 1000;
}

static void no_key(void) {
    entry_of('c')->expiry_and_key_len = 0;
}

static void wrong_tag(void) {
    *word_of('c') ^= 1ull << HF__TAG_SHIFT;
}

static void flipped_value(void) {
    unsigned char *value = (unsigned char *)(entry_of('c') + 1) + 8;
    value[SIZE / 2] ^= 4;
}

static void flipped_flags(void) {
    entry_of('c')->flags ^= 1;
}

/* 'c' grows over the first block of the entry behind it, and is valid in all else. */
static void overlapping(void) {
    struct hf__spot spot = spot_of('c');
    CHECK_EQ(hf__next_entry(region(), 0, (uint32_t)spot.view.block + 1, 64), spot.view.block + spot.view.blocks);
    spot.view.entry->value_len += HF__BLOCK;
    *hf__slot_at(region(), spot.slot) += 1ull << HF__BLOCKS_SHIFT;
    seal(spot.view.entry);
}

/* A second, older entry of the key 'c', with another value, complete in a free slot of its chain and in free blocks. */
static void twin(void) {
    struct hf__spot spot = spot_of('c');
    uint32_t to = header()->reserve_at + header()->reserve_len - spot.view.blocks, slot = 0;
    while (hf__load(hf__slot_at(region(), slot)) != 0)
        slot++;
    CHECK(slot < 2 * HF__SLOTS);
    struct hf__entry *copy = hf__entry_at(region(), to);
    memcpy(copy, spot.view.entry, spot.view.blocks * HF__BLOCK);
    copy->slot = slot;
    copy->stamp = 0;
    value_make((unsigned char *)(copy + 1) + 8, SIZE, 'c', OLDER);
    seal(copy);
    *hf__slot_at(region(), slot) = hf__word(hf__word_tag(spot.word), 0, spot.view.blocks, to);
}

/* ... which of the two slots holds the older one makes no difference. */
static void twin_first(void) {
    struct hf__spot spot = spot_of('c');
    twin();
    struct hf__entry *copy = hf__entry_at(region(), header()->reserve_at + header()->reserve_len - spot.view.blocks);
    copy->stamp = spot.view.entry->stamp;
    spot.view.entry->stamp = 0;
    value_make((unsigned char *)(copy + 1) + 8, SIZE, 'c', CURRENT);
    value_make((unsigned char *)(spot.view.entry + 1) + 8, SIZE, 'c', OLDER);
    seal(copy);
    seal(spot.view.entry);
}

/* A valid entry, the newest, so large that what is left free is less than it needs to be moved: a machine crash can leave one
 * when it brings back others whose blocks were free. */
static void in_the_way(void) {
    enum { BLOCKS = 18 };
    struct hf__place place = hf__locate(region(), hf__hash_key(region(), "z", 1));
    uint32_t at = header()->reserve_at + header()->reserve_len - BLOCKS, slot = place.home * HF__SLOTS;
    while (hf__load(hf__slot_at(region(), slot)) != 0)
        slot = (slot + 1) % (2 * HF__SLOTS);
    struct hf__entry *entry = hf__entry_at(region(), at);
    *entry = (struct hf__entry){.stamp = header()->next_stamp++, .version = 1, .expiry_and_key_len = 1, .slot = slot};
    entry->value_len = BLOCKS * HF__BLOCK - (uint32_t)sizeof *entry - 8;
    *(char *)(entry + 1) = 'z';
    seal(entry);
    *hf__slot_at(region(), slot) = hf__word(place.tag, 0, BLOCKS, at);
}

static void used_but_free(void) {
    hf__map_at(region(), 0)->used ^= 1ull << 63;
}

static void free_but_used(void) {
    hf__map_at(region(), 0)->used ^= 2ull << spot_of('c').view.block;
}

static void no_first(void) {
    hf__map_at(region(), 0)->first ^= 1ull << spot_of('c').view.block;
}

static void overcounted(void) {
    hf__bucket_at(region(), 0, 1)->control += 1;
}

static void wrong_entries(void) {
    header()->entries += 1;
}

static void wrong_used(void) {
    header()->used_blocks -= 1;
}

/* As if the counter of before an earlier machine crash, after which it jumped, had come back. */
static void low_stamp(void) {
    entry_of('c')->stamp += 1ull << 41;
    seal(entry_of('c'));
    header()->next_stamp = 2;
}

static void endless_stamp(void) {
    header()->next_stamp = UINT64_MAX;
}

static void version_of_the_future(void) {
    entry_of('c')->version = header()->next_stamp + 5;
    seal(entry_of('c'));
}

static void small_largest(void) {
    header()->largest = 1;
}

static void endless_reserve(void) {
    header()->reserve_at = UINT32_MAX - 5;
    header()->reserve_len = 10;
}

static void no_reserve(void) {
    header()->reserve_len = 0;
}

static void in_flight(void) {
    header()->record.operation = HF_OP_PUT;
}

static void quarantine(void) {
    header()->quarantined = 1;
}

static const struct {
    const char *name;
    void (*damage)(void);
    uint32_t invariant;
    bool seen_by_readers;
    uint32_t dropped;
} damages[] = {
    {"slot out of range", out_of_range, HF_I1_RANGE, true, 1},
    {"wrong slot number", wrong_slot, HF_I2_SLOT, true, 1},
    {"wrong length", wrong_length, HF_I3_LENGTH, true, 1},
    {"no key", no_key, HF_I3_LENGTH, true, 1},
    {"wrong tag", wrong_tag, HF_I4_HASH, true, 1},
    {"flipped value", flipped_value, HF_I5_CHECKSUM, true, 1},
    {"flipped flags", flipped_flags, HF_I5_CHECKSUM, true, 1},
    {"overlapping entries", overlapping, HF_I6_OVERLAP, false, 1},
    {"key twice", twin, HF_I7_UNIQUE, false, 1},
    {"key twice, the older one first", twin_first, HF_I7_UNIQUE, false, 1},
    {"entry in the way of the reserve", in_the_way, HF_I8_USED, false, 1},
    {"free block marked", used_but_free, HF_I8_USED, false, 0},
    {"used block not marked", free_but_used, HF_I8_USED, false, 0},
    {"first block not marked", no_first, HF_I9_FIRST, false, 0},
    {"overflow count", overcounted, HF_I10_OVERFLOW, false, 0},
    {"number of entries", wrong_entries, HF_I11_COUNTERS, false, 0},
    {"number of blocks", wrong_used, HF_I11_COUNTERS, false, 0},
    {"stamp counter", low_stamp, HF_I12_STAMP, false, 0},
    {"stamp counter at its end", endless_stamp, HF_I12_STAMP, false, 0},
    {"version above the stamp counter", version_of_the_future, HF_I12_STAMP, false, 0},
    {"largest entry", small_largest, HF_I11_COUNTERS, false, 0},
    {"reserve past all numbers", endless_reserve, HF_I13_RESERVE, false, 0},
    {"reserve", no_reserve, HF_I13_RESERVE, false, 0},
    {"operation in flight", in_flight, HF_I14_IDLE, false, 0},
    {"quarantine", quarantine, HF_I16_QUARANTINE, false, 0},
};

/* ---- Verifying ----------------------------------------------------------------------------------------------------------- */

static void make_store(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *tiny = NULL;
    unlink(check_path(path, "damaged"));
    CHECK_RC(hf__open_tiny(&tiny, 2, 64, HF_MODE_STORE), HF_OK);
    for (char key = 'a'; key < 'a' + KEYS; key++) {
        unsigned char value[SIZE];
        value_make(value, SIZE, (uint64_t)key, CURRENT);
        CHECK_RC(hf_put(tiny, &key, 1, value, SIZE, NULL, NULL), HF_OK);
    }
    CHECK_RC(hf_copy(tiny, path, NULL), HF_OK);
    CHECK_RC(hf_close(&tiny), HF_OK);
    store = check_open(path, &options);
}

static void remember(void *seen, const struct hf_violation *violation) {
    CHECK(violation->invariant >= HF_I1_RANGE && violation->invariant <= HF_I16_QUARANTINE && violation->stripe == 0);
    *(uint32_t *)seen |= 1u << violation->invariant;
}

/* The set of invariants that hf_check names. */
static uint32_t violated(hf_store *handle) {
    struct hf_check_options options = HF_CHECK_INIT;
    struct hf_report report;
    uint32_t seen = 0;
    options.violation = remember;
    options.context = &seen;
    int rc = hf_check(handle, &options, &report);
    CHECK_RC(rc, seen ? HF_DAMAGED : HF_OK);
    CHECK((report.violations > 0) == (seen != 0));
    return seen;
}

static uint32_t violated_for_readers(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = HF_RDONLY;
    hf_store *reader = check_open(path, &options);
    uint32_t seen = violated(reader);
    CHECK_RC(hf_close(&reader), HF_OK);
    return seen;
}

static unsigned count_whole(void) {
    unsigned whole = 0;
    for (char key = 'a'; key < 'a' + KEYS; key++) {
        unsigned char value[SIZE];
        uint64_t sequence;
        size_t length = 0;
        int rc = hf_get(store, &key, 1, value, SIZE, &length, NULL);
        CHECK(rc == HF_OK || rc == HF_NOTFOUND);
        if (rc == HF_OK)
            CHECK(length == SIZE && value_whole(value, SIZE, (uint64_t)key, &sequence) && sequence == CURRENT);
        whole += rc == HF_OK;
    }
    return whole;
}

static void damaged(size_t i) {
    check_at("%s", damages[i].name);
    make_store();
    CHECK_EQ(violated(store), 0);
    damages[i].damage();
    CHECK(violated(store) & 1u << damages[i].invariant);
    CHECK((violated_for_readers() != 0) == damages[i].seen_by_readers);
    if (damages[i].damage == quarantine) {
        CHECK_RC(hf_put(store, "q", 1, "", 0, NULL, NULL), HF_ERR_QUARANTINED);
        CHECK_RC(hf_delete(store, "a", 1, 0), HF_ERR_QUARANTINED);
        CHECK_EQ(count_whole(), KEYS);
    }
    struct hf_report report;
    CHECK_RC(hf_repair(store, &report), HF_OK);
    CHECK_EQ(report.dropped, damages[i].dropped);
    CHECK_EQ(violated(store), 0);
    bool lost = damages[i].dropped && damages[i].invariant != HF_I7_UNIQUE && damages[i].damage != in_the_way; /* ours stay */
    CHECK_EQ(count_whole(), KEYS - lost);
    CHECK_RC(hf_put(store, "q", 1, "", 0, NULL, NULL), HF_OK);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* What hf_open read must still stand in the file; nothing repairs that. */
static void superblock(void) {
    check_at("superblock");
    make_store();
    struct hf__superblock *superblock = (struct hf__superblock *)(void *)region()->base;
    superblock->store_id ^= 1;
    CHECK_EQ(violated(store), 1u << HF_I15_SUPERBLOCK);
    superblock->checksum = hf__hash_superblock(superblock);
    CHECK_EQ(violated(store), 1u << HF_I15_SUPERBLOCK);
    superblock->store_id ^= 1;
    superblock->geometry.entries++;
    superblock->checksum = hf__hash_superblock(superblock);
    CHECK_EQ(violated(store), 1u << HF_I15_SUPERBLOCK);
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    (void)argc, (void)argv;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        damaged(i);
    superblock();
    return 0;
}
