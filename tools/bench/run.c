/* SPDX-License-Identifier: MIT */
/*
 * One order, carried out by one thread: draws a chunk of keys, then makes the operations while the clock runs. The loop is kept
 * short, since its own time is counted with that of the store.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "team.h"

enum operation { GET, PUT, INSERT, MODIFY, ERASE };

struct run {
    const struct bench_engine *engine;
    void *context;
    struct bench_board *board;
    const struct bench_work *work;
    struct bench_result *result;
    struct bench_random *random;
    struct bench_draw draw;
    uint64_t next, end; /* of those orders that take one entry after the other */
    uint64_t until;     /* sampled: operations to go to the next that is timed */
    uint32_t key_size, value_size, batch, sample;
    bool verified;
    char *buffer, *value, *keys;
    struct bench_item *items;
    uint64_t numbers[BENCH_CHUNK];
    unsigned char operations[BENCH_CHUNK];
};

uint64_t bench_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- Keys and values ---------------------------------------------------------------------------------------------------- */

/* A value begins with its entry's number, and ends with a random word, if it has room for both; between is what was there. */
static const char *value_of(struct run *run, uint64_t number) {
    uint64_t word = bench_next(run->random);
    memcpy(run->value + run->value_size - 8, &word, 8);
    memcpy(run->value, &number, 8);
    return run->value;
}

static void judge(struct run *run, int answer, uint64_t number, const char *value, size_t length) {
    uint64_t found;
    if (answer == BENCH_MISSING) {
        run->result->misses++;
        return;
    }
    memcpy(&found, value, 8);
    run->result->hits++;
    if (length != run->value_size || (run->verified && found != number))
        run->result->wrong++;
}

/* What a chase goes on from: the end of the value, so that the whole copy was waited for. */
static uint64_t last_word(const struct run *run) {
    uint64_t word;
    memcpy(&word, run->buffer + run->value_size - 8, 8);
    return word;
}

/* ---- Operations --------------------------------------------------------------------------------------------------------- */

static int get(struct run *run, uint64_t number) {
    char key[BENCH_KEY_MAX];
    size_t length = 0;
    bench_key(key, run->key_size, number);
    int answer = run->engine->get(run->context, key, run->key_size, run->buffer, run->value_size, &length);
    if (answer != BENCH_FAILED)
        judge(run, answer, number, run->buffer, length);
    return answer;
}

static int put(struct run *run, uint64_t number) {
    char key[BENCH_KEY_MAX];
    bench_key(key, run->key_size, number);
    return run->engine->put(run->context, key, run->key_size, value_of(run, number), run->value_size);
}

static int insert(struct run *run) {
    uint64_t inserted = __atomic_fetch_add(&run->board->inserted, 1, __ATOMIC_RELAXED);
    return inserted < run->work->room ? put(run, run->work->entries + inserted) : BENCH_DONE;
}

static int erase(struct run *run, uint64_t number) {
    char key[BENCH_KEY_MAX];
    bench_key(key, run->key_size, number);
    int answer = run->engine->erase(run->context, key, run->key_size);
    *(answer == BENCH_MISSING ? &run->result->misses : &run->result->hits) += 1;
    return answer;
}

static inline int operate(struct run *run, unsigned i) {
    uint64_t number = run->numbers[i];
    switch ((enum operation)run->operations[i]) {
    case GET:
        return get(run, number);
    case PUT:
        return put(run, number);
    case INSERT:
        return insert(run);
    case MODIFY:
        return get(run, number) == BENCH_FAILED ? BENCH_FAILED : put(run, number);
    case ERASE:
        return erase(run, number);
    }
    return BENCH_FAILED;
}

static int get_each(struct run *run, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        struct bench_item *item = &run->items[i];
        item->result = run->engine->get(run->context, item->key, item->key_len, item->buffer, item->size, &item->value_len);
        if (item->result == BENCH_FAILED)
            return BENCH_FAILED;
    }
    return BENCH_DONE;
}

static int get_batch(struct run *run, unsigned first, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        bench_key(run->keys + i * run->key_size, run->key_size, run->numbers[first + i]);
    int answer = run->engine->get_many ? run->engine->get_many(run->context, run->items, count) : get_each(run, count);
    for (unsigned i = 0; answer != BENCH_FAILED && i < count; i++)
        judge(run, run->items[i].result, run->numbers[first + i], run->items[i].buffer, run->items[i].value_len);
    return answer;
}

/* ---- Chunks ------------------------------------------------------------------------------------------------------------- */

