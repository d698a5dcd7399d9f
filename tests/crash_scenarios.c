/* SPDX-License-Identifier: MIT */
/* The operations that are killed, each with the store it needs: see crash.h. */
#include "crash.h"
#include "internal.h"

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

/* The subject is cold: it would be the first to go. */
static int put_300_over_the_coldest(hf_store *store) {
    struct hf__spot spot;
    struct hf__place place = hf__locate(store->region, hf__hash_key(store->region, SUBJECT, strlen(SUBJECT)));
    hf__find(store->region, &place, SUBJECT, strlen(SUBJECT), &spot);
    hf__store(hf__slot_at(store->region, spot.slot), spot.word & ~HF__HEAT_MASK);
    return put_300(store);
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

/* The subject among others, which get the values they have. */
static int put_group(hf_store *store, size_t size, unsigned others) {
    static const char *const keys[] = {SUBJECT, "other00", "other01", "other02"};
    struct hf_put_request requests[4] = {{.key = NULL}};
    char values[4][CONTENT_MAX];
    for (unsigned i = 0; i <= others; i++) {
        struct content content = {size, 'n'};
        if (i > 0)
            CHECK(crash_read(store, keys[i], &content));
        memset(values[i], content.letter, content.size);
        unsigned at = (i + 1) % (others + 1); /* the subject is the second */
        requests[at] = (struct hf_put_request){.key = keys[i], .key_len = strlen(keys[i]), .value = values[i],
                                               .value_len = content.size};
    }
    return hf_put_many(store, requests, others + 1);
}

static int put_two(hf_store *store) {
    return put_group(store, 60, 1);
}

static int put_four(hf_store *store) {
    return put_group(store, 60, 3);
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

static int expire_store(hf_store *store) {
    return hf_expire(store, NULL);
}

static int compute_60(void *context, const void *key, size_t key_len, struct hf_fill *fill) {
    static char value[60];
    (void)context, (void)key, (void)key_len;
    memset(value, 'n', sizeof value);
    fill->value = value;
    fill->value_len = sizeof value;
    return HF_OK;
}

static int fill_subject(hf_store *store) {
    char value[CONTENT_MAX];
    return hf_get_or_fill(store, SUBJECT, strlen(SUBJECT), value, sizeof value, NULL, NULL, compute_60, NULL, NULL);
}

static int fill_by_lease(hf_store *store) {
    struct hf_lease lease;
    struct hf_fill_options options = HF_FILL_INIT;
    struct hf_fill fill = {.value = NULL};
    options.lease_ms = 1;
    int result = hf_fill_begin(store, SUBJECT, strlen(SUBJECT), &options, &lease);
    if (result == HF_OK)
        result = compute_60(NULL, SUBJECT, strlen(SUBJECT), &fill);
    return result == HF_OK ? hf_fill_publish(store, SUBJECT, strlen(SUBJECT), &fill, &lease, NULL) : result;
}

/* Somebody waits for the subject, and somebody for all: the put wakes. */
static int put_60_awaited(hf_store *store) {
    struct hf_watch watch = HF_WATCH_INIT;
    int result = hf_wait(store, SUBJECT, strlen(SUBJECT), 0, 1, NULL);
    while (result == HF_UNCHANGED && hf_wait_any(store, &watch, 0) == HF_OK)
        ;
    hf_watch_free(&watch);
    return put_60(store);
}

static int repair_store(hf_store *store) {
    return hf_repair(store, NULL);
}

static int check_store(hf_store *store) {
    return hf_check(store, NULL, NULL);
}

static int get_subject(hf_store *store) {
    char value[CONTENT_MAX];
    return hf_get(store, SUBJECT, strlen(SUBJECT), value, sizeof value, NULL, NULL);
}

static int copy_to(hf_store *store, uint32_t replace) {
    char path[CHECK_PATH];
    struct hf_copy_options options = HF_COPY_INIT;
    options.replace = replace;
    return hf_copy(store, crash_path(path, "snapshot"), &options);
}

static int copy_store(hf_store *store) {
    char path[CHECK_PATH];
    unlink(crash_path(path, "snapshot"));
    return copy_to(store, 0);
}

static int copy_over(hf_store *store) {
    return copy_to(store, 1);
}

/* Whatever stands under the snapshot's name is whole. */
static void snapshot_is_whole(void) {
    char path[CHECK_PATH];
    struct content subject;
    if (access(crash_path(path, "snapshot"), F_OK) != 0)
        return;
    hf_store *store = check_open(path, NULL);
    check_sound(store);
    CHECK(crash_read(store, SUBJECT, &subject) && subject.size == 60 && subject.letter == 'o');
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- The table ----------------------------------------------------------------------------------------------------------- */

#define STORE HF_MODE_STORE, 4, 64, 1
#define CACHE HF_MODE_CACHE, 4, 64, 1
#define RING HF_MODE_CACHE, 6, 64, 1
#define CROWD HF_MODE_STORE, 2, 128, 1
#define QUARTERS HF_MODE_STORE, 4, 64, 4
#define NONE {0, 0}
#define OLD {60, 'o'}
#define NEW {60, 'n'}

const struct scenario crash_scenarios[] = {
    {.name = "first put", STORE, with_others, put_60, HF_OK, HF_OP_PUT, NONE, NEW, .by_openers = true},
    {.name = "replace by the same size", STORE, with_subject, put_60, HF_OK, HF_OP_PUT, OLD, NEW, .by_openers = true},
    {.name = "replace drafted ahead", STORE, with_subject_and_twin, put_60, HF_OK, HF_OP_PUT, OLD, NEW,
     .first = rewrite_twin, .must_hold = has_drafted},
    {.name = "replace drafted ahead in cache mode", CACHE, with_subject_and_twin, put_60, HF_OK, HF_OP_PUT, OLD, NEW,
     .first = rewrite_twin, .must_hold = has_drafted},
    {.name = "put drafted in vain", STORE, with_twin, put_60, HF_OK, HF_OP_PUT, NONE, NEW, .first = rewrite_twin,
     .must_hold = has_dropped_draft},
    {.name = "replace drafted in vain", STORE, with_twin_and_subject, put_60, HF_OK, HF_OP_PUT, OLD, NEW,
     .first = rewrite_twin, .must_hold = has_dropped_draft},
    {.name = "replace by a larger value", STORE, with_subject, put_300, HF_OK, HF_OP_PUT, OLD, {300, 'n'}},
    {.name = "replace by a smaller value", STORE, with_subject, put_20, HF_OK, HF_OP_PUT, OLD, {20, 'n'}},
    {.name = "put if version", STORE, with_subject, put_if_version, HF_OK, HF_OP_PUT, OLD, NEW},
    {.name = "put if absent", STORE, with_others, put_if_absent, HF_OK, HF_OP_PUT, NONE, NEW},
    {.name = "put if absent, refused", STORE, with_subject, put_if_absent, HF_EXISTS, HF_OP_PUT, OLD, OLD},
    {.name = "put, refused: full", STORE, full_of_others, put_300, HF_ERR_FULL, HF_OP_PUT, NONE, NONE},
    {.name = "group of puts", STORE, with_subject, put_two, HF_OK, HF_OP_PUT, OLD, NEW, .by_openers = true},
    {.name = "group of puts, four stripes", QUARTERS, with_subject, put_four, HF_OK, HF_OP_PUT, OLD, NEW},
    {.name = "put over an expired entry", STORE, with_expired_subject, put_60, HF_OK, HF_OP_PUT, NONE, NEW},
    {.name = "put that expires others", STORE, full_of_expired, put_60, HF_OK, HF_OP_PUT, NONE, NEW,
     .must_hold = has_expired_spilled},
    {.name = "put that compacts", STORE, scattered, put_300, HF_OK, HF_OP_PUT, NONE, {300, 'n'}, .must_hold = has_moved},
    {.name = "replace that compacts", STORE, scattered_with_subject, put_300, HF_OK, HF_OP_PUT, {40, 'o'}, {300, 'n'},
     .must_hold = has_moved, .by_openers = true},
    {.name = "put that evicts", CACHE, full_of_others, put_300, HF_OK, HF_OP_PUT, NONE, {300, 'n'}, .must_hold = has_evicted,
     .others_may_go = true},
    {.name = "replace that evicts", CACHE, full_behind_subject, put_300_over_the_coldest, HF_OK, HF_OP_PUT, {60, 'o'}, {300, 'n'},
     .must_hold = has_evicted, .others_may_go = true},
    {.name = "put that moves in cache mode", CACHE, full_with_holes, put_300, HF_OK, HF_OP_PUT, NONE, {300, 'n'},
     .must_hold = has_moved, .others_may_go = true},
    {.name = "put that evicts from the ring", RING, full_of_others, put_60, HF_OK, HF_OP_PUT, NONE, NEW,
     .must_hold = has_left_ring, .others_may_go = true, .small = 16},
    {.name = "put that promotes", RING, hot_behind_ring, put_60, HF_OK, HF_OP_PUT, NONE, NEW, .must_hold = has_promoted,
     .others_may_go = true, .small = 16},
    {.name = "put of a key with a ghost", RING, full_with_ghost, put_60, HF_OK, HF_OP_PUT, NONE, NEW,
     .must_hold = has_passed_ring, .others_may_go = true, .small = 16},
    {.name = "replace in the ring", RING, full_of_others_with_subject, put_60, HF_OK, HF_OP_PUT, OLD, NEW,
     .must_hold = has_left_ring, .others_may_go = true, .small = 16},
    {.name = "replace of the oldest in the ring", RING, oldest_in_ring, put_60, HF_OK, HF_OP_PUT, OLD, NEW,
     .must_hold = has_left_ring, .others_may_go = true, .small = 16},
    {.name = "expire", STORE, full_of_expired, expire_store, HF_OK, HF_OP_EXPIRE, NONE, NONE, .others_may_go = true},
    {.name = "put that spills", CROWD, crowded, put_60, HF_OK, HF_OP_PUT, NONE, NEW, .must_hold = has_spilled},
    {.name = "delete", STORE, with_subject, delete_subject, HF_OK, HF_OP_DELETE, OLD, NONE, .by_openers = true},
    {.name = "delete of a spilled entry", CROWD, crowded_with_subject, delete_subject, HF_OK, HF_OP_DELETE, OLD, NONE,
     .must_hold = subject_had_spilled},
    {.name = "take", STORE, with_subject, take_subject, HF_OK, HF_OP_TAKE, OLD, NONE},
    {.name = "incr", STORE, with_number, incr_subject, HF_OK, HF_OP_INCR, {3, '1'}, {3, '2'}},
    {.name = "incr of an absent key", STORE, with_others, incr_subject, HF_OK, HF_OP_INCR, NONE, {3, '1'}},
    {.name = "append", STORE, with_subject, append_subject, HF_OK, HF_OP_APPEND, OLD, {90, 'o'}},
    {.name = "append to an absent key", STORE, with_others, append_subject, HF_OK, HF_OP_APPEND, NONE, {30, 'o'}},
    {.name = "touch", STORE, with_subject, touch_subject, HF_OK, HF_OP_TOUCH, OLD, OLD},
    {.name = "get that warms", CACHE, with_subject, get_subject, HF_OK, HF_OP_NONE, OLD, OLD},
    {.name = "fill", STORE, with_others, fill_subject, HF_OK, HF_OP_PUT, NONE, NEW, .by_openers = true},
    {.name = "fill by a lease", STORE, with_others, fill_by_lease, HF_OK, HF_OP_PUT, NONE, NEW},
    {.name = "put that is awaited", STORE, with_others, put_60_awaited, HF_OK, HF_OP_PUT, NONE, NEW},
    {.name = "clear", STORE, with_subject, clear_store, HF_OK, HF_OP_CLEAR, OLD, NONE, .others_may_go = true},
    {.name = "clear, four stripes", QUARTERS, with_subject, clear_store, HF_OK, HF_OP_CLEAR, OLD, NONE, .others_may_go = true},
    {.name = "repair", STORE, with_subject, repair_store, HF_OK, HF_OP_REPAIR, OLD, OLD},
    {.name = "repair, four stripes", QUARTERS, with_subject, repair_store, HF_OK, HF_OP_REPAIR, OLD, OLD},
    {.name = "check", STORE, with_subject, check_store, HF_OK, HF_OP_NONE, OLD, OLD},
    {.name = "copy", STORE, with_subject, copy_store, HF_OK, HF_OP_NONE, OLD, OLD, .also = snapshot_is_whole},
    {.name = "copy over another, four stripes", QUARTERS, with_subject, copy_over, HF_OK, HF_OP_NONE, OLD, OLD,
     .also = snapshot_is_whole},

    {.name = "recovery of a put", STORE, with_subject, touch_subject, HF_OK, HF_OP_TOUCH, OLD, OLD, .killed_in = put_60,
     .killed_at = HF__STEP_FILLED},
    {.name = "recovery of a put that spills", CROWD, crowded, touch_subject, HF_OK, HF_OP_TOUCH, NEW, NEW,
     .must_hold = has_spilled, .killed_in = put_60, .killed_at = HF__STEP_PUBLISHED},
    {.name = "recovery of a compaction", STORE, scattered_with_subject, touch_subject, HF_OK, HF_OP_TOUCH, {40, 'o'},
     {40, 'o'}, .killed_in = put_300, .killed_at = HF__STEP_MOVE_PUBLISH},
    {.name = "recovery of an eviction", CACHE, full_of_others_with_subject, touch_subject, HF_OK, HF_OP_TOUCH, OLD, OLD,
     .others_may_go = true, .killed_in = put_300, .killed_at = HF__STEP_DROP},
    {.name = "recovery of a promotion", RING, hot_behind_ring, put_60, HF_OK, HF_OP_PUT, NONE, NEW, .must_hold = has_promoted,
     .others_may_go = true, .killed_in = put_60, .killed_at = HF__STEP_MOVE_PUBLISH, .small = 16},
    {.name = "recovery of a clear", STORE, with_subject, put_60, HF_OK, HF_OP_PUT, NONE, NEW, .others_may_go = true,
     .killed_in = clear_store, .killed_at = HF__STEP_PUBLISHED},

    {.name = "open", STORE, with_subject, NULL, HF_OK, HF_OP_NONE, OLD, OLD, .opening = CRASH_OPENS},
    {.name = "open after a killed put", STORE, with_subject, NULL, HF_OK, HF_OP_NONE, NEW, NEW, .killed_in = put_60,
     .killed_at = HF__STEP_PUBLISHED, .opening = CRASH_OPENS},
    {.name = "open after a killed compaction", STORE, scattered_with_subject, NULL, HF_OK, HF_OP_NONE, {40, 'o'}, {40, 'o'},
     .killed_in = put_300, .killed_at = HF__STEP_MOVE_COPY, .opening = CRASH_OPENS},
    {.name = "open after a reboot", QUARTERS, with_subject, NULL, HF_OK, HF_OP_NONE, OLD, OLD,
     .opening = CRASH_OPENS_REBOOTED},
    {.name = "open after a killed put and a reboot", STORE, with_subject, NULL, HF_OK, HF_OP_NONE, OLD, OLD,
     .killed_in = put_60, .killed_at = HF__STEP_FILLED, .opening = CRASH_OPENS_REBOOTED},
};
const size_t crash_scenario_count = sizeof crash_scenarios / sizeof *crash_scenarios;
