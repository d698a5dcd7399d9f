/* SPDX-License-Identifier: MIT */
/*
 * See keylist.h. The keys are one run of bytes and their places an array, so that a million keys are two allocations.
 */
#include "keylist.h"

#include <stdlib.h>
#include <string.h>

static bool append(struct buffer *buffer, const void *bytes, size_t length) {
    size_t needed = buffer->length + length;
    if (needed > buffer->size && !reserve_buffer(buffer, needed < 65536 ? 65536 : needed * 2))
        return false;
    memcpy(buffer->data + buffer->length, bytes, length);
    buffer->length = needed;
    return true;
}

static bool add_item(struct keylist *list, const struct hf_item *item) {
    struct keylist_key key = {.offset = list->bytes.length, .length = item->key_len};
    list->content += item->key_len + item->meta.value_len;
    list->count++;
    return append(&list->bytes, item->key, item->key_len) && append(&list->index, &key, sizeof key);
}

static struct keylist_key *keys_of(const struct keylist *list) {
    return (struct keylist_key *)(void *)list->index.data;
}

static int compare_keys(const void *left, const void *right, void *context) {
    const struct keylist_key *a = left;
    const struct keylist_key *b = right;
    const unsigned char *bytes = context;
    int order = memcmp(bytes + a->offset, bytes + b->offset, a->length < b->length ? a->length : b->length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* A key that was deleted and put again during the scan may have been seen twice. */
static void drop_repeated(struct keylist *list) {
    struct keylist_key *keys = keys_of(list);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (kept == 0 || compare_keys(&keys[kept - 1], &keys[i], list->bytes.data) != 0)
            keys[kept++] = keys[i];
    }
    list->count = kept;
}

bool keylist_fill(struct keylist *list, hf_store *store, const char *path) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    int result;
    bool stored = true;
    while (stored && (result = scan_next(store, &cursor, HF_SCAN_KEYS, &item)) == HF_OK)
        stored = add_item(list, &item);
    hf_item_free(&item);
    if (!stored)
        return false;
    if (result != HF_END) {
        report_result(path, result);
        return false;
    }
    if (list->count > 0) {
        qsort_r(keys_of(list), list->count, sizeof(struct keylist_key), compare_keys, list->bytes.data);
        drop_repeated(list);
    }
    return true;
}

const void *keylist_key(const struct keylist *list, size_t position, size_t *length) {
    const struct keylist_key *key = keys_of(list) + position;
    *length = key->length;
    return list->bytes.data + key->offset;
}

void keylist_free(struct keylist *list) {
    free_buffer(&list->bytes);
    free_buffer(&list->index);
}
