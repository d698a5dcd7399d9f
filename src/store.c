/* SPDX-License-Identifier: MIT */
/*
 * A write, from lock to unlock. Put, in the steps that crash points and verdicts name:
 *
 *   begin      lock the stripe, repairing it if its owner died; set the in-flight record; find the key's slot or a free one
 *   room       find blocks, evicting or compacting if needed; load the own slot again, for its entry may have moved
 *   allocated  mark them
 *   stamped    release fence, new stamp: from here on readers of what was in the blocks before find out
 *   filled     header, key, value
 *   passed     (a new key) raise the overflow counts on the way to its slot
 *   published  store the slot: the commit
 *   freed      (a replace) free the old blocks
 *   counted    counters
 *   end        clear the record; unlock
 */
#include "hash_key.h"
#include "internal.h"

/* An expired entry is absent, and so is one that says so: it goes before anything else is decided. */
static void find_spot(struct hf__write *write) {
    hf__find(write->region, &write->place, write->key, write->key_len, &write->spot);
    const struct hf__view *view = &write->spot.view;
    bool expired = write->spot.word != 0 && hf__expired(view->expiry, &write->now_ms);
    if (expired || (write->spot.word != 0 && view->absent)) {
        hf__unlink(write->region, &write->place, &write->spot, HF__STEP_DROP);
        hf__count(&write->stripe->expirations, expired);
        write->spot.word = 0;
    }
    write->stripe->record.slot = write->spot.slot;
}

int hf__write_prepare(struct hf__write *write, struct hf_store *store, enum hf_operation operation, const void *key,
                      size_t key_len) {
    int result = hf__key_check(store, key, key_len);
    if (result != HF_OK)
        return result;
    if (!store->region->writable)
        return hf__result(HF_ERR_READONLY);
    if (key_len > store->region->geometry.max_key)
        return hf__fail(HF_ERR_TOOBIG, "the key has %zu bytes, this store takes at most %u: make one with a larger max_key",
                        key_len, store->region->geometry.max_key);
    write->store = store;
    write->region = store->region;
    write->operation = operation;
    write->key = key;
    write->key_len = (uint32_t)key_len;
    write->blocks = 0;
    write->now_ms = 0;
    write->place = hf__locate(store->region, hf__hash_key_here(store->region, key, key_len));
    write->stripe = hf__stripe_at(store->region, write->place.stripe);
    hf__fetch_place(store->region, &write->place);
    return HF_OK;
}

void hf__write_enter(struct hf__write *write) {
    hf__record_set(write->stripe, write->operation, write->place.hash);
    find_spot(write);
    if (HF_PLANTED(DELETE_FIRST) && write->operation == HF_OP_PUT && write->spot.word) {
        hf__write_delete(write);
        find_spot(write);
    }
}

void hf__write_leave(struct hf__write *write) {
    hf__record_clear(write->stripe);
    HF_POINT("end");
}

int hf__write_lock(struct hf__write *write) {
    hf__fetch_room(write->region, write->place.stripe, write->blocks);
    int result = hf__lock(write->store, write->place.stripe, write->store->timeout_ms, &write->hold);
    if (result != HF_OK)
        return hf__result(result);
    hf__write_enter(write);
    return HF_OK;
}

int hf__write_begin(struct hf__write *write, struct hf_store *store, enum hf_operation operation, const void *key,
                    size_t key_len) {
    int result = hf__write_prepare(write, store, operation, key, key_len);
    return result == HF_OK ? hf__write_lock(write) : result;
}

int hf__write_end(struct hf__write *write, int result) {
    hf__write_leave(write);
    hf__unlock(&write->hold);
    return hf__result(result);
}

/* A slot for a key that is absent. */
static bool have_slot(struct hf__write *write) {
    if (write->spot.slot != HF__NO_SLOT)
        return true;
    if (!hf__room_slot(write->region, &write->place, &write->now_ms))
        return false;
    find_spot(write);
    return write->spot.slot != HF__NO_SLOT;
}

