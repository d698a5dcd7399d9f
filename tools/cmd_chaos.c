/* SPDX-License-Identifier: MIT */
/*
 * holdfast chaos: processes that work on one store while they are killed at random, and a judge outside of the store who knows
 * every call that was made. This file makes the store and the run, and says how it ended; chaos.h lists the rooms behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "chaos.h"
#include "tool.h"

/* A store small enough for stripes to fill up and be tidied, and values large enough to take many of its blocks. */
enum { ENTRY_SIZE = 1024, SECONDS = 10, MINUTE = 60 };

static struct {
    uint64_t writers, readers, threads, seconds, minutes, seed, keys, max_value, stripes;
    const char *mode, *skew, *history, *report;
    bool use_existing, json;
} asked = { .writers = 4, .readers = 2, .threads = 1, .keys = 512, .max_value = 64 * 1024, .stripes = 4, .mode = "store",
            .skew = "mixed" };

static const struct option_spec chaos_options[] = {
    { .name = "writers", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.writers, .low = 1, .high = CHAOS_WRITERS_MAX,
      .help = "processes that write (default 4)" },
    { .name = "readers", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.readers, .high = CHAOS_READERS_MAX,
      .help = "processes that read (default 2)" },
    { .name = "threads", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.threads, .low = 1, .high = CHAOS_THREADS_MAX,
      .help = "threads of each process (default 1)" },
    { .name = "seconds", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.seconds, .low = 1, .high = 86400,
      .help = "how long (default 10)" },
    { .name = "minutes", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.minutes, .low = 1, .high = 1440,
      .help = "how long, in minutes; added to --seconds if both are given" },
    { .name = "seed", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.seed, .low = 1,
      .help = "of every decision; the kernel's scheduling stays random (default: a random one)" },
    { .name = "keys", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.keys, .low = 1, .high = 1000000,
      .help = "keys that are written (default 512)" },
    { .name = "skew", .kind = OPTION_CHOICE, .argument = "uniform|zipf|mixed", .target = &asked.skew,
      .help = "how often each key is drawn; mixed: each process one way or the other (default mixed)" },
    { .name = "mode", .kind = OPTION_CHOICE, .argument = "store|cache", .target = &asked.mode,
      .help = "of a new store (default store)" },
    { .name = "max-value", .kind = OPTION_SIZE, .argument = "SIZE", .target = &asked.max_value, .low = 32, .high = HF_VALUE_MAX,
      .help = "of a new store: its largest value (default 64K)" },
    { .name = "stripes", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.stripes, .low = 1, .high = HF_STRIPES_MAX,
      .help = "of a new store: a power of two (default 4)" },
    { .name = "use-existing", .kind = OPTION_SWITCH, .target = &asked.use_existing,
      .help = "work in a store that has entries already, beside them" },
    { .name = "history", .kind = OPTION_TEXT, .argument = "FILE", .target = &asked.history,
      .help = "write every call into FILE, as JSON Lines; some 300 bytes a call" },
    { .name = "report", .kind = OPTION_TEXT, .argument = "FILE", .target = &asked.report,
      .help = "write the result into FILE as JSON, besides printing it" },
    { .name = "json", .kind = OPTION_SWITCH, .target = &asked.json, .help = "print the result as JSON" },
    { .name = NULL },
};

/* ---- The store ---------------------------------------------------------------------------------------------------------- */

static bool has_entries(hf_store *store, const char *path) {
    uint64_t entries = 0;
    int result = hf_count(store, &entries);
    if (result != HF_OK)
        report_result(path, result);
    else if (entries != 0)
        complain(path, "the store has %" PRIu64 " entries: name a new file, or say --use-existing to work beside them", entries);
    return result != HF_OK || entries != 0;
}

