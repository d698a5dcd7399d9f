/* SPDX-License-Identifier: MIT */
/*
 * stats: the counters of stores, in words, as JSON, and in the text format that Prometheus reads. What counters there are stands
 * in holdfast.h alone.
 */
#include "json.h"
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct {
    bool json, prometheus;
} wanted;

struct sample {
    const char *path;
    struct hf_stats stats;
    struct hf_info info;
};

static bool take_sample(const char *path, struct sample *sample) {
    hf_store *store = open_store(path, TO_READ);
    if (!store)
        return false;
    *sample = (struct sample){.path = path, .stats = HF_STATS_INIT, .info = HF_INFO_INIT};
    int result = hf_stats(store, &sample->stats);
    if (result == HF_OK)
        result = hf_info(store, &sample->info);
    report_result(path, result);
    close_store(&store, path);
    return result == HF_OK;
}

/* ---- In words, and as JSON ------------------------------------------------------------------------------------------------ */

static double hit_ratio(const struct hf_stats *stats) {
    uint64_t reads = stats->hits + stats->misses;
    return reads ? (double)stats->hits / (double)reads : 0;
}

static void print_words(const struct sample *sample) {
#define PRINT_STAT(name, text) printf("%-15s %20" PRIu64 "  %s\n", #name, sample->stats.name, text);
    HF_STATS(PRINT_STAT)
#undef PRINT_STAT
    if (sample->stats.hits + sample->stats.misses > 0)
        printf("%-15s %18.1f %%  %s\n", "hit_ratio", 100 * hit_ratio(&sample->stats), "hits of all reads");
}

static void print_json(const struct sample *sample) {
    fputs("{\"store\":", stdout);
    json_print_bytes(sample->path, strlen(sample->path));
#define PRINT_STAT(name, text) printf(",\"" #name "\":%" PRIu64, sample->stats.name);
    HF_STATS(PRINT_STAT)
#undef PRINT_STAT
    if (sample->stats.hits + sample->stats.misses > 0)
        printf(",\"hit_ratio\":%.6f}\n", hit_ratio(&sample->stats));
    else
        puts(",\"hit_ratio\":null}");
}

/* ---- For Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats ------------------------------------------ */

/* A path as the value of a label, which is UTF-8: bytes that are none become \xNN in words. */
static void print_label(const char *path) {
    size_t left = strlen(path), step;
    for (const char *at = path; left > 0; at += step, left -= step) {
        step = utf8_sequence((const unsigned char *)at, left);
        if (step == 0) {
            step = 1;
            printf("\\\\x%02x", (unsigned char)*at);
        } else if (*at == '\\' || *at == '"') {
            printf("\\%c", *at);
        } else if (*at == '\n') {
            fputs("\\n", stdout);
        } else {
            print_bytes(at, step);
        }
    }
}

/* One metric of all stores: they must stand together. The value lies at `offset` in a sample. */
static void print_metric(const char *name, const char *suffix, const char *text, const struct sample *samples, size_t count,
                         size_t offset) {
    printf("# HELP holdfast_%s%s %c%s.\n# TYPE holdfast_%s%s %s\n", name, suffix, text[0] - 'a' + 'A', text + 1, name, suffix,
           *suffix ? "counter" : "gauge");
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&samples[i] + offset, sizeof value);
        printf("holdfast_%s%s{store=\"", name, suffix);
        print_label(samples[i].path);
        printf("\"} %" PRIu64 "\n", value);
    }
}

static void print_prometheus(const struct sample *samples, size_t count) {
#define PRINT_GAUGE(name, text) print_metric(#name, "", text, samples, count, offsetof(struct sample, stats.name));
#define PRINT_COUNTER(name, text) print_metric(#name, "_total", text, samples, count, offsetof(struct sample, stats.name));
    HF_GAUGES(PRINT_GAUGE)
    print_metric("file_bytes", "", "bytes of the file", samples, count, offsetof(struct sample, info.file_size));
    HF_COUNTERS(PRINT_COUNTER)
#undef PRINT_GAUGE
#undef PRINT_COUNTER
}

/* ---- The command ---------------------------------------------------------------------------------------------------------- */

static void print_samples(const struct sample *samples, size_t count, bool several) {
    if (wanted.prometheus && count > 0)
        print_prometheus(samples, count);
    for (size_t i = 0; i < count && !wanted.prometheus; i++) {
        if (wanted.json) {
            print_json(&samples[i]);
            continue;
        }
        if (several)
            printf("%s%s:\n", i > 0 ? "\n" : "", samples[i].path);
        print_words(&samples[i]);
    }
}

static int run_stats(int argc, char **argv) {
    if (wanted.json && wanted.prometheus)
        return usage_error("--json does not go with --prometheus");
    struct sample *samples = calloc((size_t)argc, sizeof *samples);
    if (!samples)
        return fail(NULL, "out of memory");
    size_t count = 0;
    for (int i = 0; i < argc; i++)
        count += take_sample(argv[i], &samples[count]);
    print_samples(samples, count, argc > 1);
    free(samples);
    return count == (size_t)argc ? TOOL_DONE : TOOL_FAILED;
}

static const struct option_spec stats_options[] = {
    {.name = "json", .kind = OPTION_SWITCH, .target = &wanted.json, .help = "print one JSON object on a line for each store"},
    {.name = "prometheus", .kind = OPTION_SWITCH, .target = &wanted.prometheus, .help = "print them as Prometheus reads them"},
    {.name = NULL},
};

const struct command command_stats = {
    .name = "stats",
    .group = GROUP_HEALTH,
    .summary = "print the counters",
    .operands = "STORE...",
    .about = "Prints what is in stores and what was done to them, by all processes that ever used them. Needs only read\n"
             "permission.\n"
             "A thread hands in what it has counted about once a second, at the latest after 256 hits or misses; what it had\n"
             "not is lost when its process is killed. Reads of read-only handles, as those of this tool, are not counted.\n",
    .examples = "holdfast stats users.hf\n"
                "holdfast stats users.hf --json | jq .hit_ratio\n"
                "holdfast stats /dev/shm/*.hf --prometheus >holdfast.prom.new && mv holdfast.prom.new holdfast.prom\n",
    .options = stats_options,
    .min_operands = 1,
    .max_operands = -1,
    .run = run_stats,
};
