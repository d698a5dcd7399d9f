/* SPDX-License-Identifier: MIT */
/*
 * Workloads by their names, and the order in which they run. Limits stand next to what they are the limit of, so that both meet
 * the machine in the same mood.
 */
#include "suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Lists of words ----------------------------------------------------------------------------------------------------- */

static const char blanks[] = " ,";

static bool has_word(const char *list, const char *word, size_t length) {
    for (list += strspn(list, blanks); *list; list += strspn(list, blanks)) {
        size_t here = strcspn(list, blanks);
        if (here == length && memcmp(list, word, length) == 0)
            return true;
        list += here;
    }
    return false;
}

/* The first word of a list that the other has, or has not. */
static const char *find_word(const char *list, const char *other, bool has) {
    for (list += strspn(list, blanks); *list; list += strspn(list, blanks)) {
        size_t length = strcspn(list, blanks);
        if (has_word(other, list, length) == has)
            return list;
        list += length;
    }
    return NULL;
}

const char *bench_strange_word(const char *list, const char *known) {
    return find_word(list, known, false);
}

/* ---- Lines -------------------------------------------------------------------------------------------------------------- */

enum { AS_ASKED = -1, OTHER_PROCESSES = 1, HIDDEN_UNLESS_ASKED = 2 };

struct template {
    const char *name;
    const char *wanted_by; /* workloads */
    unsigned store;
    enum bench_kind kind;
    struct bench_mix mix;
    int distribution; /* or AS_ASKED */
    uint64_t first;
    uint32_t sample;
    unsigned flags;
};

const char bench_workloads[] = "load get chase get-many miss put mixed delete killed ycsb ycsb-a ycsb-b ycsb-c ycsb-d ycsb-f";

/* In the order in which they run. Deleting and loading belong together: each leaves what the other begins with. The mixes are
 * those of YCSB's core workloads; its E scans ranges in the order of keys, which a hash table has not. */
static const struct template templates[] = {
    { "get", "get", BENCH_STORE, BENCH_MIXED, { .get = 100 }, AS_ASKED, 0, 0, 0 },
    { "limit of get", "get", BENCH_MEMORY, BENCH_MIXED, { .get = 100 }, AS_ASKED, 0, 0, 0 },
    { "get, others", "get", BENCH_STORE, BENCH_MIXED, { .get = 100 }, AS_ASKED, 0, 0, OTHER_PROCESSES },
    { "get-many", "get-many", BENCH_STORE, BENCH_GET_MANY, { .get = 100 }, AS_ASKED, 0, 0, 0 },
    { "miss", "miss", BENCH_STORE, BENCH_MIXED, { .get = 100 }, AS_ASKED, BENCH_ABSENT, 0, 0 },
    { "chase", "chase", BENCH_STORE, BENCH_CHASE, { .get = 100 }, AS_ASKED, 0, 0, 0 },
    { "limit of chase", "chase put", BENCH_MEMORY, BENCH_CHASE, { .get = 100 }, AS_ASKED, 0, 0, 0 },
    { "put", "put", BENCH_STORE, BENCH_MIXED, { .put = 100 }, AS_ASKED, 0, 0, 0 },
    { "lock", "put", BENCH_LOCK, BENCH_MIXED, { .put = 100 }, AS_ASKED, 0, 0, 0 },
    { "no work", "put", BENCH_NOTHING, BENCH_MIXED, { .put = 100 }, AS_ASKED, 0, 0, 0 },
    { "put, others", "put", BENCH_STORE, BENCH_MIXED, { .put = 100 }, AS_ASKED, 0, 0, OTHER_PROCESSES },
    { "mixed", "mixed", BENCH_STORE, BENCH_MIXED, { .get = 75, .put = 20, .erase = 5 }, AS_ASKED, 0, 0, 0 },
    { "ycsb-a", "ycsb ycsb-a", BENCH_STORE, BENCH_MIXED, { .get = 50, .put = 50 }, BENCH_ZIPFIAN, 0, 0, 0 },
    { "ycsb-b", "ycsb ycsb-b", BENCH_STORE, BENCH_MIXED, { .get = 95, .put = 5 }, BENCH_ZIPFIAN, 0, 0, 0 },
    { "ycsb-c", "ycsb ycsb-c", BENCH_STORE, BENCH_MIXED, { .get = 100 }, BENCH_ZIPFIAN, 0, 0, 0 },
    { "ycsb-d", "ycsb ycsb-d", BENCH_STORE, BENCH_MIXED, { .get = 95, .insert = 5 }, BENCH_LATEST, 0, 0, 0 },
    { "ycsb-f", "ycsb ycsb-f", BENCH_STORE, BENCH_MIXED, { .get = 50, .modify = 50 }, BENCH_ZIPFIAN, 0, 0, 0 },
    { "get undisturbed", "killed", BENCH_STORE, BENCH_MIXED, { .get = 100 }, AS_ASKED, 0, 16, 0 },
    { "get beside puts", "killed", BENCH_STORE, BENCH_MIXED, { .get = 100 }, AS_ASKED, 0, 16, 0 },
    { "get beside killed", "killed", BENCH_STORE, BENCH_MIXED, { .get = 100 }, AS_ASKED, 0, 16, 0 },
    { "delete", "delete load", BENCH_STORE, BENCH_ERASE, { .erase = 100 }, AS_ASKED, 0, 0, HIDDEN_UNLESS_ASKED },
    { "load", "delete load", BENCH_STORE, BENCH_LOAD, { .put = 100 }, AS_ASKED, 0, 0, HIDDEN_UNLESS_ASKED },
};

