/* SPDX-License-Identifier: MIT */
/*
 * What a team does, told by an engine that only counts: every entry is loaded and deleted exactly once, orders make as many
 * operations as were asked for by as many processes, and whatever goes wrong is told.
 *
 *     bench_team [CASE...]
 */
#include "../check.h"
#include "bench.h"

#include <signal.h>

const unsigned test_seconds = 120;

enum { ENTRIES = 5000, ROOM = 700, PROCESSES = 3, THREADS = 2 };

/* ---- An engine that counts ------------------------------------------------------------------------------------------------- */

static struct tally {
    uint32_t puts[ENTRIES + ROOM], erases[ENTRIES + ROOM];
    uint64_t gets, batches, strangers, opened, closed, attached, left;
    uint32_t fail_put; /* the put that fails; 0: none      */
    uint32_t die_get;  /* the get in which the process dies */
    uint32_t lie_get;  /* gets from this one on give the value of another key */
    pid_t getters[PROCESSES];
} *tally;

#define ADD(counter) __atomic_add_fetch(&(counter), 1, __ATOMIC_RELAXED)

/* Found by looking: the number whose key this is. */
static uint64_t number_of(const void *key, size_t key_len) {
    static char (*keys)[16];
    static bool made;
    if (!__atomic_load_n(&made, __ATOMIC_ACQUIRE)) {
        char (*all)[16] = malloc((ENTRIES + ROOM) * sizeof *all);
        for (uint64_t i = 0; i < ENTRIES + ROOM; i++)
            bench_key(all[i], 16, i);
        keys = all;
        __atomic_store_n(&made, true, __ATOMIC_RELEASE);
    }
    for (uint64_t i = 0; key_len == 16 && i < ENTRIES + ROOM; i++) {
        if (memcmp(keys[i], key, 16) == 0)
            return i;
    }
    ADD(tally->strangers);
    return ENTRIES + ROOM - 1;
}

static int open_counter(const char *path, const struct bench_config *config, void **store) {
    (void)config;
    ADD(tally->opened);
    *store = tally;
    return strcmp(path, "refused") == 0 ? bench_explain("refused by name") : BENCH_DONE;
}

static int attach(void *store, unsigned index, void **context) {
    ADD(tally->attached);
    *context = store;
    return index < THREADS ? BENCH_DONE : bench_explain("thread %u", index);
}

static void leave(void *context) {
    (void)context;
    ADD(tally->left);
}

static void close_counter(void *store) {
    (void)store;
    ADD(tally->closed);
}

static int put(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    static uint32_t made;
    uint64_t number = number_of(key, key_len), told;
    (void)context;
    memcpy(&told, value, sizeof told);
    if (told != number || value_len != 24)
        ADD(tally->strangers);
    ADD(tally->puts[number]);
    unsigned mine = ADD(made); /* others go on counting */
    return mine == tally->fail_put ? bench_explain("put number %u", mine) : BENCH_DONE;
}

static int get(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    uint64_t number = number_of(key, key_len), made = ADD(tally->gets);
    (void)context;
    if (made == tally->die_get)
        raise(SIGKILL);
    number += tally->lie_get && made >= tally->lie_get;
    memset(buffer, 0, size);
    memcpy(buffer, &number, sizeof number);
    *value_len = size;
    return BENCH_DONE;
}

static int get_many(void *context, struct bench_item *items, size_t count) {
    ADD(tally->batches);
    for (size_t i = 0; i < count; i++)
        items[i].result =
            get(context, items[i].key, items[i].key_len, items[i].buffer, items[i].size, &items[i].value_len);
    return BENCH_DONE;
}

static int erase(void *context, const void *key, size_t key_len) {
    (void)context;
    ADD(tally->erases[number_of(key, key_len)]);
    return BENCH_DONE;
}

static const struct bench_engine counter = {
    .name = "counter",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS,
    .open = open_counter,
    .thread = attach,
    .put = put,
    .get = get,
    .get_many = get_many,
    .erase = erase,
    .thread_end = leave,
    .close = close_counter,
};

static const struct bench_engine lonely = { .name = "lonely", .open = open_counter, .get = get };

/* ---- Teams ----------------------------------------------------------------------------------------------------------------- */

static struct bench_result result;

static struct bench_team *start(const struct bench_engine *engine, const char *path) {
    struct bench_store store = { .engine = engine, .path = path,
                                 .config = { .entries = ENTRIES, .key_size = 16, .value_size = 24, .processes = PROCESSES,
                                             .threads = THREADS } };
    tally = check_shared(sizeof *tally);
    return bench_team_start(&store, 1, PROCESSES, THREADS, 1);
}

static struct bench_team *must_start(void) {
    struct bench_team *team = start(&counter, "");
    check_at("%s", bench_reason());
    CHECK(team != NULL);
    return team;
}

static void must_run(struct bench_team *team, struct bench_work work) {
    if (work.entries == 0)
        work.entries = ENTRIES;
    int answer = bench_team_run(team, &work, &result);
    check_at("%s", bench_reason());
    CHECK_EQ(answer, BENCH_DONE);
}

static void each_once(const uint32_t *counts, uint64_t from, uint64_t to) {
    for (uint64_t i = 0; i < ENTRIES + ROOM; i++) {
        check_at("entry %llu", (unsigned long long)i);
        CHECK_EQ(counts[i], i >= from && i < to ? 1 : 0);
    }
}