/* Blocks within the stripe for the new entry; HF__NONE. Making room may have moved the entry that is to be replaced, or
 * evicted it: then the new one is an insert. */
static uint32_t have_blocks(struct hf__write *write, uint32_t blocks, bool plain) {
    struct hf__spot *spot = &write->spot;
    if (HF_PLANTED(FREE_FIRST) && spot->word)
        hf__unmark(write->region, write->place.stripe,
                   hf__within(write->region, write->place.stripe, &spot->view), spot->view.blocks);
    struct hf__need need = { .blocks = blocks, .own = spot->slot, .place = &write->place, .now_ms = &write->now_ms };
    need.stays = !plain && !HF_PLANTED(OWN_EVICTED);
    need.replaces = spot->word ? spot->view.blocks : 0;
    uint32_t at = hf__room(write->region, write->place.stripe, &need);
    if (spot->word && spot->word != hf__load(spot->at) && !HF_PLANTED(NO_OWN_RELOAD)) {
        spot->word = hf__load(spot->at);
        hf__view_word(write->region, write->place.stripe, spot->word, &spot->view);
    }
    return at;
}

static uint32_t old_length(const struct hf__write *write, const struct hf__content *content) {
    return content->keep && write->spot.word ? write->spot.view.value_len : 0;
}

/* Header, key and value into free blocks. */
static void fill(struct hf__write *write, const struct hf__content *content, struct hf__entry *header, uint64_t block) {
    struct hf__entry *entry = hf__entry_at(write->region, block);
    uint32_t old = old_length(write, content);
    unsigned char *key = (unsigned char *)(entry + 1), *value = key + hf__padded(write->key_len);
    if (!HF_PLANTED(NO_RELEASE_FENCE))
        hf__fence_release();
    hf__store(&entry->stamp, header->stamp);
    hf__step(write->stripe, HF__STEP_STAMPED);
    hf__copy_in(key, write->key, write->key_len);
    if (old > 0)
        hf__copy_in(value, write->spot.view.value, old);
    hf__copy_in(value + old, content->data, content->len);
    uint32_t body = content->keep ? hf__hash_body(write->place.hash, value, header->value_len) : content->body;
    header->checksum = body ^ hf__hash_header(header);
    hf__copy_in(&entry->version, &header->version, sizeof *header - sizeof header->stamp);
    hf__step(write->stripe, HF__STEP_FILLED);
}

/* The commit, and what follows from it. */
static void publish(struct hf__write *write, uint64_t word, uint32_t blocks) {
    const struct hf__region *region = write->region;
    struct hf__spot *spot = &write->spot;
    uint32_t stripe = write->place.stripe;
    bool insert = spot->word == 0;
    if (insert && !HF_PLANTED(OVERFLOW_LATE)) {
        hf__pass(region, &write->place, spot->passed);
        hf__step(write->stripe, HF__STEP_PASSED);
    }
    hf__publish(spot->at, word);
    hf__step(write->stripe, HF__STEP_PUBLISHED);
    if (insert && HF_PLANTED(OVERFLOW_LATE))
        hf__pass(region, &write->place, spot->passed);
    if (HF_PLANTED(RECORD_LATE))
        hf__publish32(&write->stripe->record.operation, write->operation);
    if (!insert && !HF_PLANTED(NO_FREE) && !HF_PLANTED(FREE_FIRST)) {
        hf__unmark(region, stripe, hf__within(region, stripe, &spot->view), spot->view.blocks);
        hf__leave_hole(region, stripe, &spot->view);
        hf__loosen(write->stripe, region, spot->view.blocks, blocks);
        hf__step(write->stripe, HF__STEP_FREED);
    }
    hf__count32(&write->stripe->entries, insert);
    hf__count(&write->stripe->puts, 1);
    hf__changed(region, stripe, hf__bit_of(write->place.hash));
}

