/* SPDX-License-Identifier: MIT */
/* Writes that depend on what is there: incr, append, touch, take, clear, expire. */
#include "internal.h"

#include <stdio.h>

#define EXPIRE_SLOTS 4096u /* looked at under one lock */
#define DIGITS 20u /* of the longest 64-bit decimal number, sign included */

/* Optional minus, then digits only. */
static bool parse_number(const unsigned char *text, uint32_t length, int64_t *number) {
    uint32_t i = length > 0 && text[0] == '-';
    bool negative = i == 1;
    if (i == length || length > DIGITS)
        return false;
    *number = 0;
    for (; i < length; i++) {
        int digit = text[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, negative ? -digit : digit, number))
            return false;
    }
    return true;
}

/* Under the lock: from what was found to the new content, in `text`. */
static int add(struct hf__write *write, int64_t by, const struct hf_incr_options *options, char text[DIGITS + 4],
               struct hf__content *content, int64_t *sum) {
    int64_t number = options->initial;
    const struct hf__view *view = &write->spot.view;
    if (write->spot.word != 0) {
        if (!parse_number(view->value, view->value_len, &number))
            return HF_ERR_NUMBER;
        content->expiry = view->expiry;
        content->flags = view->flags;
    } else if (options->condition == HF_IF_PRESENT) {
        return HF_NOTFOUND;
    } else {
        content->expiry = hf__expiry_of(write->region, options->ttl_ms);
    }
    if (__builtin_add_overflow(number, by, sum))
        return HF_ERR_NUMBER;
    content->len = (uint32_t)snprintf(text, DIGITS + 4, "%lld", (long long)*sum);
    content->data = text;
    content->body = hf__hash_body(write->place.hash, text, content->len);
    return HF_OK;
}

int hf_incr(hf_store *store, const void *key, size_t key_len, int64_t by, const struct hf_incr_options *theirs,
            int64_t *result) {
    static const struct hf_incr_options none = HF_INCR_INIT;
    struct hf_incr_options options;
    struct hf__write write;
    struct hf__content content = { .keep = false };
    char text[DIGITS + 4];
    uint64_t version;
    int64_t sum = 0;
    if (!hf__sized(&options, sizeof options, theirs ? theirs : &none) || options.reserved ||
        (options.condition != HF_ALWAYS && options.condition != HF_IF_PRESENT))
        return hf__fail(HF_ERR_ARGUMENT, "the incr options are not valid: start with HF_INCR_INIT");
    int done = hf__write_begin(&write, store, HF_OP_INCR, key, key_len);
    if (done != HF_OK)
        return done;
    done = add(&write, by, &options, text, &content, &sum);
    if (done == HF_OK)
        done = hf__write_content(&write, &content, &version);
    if (done == HF_OK && result)
        *result = sum;
    return hf__write_end(&write, done);
}

/* Reads every page of the caller's memory, so that a bad pointer faults before the lock is taken. */
static void read_through(const void *data, size_t size) {
    const volatile unsigned char *bytes = data;
    for (size_t i = 0; i < size; i += HF__PAGE)
        (void)bytes[i];
    if (size > 0)
        (void)bytes[size - 1];
}

int hf_append(hf_store *store, const void *key, size_t key_len, const void *tail, size_t tail_len, size_t *value_len) {
    struct hf__write write;
    uint64_t version;
    int result = hf__write_prepare(&write, store, HF_OP_APPEND, key, key_len);
    if (result == HF_OK && !tail && tail_len > 0)
        result = hf__fail(HF_ERR_ARGUMENT, "the tail is NULL but %zu bytes long", tail_len);
    if (result == HF_OK && tail_len > store->region->geometry.max_value)
        result = hf__result(HF_ERR_TOOBIG);
    if (result != HF_OK)
        return result;
    read_through(tail, tail_len);
    result = hf__write_lock(&write);
    if (result != HF_OK)
        return result;
    hf__write_find(&write);
    struct hf__content content = { .data = tail, .len = (uint32_t)tail_len, .keep = true };
    size_t length = tail_len;
    if (write.spot.word != 0) {
        content.expiry = write.spot.view.expiry;
        content.flags = write.spot.view.flags;
        length += write.spot.view.value_len;
    } else {
        content.expiry = hf__expiry_of(write.region, 0);
    }
    result = hf__write_content(&write, &content, &version);
    if (result == HF_OK && value_len)
        *value_len = length;
    return hf__write_end(&write, result);
}

int hf_touch(hf_store *store, const void *key, size_t key_len, uint64_t ttl_ms) {
    struct hf__write write;
    uint64_t version;
    int result = hf__write_begin(&write, store, HF_OP_TOUCH, key, key_len);
    if (result != HF_OK)
        return result;
    if (write.spot.word == 0)
        return hf__write_end(&write, HF_NOTFOUND);
    struct hf__content content = { .data = "", .keep = true, .version = write.spot.view.version };
    content.flags = write.spot.view.flags;
    content.expiry = hf__expiry_of(write.region, ttl_ms);
    return hf__write_end(&write, hf__write_content(&write, &content, &version));
}

