/* SPDX-License-Identifier: MIT */
/*
 * holdfast chaos: processes that work on one store while they are killed at random, and an oracle outside the store that knows
 * what each must find. This file makes the store and the run, and says how it ended; chaos.h lists the rooms behind it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "chaos.h"
#include "tool.h"

/* A store small enough for stripes to fill up and be tidied, and values large enough to take many of its blocks. */
enum { STRIPES = 4, ENTRY_SIZE = 1024, MAX_VALUE = 16 * 1024 };

static struct {
    uint64_t writers, readers, seconds, seed, keys;
    const char *mode;
    bool use_existing, json;
} asked = { .writers = 4, .readers = 2, .seconds = 10, .seed = 0, .keys = 512, .mode = "store" };

static const struct option_spec chaos_options[] = {
    { .name = "writers", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.writers, .low = 1, .high = CHAOS_WRITERS_MAX,
      .help = "processes that write and are killed (default 4)" },
    { .name = "readers", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.readers, .high = CHAOS_READERS_MAX,
      .help = "processes that read (default 2)" },
    { .name = "seconds", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.seconds, .low = 1, .high = 86400,
      .help = "how long (default 10)" },
    { .name = "seed", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.seed, .low = 1,
      .help = "of every decision; the kernel's scheduling stays random (default: a random one)" },
    { .name = "keys", .kind = OPTION_NUMBER, .argument = "N", .target = &asked.keys, .low = CHAOS_WRITERS_MAX, .high = 1000000,
      .help = "keys that are written (default 512)" },
    { .name = "mode", .kind = OPTION_CHOICE, .argument = "store|cache", .target = &asked.mode,
      .help = "of a new store (default store)" },
    { .name = "use-existing", .kind = OPTION_SWITCH, .target = &asked.use_existing,
      .help = "work in a store that has entries already, beside them" },
    { .name = "json", .kind = OPTION_SWITCH, .target = &asked.json, .help = "print the result as JSON" },
    { .name = NULL },
};

/* ---- The store ------------------------------------------------------------------------------------------------------------- */

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
    options.entries = asked.keys + CHAOS_SHARED;
    options.entry_size = ENTRY_SIZE;
    options.max_value = MAX_VALUE;
    options.stripes = STRIPES;
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

/* ---- The run --------------------------------------------------------------------------------------------------------------- */

static struct chaos *new_chaos(hf_store *store, const char *path) {
    struct hf_info info = HF_INFO_INIT;
    uint64_t run;
    int result = hf_info(store, &info);
    if (result != HF_OK || getrandom(&run, sizeof run, 0) != sizeof run) {
        fail(path, "cannot begin: %s", result != HF_OK ? hf_explain() : strerror(errno));
        return NULL;
    }
    struct chaos *chaos = chaos_new((uint32_t)asked.keys, (uint32_t)asked.writers, (uint32_t)asked.readers);
    if (!chaos) {
        fail(path, "no memory for what the run must remember of %" PRIu64 " keys", asked.keys);
        return NULL;
    }
    chaos->seed = asked.seed ? asked.seed : run >> 32;
    chaos->run = asked.seed ? chaos_mix(asked.seed, 0) : run;
    chaos->max_value = info.max_value < CHAOS_VALUE_LIMIT ? info.max_value : CHAOS_VALUE_LIMIT;
    chaos->cache = info.mode == HF_MODE_CACHE;
    chaos->timeout_ms = (uint32_t)tool.timeout_ms;
    return chaos;
}

/* Runs and tells; the exit code. */
static int run_chaos(hf_store *store, const char *path, bool own) {
    struct chaos *chaos = new_chaos(store, path);
    struct hf_stats before = HF_STATS_INIT;
    if (!chaos || report_result(path, hf_stats(store, &before)) != TOOL_DONE) {
        close_store(&store, path);
        return TOOL_FAILED;
    }
    struct chaos_run run = { .chaos = chaos, .store = store, .path = path, .seconds = asked.seconds, .random = chaos->seed,
                             .stats = before };
    bool done = chaos_reopen(&run) && chaos_run(&run);
    if (done && run.store)
        chaos_final(&run, own);
    int code = !done ? TOOL_FAILED : TOOL_DONE;
    if (atomic_load(&chaos->violations) != 0) {
        code = TOOL_NO;
        complain(path, "%u violations, with --seed %" PRIu64 "; the store is kept", atomic_load(&chaos->violations), chaos->seed);
    }
    if (done || code == TOOL_NO)
        (asked.json ? chaos_print_json : chaos_print_table)(&run);
    hf_close(&run.store);
    chaos_free(chaos);
    return code;
}

static int run_command(int argc, char **argv) {
    (void)argc;
    bool own = false;
    hf_store *store = obtain_store(argv[0], &own);
    if (!store)
        return TOOL_FAILED;
    int code = run_chaos(store, argv[0], own);
    if (own && code != TOOL_NO && unlink(argv[0]) != 0)
        return fail(argv[0], "cannot delete the store of the run: %s", strerror(errno));
    return code;
}

const struct command command_chaos = {
    .name = "chaos",
    .group = GROUP_HEALTH,
    .summary = "kill writers at random and verify that nothing is lost",
    .operands = "STORE",
    .about = "Processes put, replace, delete, take, increment, append and touch self-verifying values in STORE, others read and\n"
             "scan it, and all of them are killed with SIGKILL at random moments and replaced. An oracle outside of the store\n"
             "knows every write that was acknowledged. At the end and all the time: no value is torn, no acknowledged write is\n"
             "lost, no increment is lost or doubled but the one in flight, nobody hangs, and 'check' finds nothing.\n"
             "\n"
             "A store that does not exist is made, and deleted at the end unless there was a violation. One that exists must be\n"
             "empty, or --use-existing be given: the run then uses keys of its own beside the others and deletes them at the\n"
             "end. A cache may evict other entries meanwhile.\n"
             "\n"
             "Prints a table of calls, kills, recoveries and times. Exits 1 on any violation, with the seed. Interrupting it\n"
             "ends it early, with all verifications.\n",
    .examples = "holdfast chaos /dev/shm/chaos\n"
                "holdfast chaos ./chaos.hf --writers 8 --readers 4 --seconds 60 --seed 7\n"
                "holdfast chaos /dev/shm/chaos --mode cache --json\n",
    .options = chaos_options,
    .min_operands = 1,
    .max_operands = 1,
    .writes = true,
    .run = run_command,
};