static void describe(struct hf__write *write, const struct hf__content *content, struct hf__entry *header) {
    header->stamp = hf__next_stamp(write->stripe);
    header->version = content->version ? content->version : header->stamp;
    header->expiry_and_key_len = content->expiry << 16 | (content->absent ? HF__ABSENT : 0) | write->key_len;
    header->value_len = old_length(write, content) + content->len;
    header->flags = content->flags;
    header->slot = write->spot.slot;
}

int hf__write_content(struct hf__write *write, const struct hf__content *content, uint64_t *version) {
    struct hf__entry header;
    uint64_t value_len = (uint64_t)old_length(write, content) + content->len;
    if (value_len > write->region->geometry.max_value)
        return HF_ERR_TOOBIG;
    uint32_t blocks = hf__blocks_for(write->key_len, (uint32_t)value_len);
    uint32_t at = have_slot(write) ? have_blocks(write, blocks, content->plain) : HF__NONE;
    if (at == HF__NONE)
        return HF_ERR_FULL;
    uint64_t block = hf__first_block(write->region, write->place.stripe) + at;
    hf__mark(write->region, write->place.stripe, at, blocks);
    write->stripe->record.new_block = block + 1;
    hf__step(write->stripe, HF__STEP_ALLOCATED);
    describe(write, content, &header);
    uint64_t word = hf__word(write->place.tag, hf__word_heat(write->spot.word), blocks, block);
    if (HF_PLANTED(PUBLISH_FIRST))
        hf__publish(write->spot.at, word);
    fill(write, content, &header, block);
    publish(write, word, blocks);
    if (HF_PLANTED(COUNTER_LATE))
        write->stripe->next_stamp = header.stamp + 1;
    if (content->expiry && content->expiry < write->stripe->next_expiry)
        write->stripe->next_expiry = content->expiry;
    if (content->expiry && content->expiry < write->stripe->lap_expiry)
        write->stripe->lap_expiry = content->expiry;
    hf__step(write->stripe, HF__STEP_COUNTED);
    *version = header.version;
    return HF_OK;
}

void hf__write_delete(struct hf__write *write) {
    write->stripe->record.new_block = 0;
    hf__unlink(write->region, &write->place, &write->spot, HF__STEP_PUBLISHED);
    hf__leave_hole(write->region, write->place.stripe, &write->spot.view);
    hf__count(&write->stripe->deletes, 1);
    hf__step(write->stripe, HF__STEP_COUNTED);
}

uint64_t hf__ttl_of(const struct hf__region *region, uint64_t ttl_ms) {
    if (ttl_ms == 0 && !HF_PLANTED(DEFAULT_TTL_IGNORED))
        return region->geometry.default_ttl_ms;
    return ttl_ms == HF_TTL_NEVER ? 0 : ttl_ms;
}

uint64_t hf__expiry_of(const struct hf__region *region, uint64_t ttl_ms) {
    ttl_ms = hf__ttl_of(region, ttl_ms);
    if (ttl_ms == 0 && !HF_PLANTED(TTL_ZERO))
        return 0;
    uint64_t now_ms = hf__now_ms();
    return ttl_ms < HF__EXPIRY_MAX - now_ms ? now_ms + ttl_ms : HF__EXPIRY_MAX;
}

/* Whether the condition holds for what was found. */
static int check_condition(const struct hf__write *write, const struct hf__put *put) {
    bool present = write->spot.word != 0;
    switch (put->condition) {
    case HF_IF_ABSENT: return present ? HF_EXISTS : HF_OK;
    case HF_IF_PRESENT: return present ? HF_OK : HF_NOTFOUND;
    case HF_IF_VERSION:
        if (!present)
            return HF_NOTFOUND;
        return write->spot.view.version == put->wanted || HF_PLANTED(VERSION_IGNORED) ? HF_OK : HF_CHANGED;
    default: return HF_OK;
    }
}

