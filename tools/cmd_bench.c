/* SPDX-License-Identifier: MIT */
/*
 * holdfast bench: how fast the library is on this machine, beside what the machine could do at all. This file makes the store and
 * the team and cleans up after them; bench/suite.h lists the rooms behind it.
 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench/engines.h"
#include "bench/sizes.h"
#include "bench/suite.h"
#include "tool.h"

enum { ENTRIES_MAX = 1000000000, WORKERS_MAX = BENCH_THREADS_MAX / 2 };

static struct {
    uint64_t entries, key_size, value_size, processes, threads, seconds, operations, warm_up, repeats, seed, batch, stripes;
    const char *workload, *distribution, *mode, *sizes;
    bool no_limits, small_pages, keep, use_existing, json;
} asked = { .entries = 1000000, .key_size = 16, .value_size = 100, .processes = 1, .threads = 1, .seconds = 1, .warm_up = 10000,
            .repeats = 5, .seed = 1, .batch = 16, .workload = "load,get,chase,get-many,put,delete", .distribution = "uniform",
            .mode = "store" };

static const struct option_spec bench_options[] = {
    { .name = "workload", .kind = OPTION_TEXT, .argument = "LIST", .target = &asked.workload,
      .help = "what to do, separated by commas; see above (default load,get,chase,get-many,put,delete)" },
    { .name = "entries", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.entries, .low = 1, .high = ENTRIES_MAX,
      .help = "entries in the store (default 1000000)" },
    { .name = "key-size", .kind = OPTION_SIZE, .argument = "SIZE", .target = &asked.key_size, .low = BENCH_KEY_MIN,
      .high = BENCH_KEY_MAX, .help = "bytes of a key, 8 to 256 (default 16)" },
    { .name = "value-size", .kind = OPTION_SIZE, .argument = "SIZE", .target = &asked.value_size, .low = BENCH_VALUE_MIN,
      .high = BENCH_VALUE_MAX, .help = "bytes of a value, 8 to 64K (default 100)" },
    { .name = "distribution", .kind = OPTION_CHOICE, .argument = "uniform|zipfian|latest", .target = &asked.distribution,
      .help = "how often each entry is wanted (default uniform; zipfian: by 1 / rank^0.99)" },
    { .name = "processes", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.processes, .low = 1, .high = WORKERS_MAX,
      .help = "that work at the same time (default 1)" },
    { .name = "threads", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.threads, .low = 1, .high = WORKERS_MAX,
      .help = "of each process (default 1)" },
    { .name = "seconds", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.seconds, .low = 1, .high = 3600,
      .help = "of each line of the table and each repeat (default 1)" },
    { .name = "operations", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.operations, .low = 1,
      .help = "in place of --seconds, so many operations of all threads together" },
    { .name = "warm-up", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.warm_up,
      .help = "operations of each thread before each measurement, not counted (default 10000)" },
    { .name = "repeats", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.repeats, .low = 1, .high = BENCH_REPEATS_MAX,
      .help = "of all lines in turn; medians are printed (default 5)" },
    { .name = "seed", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.seed, .help = "of all draws (default 1)" },
    { .name = "batch", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.batch, .low = 1, .high = BENCH_BATCH_MAX,
      .help = "keys of a get-many (default 16)" },
    { .name = "mode", .kind = OPTION_CHOICE, .argument = "store|cache", .target = &asked.mode,
      .help = "of a new store (default store)" },
    { .name = "stripes", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.stripes, .low = 1, .high = HF_STRIPES_MAX,
      .help = "of a new store: a power of two (default: as many as suit the entries)" },
    { .name = "sizes", .kind = OPTION_TEXT, .argument = "LIST", .target = &asked.sizes,
      .help = "instead: what everything costs in stores of so many entries, as in 10000,1000000; memory: see above" },
    { .name = "no-limits", .kind = OPTION_SWITCH, .target = &asked.no_limits,
      .help = "do not measure the limits of the machine" },
    { .name = "small-pages", .kind = OPTION_SWITCH, .target = &asked.small_pages,
      .help = "do not let the files have large pages" },
    { .name = "keep", .kind = OPTION_SWITCH, .target = &asked.keep, .help = "leave the new STORE and its entries in place" },
    { .name = "use-existing", .kind = OPTION_SWITCH, .target = &asked.use_existing,
      .help = "work in a STORE that exists, beside its entries" },
    { .name = "json", .kind = OPTION_SWITCH, .target = &asked.json, .help = "print the result as JSON" },
    { .name = NULL },
};

static struct bench_ask ask_of(unsigned cores) {
    struct bench_ask ask = { .entries = asked.entries, .processes = asked.processes, .threads = asked.threads, .cores = cores };
    ask.key_size = asked.key_size;
    ask.value_size = asked.value_size;
    ask.batch = asked.batch;
    ask.seconds = asked.seconds;
    ask.operations = asked.operations;
    ask.warm_up = asked.warm_up;
    ask.repeats = asked.repeats;
    ask.seed = asked.seed;
    ask.distribution = asked.distribution[0] == 'u' ? BENCH_UNIFORM : asked.distribution[0] == 'z' ? BENCH_ZIPFIAN : BENCH_LATEST;
    ask.limits = !asked.no_limits;
    ask.goals = asked.key_size == 16 && asked.value_size == 100 && ask.distribution == BENCH_UNIFORM;
    return ask;
}

/* ---- The store ---------------------------------------------------------------------------------------------------------- */

