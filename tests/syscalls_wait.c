/* SPDX-License-Identifier: MIT */
/* The calls that wait for what others compute or change, for syscalls.c; in vain, for another process, and where nobody waits. */
#include "syscalls.h"

#include <string.h>

static int make_value(void *context, const void *key, size_t key_len, struct hf_fill *made) {
    (void)context, (void)key, (void)key_len;
    made->value = "v1";
    made->value_len = 2;
    return HF_OK;
}

int fill(struct stage *stage) {
    char value[16];
    size_t length = 0;
    int result = hf_get_or_fill(stage->store, "k1", 2, value, sizeof value, &length, NULL, make_value, NULL, NULL);
    EXPECT(stage, result != HF_OK || (length == 2 && memcmp(value, "v1", 2) == 0));
    return result;
}

/* A miss: what is computed is what was there. */
bool before_fill(struct stage *stage) {
    return open_rw(stage) == HF_OK && hf_delete(stage->store, "k1", 2, 0) == HF_OK;
}

static int make_value_slowly(void *slow_on, const void *key, size_t key_len, struct hf_fill *made) {
    atomic_store(turn, 3);
    rest_ms(held_ms(slow_on));
    return make_value(NULL, key, key_len, made);
}

static int fill_elsewhere(struct stage *stage) {
    hf_store *store = open_as_writer(stage);
    if (hf_delete(store, "k1", 2, 0) != HF_OK)
        return 3;
    atomic_store(turn, 1);
    if (!await_turn(2) || hf_get_or_fill(store, "k1", 2, NULL, 0, NULL, NULL, make_value_slowly, stage, NULL) != HF_TRUNCATED)
        return 4;
    atomic_store(turn, 4);
    return 0;
}

bool before_shared_fill(struct stage *stage) {
    if (!meet(stage, fill_elsewhere))
        return false;
    atomic_store(turn, 2);
    return await_turn(stage->rehearsal ? 4 : 3);
}

int wait_for_key(struct stage *stage) {
    struct hf_meta meta;
    int result = hf_exists(stage->store, "k1", 2, &meta);
    if (result == HF_OK)
        result = hf_wait(stage->store, "k1", 2, meta.version, 5, NULL);
    return result == HF_UNCHANGED ? HF_OK : result;
}

int wait_for_any(struct stage *stage) {
    struct hf_watch watch = HF_WATCH_INIT;
    int result;
    while ((result = hf_wait_any(stage->store, &watch, 5)) == HF_OK)
        ;
    hf_watch_free(&watch);
    return result == HF_UNCHANGED ? HF_OK : result;
}

static uint64_t version_before;

static int put_same_later(struct stage *stage) {
    hf_store *store = open_as_writer(stage);
    atomic_store(turn, 1);
    if (!await_turn(2))
        return 3;
    rest_ms(held_ms(stage));
    if (hf_put(store, "k1", 2, "v1", 2, NULL, NULL) != HF_OK)
        return 4;
    atomic_store(turn, 3);
    return 0;
}

bool before_change(struct stage *stage) {
    struct hf_meta meta;
    if (!meet(stage, put_same_later) || hf_exists(stage->store, "k1", 2, &meta) != HF_OK)
        return false;
    version_before = meta.version;
    atomic_store(turn, 2);
    return !stage->rehearsal || await_turn(3);
}

int wait_for_change(struct stage *stage) {
    struct hf_meta meta;
    int result = hf_wait(stage->store, "k1", 2, version_before, 3000, &meta);
    EXPECT(stage, result != HF_OK || meta.version > version_before);
    return result;
}
