/* SPDX-License-Identifier: MIT */
/*
 * A write, from lock to unlock, in the steps that crash points and verdicts name:
 *
 *   begin      lock the stripe, repairing it if its owner died; set the in-flight record
 *              find the key's slot or a free one (or after filled, see below)
 *   room       find blocks, evicting or compacting if needed; load the own slot again, for its entry may have moved
 *   allocated  mark them
 *   stamped    release fence, new stamp: from here on readers of what was in the blocks before find out
 *   filled     header, key, value: an entry that does not tell its slot yet
 *   passed     (a new key) raise the overflow counts on the way to its slot
 *   published  the entry tells its slot; store the slot word: the commit
 *   freed      (a replace) free the old blocks
 *   counted    counters
 *   end        clear the record; unlock
 *
 * A put spends much of its time on waiting for the line of the entry that has the key. In this time it writes what will most
 * likely replace that entry: where the home bucket names one of the key's tag and of the same length, and the hole that was left
 * last is as long, the steps allocated, stamped and filled come before the key is found. If it is another's after all, the draft
 * is dropped, and the put goes on with room. No slot names a draft, and a draft names none: should the power fail, an older slot
 * word that still names these blocks does not make an entry of it.
 */
#include "hash_key.h"
#include "internal.h"

#define AHEAD_BLOCKS 64u /* to write more takes longer than a line is on its way */

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
    write->draft.at = HF__NONE;
}