static const struct bench_line *line_of(const struct bench_suite *suite, const char *name) {
    for (unsigned i = 0; i < suite->line_count; i++) {
        if (strcmp(suite->lines[i].name, name) == 0)
            return &suite->lines[i];
    }
    return NULL;
}

static unsigned other_processes(const struct bench_ask *ask) {
    return ask->processes == 1 ? 2 : 1;
}

/* "get, 2 processes" */
static void name_other(char *name, const struct bench_ask *ask, const char *of) {
    unsigned processes = other_processes(ask);
    snprintf(name, sizeof ((struct bench_line *)NULL)->name, "%.3s, %u process%s", of, processes, processes > 1 ? "es" : "");
}

static bool is_wanted(const struct bench_suite *suite, const struct template *template, const char *workloads) {
    const struct bench_ask *ask = suite->ask;
    if (!find_word(template->wanted_by, workloads, true))
        return false;
    if (template->flags & OTHER_PROCESSES)
        return ask->processes <= ask->cores && other_processes(ask) <= ask->cores;
    return template->store == BENCH_STORE || ask->limits;
}

static struct bench_work work_of(const struct bench_ask *ask, const struct template *template) {
    struct bench_work work = { .store = template->store, .kind = template->kind, .mix = template->mix, .entries = ask->entries };
    work.first = template->first;
    work.sample = template->sample;
    work.distribution = template->distribution == AS_ASKED ? ask->distribution : (enum bench_distribution)template->distribution;
    work.operations = ask->operations;
    work.ns = ask->operations ? 0 : ask->seconds * 1000000000u;
    work.warm_up = ask->warm_up;
    work.batch = (uint32_t)ask->batch;
    work.processes = template->flags & OTHER_PROCESSES ? other_processes(ask) : (uint32_t)ask->processes;
    work.room = template->mix.insert ? ask->entries / 2 + 1 : 0;
    return work;
}

static void add_line(struct bench_suite *suite, const struct template *template, const char *workloads) {
    struct bench_line *line = &suite->lines[suite->line_count++];
    line->work = work_of(suite->ask, template);
    line->hidden = (template->flags & HIDDEN_UNLESS_ASKED) && !has_word(workloads, template->name, strlen(template->name));
    if (template->flags & OTHER_PROCESSES)
        name_other(line->name, suite->ask, template->name);
    else
        snprintf(line->name, sizeof line->name, "%s", template->name);
    if (line->work.processes > suite->processes)
        suite->processes = line->work.processes;
    if (line->work.room > suite->room)
        suite->room = line->work.room;
}

/* ---- Ratios ------------------------------------------------------------------------------------------------------------- */

static void add_ratio(struct bench_suite *suite, struct bench_ratio ratio) {
    if (!ratio.over || !ratio.under)
        return;
    if (!suite->ask->goals)
        ratio.goal = 0;
    suite->ratios[suite->ratio_count++] = ratio;
}

static void add_time(struct bench_suite *suite, const char *name, const char *over, const char *under, double goal) {
    const struct bench_line *line = line_of(suite, over);
    add_ratio(suite, (struct bench_ratio){ .name = name, .over = line, .under = line_of(suite, under), .goal = goal });
}

static void add_limit_ratios(struct bench_suite *suite) {
    add_time(suite, "get that waits for the one before / memory limit", "chase", "limit of chase", 1.15);
    add_time(suite, "get, independent / memory limit", "get", "limit of get", 1.7);
    if (line_of(suite, "lock"))
        add_ratio(suite, (struct bench_ratio){ .name = "put / (memory limit that waits + lock)", .over = line_of(suite, "put"),
                                               .under = line_of(suite, "limit of chase"), .plus = line_of(suite, "lock"),
                                               .minus = line_of(suite, "no work"), .goal = 1.6 });
    add_ratio(suite, (struct bench_ratio){ .name = "get_many against get, keys a second", .over = line_of(suite, "get-many"),
                                           .under = line_of(suite, "get"), .of = BENCH_OF_RATE, .goal = 2.5 });
}

