/* SPDX-License-Identifier: MIT */
/*
 * log, check, repair: what the recoveries of a store did, and whether it is sound.
 */
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static struct {
    bool json, read_only;
} wanted;

#define JSON_OPTION(what) {.name = "json", .kind = OPTION_SWITCH, .target = &wanted.json, .help = what}

/* ---- log ------------------------------------------------------------------------------------------------------------------ */

enum { RECOVERIES_KEPT = 256 };

static void print_recovery_json(const struct hf_recovery *recovery) {
    printf("{\"sequence\":%" PRIu64 ",\"time_ms\":%" PRIu64 ",\"stripe\":%" PRIu32 ",\"pid\":%" PRIu32 ",\"repairer\":%" PRIu32
           ",\"cause\":\"%s\",\"operation\":\"%s\",\"step\":\"%s\",\"verdict\":\"%s\",\"key_hash\":\"%016" PRIx64
           "\",\"dropped\":%" PRIu32 ",\"microseconds\":%" PRIu32 "}\n",
           recovery->sequence, recovery->time_ms, recovery->stripe, recovery->pid, recovery->repairer,
           hf_cause_name(recovery->cause), hf_operation_name(recovery->operation), hf_step_name(recovery->step),
           hf_verdict_name(recovery->verdict), recovery->key_hash, recovery->dropped, recovery->microseconds);
}

static void print_recovery_row(const struct hf_recovery *recovery) {
    struct shown shown;
    printf("%8" PRIu64 "  %s  %6" PRIu32 "  %8" PRIu32 "  %8" PRIu32 "  %-10s  %-9s  %-8s  %-8s  %016" PRIx64 "  %7" PRIu32
           "  %8" PRIu32 "\n",
           recovery->sequence, show_time(recovery->time_ms, &shown), recovery->stripe, recovery->pid, recovery->repairer,
           hf_cause_name(recovery->cause), hf_operation_name(recovery->operation), hf_step_name(recovery->step),
           hf_verdict_name(recovery->verdict), recovery->key_hash, recovery->dropped, recovery->microseconds);
}

static void print_log(const struct hf_recovery *recoveries, size_t count) {
    if (!wanted.json && count > 0)
        printf("%8s  %-24s  %6s  %8s  %8s  %-10s  %-9s  %-8s  %-8s  %-16s  %7s  %8s\n", "number", "time", "stripe", "died",
               "repairer", "cause", "operation", "step", "verdict", "key hash", "dropped", "us");
    for (size_t i = 0; i < count; i++) {
        if (wanted.json)
            print_recovery_json(&recoveries[i]);
        else
            print_recovery_row(&recoveries[i]);
    }
}

static int run_log(int argc, char **argv) {
    (void)argc;
    hf_store *store = open_store(argv[0], TO_READ);
    if (!store)
        return TOOL_FAILED;
    static struct hf_recovery recoveries[RECOVERIES_KEPT];
    size_t count = 0;
    int result = hf_recoveries(store, recoveries, RECOVERIES_KEPT, &count);
    if (result == HF_OK)
        print_log(recoveries, count < RECOVERIES_KEPT ? count : RECOVERIES_KEPT);
    int code = report_result(argv[0], result);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec log_options[] = {
    JSON_OPTION("print one JSON object on a line for each recovery"),
    {.name = NULL},
};

const struct command command_log = {
    .name = "log",
    .group = GROUP_HEALTH,
    .summary = "list the latest recoveries, with their verdicts",
    .operands = "STORE",
    .about = "Lists the latest recoveries, oldest first: which process died where, in which stripe, and whether what it was\n"
             "doing happened (kept-new) or not (kept-old). Prints nothing if there was none.\n",
    .examples = "holdfast log users.hf\n"
                "holdfast log users.hf --json | jq 'select(.verdict == \"kept-new\")'\n",
    .options = log_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_log,
};

/* ---- check ---------------------------------------------------------------------------------------------------------------- */

/* For writing, for only a writer can look at everything; for reading if that is not allowed. */
static hf_store *open_to_check(const char *path) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    errno = 0;
    if (!wanted.read_only) {
        int result = try_open_store(&store, path, &options);
        if (result == HF_OK)
            return store;
        if (result != HF_ERR_SYSTEM || (errno != EACCES && errno != EROFS && errno != EPERM)) {
            tell_open_failure(path, result);
            return NULL;
        }
        complain(path, "no permission to write: read-only check");
    }
    return open_store(path, TO_READ);
}

