/* SPDX-License-Identifier: MIT */
/*
 * locks: who holds which lock of a store, or left it. The library tells the thread, /proc who that is.
 */
#include "json.h"
#include "process.h"
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOCKS = 2 * HF_STRIPES_MAX };

static bool locks_json;

static const char *kind_name(uint32_t kind) {
    switch (kind) {
#define CASE(name, value, text) case name: return text;
        HF_LOCK_KINDS(CASE)
#undef CASE
    default: return "unknown";
    }
}

static const char *state_name(uint32_t state) {
    switch (state) {
#define CASE(name, value, text) case name: return text;
        HF_LOCK_STATES(CASE)
#undef CASE
    default: return "unknown";
    }
}

/* Ids of another PID namespace name other threads here, or none. */
static void look_at_owner(const struct hf_lock *lock, struct thread_look *owner) {
    *owner = (struct thread_look){.pid = lock->pid, .state = "?", .name = "?"};
    if (lock->state != HF_LOCK_HELD)
        owner->state = "dead";
    else if (!lock->foreign)
        look_at_thread(lock->thread, owner);
    if (owner->pid == 0)
        owner->pid = lock->pid;
}

static void print_lock_json(const struct hf_lock *lock, const struct thread_look *owner) {
    printf("{\"kind\":\"%s\",\"number\":%" PRIu32 ",\"lock\":\"%s\",\"thread\":%" PRIu32 ",\"pid\":%" PRIu32 ",\"owner\":\"%s\"",
           kind_name(lock->kind), lock->number, state_name(lock->state), lock->thread, owner->pid, owner->state);
    fputs(",\"command\":", stdout);
    json_print_bytes(owner->name, strlen(owner->name));
    printf(",\"operation\":\"%s\",\"step\":\"%s\",\"key_hash\":\"%016" PRIx64 "\",\"waited\":%s,\"foreign\":%s}\n",
           hf_operation_name(lock->operation), lock->operation ? hf_step_name(lock->step) : "none", lock->key_hash,
           lock->waited ? "true" : "false", lock->foreign ? "true" : "false");
}

static void print_lock_row(const struct hf_lock *lock, const struct thread_look *owner) {
    printf("%-6s %6" PRIu32 "  %-10s  %8" PRIu32 "  %8" PRIu32 "  %-8s  %-16.16s  %-9s  %-12s  %-6s  %016" PRIx64 "\n",
           kind_name(lock->kind), lock->number, state_name(lock->state), lock->thread, owner->pid, owner->state, owner->name,
           hf_operation_name(lock->operation), lock->operation ? hf_step_name(lock->step) : "none", lock->waited ? "yes" : "no",
           lock->key_hash);
}

static void print_locks(const struct hf_lock *locks, size_t count) {
    if (!locks_json && count > 0)
        printf("%-6s %6s  %-10s  %8s  %8s  %-8s  %-16s  %-9s  %-12s  %-6s  %s\n", "kind", "number", "lock", "thread", "process",
               "owner", "command", "operation", "step", "waited", "key hash");
    for (size_t i = 0; i < count; i++) {
        struct thread_look owner;
        look_at_owner(&locks[i], &owner);
        if (locks_json)
            print_lock_json(&locks[i], &owner);
        else
            print_lock_row(&locks[i], &owner);
    }
}

static int run_locks(int argc, char **argv) {
    (void)argc;
    hf_store *store = open_store(argv[0], TO_READ);
    if (!store)
        return TOOL_FAILED;
    static struct hf_lock locks[LOCKS];
    size_t count = 0;
    int result = hf_locks(store, locks, LOCKS, &count);
    count = count < LOCKS ? count : LOCKS;
    if (result == HF_OK)
        print_locks(locks, count);
    if (result == HF_OK && count > 0 && locks[0].foreign)
        complain(argv[0], "the writers live in another PID namespace: their ids mean nothing here, or other processes");
    int code = report_result(argv[0], result);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec locks_options[] = {
    {.name = "json", .kind = OPTION_SWITCH, .target = &locks_json, .help = "print one JSON object on a line for each lock"},
    {.name = NULL},
};

const struct command command_locks = {
    .name = "locks",
    .group = GROUP_HEALTH,
    .summary = "list who holds which lock",
    .operands = "STORE",
    .about = "Lists the locks that are held at this moment, or were left by a dead owner: which thread of which process,\n"
             "whether it is running or stopped, and what it was doing. Prints nothing if there is none, which is usual: a\n"
             "write holds its lock for less than a microsecond. Waits for nobody and needs only read permission. Since when\n"
             "is not known, for writers would pay for it: ask twice.\n",
    .examples = "holdfast locks /dev/shm/sessions\n"
                "holdfast locks /dev/shm/sessions --json | jq 'select(.owner == \"stopped\") | .pid'\n",
    .options = locks_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_locks,
};