/* The same work with one process and with several. */
static void add_scaling(struct bench_suite *suite, const char *of, const char *name) {
    char other_name[sizeof suite->lines->name];
    const struct bench_line *asked = line_of(suite, of), *other;
    name_other(other_name, suite->ask, of);
    other = line_of(suite, other_name);
    bool more = other && other->work.processes > asked->work.processes;
    add_ratio(suite, (struct bench_ratio){ .name = name, .over = more ? other : asked, .under = more ? asked : other,
                                           .of = BENCH_OF_RATE, .goal = suite->processes == 2 ? 1.9 : 0 });
}

static void add_p99(struct bench_suite *suite, const char *name, const char *under) {
    const struct bench_line *killed = line_of(suite, "get beside killed");
    add_ratio(suite, (struct bench_ratio){ .name = name, .over = killed, .under = line_of(suite, under), .of = BENCH_OF_P99,
                                           .goal = 2 });
}

static void add_ratios(struct bench_suite *suite) {
    add_limit_ratios(suite);
    add_scaling(suite, "get", "gets of all processes against one");
    add_scaling(suite, "put", "puts of all processes against one");
    add_p99(suite, "p99 beside killed writers / beside a living one", "get beside puts");
    add_p99(suite, "p99 beside killed writers / undisturbed", "get undisturbed");
}

void bench_suite_make(struct bench_suite *suite, const struct bench_ask *ask, const char *workloads) {
    memset(suite, 0, sizeof *suite);
    suite->ask = ask;
    suite->processes = (unsigned)ask->processes;
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        if (is_wanted(suite, &templates[i], workloads))
            add_line(suite, &templates[i], workloads);
    }
    add_ratios(suite);
}

/* ---- The run ------------------------------------------------------------------------------------------------------------ */

static int run_plain(const struct bench_suite *suite, struct bench_team *team, enum bench_kind kind, unsigned store,
                     struct bench_result *result) {
    struct bench_work work = { .kind = kind, .store = store, .entries = suite->ask->entries };
    return bench_team_run(team, &work, result);
}

/* Gives the store back the entries it had before a line: all of them, and no others. */
static int restore(const struct bench_suite *suite, struct bench_team *team, const struct bench_work *work, uint64_t inserted) {
    static struct bench_result result;
    if (inserted > 0) {
        struct bench_work erase = { .kind = BENCH_ERASE, .entries = inserted, .first = work->entries };
        return bench_team_run(team, &erase, &result);
    }
    return work->kind == BENCH_MIXED && work->mix.erase ? run_plain(suite, team, BENCH_LOAD, BENCH_STORE, &result) : BENCH_DONE;
}

static int run_line(const struct bench_suite *suite, struct bench_team *team, struct bench_line *line) {
    static struct bench_result result;
    struct bench_nuisance nuisance;
    bool killed = strcmp(line->name, "get beside killed") == 0, disturbed = killed || strcmp(line->name, "get beside puts") == 0;
    if (disturbed && bench_nuisance_start(&nuisance, suite->path, suite->ask, killed) != BENCH_DONE)
        return BENCH_FAILED;
    int answer = bench_team_run(team, &line->work, &result);
    if (disturbed)
        bench_nuisance_end(&nuisance, &line->kills, &line->repairs);
    if (answer != BENCH_DONE)
        return answer;
    if (result.wrong > 0)
        return bench_explain("%s: %" PRIu64 " of %" PRIu64 " values were not those of their keys", line->name, result.wrong,
                             result.hits);
    bench_line_add(line, &result);
    return restore(suite, team, &line->work, result.inserted);
}

static int begin(const struct bench_suite *suite, struct bench_team *team) {
    static struct bench_result result;
    if (run_plain(suite, team, BENCH_VISIT, BENCH_STORE, &result) != BENCH_DONE)
        return BENCH_FAILED;
    if (result.hits > 0)
        return bench_explain("the store holds keys of a benchmark already");
    if (run_plain(suite, team, BENCH_LOAD, BENCH_STORE, &result) != BENCH_DONE ||
        run_plain(suite, team, BENCH_VISIT, BENCH_STORE, &result) != BENCH_DONE)
        return BENCH_FAILED;
    return suite->ask->limits ? run_plain(suite, team, BENCH_VISIT, BENCH_MEMORY, &result) : BENCH_DONE;
}

int bench_suite_run(struct bench_suite *suite, struct bench_team *team) {
    if (begin(suite, team) != BENCH_DONE)
        return BENCH_FAILED;
    for (uint64_t repeat = 0; repeat < suite->ask->repeats; repeat++) {
        for (unsigned i = 0; i < suite->line_count; i++) {
            if (run_line(suite, team, &suite->lines[i]) != BENCH_DONE)
                return BENCH_FAILED;
        }
    }
    return BENCH_DONE;
}

int bench_suite_clear(const struct bench_suite *suite, struct bench_team *team) {
    static struct bench_result result;
    return run_plain(suite, team, BENCH_ERASE, BENCH_STORE, &result);
}