static enum operation draw_operation(const struct bench_mix *mix, uint64_t percent) {
    if (percent < mix->get)
        return GET;
    if (percent < mix->get + mix->put)
        return PUT;
    if (percent < mix->get + mix->put + mix->insert)
        return INSERT;
    return percent < mix->get + mix->put + mix->insert + mix->modify ? MODIFY : ERASE;
}

static bool in_turn(const struct bench_work *work) {
    return work->kind == BENCH_LOAD || work->kind == BENCH_ERASE || work->kind == BENCH_VISIT;
}

static uint64_t youngest(const struct run *run) {
    uint64_t inserted = __atomic_load_n(&run->board->inserted, __ATOMIC_RELAXED);
    return run->work->entries + (inserted < run->work->room ? inserted : run->work->room);
}

static void draw_turn(struct run *run, unsigned count) {
    enum operation operation = run->work->kind == BENCH_LOAD ? PUT : run->work->kind == BENCH_ERASE ? ERASE : GET;
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = run->next++;
        if (operation == ERASE)
            at = at * run->draw.stride % run->draw.entries;
        run->numbers[i] = at + run->work->first;
        run->operations[i] = (unsigned char)operation;
    }
}

static void draw_chunk(struct run *run, unsigned count) {
    const struct bench_work *work = run->work;
    if (in_turn(work)) {
        draw_turn(run, count);
        return;
    }
    if (work->distribution == BENCH_LATEST)
        run->draw.zipf = bench_zipf_over(run->draw.entries = youngest(run), run->draw.zipf.exponent);
    bool plain = work->kind != BENCH_MIXED || work->mix.get == 100;
    for (unsigned i = 0; i < count; i++) {
        run->numbers[i] = bench_draw(&run->draw, run->random) + work->first;
        run->operations[i] = plain ? GET : (unsigned char)draw_operation(&work->mix, bench_below(run->random, 100));
    }
}

/* One operation, or one batch, of a chunk. */
static inline int step(struct run *run, unsigned i, unsigned count) {
    if (run->work->kind == BENCH_GET_MANY)
        return get_batch(run, i, count - i < run->batch ? count - i : run->batch);
    if (run->work->kind == BENCH_CHASE) {
        run->random->state ^= last_word(run);
        run->numbers[i] = bench_draw(&run->draw, run->random);
    }
    return operate(run, i);
}

static int timed_step(struct run *run, unsigned i, unsigned count) {
    uint64_t before = bench_now();
    int answer = step(run, i, count);
    bench_note(&run->result->times, bench_now() - before);
    run->until = run->sample == 1 ? 1 : 1 + bench_below(run->random, 2 * run->sample - 1);
    return answer;
}

static int run_chunk(struct run *run, unsigned count) {
    unsigned stride = run->work->kind == BENCH_GET_MANY ? run->batch : 1;
    for (unsigned i = 0; i < count; i += stride) {
        int answer = --run->until == 0 ? timed_step(run, i, count) : step(run, i, count);
        if (answer == BENCH_FAILED)
            return BENCH_FAILED;
    }
    return BENCH_DONE;
}

/* ---- Orders ------------------------------------------------------------------------------------------------------------- */

static unsigned full_chunk(const struct run *run) {
    return BENCH_CHUNK / run->batch * run->batch;
}

/* Operations that come next: all of a chunk, or what is left. */
static unsigned chunk_of(const struct run *run, uint64_t left) {
    uint64_t most = full_chunk(run);
    if (in_turn(run->work) && run->end - run->next < left)
        left = run->end - run->next;
    return (unsigned)(left < most ? left : most);
}

static bool out_of_room(const struct run *run) {
    const struct bench_work *work = run->work;
    return work->mix.insert != 0 && work->kind == BENCH_MIXED &&
           __atomic_load_n(&run->board->inserted, __ATOMIC_RELAXED) >= work->room;
}

/* Makes `operations` of them, or until the moment `stop`. *busy: how long it took, without the draws. */
static int run_until(struct run *run, uint64_t operations, uint64_t stop, uint64_t *busy) {
    uint64_t made = 0, now = 0;
    unsigned count;
    *busy = 0;
    while (now < stop && (count = chunk_of(run, operations - made)) != 0 && !bench_seen(&run->board->failed)) {
        draw_chunk(run, count);
        uint64_t before = bench_now();
        if (run_chunk(run, count) == BENCH_FAILED)
            return BENCH_FAILED;
        now = bench_now();
        *busy += now - before;
        if (count == full_chunk(run))
            bench_note(&run->result->chunks, now - before);
        made += count;
        if (out_of_room(run))
            break;
    }
    run->result->operations = made;
    return BENCH_DONE;
}

