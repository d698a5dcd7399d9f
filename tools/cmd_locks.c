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

/* Ids of another PID namespace name other threads here, or none. A lease belongs to a process, if to anybody. */
static void look_at_owner(const struct hf_lock *lock, struct thread_look *owner) {
    *owner = (struct thread_look){.pid = lock->pid, .state = "?", .name = "?"};
    if (lock->state != HF_LOCK_HELD)
        owner->state = "dead";
    else if (!lock->foreign)
        look_at_thread(lock->kind == HF_LOCK_LEASE ? lock->pid : lock->thread, owner);
    if (owner->pid == 0)
        owner->pid = lock->pid;
}

static void print_lock_json(const struct hf_lock *lock, const struct thread_look *owner) {
    printf("{\"kind\":\"%s\",\"number\":%" PRIu32 ",\"stripe\":%" PRIu32 ",\"lock\":\"%s\"", kind_name(lock->kind), lock->number,
           lock->stripe, state_name(lock->state));
    printf(",\"thread\":%" PRIu32 ",\"pid\":%" PRIu32 ",\"owner\":\"%s\"", lock->thread, owner->pid, owner->state);
    fputs(",\"command\":", stdout);
    json_print_bytes(owner->name, strlen(owner->name));
    printf(",\"operation\":\"%s\",\"step\":\"%s\",\"key_hash\":\"%016" PRIx64 "\"", hf_operation_name(lock->operation),
           lock->operation ? hf_step_name(lock->step) : "none", lock->key_hash);
    if (lock->kind != HF_LOCK_STRIPE)
        printf(",\"held_ms\":%" PRIu64, lock->held_ms);
    if (lock->kind == HF_LOCK_LEASE)
        printf(",\"left_ms\":%" PRIu64, lock->left_ms);
    printf(",\"waited\":%s,\"foreign\":%s}\n", lock->waited ? "true" : "false", lock->foreign ? "true" : "false");
}

static void print_lock_row(const struct hf_lock *lock, const struct thread_look *owner) {
    struct shown held = {"-"}, left = {"-"};
    if (lock->kind != HF_LOCK_STRIPE)
        show_duration(lock->held_ms, &held);
    if (lock->kind == HF_LOCK_LEASE)
        show_duration(lock->left_ms, &left);
    printf("%-6s %6" PRIu32 "  %6" PRIu32 "  %-10s  %8" PRIu32 "  %8" PRIu32 "  %-8s  %-16.16s  %-9s  %-12s  ",
           kind_name(lock->kind), lock->number, lock->stripe, state_name(lock->state), lock->thread, owner->pid, owner->state,
           owner->name, hf_operation_name(lock->operation), lock->operation ? hf_step_name(lock->step) : "none");
    printf("%5s  %5s  %-6s  %016" PRIx64 "\n", held.text, left.text, lock->waited ? "yes" : "no", lock->key_hash);
}

static void print_locks(const struct hf_lock *locks, size_t count) {
    if (!locks_json && count > 0)
        printf("%-6s %6s  %6s  %-10s  %8s  %8s  %-8s  %-16s  %-9s  %-12s  %5s  %5s  %-6s  %s\n", "kind", "number", "stripe",
               "lock", "thread", "process", "owner", "command", "operation", "step", "for", "left", "waited", "key hash");
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
             "whether it is running or stopped, and what it was doing. A stripe's lock is that of a write; since when it is\n"
             "held is not known, for writers would pay for it: ask twice. A fill is a function that computes a value, and a\n"
             "lease a process that does so without holding a lock: for how long, and when the lease ends. Prints nothing if\n"
             "there is none, which is usual: a write holds its lock for less than a microsecond. Waits for nobody and needs\n"
             "only read permission.\n",
    .examples = "holdfast locks /dev/shm/sessions\n"
                "holdfast locks /dev/shm/sessions --json | jq 'select(.owner == \"stopped\") | .pid'\n"
                "holdfast locks /dev/shm/sessions --json | jq 'select(.kind == \"fill\" and .held_ms > 10000)'\n",
    .options = locks_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_locks,
};
