/* SPDX-License-Identifier: MIT */
/* Walk over all entries. The cursor is the number of a slot: an entry stays in its slot while it lives, replaces included, so
 * one that is there during the whole scan is met exactly once. */
#include "read.h"

#include <stdlib.h>

struct visit {
    uint32_t stripe;
    uint32_t slot;
    uint32_t flags;
    struct hf_item *item;
};

static bool grow(struct hf_item *item, size_t size) {
    if (size <= item->memory_size)
        return true;
    void *memory = realloc(item->memory, size);
    if (memory) {
        item->memory = memory;
        item->memory_size = size;
    }
    return memory != NULL;
}

/* Key, padding and value, as they lie in the entry; memory for them was found before the lock or the attempt. */
static int attempt_visit(struct hf_store *store, void *context) {
    struct visit *visit = context;
    struct hf_item *item = visit->item;
    struct hf__glance glance;
    uint64_t *slot = hf__slot_at(store->region, visit->slot), word = hf__observe(slot), now_ms = 0;
    if (word == 0)
        return HF_NOTFOUND;
    if (!hf__glance_begin(store->region, visit->stripe, slot, word, &glance))
        return glance.view.entry ? HF_ERR_BUSY : HF_NOTFOUND;
    const struct hf__view *view = &glance.view;
    bool sound = hf__glance_sound(&glance), keys_only = visit->flags & HF_SCAN_KEYS;
    size_t size = sound ? hf__padded(view->key_len) + (keys_only ? 0 : (size_t)view->value_len) : 0;
    bool room = size <= item->memory_size;
    if (sound && room)
        hf__copy_out(item->memory, view->key, size);
    if (!hf__glance_end(&glance))
        return HF_PLANTED(SCAN_GIVES_UP) ? HF_NOTFOUND : HF_ERR_BUSY;
    if (!sound || view->absent || hf__expired(view->expiry, &now_ms))
        return HF_NOTFOUND;
    item->key_len = view->key_len;
    item->value_len = keys_only ? 0 : view->value_len;
    hf__meta_of(view, now_ms, &item->meta);
    return room ? HF_OK : HF_TRUNCATED;
}

static int visit_slot(hf_store *store, struct visit *visit) {
    struct hf_item *item = visit->item;
    if (hf__load(hf__slot_at(store->region, visit->slot)) == 0)
        return HF_NOTFOUND;
    int result = hf__read_stable(store, visit->stripe, attempt_visit, visit);
    while (result == HF_TRUNCATED) {
        if (!grow(item, hf__padded((uint32_t)item->key_len) + item->value_len))
            return hf__fail(HF_ERR_MEMORY, "no memory for an entry of %zu bytes", item->key_len + item->value_len);
        result = hf__read_stable(store, visit->stripe, attempt_visit, visit);
    }
    return result;
}

int hf_scan(hf_store *store, uint64_t *cursor, uint32_t flags, struct hf_item *item) {
    if (!store || !cursor || !item || (flags & ~(uint32_t)HF_SCAN_KEYS))
        return hf__fail(HF_ERR_ARGUMENT, "hf_scan needs a store, a cursor, an item and known flags");
    uint32_t per_stripe = hf__slots_of_stripe(store->region);
    uint64_t all = (uint64_t)per_stripe * store->region->geometry.stripes;
    struct visit visit = { .flags = flags, .item = item };
    if (!grow(item, 256))
        return hf__fail(HF_ERR_MEMORY, "no memory for an entry");
    for (; *cursor < all; ++*cursor) {
        visit.slot = (uint32_t)*cursor;
        visit.stripe = visit.slot / per_stripe;
        uint64_t word = HF_PLANTED(SCAN_TWICE) ? hf__load(hf__slot_at(store->region, visit.slot)) : 0;
        int result = visit_slot(store, &visit);
        if (result == HF_NOTFOUND)
            continue;
        if (result != HF_OK)
            return result;
        if (!HF_PLANTED(SCAN_TWICE) || hf__load(hf__slot_at(store->region, visit.slot)) == word)
            ++*cursor;
        item->key = item->memory;
        item->value = flags & HF_SCAN_KEYS ? NULL : (unsigned char *)item->memory + hf__padded((uint32_t)item->key_len);
        return HF_OK;
    }
    return HF_END;
}

void hf_item_free(struct hf_item *item) {
    static const struct hf_item fresh = HF_ITEM_INIT;
    free(item->memory);
    *item = fresh;
}

int hf_count(hf_store *store, uint64_t *count) {
    if (!store || !count)
        return hf__fail(HF_ERR_ARGUMENT, "hf_count needs a store and a place for the count");
    *count = 0;
    for (uint32_t stripe = 0; stripe < store->region->geometry.stripes; stripe++)
        *count += hf__load32(&hf__stripe_at(store->region, stripe)->entries);
    return HF_OK;
}
