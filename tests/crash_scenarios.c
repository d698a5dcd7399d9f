/* SPDX-License-Identifier: MIT */
/* The operations that crash_points.c kills, each with the store it needs: see crash.h. */
#include "crash.h"
#include "internal.h"

void crash_put(hf_store *store, const char *key, struct content content) {
    char value[CONTENT_MAX];
    memset(value, content.letter, content.size);
    CHECK_RC(hf_put(store, key, strlen(key), value, content.size, NULL, NULL), HF_OK);
}

bool crash_read(hf_store *store, const char *key, struct content *content) {
    char value[CONTENT_MAX];
    *content = (struct content){0, 0};
    int rc = hf_get(store, key, strlen(key), value, sizeof value, &content->size, NULL);
    if (rc == HF_NOTFOUND)
        return true;
    CHECK_RC(rc, HF_OK);
    content->letter = value[0];
    for (size_t i = 0; i < content->size; i++)
        if (value[i] != value[0])
            return false;
    return content->size > 0;
}

bool crash_same(struct content a, struct content b) {
    return a.size == b.size && a.letter == b.letter;
}

/* ---- Stores -------------------------------------------------------------------------------------------------------------- */

static const char *other(unsigned number) {
    static char key[16];
    snprintf(key, sizeof key, "other%02u", number);
    return key;
}

static void put_others(hf_store *store, unsigned from, unsigned to, size_t size) {
    for (unsigned i = from; i < to; i++)
        crash_put(store, other(i), (struct content){size, (char)('A' + i % 26)});
}

static void three_others(hf_store *store) {
    put_others(store, 0, 3, 40);
}

static void with_subject(hf_store *store) {
    three_others(store);
    crash_put(store, SUBJECT, (struct content){60, 'o'});
}

static void with_number(hf_store *store) {
    three_others(store);
    crash_put(store, SUBJECT, (struct content){3, '1'});
}

static void with_expired_subject(hf_store *store) {
    three_others(store);
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = 1;
    CHECK_RC(hf_put(store, SUBJECT, strlen(SUBJECT), "gone", 4, &options, NULL), HF_OK);
    check_sleep_ms(3);
}

static void delete_other(hf_store *store, unsigned number) {
    CHECK_RC(hf_delete(store, other(number), strlen(other(number)), 0), HF_OK);
}

/* Holes of three blocks, none of them large enough. */
static void scattered(hf_store *store) {
    unsigned count = 0;
    for (; count < 24; count++) {
        char value[40];
        memset(value, 'A' + (int)count, sizeof value);
        int rc = hf_put(store, other(count), strlen(other(count)), value, sizeof value, NULL, NULL);
        if (rc == HF_ERR_FULL)
            break;
        CHECK_RC(rc, HF_OK);
    }
    CHECK(count > 12);
    for (unsigned i = 1; i < count; i += 2)
        delete_other(store, i);
}

static void scattered_with_subject(hf_store *store) {
    crash_put(store, SUBJECT, (struct content){40, 'o'});
    scattered(store);
}

static void full_of_others(hf_store *store) {
    for (unsigned i = 0; i < 40; i++) {
        char value[40];
        memset(value, 'A' + (int)(i % 26), sizeof value);
        int rc = hf_put(store, other(i), strlen(other(i)), value, sizeof value, NULL, NULL);
        if (rc == HF_ERR_FULL)
            return;
        CHECK_RC(rc, HF_OK);
    }
}

static void full_with_holes(hf_store *store) {
    full_of_others(store);
    unsigned deleted = 0;
    for (unsigned i = 0; i < 40 && deleted < 3; i += 5)
        deleted += hf_delete(store, other(i), strlen(other(i)), 0) == HF_OK;
}

/* Full, but most of it has expired. */
static void full_of_expired(hf_store *store) {
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = 20;
    put_others(store, 0, 3, 40);
    int rc = HF_OK;
    for (unsigned i = 3; rc == HF_OK; i++)
        rc = hf_put(store, other(i), strlen(other(i)), "expires soon, and is of some length", 35, &options, NULL);
    CHECK_RC(rc, HF_ERR_FULL);
    check_sleep_ms(30);
}

static uint64_t overflows(hf_store *store) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < store->region->geometry.buckets; i++)
        sum += hf__bucket_at(store->region, 0, i)->control & 0xffffffff;
    return sum;
}

