/* SPDX-License-Identifier: MIT */
/*
 * The figures of one size. Operations are timed by chunks, of which the median counts; whole-store work by its median run.
 */
#include "sizes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <holdfast.h>

enum { REFUSALS = 4096 /* one after the other: then every stripe is full */, KILL_MS = 300 };

struct sized {
    const struct bench_ask *ask;
    char path[256];
    hf_store *store;
    struct hf_info info;
    struct bench_random random;
    struct bench_draw draw;
    uint64_t next; /* number of the next new entry */
    unsigned odd;  /* how many of those a full store took */
    char *value;
    int result; /* of the last call */
};

static int failed(void) {
    return bench_interrupted() ? bench_explain("interrupted") : bench_explain("%s", hf_explain());
}

/* ---- Stores ------------------------------------------------------------------------------------------------------------- */

static int make_store(struct sized *sized, uint64_t entries, uint32_t mode) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = HF_CREATE | HF_EXCLUSIVE;
    options.mode = mode;
    options.entries = entries;
    options.entry_size = (uint32_t)(((sized->ask->key_size + 7) & ~UINT64_C(7)) + sized->ask->value_size);
    options.max_value = (uint32_t)sized->ask->value_size;
    sized->info = (struct hf_info)HF_INFO_INIT;
    sized->result = hf_open(&sized->store, sized->path, &options);
    if (sized->result == HF_OK)
        sized->result = hf_info(sized->store, &sized->info);
    return sized->result == HF_OK ? BENCH_DONE : failed();
}

static void drop_store(struct sized *sized) {
    hf_close(&sized->store);
    unlink(sized->path);
}

/* ---- Operations --------------------------------------------------------------------------------------------------------- */

/* Each makes one operation; false: it gave what it must not. */
typedef bool step_fn(struct sized *sized);

static bool get_number(struct sized *sized, uint64_t number, int wanted) {
    char key[BENCH_KEY_MAX];
    size_t length;
    bench_key(key, (uint32_t)sized->ask->key_size, number);
    sized->result = hf_get(sized->store, key, (size_t)sized->ask->key_size, sized->value, BENCH_VALUE_MAX, &length, NULL);
    return sized->result == wanted;
}

static int put_number(struct sized *sized, uint64_t number) {
    char key[BENCH_KEY_MAX];
    bench_key(key, (uint32_t)sized->ask->key_size, number);
    memcpy(sized->value, &number, sizeof number);
    sized->result = hf_put(sized->store, key, (size_t)sized->ask->key_size, sized->value, (size_t)sized->ask->value_size, NULL,
                           NULL);
    return sized->result;
}

static bool step_get(struct sized *sized) {
    return get_number(sized, bench_draw(&sized->draw, &sized->random), HF_OK);
}

static bool step_miss(struct sized *sized) {
    return get_number(sized, bench_draw(&sized->draw, &sized->random) + BENCH_ABSENT, HF_NOTFOUND);
}

static bool step_put(struct sized *sized) {
    return put_number(sized, bench_draw(&sized->draw, &sized->random)) == HF_OK;
}

static bool step_insert(struct sized *sized) {
    return put_number(sized, sized->next++) == HF_OK;
}

/* Of very many stripes one may have room still for the odd key; for few, or it was not full. */
static bool step_refused(struct sized *sized) {
    int result = put_number(sized, sized->next++);
    return result == HF_ERR_FULL || (result == HF_OK && ++sized->odd < REFUSALS);
}

/* For as long as was asked: nanoseconds of one operation in the median chunk. */
static int time_step(struct sized *sized, step_fn *step, double *ns) {
    static struct bench_histogram chunks;
    uint64_t end = bench_now() + sized->ask->seconds * 1000000000u, made = 0;
    memset(&chunks, 0, sizeof chunks);
    do {
        uint64_t before = bench_now();
        for (unsigned i = 0; i < BENCH_CHUNK; i++) {
            if (!step(sized))
                return sized->result < 0 ? failed() : bench_explain("an operation found %s", hf_result_name(sized->result));
        }
        bench_note(&chunks, bench_now() - before);
        made += BENCH_CHUNK;
        if (bench_interrupted())
            return failed();
    } while (sized->ask->operations ? made < sized->ask->operations : bench_now() < end);
    *ns = (double)bench_quantile(&chunks, 0.5) / BENCH_CHUNK;
    return BENCH_DONE;
}