struct place {
    struct bench_scratch scratch;
    char path[4096];
    bool named; /* the user did */
    bool made;  /* we did       */
};

/* A scratch directory beside the store, so that the limits lie on the same file system. */
static bool find_place(struct place *place, const char *path) {
    char copy[4096];
    const char *parent = NULL;
    if (path) {
        snprintf(copy, sizeof copy, "%s", path);
        parent = dirname(copy);
    }
    if (bench_scratch_make(&place->scratch, parent) != BENCH_DONE) {
        fail(path, "%s", bench_reason());
        return false;
    }
    place->named = path != NULL;
    if (path)
        snprintf(place->path, sizeof place->path, "%s", path);
    else
        snprintf(place->path, sizeof place->path, "%s/store", place->scratch.path);
    return true;
}

static void leave_place(struct place *place) {
    if (place->made && place->named && !asked.keep && unlink(place->path) != 0)
        complain(place->path, "cannot delete the store of the benchmark: %s", strerror(errno));
    bench_scratch_remove(&place->scratch);
}

static hf_store *obtain_store(struct place *place, uint64_t entries) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    options.flags = HF_CREATE | HF_EXCLUSIVE;
    options.mode = strcmp(asked.mode, "cache") == 0 ? HF_MODE_CACHE : HF_MODE_STORE;
    options.entries = entries;
    options.entry_size = (uint32_t)(((asked.key_size + 7) & ~UINT64_C(7)) + asked.value_size);
    options.max_value = (uint32_t)asked.value_size;
    options.stripes = (uint32_t)asked.stripes;
    int result = try_open_store(&store, place->path, &options);
    place->made = result == HF_OK;
    if (place->made)
        return store;
    if (result != HF_EXISTS)
        report_result(place->path, result);
    else if (!asked.use_existing)
        complain(place->path, "there is a file of this name: name a new one, or say --use-existing to work in it");
    else
        return open_store(place->path, TO_WRITE);
    return NULL;
}

/* Makes the store, and says how large the limits' memory must be. */
static bool make_store(struct place *place, const struct bench_suite *suite) {
    struct hf_info info = HF_INFO_INIT;
    hf_store *store = obtain_store(place, asked.entries + suite->room);
    if (!store)
        return false;
    int result = hf_info(store, &info);
    close_store(&store, place->path);
    bench_limit_shape = (struct bench_limit_shape){ .lines = info.buckets, .heap = info.blocks * info.block_size,
                                                    .entries = asked.entries };
    return report_result(place->path, result) == TOOL_DONE;
}

/* ---- The run ------------------------------------------------------------------------------------------------------------ */

static const struct bench_engine *const engines[BENCH_STORES] = {
    [BENCH_STORE] = &bench_holdfast,
    [BENCH_MEMORY] = &bench_memory_limit,
    [BENCH_LOCK] = &bench_lock_limit,
    [BENCH_NOTHING] = &bench_no_work,
};

