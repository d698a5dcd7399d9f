/* SPDX-License-Identifier: MIT */
/*
 * What is remembered of a run, outside of the store, in memory that outlives every process of it. A call is written down before
 * it is made, so that a kill at any instruction leaves its record; completed by one store after it returned. May not call the
 * store, and judges nothing.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "chaos.h"

/* All logs together; the parent's has room for a read and a scan of every key. */
enum { LOG_BYTES = 256 << 20, LOG_MOST = 1 << 16, LOG_LEAST = 256 };

static size_t rounded(size_t bytes) {
    return (bytes + 4095) & ~(size_t)4095;
}

struct chaos *chaos_new(uint32_t keys, uint32_t writers, uint32_t readers, uint32_t threads) {
    uint32_t slots = (writers + readers) * (threads + 1) + 1, own = 3 * keys + LOG_LEAST;
    uint32_t room = LOG_BYTES / (uint32_t)sizeof(struct chaos_op) / slots;
    room = room > LOG_MOST ? LOG_MOST : room < LOG_LEAST ? LOG_LEAST : room;
    size_t head = rounded(sizeof(struct chaos)), slot_bytes = rounded(sizeof(struct chaos_slot) * slots);
    size_t id_bytes = rounded(sizeof(atomic_uint) * keys), log_bytes = rounded(sizeof(struct chaos_op) * room);
    size_t bytes = head + slot_bytes + id_bytes + log_bytes * (slots - 1) + rounded(sizeof(struct chaos_op) * own);
    unsigned char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct chaos *chaos = (struct chaos *)memory;
    chaos->slots = (struct chaos_slot *)(memory + head);
    chaos->ids = (atomic_uint *)(memory + head + slot_bytes);
    chaos->bytes = bytes;
    chaos->keys = keys;
    chaos->writers = writers;
    chaos->readers = readers;
    chaos->threads = threads;
    chaos->slot_count = slots;
    for (uint32_t i = 0; i < slots; i++) {
        chaos->slots[i].log = (struct chaos_op *)(memory + head + slot_bytes + id_bytes + log_bytes * i);
        chaos->slots[i].size = i + 1 < slots ? room : own;
    }
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

/* A place has a slot for each thread and, last, one for a forked child. */
struct chaos_slot *chaos_slot_of(struct chaos *chaos, unsigned place, unsigned thread) {
    return &chaos->slots[place * (chaos->threads + 1) + thread];
}

/* ---- Calls -------------------------------------------------------------------------------------------------------------- */

uint32_t chaos_room(const struct chaos_slot *slot) {
    return slot->size - atomic_load(&slot->used);
}

/* From here on the call may have happened. */
void chaos_begin(struct chaos_worker *worker, const struct chaos_op *op) {
    struct chaos_slot *slot = worker->slot;
    unsigned used = atomic_load(&slot->used);
    worker->op = &slot->log[used];
    worker->stops = worker->place ? atomic_load(&worker->place->stops) : 0;
    *worker->op = *op;
    atomic_store(&worker->op->returned, 0);
    worker->op->invoked = chaos_now();
    atomic_store(&slot->used, used + 1);
    atomic_fetch_add(&slot->beat, 1);
}

/* Right after the call: what it returned, and when. */
int chaos_returned(struct chaos_worker *worker, int result) {
    worker->ended = chaos_now();
    worker->op->result = (int8_t)result;
    return result;
}

/* The caller has put what else the call told into worker->op. How long it took says little where it waited for others. */
void chaos_end(struct chaos_worker *worker) {
    struct chaos_slot *slot = worker->slot;
    struct chaos_op *op = worker->op;
    if (op->verb != CHAOS_FILL && op->verb != CHAOS_PUBLISH && op->verb != CHAOS_WAIT)
        chaos_count(op->verb == CHAOS_GET ? &slot->reads : &slot->writes, (worker->ended - op->invoked) / 1000);
    atomic_fetch_add_explicit(&slot->counts[op->verb], 1, memory_order_relaxed);
    atomic_store(&op->returned, worker->ended);
    atomic_fetch_add(&slot->beat, 1);
}

/* A call that is over: one key of a scan. */
void chaos_note(struct chaos_worker *worker, const struct chaos_op *op) {
    struct chaos_slot *slot = worker->slot;
    unsigned used = atomic_load(&slot->used);
    slot->log[used] = *op;
    atomic_store(&slot->used, used + 1);
    atomic_fetch_add(&slot->beat, 1);
}

/* The write that is running, or was when its thread died; NULL: none. */
const struct chaos_op *chaos_running_write(const struct chaos_slot *slot) {
    unsigned used = atomic_load(&slot->used);
    const struct chaos_op *last = used ? &slot->log[used - 1] : NULL;
    return last && atomic_load(&last->returned) == 0 && last->verb != CHAOS_GET && last->verb != CHAOS_WAIT ? last : NULL;
}

/* The slot's thread is dead, and so its last call can no longer take effect. */
void chaos_bury(struct chaos_slot *slot) {
    unsigned used = atomic_load(&slot->used);
    struct chaos_op *last = used ? &slot->log[used - 1] : NULL;
    atomic_store(&slot->active, 0);
    atomic_store(&slot->repairing, 0);
    atomic_store(&slot->pid, 0);
    if (!last || atomic_load(&last->returned) != 0)
        return;
    last->flags |= CHAOS_CRASHED;
    last->version = 0;
    atomic_store(&last->returned, chaos_now());
}

/* Remembers when a process was told to die, for whoever repairs after it. */
void chaos_mark(struct chaos *chaos, int pid) {
    struct chaos_mark *mark = &chaos->marks[(unsigned)pid % CHAOS_MARKS];
    atomic_store(&mark->pid, 0);
    atomic_store(&mark->when, chaos_now());
    atomic_store(&mark->pid, (unsigned)pid);
}