static int load(struct sized *sized, uint64_t entries) {
    for (sized->next = 0; sized->next < entries;) {
        if (!step_insert(sized) || bench_interrupted())
            return failed();
    }
    return BENCH_DONE;
}

/* ---- Whole-store work --------------------------------------------------------------------------------------------------- */

/* Each does it once; the time is taken around it. */
typedef int work_fn(struct sized *sized);

static int work_open(struct sized *sized) {
    return hf_open(&sized->store, sized->path, NULL);
}

static int work_check(struct sized *sized) {
    return hf_check(sized->store, NULL, NULL);
}

static int work_repair(struct sized *sized) {
    return hf_repair(sized->store, NULL);
}

static int work_scan(struct sized *sized) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0, seen = 0;
    int result;
    while ((result = hf_scan(sized->store, &cursor, 0, &item)) == HF_OK)
        seen++;
    hf_item_free(&item);
    return result != HF_END ? result : seen == sized->draw.entries ? HF_OK : HF_NOTFOUND;
}

/* The median of the repeats, in seconds. `reopens`: the store is closed before each and open after it. */
static int time_work(struct sized *sized, work_fn *work, bool reopens, double *seconds) {
    double times[BENCH_REPEATS_MAX];
    for (uint64_t i = 0; i < sized->ask->repeats; i++) {
        if (reopens)
            hf_close(&sized->store);
        uint64_t before = bench_now();
        sized->result = work(sized);
        times[i] = (double)(bench_now() - before) * 1e-9;
        if (sized->result != HF_OK || bench_interrupted())
            return failed();
    }
    *seconds = bench_median(times, (size_t)sized->ask->repeats);
    return BENCH_DONE;
}

/* Others: a process that writes and is killed now and then. Its victims' repairs are what the store tells of them: those that
 * they made of each other, and those that are left at the end, for a stripe may take longer to repair than they live. */
static int time_recovery(struct sized *sized, struct bench_figures *figures) {
    static struct hf_recovery recoveries[256];
    double us[256], seconds = 0;
    size_t count = 0;
    uint64_t kills = 0, repairs = 0;
    struct bench_nuisance nuisance;
    const struct timespec pause = { .tv_nsec = KILL_MS * 1000000 };
    if (bench_nuisance_start(&nuisance, sized->path, sized->ask, true) != BENCH_DONE)
        return BENCH_FAILED;
    nanosleep(&pause, NULL);
    int answer = time_work(sized, work_open, true, &seconds);
    bench_nuisance_end(&nuisance, &kills, &repairs);
    figures->open_joining = seconds * 1e6;
    if (answer != BENCH_DONE || (sized->result = hf_expire(sized->store, NULL)) != HF_OK ||
        (sized->result = hf_recoveries(sized->store, recoveries, 256, &count)) != HF_OK)
        return failed();
    size_t dead = 0;
    for (size_t i = 0; i < count; i++) {
        if (recoveries[i].verdict == HF_VERDICT_OLD || recoveries[i].verdict == HF_VERDICT_NEW)
            us[dead++] = recoveries[i].microseconds;
    }
    figures->recovery = bench_median(us, dead);
    double stripe = (double)sized->info.file_size / sized->info.stripes;
    figures->recovery_rate = figures->recovery > 0 ? stripe / figures->recovery * 1e-3 : 0;
    return BENCH_DONE;
}

/* ---- The three stores of a size ----------------------------------------------------------------------------------------- */

static int measure_whole(struct sized *sized, struct bench_figures *figures) {
    double open = 0, check = 0, repair = 0, scan = 0, size = (double)sized->info.file_size;
    if (time_work(sized, work_open, true, &open) != BENCH_DONE || time_work(sized, work_check, false, &check) != BENCH_DONE ||
        time_work(sized, work_repair, false, &repair) != BENCH_DONE || time_work(sized, work_scan, false, &scan) != BENCH_DONE)
        return BENCH_FAILED;
    figures->open_first = open * 1e6;
    figures->check = size / check * 1e-9;
    figures->repair = size / repair * 1e-9;
    figures->scanned = (double)figures->entries / scan;
    figures->bytes = size / (double)figures->entries;
    return BENCH_DONE;
}

static int measure_plain(struct sized *sized, struct bench_figures *figures) {
    if (load(sized, figures->entries) != BENCH_DONE || measure_whole(sized, figures) != BENCH_DONE ||
        time_step(sized, step_get, &figures->get) != BENCH_DONE || time_step(sized, step_miss, &figures->miss) != BENCH_DONE ||
        time_step(sized, step_put, &figures->put) != BENCH_DONE)
        return BENCH_FAILED;
    return time_recovery(sized, figures);
}