static void tell_violation(void *context, const struct hf_violation *violation) {
    uint64_t *told = context;
    progress_hide();
    if (wanted.json)
        printf("%s{\"invariant\":%" PRIu32 ",\"stripe\":%" PRIu32 ",\"position\":%" PRIu64 ",\"text\":\"%s\"}", *told ? "," : "",
               violation->invariant, violation->stripe, violation->position, hf_invariant_text(violation->invariant));
    else
        printf("stripe %" PRIu32 ", position %" PRIu64 ": violates I%" PRIu32 ": %s\n", violation->stripe, violation->position,
               violation->invariant, hf_invariant_text(violation->invariant));
    ++*told;
}

static int run_check_on(hf_store *store, const char *path) {
    uint64_t told = 0;
    struct hf_info info = HF_INFO_INIT;
    struct hf_report report = {.entries = 0};
    struct hf_check_options options = HF_CHECK_INIT;
    options.violation = tell_violation;
    options.progress = progress_callback;
    options.context = &told;
    int result = hf_info(store, &info);
    if (result != HF_OK)
        return report_result(path, result);
    if (wanted.json)
        fputs("{\"violations\":[", stdout);
    progress_start("check");
    result = hf_check(store, &options, &report);
    progress_end();
    if (wanted.json)
        printf("],\"sound\":%s,\"complete\":%s,\"read_only\":%s,\"count\":%" PRIu64 ",\"entries\":%" PRIu64 ",\"bytes\":%" PRIu64
               "}\n", result == HF_OK ? "true" : "false", result < 0 ? "false" : "true", info.readonly ? "true" : "false",
               report.violations, report.entries, report.bytes);
    else if (result >= 0)
        printf("%s: %s%s: %" PRIu64 " entries, %" PRIu64 " bytes of keys and values, %" PRIu64 " violations\n", path,
               result == HF_OK ? "sound" : "damaged", info.readonly ? " (read-only check)" : "", report.entries, report.bytes,
               report.violations);
    return report_result(path, result);
}

static int run_check(int argc, char **argv) {
    (void)argc;
    hf_store *store = open_to_check(argv[0]);
    if (!store)
        return TOOL_FAILED;
    int code = run_check_on(store, argv[0]);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec check_options[] = {
    {.name = "read-only", .kind = OPTION_SWITCH, .target = &wanted.read_only,
     .help = "take no lock, and test only what readers rely on"},
    JSON_OPTION("print one JSON object"),
    {.name = NULL},
};

const struct command command_check = {
    .name = "check",
    .group = GROUP_HEALTH,
    .summary = "test every invariant of a store",
    .operands = "STORE",
    .about = "Tests every invariant of every stripe, each under its lock, while others work. Without write permission it\n"
             "does what --read-only does. Exit code 0: sound; 1: damaged, and 'holdfast repair' helps.\n",
    .examples = "holdfast check users.hf\n"
                "holdfast check users.hf --read-only --json | jq .sound\n",
    .options = check_options,
    .min_operands = 1,
    .max_operands = 1,
    .writes = true,
    .run = run_check,
};

/* ---- repair --------------------------------------------------------------------------------------------------------------- */

static int run_repair(int argc, char **argv) {
    (void)argc;
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    struct hf_report report = {.entries = 0};
    int result = hf_repair(store, &report);
    if (result == HF_OK)
        printf("%s: repaired: %" PRIu64 " entries kept, %" PRIu64 " dropped\n", argv[0], report.entries, report.dropped);
    int code = report_result(argv[0], result);
    close_store(&store, argv[0]);
    return code;
}

const struct command command_repair = {
    .name = "repair",
    .group = GROUP_HEALTH,
    .summary = "drop what is not sound, rebuild what is derived",
    .operands = "STORE",
    .about = "Verifies every entry with its checksum, drops those that are not sound, rebuilds everything that is derived from\n"
             "the entries. Others may work meanwhile. A killed process never makes this necessary.\n",
    .examples = "holdfast check users.hf || holdfast repair users.hf\n",
    .min_operands = 1,
    .max_operands = 1,
    .writes = true,
    .run = run_repair,
};