/* Deletes the version that was read; another taker or writer may have been faster. */
static int take_version(hf_store *store, const void *key, size_t key_len, uint64_t version) {
    struct hf__write write;
    int result = hf__write_begin(&write, store, HF_OP_TAKE, key, key_len);
    if (result != HF_OK)
        return result;
    if (write.spot.word == 0 || (write.spot.view.version != version && !HF_PLANTED(TAKE_ANY)))
        return hf__write_end(&write, HF_CHANGED);
    hf__tomb(write.region, &write.place);
    hf__write_delete(&write);
    return hf__write_end(&write, HF_OK);
}

int hf_take(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
            struct hf_meta *meta) {
    struct hf_meta read;
    size_t length;
    int result;
    if (store && !store->region->writable)
        return hf__result(HF_ERR_READONLY);
    do {
        result = hf__get(store, key, key_len, buffer, size, &length, &read);
        if (result == HF_OK)
            result = take_version(store, key, key_len, read.version);
    } while (result == HF_CHANGED);
    if (result >= 0)
        hf__counted(store, result);
    if (result != HF_OK && result != HF_TRUNCATED)
        return result;
    if (value_len)
        *value_len = length;
    if (meta)
        *meta = read;
    return result;
}

/* Empties every slot of a locked stripe; what is derived from the slots is then made anew. */
static void clear_stripe(const struct hf__region *region, uint32_t stripe) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    uint32_t first = stripe * hf__slots_of_stripe(region), end = first + hf__slots_of_stripe(region);
    uint64_t entries = header->entries;
    hf__record_set(header, HF_OP_CLEAR, 0);
    hf__tomb_all(region, stripe);
    for (uint32_t slot = first; slot < end; slot++)
        if (hf__load(hf__slot_at(region, slot)) != 0)
            hf__publish(hf__slot_at(region, slot), 0);
    hf__step(header, HF__STEP_PUBLISHED);
    hf__recover(region, stripe, HF__RECOVER_DERIVED);
    hf__changed(region, stripe, HF__EVERY_KEY);
    hf__count(&header->deletes, entries);
    hf__step(header, HF__STEP_COUNTED);
    hf__record_clear(header);
    HF_POINT("end");
}

/* A part of a stripe; how many entries it had to remove. `puts` is what the stripe had counted when the first part began. */
static uint32_t expire_part(const struct hf__region *region, uint32_t stripe, uint32_t from, uint64_t *puts, uint64_t *now_ms,
                            uint64_t *next) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    uint32_t all = hf__slots_of_stripe(region);
    struct hf__range slots = { stripe * all + from, all - from < EXPIRE_SLOTS ? all - from : EXPIRE_SLOTS };
    *puts = from == 0 ? header->puts : *puts;
    hf__record_set(header, HF_OP_EXPIRE, 0);
    uint32_t removed = hf__expire_slots(region, stripe, slots, HF__NO_SLOT, now_ms, next);
    if (from + slots.len == all && *puts == header->puts)
        header->next_expiry = *next;
    hf__record_clear(header);
    HF_POINT("end");
    return removed;
}

int hf_expire(hf_store *store, uint64_t *count) {
    if (!store || !store->region->writable)
        return hf__result(store ? HF_ERR_READONLY : HF_ERR_ARGUMENT);
    uint64_t now_ms = hf__now_ms(), removed = 0, puts = 0;
    for (uint32_t stripe = 0; stripe < store->region->geometry.stripes; stripe++) {
        uint64_t next = UINT64_MAX;
        for (uint32_t from = 0; from < hf__slots_of_stripe(store->region); from += EXPIRE_SLOTS) {
            struct hf__hold hold;
            int result = hf__lock(store, stripe, store->timeout_ms, &hold);
            if (result != HF_OK)
                return hf__result(result);
            removed += expire_part(store->region, stripe, from, &puts, &now_ms, &next);
            hf__unlock(&hold);
        }
    }
    if (count)
        *count = removed;
    return HF_OK;
}

int hf_clear(hf_store *store) {
    if (!store || !store->region->writable)
        return hf__result(store ? HF_ERR_READONLY : HF_ERR_ARGUMENT);
    for (uint32_t stripe = 0; stripe < store->region->geometry.stripes; stripe++) {
        struct hf__hold hold;
        int result = hf__lock(store, stripe, store->timeout_ms, &hold);
        if (result != HF_OK)
            return hf__result(result);
        clear_stripe(store->region, stripe);
        hf__unlock(&hold);
    }
    return HF_OK;
}