static struct bench_team *start_team(const struct place *place, const struct bench_suite *suite) {
    static char paths[BENCH_STORES][4096];
    static struct bench_store stores[BENCH_STORES];
    unsigned count = suite->ask->limits ? BENCH_STORES : 1;
    for (unsigned i = 0; i < count; i++) {
        if (i == BENCH_STORE)
            snprintf(paths[i], sizeof paths[i], "%s", place->path);
        else
            snprintf(paths[i], sizeof paths[i], "%s/limit%u", place->scratch.path, i);
        stores[i] = (struct bench_store){ .engine = engines[i], .path = paths[i],
                                          .config = { .entries = asked.entries, .key_size = (uint32_t)asked.key_size,
                                                      .value_size = (uint32_t)asked.value_size, .processes = suite->processes,
                                                      .threads = (uint32_t)asked.threads } };
        if (i != BENCH_STORE && engines[i]->create(paths[i], &stores[i].config) != BENCH_DONE)
            return NULL;
    }
    return bench_team_start(stores, count, suite->processes, (unsigned)asked.threads, asked.seed);
}

static void print_report(const struct place *place, const struct bench_suite *suite, const struct bench_machine *machine) {
    char settings[256] = "";
    struct bench_report report = { .machine = *machine, .store = place->named ? place->path : "a temporary store",
                                   .settings = settings, .distribution = asked.distribution };
    bench_holdfast.settings(place->path, settings, sizeof settings);
    report.entries = asked.entries;
    report.seed = asked.seed;
    report.footprint = bench_holdfast.footprint(place->path);
    report.key_size = (uint32_t)asked.key_size;
    report.value_size = (uint32_t)asked.value_size;
    report.processes = (uint32_t)asked.processes;
    report.threads = (uint32_t)asked.threads;
    report.repeats = (uint32_t)asked.repeats;
    report.batch = (uint32_t)asked.batch;
    report.lines = suite->lines;
    report.line_count = suite->line_count;
    report.ratios = suite->ratios;
    report.ratio_count = suite->ratio_count;
    (asked.json ? bench_print_json : bench_print_table)(&report);
}

static int run_suite(struct place *place, const struct bench_machine *machine) {
    static struct bench_suite suite;
    struct bench_ask ask = ask_of(machine->cores);
    bench_suite_make(&suite, &ask, asked.workload);
    suite.path = place->path;
    if (!make_store(place, &suite))
        return TOOL_FAILED;
    struct bench_team *team = start_team(place, &suite);
    int answer = team ? bench_suite_run(&suite, team) : BENCH_FAILED;
    if (team && answer == BENCH_DONE && !place->made)
        answer = bench_suite_clear(&suite, team);
    int code = answer == BENCH_DONE || bench_interrupted() ? TOOL_DONE : fail(place->path, "%s", bench_reason());
    bench_team_end(&team);
    if (answer == BENCH_DONE)
        print_report(place, &suite, machine);
    return code;
}

/* "10000,1000000"; 0: it is no such list, and the user was told. */
static unsigned read_sizes(struct bench_figures *figures) {
    unsigned count = 0;
    char text[32];
    for (const char *at = asked.sizes; *at; at += *at == ',') {
        size_t length = strcspn(at, ",");
        snprintf(text, sizeof text, "%.*s", (int)length, at);
        if (count == BENCH_SIZES_MAX || length >= sizeof text || !parse_number(text, &figures[count].entries) ||
            figures[count].entries < 1 || figures[count].entries > ENTRIES_MAX) {
            usage_error("--sizes takes up to %d numbers of entries, as in 10000,1000000", BENCH_SIZES_MAX);
            return 0;
        }
        count++;
        at += length;
    }
    if (count == 0)
        usage_error("--sizes takes up to %d numbers of entries, as in 10000,1000000", BENCH_SIZES_MAX);
    return count;
}

static int run_sizes(const struct place *place, const struct bench_machine *machine, struct bench_figures *figures,
                     unsigned count) {
    struct bench_ask ask = ask_of(machine->cores);
    for (unsigned i = 0; i < count; i++) {
        if (bench_sizes_measure(&figures[i], &ask, place->scratch.path) != BENCH_DONE)
            return bench_interrupted() ? TOOL_DONE : fail(NULL, "%s", bench_reason());
    }
    (asked.json ? bench_sizes_json : bench_sizes_print)(figures, count, &ask, machine);
    return TOOL_DONE;
}