int hf__value_check(const struct hf_store *store, const void *value, size_t value_len) {
    if (!value && value_len > 0)
        return hf__fail(HF_ERR_ARGUMENT, "the value is NULL but %zu bytes long", value_len);
    if (value_len > store->region->geometry.max_value)
        return hf__fail(HF_ERR_TOOBIG, "the value has %zu bytes, this store takes at most %u: make one with a larger max_value",
                        value_len, store->region->geometry.max_value);
    return HF_OK;
}

static int check_put(const struct hf_store *store, const void *value, size_t value_len, const struct hf_put_options *theirs,
                     struct hf_put_options *options) {
    static const struct hf_put_options none = HF_PUT_INIT;
    if (!theirs)
        *options = none;
    else if (!hf__sized(options, sizeof *options, theirs) || options->condition > HF_IF_VERSION ||
             (options->ttl_ms && options->expires_ms))
        return hf__fail(HF_ERR_ARGUMENT, "the put options are not valid: start with HF_PUT_INIT");
    return hf__value_check(store, value, value_len);
}

int hf__put_prepare(struct hf__write *write, struct hf__put *put, struct hf_store *store, const void *key, size_t key_len,
                    const void *value, size_t value_len, const struct hf_put_options *theirs) {
    struct hf_put_options options;
    int result = hf__write_prepare(write, store, HF_OP_PUT, key, key_len);
    if (result == HF_OK)
        result = check_put(store, value, value_len, theirs, &options);
    if (result != HF_OK)
        return result;
    put->content = (struct hf__content){ .data = value, .len = (uint32_t)value_len, .flags = options.flags };
    put->content.body = hf__hash_body(write->place.hash, value, value_len);
    write->blocks = hf__blocks_for(write->key_len, put->content.len);
    put->ttl_ms = options.ttl_ms;
    put->expires_ms = options.expires_ms;
    put->condition = options.condition;
    put->content.plain = options.condition == HF_ALWAYS;
    put->wanted = options.version;
    return HF_OK;
}

int hf__put_entered(struct hf__write *write, struct hf__put *put, uint64_t *version) {
    if (put->expires_ms)
        put->content.expiry = put->expires_ms < HF__EXPIRY_MAX ? put->expires_ms : HF__EXPIRY_MAX;
    else
        put->content.expiry = hf__expiry_of(write->region, put->ttl_ms);
    int result = check_condition(write, put);
    return result == HF_OK ? hf__write_content(write, &put->content, version) : result;
}

int hf_put(hf_store *store, const void *key, size_t key_len, const void *value, size_t value_len,
           const struct hf_put_options *options, uint64_t *version) {
    struct hf__write write;
    struct hf__put put;
    uint64_t stored = 0;
    int result = hf__put_prepare(&write, &put, store, key, key_len, value, value_len, options);
    if (result == HF_OK)
        result = hf__write_lock(&write);
    if (result != HF_OK)
        return result;
    result = hf__write_end(&write, hf__put_entered(&write, &put, &stored));
    if (result == HF_OK && version)
        *version = stored;
    return result;
}

int hf_delete(hf_store *store, const void *key, size_t key_len, uint64_t version) {
    struct hf__write write;
    int result = hf__write_begin(&write, store, HF_OP_DELETE, key, key_len);
    if (result != HF_OK)
        return result;
    if (write.spot.word == 0 && HF_PLANTED(LOCK_KEPT))
        return HF_NOTFOUND;
    bool present = write.spot.word != 0;
    if (present && version != 0 && write.spot.view.version != version)
        return hf__write_end(&write, HF_CHANGED);
    hf__tomb(write.region, &write.place);
    if (present)
        hf__write_delete(&write);
    else
        result = HF_NOTFOUND;
    return hf__write_end(&write, result);
}