static void case_each_once(void) {
    struct bench_team *team = must_start();
    must_run(team, (struct bench_work){ .kind = BENCH_LOAD });
    CHECK_EQ(result.operations, ENTRIES);
    CHECK_EQ(result.threads, PROCESSES * THREADS);
    each_once(tally->puts, 0, ENTRIES);
    must_run(team, (struct bench_work){ .kind = BENCH_VISIT });
    CHECK_EQ(result.hits, ENTRIES * PROCESSES);
    CHECK_EQ(tally->gets, ENTRIES * PROCESSES);
    must_run(team, (struct bench_work){ .kind = BENCH_ERASE, .entries = ENTRIES - 1, .first = 1 });
    each_once(tally->erases, 1, ENTRIES);
    bench_team_end(&team);
    CHECK(team == NULL);
    CHECK_EQ(tally->opened, PROCESSES);
    CHECK_EQ(tally->closed, PROCESSES);
    CHECK_EQ(tally->attached, PROCESSES * THREADS);
    CHECK_EQ(tally->left, PROCESSES * THREADS);
    CHECK_EQ(tally->strangers, 0);
}

/* As many operations as asked for, by as many processes, however orders follow each other. */
static void case_orders(void) {
    struct bench_team *team = must_start();
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t processes = 1 + i % PROCESSES;
        uint64_t before = tally->gets;
        must_run(team, (struct bench_work){ .kind = i % 2 ? BENCH_CHASE : BENCH_MIXED, .mix = { .get = 100 },
                                            .operations = 12 * processes, .processes = processes, .sample = 1 });
        check_at("order %u of %u processes", i, processes);
        CHECK_EQ(tally->gets - before, 12 * processes);
        CHECK_EQ(result.operations, 12 * processes);
        CHECK_EQ(result.hits, 12 * processes);
        CHECK_EQ(result.wrong, 0);
        CHECK_EQ(result.threads, processes * THREADS);
        CHECK_EQ(result.times.count, 12 * processes);
        CHECK(result.per_second > 0 && result.ns > 0 && result.typical_ns > 0);
    }
    bench_team_end(&team);
    CHECK_EQ(tally->strangers, 0);
}

static void case_batches(void) {
    struct bench_team *team = must_start();
    must_run(team, (struct bench_work){ .kind = BENCH_GET_MANY, .batch = 10, .operations = 1530, .processes = 1 });
    CHECK_EQ(result.operations, 1530);
    CHECK_EQ(result.hits, 1530);
    CHECK_EQ(result.wrong, 0);
    CHECK_EQ(tally->gets, 1530);
    CHECK_EQ(tally->batches, 2 * 77); /* two threads, 765 keys each */
    bench_team_end(&team);
}

static uint64_t sum_of(const uint32_t *counts, uint64_t from, uint64_t to) {
    uint64_t sum = 0;
    for (uint64_t i = from; i < to; i++)
        sum += counts[i];
    return sum;
}

static void case_mixes(void) {
    struct bench_team *team = must_start();
    must_run(team, (struct bench_work){ .kind = BENCH_MIXED, .mix = { .get = 50, .put = 30, .modify = 10, .erase = 10 },
                                        .operations = 30000, .distribution = BENCH_ZIPFIAN });
    uint64_t puts = sum_of(tally->puts, 0, ENTRIES), erases = sum_of(tally->erases, 0, ENTRIES);
    CHECK(tally->gets > 17000 && tally->gets < 19000); /* 18,000 wanted; the standard deviation is 85 */
    CHECK(puts > 11000 && puts < 13000);
    CHECK(erases > 2700 && erases < 3300);
    uint64_t modified = tally->gets + puts + erases - 30000; /* those make two calls */
    CHECK(modified > 2700 && modified < 3300);
    must_run(team, (struct bench_work){ .kind = BENCH_MIXED, .mix = { .get = 90, .insert = 10 }, .room = ROOM, .warm_up = 10,
                                        .distribution = BENCH_LATEST });
    CHECK_EQ(result.inserted, ROOM);
    for (uint64_t i = ENTRIES; i < ENTRIES + ROOM; i++)
        CHECK_EQ(tally->puts[i], 1);
    bench_team_end(&team);
    CHECK_EQ(tally->strangers, 0);
}

/* ---- What goes wrong ------------------------------------------------------------------------------------------------------- */

static void must_fail(struct bench_team *team, struct bench_work work, const char *reason) {
    work.entries = ENTRIES;
    int answer = bench_team_run(team, &work, &result);
    check_at("'%s', not '%s'", bench_reason(), reason);
    CHECK_EQ(answer, BENCH_FAILED);
    CHECK(strstr(bench_reason(), reason) != NULL);
}

static void case_failures(void) {
    struct bench_team *team = must_start();
    tally->fail_put = 100;
    must_fail(team, (struct bench_work){ .kind = BENCH_LOAD }, "put number 100");
    bench_team_end(&team);
    team = must_start();
    tally->die_get = 5000;
    must_fail(team, (struct bench_work){ .kind = BENCH_MIXED, .mix = { .get = 100 } }, "died of signal 9");
    bench_team_end(&team);
    team = must_start();
    tally->lie_get = 200;
    must_run(team, (struct bench_work){ .kind = BENCH_MIXED, .mix = { .get = 100 }, .operations = 600 });
    CHECK_EQ(result.wrong, 600 - 199);
    bench_team_end(&team);
    CHECK(start(&counter, "refused") == NULL);
    check_at("%s", bench_reason());
    CHECK(strcmp(bench_reason(), "refused by name") == 0);
    team = start(&lonely, "");
    CHECK(team != NULL);
    must_fail(team, (struct bench_work){ .kind = BENCH_LOAD }, "lonely does not offer");
    must_fail(team, (struct bench_work){ .kind = BENCH_MIXED, .mix = { .get = 100 } }, "lonely takes one process only");
    bench_team_end(&team);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        { "each-once", case_each_once }, { "orders", case_orders },     { "batches", case_batches },
        { "mixes", case_mixes },         { "failures", case_failures },
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