static int check_arguments(int argc) {
    const char *strange = bench_strange_word(asked.workload, bench_workloads);
    if (strange)
        return usage_error("there is no workload '%.*s'; there are: %s", (int)strcspn(strange, " ,"), strange, bench_workloads);
    if (asked.workload[strspn(asked.workload, " ,")] == '\0')
        return usage_error("--workload needs one of: %s", bench_workloads);
    if (asked.processes * asked.threads > WORKERS_MAX)
        return usage_error("%" PRIu64 " processes of %" PRIu64 " threads are too many: %d threads in all may work",
                           asked.processes, asked.threads, WORKERS_MAX);
    if (argc == 0 && (asked.keep || asked.use_existing))
        return usage_error("--%s needs a STORE", asked.keep ? "keep" : "use-existing");
    if (asked.sizes && argc > 0)
        return usage_error("--sizes makes stores of its own and takes no STORE");
    return TOOL_DONE;
}

static int run_command(int argc, char **argv) {
    static struct place place;
    struct bench_machine machine;
    struct bench_figures figures[BENCH_SIZES_MAX] = { 0 };
    int code = check_arguments(argc);
    unsigned sizes = code == TOOL_DONE && asked.sizes ? read_sizes(figures) : 0;
    if (code != TOOL_DONE || (asked.sizes && sizes == 0))
        return TOOL_USAGE;
    if (asked.small_pages)
        prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    if (!find_place(&place, argc > 0 ? argv[0] : NULL))
        return TOOL_FAILED;
    bench_machine_now(&machine, place.scratch.path);
    code = sizes > 0 ? run_sizes(&place, &machine, figures, sizes) : run_suite(&place, &machine);
    leave_place(&place);
    bench_die();
    return code;
}

const struct command command_bench = {
    .name = "bench",
    .group = GROUP_TRIAL,
    .summary = "measure speed, beside the limits of the machine",
    .operands = "[STORE]",
    .about = "Measures a store on this machine, and in the same run, in turn with it, what no store could beat: a memory limit\n"
             "(the same hash, two random lines of memory that depend on each other, the same copy) and a lock limit (an\n"
             "uncontended robust mutex). Prints medians over the repeats, times from a histogram, and ratios to the limits.\n"
             "\n"
             "Without STORE a store is made in /dev/shm and removed afterwards, also when interrupted. A STORE that does not\n"
             "exist is made, and removed unless --keep is given; one that exists is left alone unless --use-existing is given:\n"
             "then entries are added beside its own and deleted at the end.\n"
             "\n"
             "Workloads: load (put all entries), get, chase (gets, each key depending on the value before), get-many (--batch\n"
             "keys at once), miss (get keys that are not there), put (replace), delete (all entries), mixed (75 % get,\n"
             "20 % put, 5 % delete), ycsb-a (50 % get, 50 % put, zipfian), ycsb-b (95 % get, 5 % put, zipfian), ycsb-c (get,\n"
             "zipfian), ycsb-d (95 % get of the latest, 5 % new entries), ycsb-f (50 % get, 50 % get and put, zipfian), ycsb\n"
             "(all of those), and killed (get while another process is killed again and again in the middle of puts).\n"
             "\n"
             "Columns: 'ns' is the mean time of an operation as a thread sees it, 'typical' that of the median 256 operations,\n"
             "which other work on the machine disturbs less; p50 to max come from 1 of 128 operations, each timed for itself\n"
             "(of get-many: a whole batch), so that reading the clock does not slow down the rest. Keys are drawn outside of\n"
             "the time measured.\n"
             "\n"
             "--sizes makes one store after the other in /dev/shm and fills it. It takes the memory of the largest: 180 to 220\n"
             "bytes an entry of the default sizes, which is 2 GB for 10000000.\n",
    .examples = "holdfast bench\n"
                "holdfast bench --workload ycsb --value-size 1K --processes 4\n"
                "holdfast bench ./disk.hf --entries 100000 --workload get,put --json\n"
                "holdfast bench --workload killed\n"
                "holdfast bench --sizes 10000,100000,1000000,10000000\n",
    .options = bench_options,
    .min_operands = 0,
    .max_operands = 1,
    .writes = true,
    .run = run_command,
};