void hf__write_find(struct hf__write *write) {
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
    if (result == HF_OK)
        result = hf__write_lock(write);
    if (result == HF_OK)
        hf__write_find(write);
    return result;
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

static void describe(const struct hf__write *write, const struct hf__content *content, uint32_t slot,
                     struct hf__entry *header) {
    header->stamp = hf__next_stamp(write->stripe);
    header->version = content->version ? content->version : header->stamp;
    header->expiry_and_key_len = content->expiry << 16 | (content->absent ? HF__ABSENT : 0) | write->key_len;
    header->value_len = old_length(write, content) + content->len;
    header->flags = content->flags;
    header->slot = slot;
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
    hf__copy_in(&entry->version, &header->version, offsetof(struct hf__entry, slot) - offsetof(struct hf__entry, version));
    hf__store32(&entry->slot, HF_PLANTED(SLOT_EARLY) ? header->slot : HF__NO_SLOT);
    hf__store32(&entry->checksum, header->checksum);
    hf__step(write->stripe, HF__STEP_FILLED);
}

static uint64_t draft_block(const struct hf__write *write) {
    return hf__first_block(write->region, write->place.stripe) + write->draft.at;
}

static uint64_t draft_word(const struct hf__write *write) {
    return hf__word(write->place.tag, hf__word_heat(write->spot.word), write->draft.blocks, draft_block(write));
}

static void write_draft(struct hf__write *write, const struct hf__content *content, uint32_t slot, struct hf__range run) {
    write->draft.at = run.at;
    write->draft.blocks = run.len;
    hf__mark(write->region, write->place.stripe, run.at, run.len);
    write->stripe->record.new_block = draft_block(write) + 1;
    hf__step(write->stripe, HF__STEP_ALLOCATED);
    describe(write, content, slot, &write->draft.header);
    if (HF_PLANTED(PUBLISH_FIRST))
        hf__publish(write->spot.at, draft_word(write));
    fill(write, content, &write->draft.header, draft_block(write));
}

/* The record forgets it first: an entry that is moved into these blocks by and by must not be taken for it. */
static void drop_draft(struct hf__write *write) {
    write->stripe->record.new_block = HF__NO_BLOCK;
    hf__in_order();
    if (!HF_PLANTED(DRAFT_KEPT))
        hf__unmark(write->region, write->place.stripe, write->draft.at, write->draft.blocks);
    write->draft.at = HF__NONE;
}

void hf__write_ahead(struct hf__write *write, const struct hf__content *content) {
    struct hf__likely old;
    bool planted = HF_PLANTED(FREE_FIRST) || HF_PLANTED(PUBLISH_FIRST); /* they know what is replaced */
    if (planted || write->blocks > AHEAD_BLOCKS || !hf__likely(write->region, &write->place, &old))
        return;
    hf__fetch_likely(write->region, write->place.stripe, &old);
    if (old.blocks != write->blocks)
        return;
    struct hf__range run = { hf__room_at_hand(write->region, write->place.stripe, old.blocks, old.at), old.blocks };
    if (run.at == HF__NONE)
        return;
    write_draft(write, content, old.slot, run);
    HF_POINT("drafted");
}

/* Whether the draft that was made ahead is for the slot that was found. */
static bool draft_suits(const struct hf__write *write) {
    return write->spot.word != 0 && (write->spot.slot == write->draft.header.slot || HF_PLANTED(DRAFT_TRUSTED));
}

static int draft_now(struct hf__write *write, const struct hf__content *content) {
    uint64_t value_len = (uint64_t)old_length(write, content) + content->len;
    if (value_len > write->region->geometry.max_value)
        return HF_ERR_TOOBIG;
    uint32_t blocks = hf__blocks_for(write->key_len, (uint32_t)value_len);
    uint32_t at = have_slot(write) ? have_blocks(write, blocks, content->plain) : HF__NONE;
    if (at == HF__NONE)
        return HF_ERR_FULL;
    write_draft(write, content, write->spot.slot, (struct hf__range){ at, blocks });
    return HF_OK;
}

/* The commit, and what follows from it. */
static void publish(struct hf__write *write) {
    const struct hf__region *region = write->region;
    struct hf__spot *spot = &write->spot;
    uint32_t stripe = write->place.stripe;
    bool insert = spot->word == 0;
    if (insert && !HF_PLANTED(OVERFLOW_LATE)) {
        hf__pass(region, &write->place, spot->passed);
        hf__step(write->stripe, HF__STEP_PASSED);
    }
    hf__store32(&hf__entry_at(region, draft_block(write))->slot, write->draft.header.slot);
    hf__publish(spot->at, draft_word(write));
    hf__step(write->stripe, HF__STEP_PUBLISHED);
    if (insert && HF_PLANTED(OVERFLOW_LATE))
        hf__pass(region, &write->place, spot->passed);
    if (HF_PLANTED(RECORD_LATE))
        hf__publish32(&write->stripe->record.operation, write->operation);
    if (!insert && !HF_PLANTED(NO_FREE) && !HF_PLANTED(FREE_FIRST)) {
        hf__unmark(region, stripe, hf__within(region, stripe, &spot->view), spot->view.blocks);
        hf__leave_hole(region, stripe, &spot->view);
        hf__loosen(write->stripe, region, spot->view.blocks, write->draft.blocks);
        hf__step(write->stripe, HF__STEP_FREED);
    }
    hf__count32(&write->stripe->entries, insert);
    hf__count(&write->stripe->puts, 1);
    hf__changed(region, stripe, hf__bit_of(write->place.hash));
}

static void note_expiry(struct hf__stripe *header, uint64_t expiry) {
    if (expiry && expiry < header->next_expiry)
        header->next_expiry = expiry;
    if (expiry && expiry < header->lap_expiry)
        header->lap_expiry = expiry;
}

int hf__write_content(struct hf__write *write, const struct hf__content *content, uint64_t *version) {
    if (write->draft.at != HF__NONE && !draft_suits(write))
        drop_draft(write);
    int result = write->draft.at == HF__NONE ? draft_now(write, content) : HF_OK;
    if (result != HF_OK)
        return result;
    publish(write);
    if (HF_PLANTED(COUNTER_LATE))
        write->stripe->next_stamp = write->draft.header.stamp + 1;
    note_expiry(write->stripe, content->expiry);
    hf__step(write->stripe, HF__STEP_COUNTED);
    write->draft.at = HF__NONE;
    *version = write->draft.header.version;
    return HF_OK;
}

void hf__write_delete(struct hf__write *write) {
    write->stripe->record.new_block = 0;
    hf__unlink(write->region, &write->place, &write->spot, HF__STEP_PUBLISHED);
    hf__leave_hole(write->region, write->place.stripe, &write->spot.view);
    hf__count(&write->stripe->deletes, 1);
    hf__step(write->stripe, HF__STEP_COUNTED);
}