/* One free slot of fourteen: a new key is likely to find its own bucket full. */
static void crowded(hf_store *store) {
    put_others(store, 0, 12, 8);
}

static void crowded_with_subject(hf_store *store) {
    crowded(store);
    crash_put(store, SUBJECT, (struct content){60, 'o'});
}

/* The subject, and no other entry, lies in another bucket than its own. */
static bool subject_spilled(hf_store *store) {
    uint64_t with = overflows(store);
    CHECK_RC(hf_delete(store, SUBJECT, strlen(SUBJECT), 0), HF_OK);
    return with > 0 && overflows(store) == 0;
}

static bool subject_had_spilled(hf_store *store) {
    uint64_t without = overflows(store);
    crash_put(store, SUBJECT, (struct content){60, 'o'});
    return without == 0 && overflows(store) > 0;
}

/* ---- Operations ---------------------------------------------------------------------------------------------------------- */

static int put_subject(hf_store *store, size_t size, const struct hf_put_options *options) {
    char value[CONTENT_MAX];
    memset(value, 'n', size);
    return hf_put(store, SUBJECT, strlen(SUBJECT), value, size, options, NULL);
}

static int put_60(hf_store *store) {
    return put_subject(store, 60, NULL);
}

static int put_20(hf_store *store) {
    return put_subject(store, 20, NULL);
}

static int put_300(hf_store *store) {
    return put_subject(store, 300, NULL);
}

static int put_if_version(hf_store *store) {
    struct hf_meta meta;
    struct hf_put_options options = HF_PUT_INIT;
    CHECK_RC(hf_exists(store, SUBJECT, strlen(SUBJECT), &meta), HF_OK);
    options.condition = HF_IF_VERSION;
    options.version = meta.version;
    return put_subject(store, 60, &options);
}

static int put_if_absent(hf_store *store) {
    struct hf_put_options options = HF_PUT_INIT;
    options.condition = HF_IF_ABSENT;
    return put_subject(store, 60, &options);
}

static int delete_subject(hf_store *store) {
    return hf_delete(store, SUBJECT, strlen(SUBJECT), 0);
}

static int take_subject(hf_store *store) {
    char value[CONTENT_MAX];
    return hf_take(store, SUBJECT, strlen(SUBJECT), value, sizeof value, NULL, NULL);
}

static int incr_subject(hf_store *store) {
    return hf_incr(store, SUBJECT, strlen(SUBJECT), 111, NULL, NULL);
}

static int append_subject(hf_store *store) {
    char tail[30];
    memset(tail, 'o', sizeof tail);
    return hf_append(store, SUBJECT, strlen(SUBJECT), tail, sizeof tail, NULL);
}

static int touch_subject(hf_store *store) {
    return hf_touch(store, SUBJECT, strlen(SUBJECT), 3600000);
}

static int clear_store(hf_store *store) {
    return hf_clear(store);
}

static int repair_store(hf_store *store) {
    return hf_repair(store, NULL);
}

static int check_store(hf_store *store) {
    return hf_check(store, NULL, NULL);
}

static int copy_to(hf_store *store, uint32_t replace) {
    char path[CHECK_PATH];
    struct hf_copy_options options = HF_COPY_INIT;
    options.replace = replace;
    return hf_copy(store, check_path(path, "snapshot"), &options);
}

static int copy_store(hf_store *store) {
    char path[CHECK_PATH];
    unlink(check_path(path, "snapshot"));
    return copy_to(store, 0);
}

static int copy_over(hf_store *store) {
    return copy_to(store, 1);
}