/* Makes the store, or accepts one; *own tells which. */
static hf_store *obtain_store(const char *path, bool *own) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    options.flags = HF_CREATE | HF_EXCLUSIVE;
    options.mode = strcmp(asked.mode, "cache") == 0 ? HF_MODE_CACHE : HF_MODE_STORE;
    options.entries = asked.keys;
    options.entry_size = ENTRY_SIZE;
    options.max_value = (uint32_t)asked.max_value;
    options.stripes = (uint32_t)asked.stripes;
    int result = try_open_store(&store, path, &options);
    *own = result == HF_OK;
    if (*own)
        return store;
    if (result != HF_EXISTS) {
        report_result(path, result);
        return NULL;
    }
    store = open_store(path, TO_WRITE);
    if (store && !asked.use_existing && has_entries(store, path))
        close_store(&store, path);
    return store;
}

/* ---- The run ------------------------------------------------------------------------------------------------------------ */

static unsigned skew_asked(void) {
    return strcmp(asked.skew, "zipf") == 0 ? CHAOS_ZIPF : strcmp(asked.skew, "uniform") == 0 ? CHAOS_UNIFORM : CHAOS_MIXED;
}

static struct chaos *new_chaos(hf_store *store, const char *path) {
    struct hf_info info = HF_INFO_INIT;
    uint64_t run;
    int result = hf_info(store, &info);
    if (result != HF_OK || getrandom(&run, sizeof run, 0) != sizeof run) {
        fail(path, "cannot begin: %s", result != HF_OK ? hf_explain() : strerror(errno));
        return NULL;
    }
    if (info.default_ttl_ms) {
        fail(path, "entries of this store expire unless their writer says otherwise: name a new file");
        return NULL;
    }
    struct chaos *chaos =
        chaos_new((uint32_t)asked.keys, (uint32_t)asked.writers, (uint32_t)asked.readers, (uint32_t)asked.threads);
    if (!chaos || !chaos_control_init(chaos)) {
        fail(path, "no memory for what the run must remember of %" PRIu64 " keys", asked.keys);
        return NULL;
    }
    chaos->seed = asked.seed ? asked.seed : run >> 32;
    chaos->run = asked.seed ? chaos_mix(asked.seed, 0) : run;
    chaos->max_value = info.max_value;
    chaos->cache = info.mode == HF_MODE_CACHE;
    chaos->timeout_ms = (uint32_t)tool.timeout_ms;
    chaos->skew = skew_asked();
    return chaos;
}

static uint64_t seconds_asked(void) {
    uint64_t seconds = asked.seconds + asked.minutes * MINUTE;
    return seconds ? seconds : SECONDS;
}

/* The printers know standard output only, so the file takes its place for a moment. */
static bool write_report(const struct chaos_run *run, const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), saved = dup(STDOUT_FILENO);
    bool written = file >= 0 && saved >= 0 && fflush(stdout) == 0 && dup2(file, STDOUT_FILENO) >= 0;
    if (written) {
        chaos_print_json(run);
        written = fflush(stdout) == 0;
        dup2(saved, STDOUT_FILENO);
    }
    if (!written)
        fail(path, "cannot write the report: %s", strerror(errno));
    if (file >= 0)
        close(file);
    if (saved >= 0)
        close(saved);
    return written;
}

/* Prints and keeps the result; the exit code. */
static int tell_result(const struct chaos_run *run, bool done) {
    unsigned violations = atomic_load(&run->chaos->violations);
    if (violations != 0)
        complain(run->path, "%u violations, with --seed %" PRIu64 "; the store is kept", violations, run->chaos->seed);
    if (!done && violations == 0)
        return TOOL_FAILED;
    (asked.json ? chaos_print_json : chaos_print_table)(run);
    bool written = !asked.report || write_report(run, asked.report);
    return violations != 0 ? TOOL_NO : written && done ? TOOL_DONE : TOOL_FAILED;
}

static bool begin_run(struct chaos_run *run) {
    struct hf_stats before = HF_STATS_INIT;
    run->chaos = new_chaos(run->store, run->path);
    if (!run->chaos || report_result(run->path, hf_stats(run->store, &before)) != TOOL_DONE)
        return false;
    run->random = run->chaos->seed;
    run->stats = before;
    run->judge = chaos_judge_new(run->chaos);
    if (!run->judge)
        fail(run->path, "no memory to judge %" PRIu64 " keys; ask for fewer", asked.keys);
    run->history = asked.history ? fopen(asked.history, "we") : NULL;
    if (asked.history && !run->history)
        fail(asked.history, "cannot write the history: %s", strerror(errno));
    return run->judge && (!asked.history || run->history);
}

