/* SPDX-License-Identifier: MIT */
/* What must hold when a process has died in the middle of a scenario: see crash.h. */
#include "crash.h"

/* ---- Looking ------------------------------------------------------------------------------------------------------------- */

void crash_look(hf_store *store, struct picture *picture) {
    struct hf_item item = HF_ITEM_INIT;
    struct content by_get;
    uint64_t cursor = 0;
    int rc;
    memset(picture, 0, sizeof *picture);
    while ((rc = hf_scan(store, &cursor, 0, &item)) == HF_OK) {
        char key[16] = {0};
        CHECK(item.key_len < sizeof key && picture->count < CRASH_KEYS_MAX);
        memcpy(key, item.key, item.key_len);
        struct content content = {item.value_len, item.value_len ? *(const char *)item.value : 0};
        CHECK(crash_read(store, key, &by_get)); /* nobody writes: get and scan must agree */
        if (!crash_same(by_get, content))
            check_failed(__FILE__, __LINE__, "scan sees %s with %zu x '%c', get %zu x '%c'", key, content.size, content.letter,
                         by_get.size, by_get.letter ? by_get.letter : '-');
        if (strcmp(key, SUBJECT) == 0) {
            picture->subject = content;
            continue;
        }
        memcpy(picture->others[picture->count].key, key, sizeof key);
        picture->others[picture->count++].content = content;
    }
    CHECK_RC(rc, HF_END);
    hf_item_free(&item);
    CHECK(crash_read(store, SUBJECT, &by_get));
    CHECK(crash_same(by_get, picture->subject));
}

static const struct content *find_other(const struct picture *picture, const char *key) {
    for (unsigned i = 0; i < picture->count; i++)
        if (strcmp(picture->others[i].key, key) == 0)
            return &picture->others[i].content;
    return NULL;
}

/* Every other key of `now` is as it was `before`; none is new, and none is missing unless that is allowed. */
static void compare_others(const struct stage *stage, const struct picture *before, const struct picture *now) {
    for (unsigned i = 0; i < now->count; i++) {
        const struct content *was = find_other(before, now->others[i].key);
        if (!was || !crash_same(*was, now->others[i].content))
            check_failed(__FILE__, __LINE__, "%s is not what it was", now->others[i].key);
    }
    if (!stage->scenario->others_may_go)
        CHECK_EQ(now->count, before->count);
}

static bool is_new(const struct stage *stage, const struct picture *picture) {
    return crash_same(picture->subject, stage->scenario->after);
}

static void old_or_new(const struct stage *stage, const struct picture *picture) {
    if (!is_new(stage, picture) && !crash_same(picture->subject, stage->scenario->before))
        check_failed(__FILE__, __LINE__, "the subject has %zu x '%c', neither old nor new", picture->subject.size,
                     picture->subject.letter ? picture->subject.letter : '-');
}

void crash_glance(const struct stage *stage, hf_store *store, bool *saw_new) {
    struct picture picture;
    crash_look(store, &picture);
    old_or_new(stage, &picture);
    compare_others(stage, &stage->original, &picture);
    CHECK(!*saw_new || is_new(stage, &picture));
    *saw_new = is_new(stage, &picture);
}

static void look_readonly(const struct stage *stage, const char *path, const struct picture *seen) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct picture picture;
    options.flags = HF_RDONLY;
    hf_store *store = check_open(path, &options);
    crash_look(store, &picture);
    CHECK_RC(hf_close(&store), HF_OK);
    compare_others(stage, seen, &picture);
    CHECK(crash_same(seen->subject, picture.subject) && seen->count == picture.count);
}

/* ---- Verifying after a death --------------------------------------------------------------------------------------------- */

void crash_next_write(const struct stage *stage, hf_store *store, double seconds) {
    double start = check_seconds();
    const char *key = stage->original.others[0].key;
    if (stage->scenario->others_may_go)
        CHECK_RC(hf_delete(store, "nobody", 6, 0), HF_NOTFOUND);
    else
        CHECK_RC(hf_touch(store, key, strlen(key), 0), HF_OK);
    CHECK(check_seconds() - start < seconds);
}

static struct hf__place subjects_place(const hf_store *store) {
    return hf__locate(store->region, hf__hash_key(store->region, SUBJECT, strlen(SUBJECT)));
}

/* What the log says about the victim must be what is seen of the subject. A clear is told stripe by stripe, a group of puts key
 * by key. */
static void compare_verdict(const struct stage *stage, hf_store *store, pid_t victim, const struct picture *now) {
    const struct scenario *scenario = stage->scenario;
    struct hf_recovery log[256];
    size_t count = 0;
    CHECK_RC(hf_recoveries(store, log, 256, &count), HF_OK);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(log[i].dropped, 0);
        if (log[i].pid != (uint32_t)victim)
            continue;
        CHECK_EQ(log[i].operation, scenario->operation);
        if (scenario->operation == HF_OP_CLEAR && log[i].stripe != subjects_place(store).stripe)
            continue;
        if (log[i].key_hash != 0 && log[i].key_hash != subjects_place(store).hash)
            continue;
        if (log[i].verdict == HF_VERDICT_NEW)
            CHECK(is_new(stage, now));
        if (log[i].verdict == HF_VERDICT_OLD && scenario->operation != HF_OP_CLEAR)
            CHECK(crash_same(now->subject, scenario->before));
        CHECK(log[i].verdict == HF_VERDICT_NEW || log[i].verdict == HF_VERDICT_OLD || log[i].verdict == HF_VERDICT_CHECKED);
    }
}

static void still_usable(const struct stage *stage, hf_store *store) {
    int rc = hf_put(store, SUBJECT, strlen(SUBJECT), "usable", 6, NULL, NULL);
    CHECK(rc == HF_OK || (rc == HF_ERR_FULL && stage->scenario->result == HF_ERR_FULL));
    if (rc == HF_OK)
        check_value(store, SUBJECT, "usable");
    rc = hf_delete(store, SUBJECT, strlen(SUBJECT), 0);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
    check_value(store, SUBJECT, NULL);
    check_sound(store);
}

void crash_verify(const struct stage *stage, hf_store *store, const char *path, pid_t victim) {
    struct picture before, after;
    bool saw_new = victim == 0;
    crash_glance(stage, store, &saw_new);
    crash_look(store, &before);
    look_readonly(stage, path, &before);
    crash_next_write(stage, store, 2);
    crash_glance(stage, store, &saw_new);
    crash_look(store, &after);
    compare_others(stage, &before, &after);
    CHECK_EQ(before.count, after.count);
    check_sound(store);
    compare_verdict(stage, store, victim, &after);
    if (stage->scenario->also)
        stage->scenario->also();
    still_usable(stage, store);
}