static int measure_full(struct sized *sized, struct bench_figures *figures) {
    for (unsigned refused = 0; refused < REFUSALS;) {
        int result = put_number(sized, sized->next++);
        if ((result != HF_OK && result != HF_ERR_FULL) || bench_interrupted())
            return failed();
        refused = result == HF_OK ? 0 : refused + 1;
    }
    if (time_step(sized, step_refused, &figures->full_refused) != BENCH_DONE ||
        time_step(sized, step_get, &figures->full_get) != BENCH_DONE)
        return BENCH_FAILED;
    return time_step(sized, step_put, &figures->full_put);
}

/* Full for certain: twice as many as it was made for went in. */
static int measure_cache(struct sized *sized, struct bench_figures *figures) {
    if (load(sized, 2 * figures->entries) != BENCH_DONE)
        return BENCH_FAILED;
    return time_step(sized, step_insert, &figures->evicting_put);
}

typedef int measure_fn(struct sized *sized, struct bench_figures *figures);

static int measure_mode(struct sized *sized, struct bench_figures *figures, uint32_t mode, measure_fn *first, measure_fn *then) {
    int answer = make_store(sized, figures->entries, mode);
    if (answer == BENCH_DONE)
        answer = first(sized, figures);
    if (answer == BENCH_DONE && then)
        answer = then(sized, figures);
    drop_store(sized);
    return answer;
}

int bench_sizes_measure(struct bench_figures *figures, const struct bench_ask *ask, const char *scratch) {
    static char value[BENCH_VALUE_MAX];
    struct bench_ask sized_ask = *ask;
    struct sized sized = { .ask = &sized_ask, .value = value, .random = { ask->seed } };
    sized_ask.entries = figures->entries;
    sized.draw = bench_draw_over(BENCH_UNIFORM, figures->entries);
    snprintf(sized.path, sizeof sized.path, "%s/store", scratch);
    if (measure_mode(&sized, figures, HF_MODE_STORE, measure_plain, measure_full) != BENCH_DONE)
        return BENCH_FAILED;
    return measure_mode(&sized, figures, HF_MODE_CACHE, measure_cache, NULL);
}

/* ---- Printing ----------------------------------------------------------------------------------------------------------- */

static void print_row(const char *text, const double *values, unsigned count) {
    printf("%-42s", text);
    for (unsigned i = 0; i < count; i++) {
        if (values[i] > 0)
            printf(" %14.*f", values[i] < 100 ? 2 : values[i] < 1000 ? 1 : 0, values[i]);
        else
            printf(" %14s", "-"); /* nobody died where it could be measured */
    }
    putchar('\n');
}

void bench_sizes_print(const struct bench_figures *figures, unsigned count, const struct bench_ask *ask,
                       const struct bench_machine *machine) {
    double values[BENCH_SIZES_MAX] = { 0 };
    bench_print_machine(machine);
    printf("run          1 process, %u + %u bytes an entry, uniform keys; the median of chunks of %d operations\n\n%-42s",
           (unsigned)ask->key_size, (unsigned)ask->value_size, BENCH_CHUNK, "entries");
    for (unsigned i = 0; i < count; i++)
        printf(" %14llu", (unsigned long long)figures[i].entries);
    putchar('\n');
#define BENCH_FIGURE(name, text) \
    for (unsigned i = 0; i < count; i++) \
        values[i] = figures[i].name; \
    print_row(text, values, count);
    BENCH_FIGURES(BENCH_FIGURE)
#undef BENCH_FIGURE
}

static void json_figure(const char *name, double value) {
    if (value > 0)
        printf(",\"%s\":%.3f", name, value);
    else
        printf(",\"%s\":null", name);
}

void bench_sizes_json(const struct bench_figures *figures, unsigned count, const struct bench_ask *ask,
                      const struct bench_machine *machine) {
    putchar('{');
    bench_json_machine(machine);
    printf(",\"key_size\":%u,\"value_size\":%u,\"sizes\":[", (unsigned)ask->key_size, (unsigned)ask->value_size);
    for (unsigned i = 0; i < count; i++) {
        printf("%s{\"entries\":%llu", i ? "," : "", (unsigned long long)figures[i].entries);
#define BENCH_FIGURE(name, text) json_figure(#name, figures[i].name);
        BENCH_FIGURES(BENCH_FIGURE)
#undef BENCH_FIGURE
        putchar('}');
    }
    printf("]}\n");
}