/* Whatever stands under the snapshot's name is whole. */
static void snapshot_is_whole(void) {
    char path[CHECK_PATH];
    struct content subject;
    if (access(check_path(path, "snapshot"), F_OK) != 0)
        return;
    hf_store *store = check_open(path, NULL);
    check_sound(store);
    CHECK(crash_read(store, SUBJECT, &subject) && subject.size == 60 && subject.letter == 'o');
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- The table ----------------------------------------------------------------------------------------------------------- */

#define STORE HF_MODE_STORE, 4, 64
#define CACHE HF_MODE_CACHE, 4, 64
#define CROWD HF_MODE_STORE, 2, 128
#define NONE {0, 0}

const struct scenario crash_scenarios[] = {
    {.name = "first put", STORE, three_others, put_60, HF_OK, HF_OP_PUT, NONE, {60, 'n'}, .must_pass = "passed",
     .by_openers = true},
    {.name = "replace by the same size", STORE, with_subject, put_60, HF_OK, HF_OP_PUT, {60, 'o'}, {60, 'n'},
     .must_pass = "freed", .by_openers = true},
    {.name = "replace by a larger value", STORE, with_subject, put_300, HF_OK, HF_OP_PUT, {60, 'o'}, {300, 'n'}},
    {.name = "replace by a smaller value", STORE, with_subject, put_20, HF_OK, HF_OP_PUT, {60, 'o'}, {20, 'n'}},
    {.name = "put if version", STORE, with_subject, put_if_version, HF_OK, HF_OP_PUT, {60, 'o'}, {60, 'n'}},
    {.name = "put if absent, refused", STORE, with_subject, put_if_absent, HF_EXISTS, HF_OP_PUT, {60, 'o'}, {60, 'o'}},
    {.name = "put, refused: full", STORE, full_of_others, put_300, HF_ERR_FULL, HF_OP_PUT, NONE, NONE},
    {.name = "put over an expired entry", STORE, with_expired_subject, put_60, HF_OK, HF_OP_PUT, NONE, {60, 'n'}},
    {.name = "put that expires others", STORE, full_of_expired, put_60, HF_OK, HF_OP_PUT, NONE, {60, 'n'},
     .must_pass = "unpassed"},
    {.name = "put that compacts", STORE, scattered, put_300, HF_OK, HF_OP_PUT, NONE, {300, 'n'}, .must_pass = "move-copy"},
    {.name = "replace that compacts", STORE, scattered_with_subject, put_300, HF_OK, HF_OP_PUT, {40, 'o'}, {300, 'n'},
     .must_pass = "move-copy", .by_openers = true},
    {.name = "put that evicts", CACHE, full_of_others, put_300, HF_OK, HF_OP_PUT, NONE, {300, 'n'}, .must_pass = "drop",
     .others_may_go = true},
    {.name = "put that moves in cache mode", CACHE, full_with_holes, put_300, HF_OK, HF_OP_PUT, NONE, {300, 'n'},
     .must_pass = "move-copy", .others_may_go = true},
    {.name = "put that spills", CROWD, crowded, put_60, HF_OK, HF_OP_PUT, NONE, {60, 'n'}, .must_hold = subject_spilled},
    {.name = "delete", STORE, with_subject, delete_subject, HF_OK, HF_OP_DELETE, {60, 'o'}, NONE, .by_openers = true},
    {.name = "delete of a spilled entry", CROWD, crowded_with_subject, delete_subject, HF_OK, HF_OP_DELETE, {60, 'o'}, NONE,
     .must_hold = subject_had_spilled},
    {.name = "take", STORE, with_subject, take_subject, HF_OK, HF_OP_TAKE, {60, 'o'}, NONE},
    {.name = "incr", STORE, with_number, incr_subject, HF_OK, HF_OP_INCR, {3, '1'}, {3, '2'}},
    {.name = "append", STORE, with_subject, append_subject, HF_OK, HF_OP_APPEND, {60, 'o'}, {90, 'o'}},
    {.name = "touch", STORE, with_subject, touch_subject, HF_OK, HF_OP_TOUCH, {60, 'o'}, {60, 'o'}},
    {.name = "clear", STORE, with_subject, clear_store, HF_OK, HF_OP_CLEAR, {60, 'o'}, NONE, .others_may_go = true},
    {.name = "repair", STORE, with_subject, repair_store, HF_OK, HF_OP_REPAIR, {60, 'o'}, {60, 'o'}},
    {.name = "check", STORE, with_subject, check_store, HF_OK, HF_OP_NONE, {60, 'o'}, {60, 'o'}},
    {.name = "copy", STORE, with_subject, copy_store, HF_OK, HF_OP_NONE, {60, 'o'}, {60, 'o'},
     .also = snapshot_is_whole},
    {.name = "copy over another", STORE, with_subject, copy_over, HF_OK, HF_OP_NONE, {60, 'o'}, {60, 'o'},
     .also = snapshot_is_whole},
};
const size_t crash_scenario_count = sizeof crash_scenarios / sizeof *crash_scenarios;