static uint32_t threads_of(const struct bench_crew *crew) {
    uint32_t processes = crew->board->work.processes;
    return (processes && processes < crew->processes ? processes : crew->processes) * crew->threads;
}

/* Everybody begins when the last has come. */
static void start_line(struct bench_board *board, uint32_t threads) {
    if (__atomic_add_fetch(&board->arrived, 1, __ATOMIC_ACQ_REL) == threads)
        __atomic_store_n(&board->start_ns, bench_now(), __ATOMIC_RELEASE);
    while (__atomic_load_n(&board->start_ns, __ATOMIC_ACQUIRE) == 0 && !bench_seen(&board->quit))
        sched_yield();
}

/* The share of one of `parts`. */
static void take_share(struct run *run, uint64_t part, uint64_t parts) {
    run->next = run->work->entries / parts * part + (part < run->work->entries % parts ? part : run->work->entries % parts);
    run->end = run->next + run->work->entries / parts + (part < run->work->entries % parts);
}

static bool prepare(struct run *run, const struct bench_crew *crew, unsigned seat, void *const *contexts) {
    const struct bench_work *work = run->work;
    const struct bench_config *config = &crew->stores[work->store].config;
    run->engine = crew->stores[work->store].engine;
    run->context = contexts[work->store];
    run->key_size = config->key_size;
    run->value_size = config->value_size;
    run->verified = !(run->engine->abilities & BENCH_IS_LIMIT);
    run->batch = work->kind == BENCH_GET_MANY && work->batch ? work->batch : 1;
    run->sample = work->sample ? work->sample : BENCH_SAMPLE;
    run->sample = run->sample / run->batch ? run->sample / run->batch : 1;
    run->until = 1 + bench_below(run->random, run->sample);
    run->draw = bench_draw_over(work->distribution, work->entries);
    if (work->kind == BENCH_VISIT)
        take_share(run, seat % crew->threads, crew->threads);
    else
        take_share(run, seat, threads_of(crew));
    run->value = calloc(1, run->value_size);
    run->buffer = calloc(run->batch, run->value_size);
    run->keys = calloc(run->batch, run->key_size);
    run->items = calloc(run->batch, sizeof *run->items);
    if (!run->value || !run->buffer || !run->keys || !run->items)
        return bench_explain("no memory for %u values", run->batch) == BENCH_DONE;
    for (uint32_t i = 0; i < run->batch; i++)
        run->items[i] = (struct bench_item){ .key = run->keys + i * run->key_size, .buffer = run->buffer + i * run->value_size,
                                             .key_len = run->key_size, .size = run->value_size };
    for (uint32_t i = 0; i < run->value_size; i++)
        run->value[i] = (char)bench_next(run->random);
    return true;
}

static int carry_out(struct run *run, const struct bench_crew *crew, struct bench_seat *own) {
    const struct bench_work *work = run->work;
    uint64_t threads = threads_of(crew), busy;
    bool turn = in_turn(work);
    if (!turn && work->warm_up && run_until(run, work->warm_up, UINT64_MAX, &busy) == BENCH_FAILED)
        return BENCH_FAILED;
    memset(run->result, 0, sizeof *run->result);
    start_line(run->board, (uint32_t)threads);
    uint64_t operations = work->operations && !turn ? (work->operations + threads - 1) / threads : UINT64_MAX;
    uint64_t stop = work->ns && !turn ? run->board->start_ns + work->ns : UINT64_MAX;
    return run_until(run, operations, stop, &own->busy_ns);
}

void bench_carry_out(const struct bench_crew *crew, unsigned seat, void *const *contexts, struct bench_random *random) {
    struct bench_seat *own = &crew->board->seat[seat];
    struct run *run = calloc(1, sizeof *run);
    own->answer = BENCH_FAILED;
    if (run) {
        run->board = crew->board;
        run->work = &crew->board->work;
        run->result = &own->result;
        run->random = random;
        if (prepare(run, crew, seat, contexts))
            own->answer = carry_out(run, crew, own);
        free(run->value);
        free(run->buffer);
        free(run->keys);
        free(run->items);
        free(run);
    } else {
        bench_explain("no memory");
    }
    if (own->answer == BENCH_FAILED) {
        snprintf(own->reason, sizeof own->reason, "%s", bench_reason());
        __atomic_store_n(&crew->board->failed, 1, __ATOMIC_RELEASE);
    }
}
