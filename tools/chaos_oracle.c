/* SPDX-License-Identifier: MIT */
/*
 * The oracle: what every process of a chaos run may see, kept outside of the store in memory that outlives any of them. May not
 * call the store: it is told what was read, and judges.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include "chaos.h"

static size_t rounded(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

struct chaos *chaos_new(uint32_t keys, uint32_t writers, uint32_t readers) {
    size_t head = rounded(sizeof(struct chaos)), slots = rounded(sizeof(struct chaos_slot) * CHAOS_SLOTS_MAX);
    size_t bytes = head + slots + sizeof(struct chaos_key) * keys;
    unsigned char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct chaos *chaos = (struct chaos *)memory;
    chaos->slots = (struct chaos_slot *)(memory + head);
    chaos->records = (struct chaos_key *)(memory + head + slots);
    chaos->bytes = bytes;
    chaos->keys = keys;
    chaos->writers = writers;
    chaos->readers = readers;
    return chaos;
}

void chaos_free(struct chaos *chaos) {
    munmap(chaos, chaos->bytes);
}

/* The first one ends the run: what follows from a broken store says little. */
void chaos_violation(struct chaos *chaos, const char *format, ...) {
    unsigned index = atomic_fetch_add(&chaos->violations, 1);
    if (index < CHAOS_TEXTS) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(chaos->texts[index].words, sizeof chaos->texts[index].words, format, arguments);
        va_end(arguments);
        atomic_store(&chaos->texts[index].ready, true);
    }
    atomic_store(&chaos->stop, true);
}

/* ---- Keys ---------------------------------------------------------------------------------------------------------------- */

/* The order of these loads is the rule: what was acknowledged before the read bounds it from below, what was intended by the
 * end of the read bounds it from above. */
void chaos_look_before(const struct chaos *chaos, uint32_t key, struct chaos_view *view) {
    view->key = key;
    view->low = atomic_load(&chaos->records[key].acked);
    view->version = atomic_load(&chaos->records[key].version);
}

void chaos_look_after(const struct chaos *chaos, struct chaos_view *view) {
    view->high = atomic_load(&chaos->records[view->key].intent);
    view->gone = atomic_load(&chaos->records[view->key].gone);
}

static void tell(struct chaos *chaos, const struct chaos_view *view, const char *what) {
    char found[80], low[80], high[80];
    chaos_describe(found, sizeof found, view->key, view->found);
    chaos_describe(low, sizeof low, view->key, view->low);
    chaos_describe(high, sizeof high, view->key, view->high);
    chaos_violation(chaos, "key %" PRIu32 ": %s: found %s, acknowledged before was %s, intended by then %s", view->key, what,
                    found, low, high);
}

bool chaos_judge_found(struct chaos *chaos, const struct chaos_view *view, const struct hf_meta *meta) {
    if (!chaos_not_before(view))
        tell(chaos, view,
             chaos_kind_of(view->low) == CHAOS_ABSENT ? "a deleted value came back" : "an acknowledged write is lost");
    else if (!chaos_not_after(view))
        tell(chaos, view, "a value that nobody wrote");
    else if (meta->version < view->version)
        chaos_violation(chaos, "key %" PRIu32 ": version %" PRIu64 " after %" PRIu64 ", expected to grow", view->key,
                        meta->version, view->version);
    else if (meta->ttl_ms > CHAOS_TTL_MS)
        chaos_violation(chaos, "key %" PRIu32 ": %" PRIu64 " ms to live, expected none or at most %" PRIu64, view->key,
                        meta->ttl_ms, CHAOS_TTL_MS);
    else
        return true;
    return false;
}

bool chaos_judge_missed(struct chaos *chaos, const struct chaos_view *view) {
    if (chaos->cache || chaos_kind_of(view->low) == CHAOS_ABSENT || view->gone > chaos_sequence(view->low))
        return true;
    tell(chaos, view, "a key is missing");
    return false;
}

/* Before the call; afterwards its caller stores the same state as acknowledged. */
void chaos_intend(struct chaos_key *record, chaos_state after) {
    if (chaos_kind_of(after) == CHAOS_ABSENT && chaos_sequence(after) > chaos_sequence(atomic_load(&record->acked))) {
        atomic_store(&record->gone_before, atomic_load(&record->gone));
        atomic_store(&record->gone, chaos_sequence(after));
    }
    atomic_store(&record->intent, after);
}

/* The key's owner was killed in a call, or its call was refused: what was found (and judged) is the truth from here on. May
 * itself be killed anywhere and done again. */
void chaos_settle(struct chaos *chaos, uint32_t key, chaos_state found) {
    struct chaos_key *record = &chaos->records[key];
    if (chaos_kind_of(found) != CHAOS_ABSENT && atomic_load(&record->gone) > chaos_sequence(found))
        atomic_store(&record->gone, atomic_load(&record->gone_before));
    atomic_store(&record->intent, found);
    atomic_store(&record->acked, found);
}

/* ---- Counters that all writers increment ----------------------------------------------------------------------------------- */

uint64_t chaos_shared_acked(const struct chaos *chaos, unsigned counter) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < chaos->writers; i++)
        sum += atomic_load(&chaos->slots[i].shared[counter]) >> 1;
    return sum;
}

/* Acknowledged, in flight, or in flight when the writer was killed. The last are loaded last and never too few, because
 * chaos_shared_bury raises them first. */
uint64_t chaos_shared_most(const struct chaos *chaos, unsigned counter) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < chaos->writers; i++) {
        uint64_t word = atomic_load(&chaos->slots[i].shared[counter]);
        sum += (word >> 1) + (word & 1);
    }
    return sum + atomic_load(&chaos->maybe[counter]);
}

/* By the parent, when the slot's process is dead. */
void chaos_shared_bury(struct chaos *chaos, struct chaos_slot *slot) {
    for (unsigned i = 0; i < CHAOS_SHARED; i++) {
        uint64_t word = atomic_load(&slot->shared[i]);
        if (word & 1) {
            atomic_fetch_add(&chaos->maybe[i], 1);
            atomic_store(&slot->shared[i], word - 1);
        }
    }
}