/* Runs and tells; the exit code. */
static int run_chaos(struct chaos_run *run) {
    int code = TOOL_FAILED;
    if (begin_run(run)) {
        bool done = chaos_reopen(run) && chaos_run(run);
        if (done)
            chaos_final(run);
        code = tell_result(run, done);
    }
    hf_close(&run->store);
    if (run->history && fclose(run->history) != 0 && code == TOOL_DONE)
        code = fail(asked.history, "cannot write the history: %s", strerror(errno));
    chaos_judge_free(run->judge);
    if (run->chaos)
        chaos_free(run->chaos);
    return code;
}

static int run_command(int argc, char **argv) {
    static struct chaos_run run;
    (void)argc;
    uint64_t slots = (asked.writers + asked.readers) * (asked.threads + 1) + 1;
    if (slots > CHAOS_SLOTS_MAX)
        return usage_error("%" PRIu64 " processes of %" PRIu64
                           " threads are too many: processes x (threads + 1) may be %d at most",
                           asked.writers + asked.readers, asked.threads, CHAOS_SLOTS_MAX - 1);
    run.path = argv[0];
    run.seconds = seconds_asked();
    run.store = obtain_store(run.path, &run.own);
    if (!run.store)
        return TOOL_FAILED;
    int code = run_chaos(&run);
    if (run.own && code != TOOL_NO && unlink(run.path) != 0)
        return fail(run.path, "cannot delete the store of the run: %s", strerror(errno));
    return code;
}

const struct command command_chaos = {
    .name = "chaos",
    .group = GROUP_TRIAL,
    .summary = "kill processes at random and verify that nothing is lost",
    .operands = "STORE",
    .about = "Processes with one or more threads do everything that can be done to keys of STORE, others read and scan it, and\n"
             "all of them die at random moments and are replaced: by SIGKILL, SIGSEGV and SIGABRT, by _exit and exec in the\n"
             "middle of their work, stopped with a lock in their hands, while they repair what another left, and all at once.\n"
             "Some fork children that go on with their handle; some compute values of missing keys (hf_get_or_fill), by a\n"
             "function or a lease, and some wait for changes (hf_wait).\n"
             "\n"
             "Every call is written down outside of the store. Rounds of a second or two end with all processes ended; then,\n"
             "for every key, an order of all calls is sought that explains every result (linearizability; a call that was\n"
             "running when its process died has happened until then, or never). At the end and all the time: no value is torn,\n"
             "no acknowledged write is lost, nothing comes back, no value is stored that was computed before a put or delete,\n"
             "deadlines hold, nobody hangs, and 'check' finds nothing.\n"
             "\n"
             "A store that does not exist is made, and deleted at the end unless there was a violation. One that exists must be\n"
             "empty, or --use-existing be given: the run then uses keys of its own beside the others and deletes them at the\n"
             "end. A cache may evict other entries meanwhile.\n"
             "\n"
             "Prints a table of calls, deaths and recoveries, and how long recoveries and waits took. Exits 1 on any violation,\n"
             "with the seed. Interrupting it ends it early, with all verifications.\n",
    .examples = "holdfast chaos /dev/shm/chaos\n"
                "holdfast chaos ./chaos.hf --writers 8 --readers 4 --threads 4 --minutes 5 --seed 7 --report chaos.json\n"
                "holdfast chaos /dev/shm/chaos --mode cache --max-value 1M --skew zipf\n"
                "holdfast chaos /dev/shm/chaos --seconds 2 --history calls.jsonl\n",
    .options = chaos_options,
    .min_operands = 1,
    .max_operands = 1,
    .writes = true,
    .run = run_command,
};
