/* SPDX-License-Identifier: MIT */
/* The stores in which operations are killed, and how to tell which path an operation took in one: see crash.h. */
#include "crash.h"

/* ---- Contents ------------------------------------------------------------------------------------------------------------ */

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

void with_others(hf_store *store) {
    put_others(store, 0, 3, 40);
}

void with_subject(hf_store *store) {
    with_others(store);
    crash_put(store, SUBJECT, (struct content){60, 'o'});
}

static struct hf__place place_of(const hf_store *store, const char *key) {
    return hf__locate(store->region, hf__hash_key(store->region, key, strlen(key)));
}

/* A key whose stripe, bucket and tag are the subject's. Looked for once in a store: its seed is its own. */
static const char *twin(const hf_store *store) {
    static char key[16];
    static uint64_t seed;
    struct hf__place subject = place_of(store, SUBJECT), place;
    for (unsigned number = 0; seed != store->region->seed; number++) {
        snprintf(key, sizeof key, "twin%u", number);
        place = place_of(store, key);
        if (place.tag == subject.tag && place.stripe == subject.stripe && place.home == subject.home)
            seed = store->region->seed;
    }
    return key;
}

static bool drafted;

#ifdef HF_TEST
static void note_draft(const char *point) {
    drafted |= strcmp(point, "drafted") == 0;
}
#endif

void rewrite_twin(hf_store *store) {
    crash_put(store, twin(store), (struct content){60, 'T'});
#ifdef HF_TEST
    drafted = false;
    hf__point_hook = note_draft;
#else
    drafted = true;
#endif
}

void with_twin(hf_store *store) {
    with_others(store);
    rewrite_twin(store);
}

void with_twin_and_subject(hf_store *store) {
    with_twin(store);
    crash_put(store, SUBJECT, (struct content){60, 'o'});
}

void with_subject_and_twin(hf_store *store) {
    with_subject(store);
    rewrite_twin(store);
}

void with_number(hf_store *store) {
    with_others(store);
    crash_put(store, SUBJECT, (struct content){3, '1'});
}

void with_expired_subject(hf_store *store) {
    with_others(store);
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = 1;
    CHECK_RC(hf_put(store, SUBJECT, strlen(SUBJECT), "gone", 4, &options, NULL), HF_OK);
    check_sleep_ms(3);
}

static void delete_other(hf_store *store, unsigned number) {
    CHECK_RC(hf_delete(store, other(number), strlen(other(number)), 0), HF_OK);
}

void scattered(hf_store *store) {
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

void scattered_with_subject(hf_store *store) {
    crash_put(store, SUBJECT, (struct content){40, 'o'});
    scattered(store);
}

void full_of_others(hf_store *store) {
    for (unsigned i = 0; i < 40; i++) {
        char value[40];
        memset(value, 'A' + (int)(i % 26), sizeof value);
        int rc = hf_put(store, other(i), strlen(other(i)), value, sizeof value, NULL, NULL);
        if (rc == HF_ERR_FULL)
            return;
        CHECK_RC(rc, HF_OK);
    }
}

void full_of_others_with_subject(hf_store *store) {
    full_of_others(store);
    crash_put(store, SUBJECT, (struct content){60, 'o'});
}

void full_behind_subject(hf_store *store) {
    crash_put(store, SUBJECT, (struct content){60, 'o'});
    put_others(store, 0, 20, 40);
}

void hot_behind_ring(hf_store *store) {
    full_of_others(store);
    struct content content;
    for (unsigned i = 0; i < 120; i++)
        CHECK(crash_read(store, other(i % 40), &content));
}

void oldest_in_ring(hf_store *store) {
    put_others(store, 0, 16, 40);
    crash_put(store, SUBJECT, (struct content){60, 'o'});
    put_others(store, 16, 20, 40);
}

/* The subject has left the ring, and the room that others left in it is full again. */
void full_with_ghost(hf_store *store) {
    full_of_others_with_subject(store);
    put_others(store, 40, 50, 40);
}

void full_with_holes(hf_store *store) {
    full_of_others(store);
    unsigned deleted = 0;
    for (unsigned i = 0; i < 40 && deleted < 3; i += 5)
        deleted += hf_delete(store, other(i), strlen(other(i)), 0) == HF_OK;
}

void full_of_expired(hf_store *store) {
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = 20;
    put_others(store, 0, 3, 40);
    int rc = HF_OK;
    for (unsigned i = 3; rc == HF_OK; i++)
        rc = hf_put(store, other(i), strlen(other(i)), "expires soon, and is of some length", 35, &options, NULL);
    CHECK_RC(rc, HF_ERR_FULL);
    check_sleep_ms(30);
}

void crowded(hf_store *store) {
    put_others(store, 0, 12, 8);
}

void crowded_with_subject(hf_store *store) {
    crowded(store);
    crash_put(store, SUBJECT, (struct content){60, 'o'});
}

/* ---- Paths --------------------------------------------------------------------------------------------------------------- */

static uint64_t overflows(const hf_store *store) {
    const struct hf__geometry *geometry = &store->region->geometry;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < geometry->buckets * geometry->stripes; i++)
        sum += hf__bucket_at(store->region, 0, i)->control & 0xffffffff;
    return sum;
}

void crash_moment(hf_store *store, struct moment *moment) {
    struct hf_stats stats = HF_STATS_INIT;
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    *moment = (struct moment){stats.moves,           stats.evictions,  stats.expirations, overflows(store),
                              stats.evictions_small, stats.promotions, hf__stripe_at(store->region, 0)->next_stamp};
}

bool has_moved(hf_store *store, const struct moment *was) {
    struct moment now;
    crash_moment(store, &now);
    return now.moves > was->moves;
}

bool has_evicted(hf_store *store, const struct moment *was) {
    struct moment now;
    crash_moment(store, &now);
    return now.evictions > was->evictions;
}

bool has_left_ring(hf_store *store, const struct moment *was) {
    struct moment now;
    crash_moment(store, &now);
    return now.from_ring > was->from_ring && now.promotions == was->promotions;
}

bool has_passed_ring(hf_store *store, const struct moment *was) {
    struct moment now;
    crash_moment(store, &now);
    return now.from_ring == was->from_ring && now.evictions > was->evictions;
}

bool has_promoted(hf_store *store, const struct moment *was) {
    struct moment now;
    crash_moment(store, &now);
    return now.promotions > was->promotions;
}

bool has_expired_spilled(hf_store *store, const struct moment *was) {
    struct moment now;
    crash_moment(store, &now);
    return now.expirations > was->expirations && now.overflows < was->overflows;
}

bool has_drafted(hf_store *store, const struct moment *was) {
    struct moment now;
    crash_moment(store, &now);
    return drafted && now.stamps == was->stamps + 1;
}

bool has_dropped_draft(hf_store *store, const struct moment *was) {
    struct moment now;
    crash_moment(store, &now);
    return drafted && now.stamps == was->stamps + 2 && now.moves == was->moves;
}

bool has_spilled(hf_store *store, const struct moment *was) {
    uint64_t with = overflows(store);
    CHECK_RC(hf_delete(store, SUBJECT, strlen(SUBJECT), 0), HF_OK);
    return was->overflows == 0 && with > 0 && overflows(store) == 0;
}

bool subject_had_spilled(hf_store *store, const struct moment *was) {
    return was->overflows > 0 && overflows(store) == 0;
}
