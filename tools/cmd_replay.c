/* SPDX-License-Identifier: MIT */
/*
 * replay: a trace of requests against a cache of a given size, to see how much of them it serves. Every request is a get, and a
 * put if that misses. The store has no name, so that nothing is left of it however the command ends.
 */
#include "tool.h"
#include "trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEAP_MOST (1ull << 37) /* of any store */

enum { KEY_BYTES = 16, SAMPLE = 1000, WHOLE = 1000000 /* millionths */ };

static struct {
    const char *heap, *overwrite;
    uint64_t stripes, round;
    bool json;
} wanted = { .heap = "10%", .overwrite = "0%", .stripes = 1, .round = 64 };

struct outcome {
    uint64_t heap, misses, hits, missed_bytes, bytes, overwrites, refused;
    double live; /* share of the heap, mean over the second half of the requests */
    uint64_t samples;
    struct hf_stats stats;
};

/* ---- Sizes ---------------------------------------------------------------------------------------------------------------- */

/* "5%", "0.25%" into millionths; false, and nothing changed, if it is no share. */
static bool parse_share(const char *text, uint64_t *millionths) {
    uint64_t unit = WHOLE / 100, value = 0;
    bool any = false, point = false;
    for (; (*text >= '0' && *text <= '9') || (*text == '.' && !point); text++) {
        if (*text == '.') {
            point = true;
            continue;
        }
        any = true;
        uint64_t digit = (uint64_t)(*text - '0');
        if (point)
            value += digit * (unit /= 10);
        else
            value = value * 10 + digit * unit;
        if (value > 1000ull * WHOLE)
            return false;
    }
    if (!any || strcmp(text, "%") != 0)
        return false;
    *millionths = value;
    return true;
}

static uint64_t heap_bytes(const struct hf_info *info) {
    return info->blocks * info->block_size;
}

/* The heap is what a capacity leaves: the capacity is corrected by what is missing, with two bits of map for each block. */
static int open_sized(hf_store **store, struct hf_options *options, uint64_t heap) {
    struct hf_info info = HF_INFO_INIT;
    options->capacity = heap + heap / 16 + options->stripes * 4096 + 65536;
    int result = hf_open_anonymous(store, options);
    if (result == HF_OK)
        result = hf_info(*store, &info);
    if (result != HF_OK || heap_bytes(&info) == heap)
        return result;
    hf_close(store);
    int64_t missing = (int64_t)(heap - heap_bytes(&info));
    options->capacity += (uint64_t)(missing + missing / 128);
    return hf_open_anonymous(store, options);
}

/* A store whose heap is a multiple of 64 blocks a stripe, next to `heap` bytes. As many entries are expected as the trace has in
 * such a share of its footprint, or fewer if stripes are so small that they cannot be promised. */
static int open_cache(hf_store **store, const struct trace *trace, uint64_t heap) {
    struct hf_options options = HF_OPTIONS_INIT;
    uint64_t unit = wanted.stripes * 64 * 32, rounded = (heap + unit / 2) / unit * unit;
    rounded = rounded < unit ? unit : rounded;
    uint64_t most = ((rounded / wanted.stripes / 32 - 1) * 7 / 8 - 1) * 32 - 40 - KEY_BYTES;
    options.mode = HF_MODE_CACHE;
    options.stripes = (uint32_t)wanted.stripes;
    options.entry_size = KEY_BYTES;
    options.max_key = KEY_BYTES;
    options.max_value = trace->largest < most ? trace->largest : (uint32_t)most;
    options.max_value = options.max_value < KEY_BYTES ? KEY_BYTES : options.max_value;
    options.entries = (uint64_t)((double)heap / (double)trace->footprint * (double)trace->keys) + 1;
    int result = open_sized(store, &options, rounded);
    while (result == HF_ERR_ARGUMENT && (options.entries /= 2) > 0)
        result = open_sized(store, &options, rounded);
    return result;
}

/* ---- Requests ------------------------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static int put(hf_store *store, const char *key, const void *value, uint32_t size, struct outcome *outcome) {
    int result = hf_put(store, key, KEY_BYTES, value, size, NULL, NULL);
    bool refused = result == HF_ERR_TOOBIG || result == HF_ERR_FULL;
    outcome->refused += refused;
    return refused ? HF_OK : result;
}

static int sample(hf_store *store, struct outcome *outcome) {
    struct hf_stats stats = HF_STATS_INIT;
    int result = hf_stats(store, &stats);
    outcome->live += (double)stats.used_bytes / (double)(stats.used_bytes + stats.free_bytes);
    outcome->samples++;
    outcome->stats = stats;
    return result;
}

static int serve(hf_store *store, const struct trace *trace, uint64_t overwrite, void *value, struct outcome *outcome) {
    uint64_t seed = 88172645463325252u;
    int result = HF_OK;
    for (size_t i = 0; i < trace->count && result == HF_OK; i++) {
        const struct request *request = &trace->requests[i];
        char key[KEY_BYTES + 1];
        snprintf(key, sizeof key, "%016" PRIx64, request->key);
        result = hf_get(store, key, KEY_BYTES, value, trace->largest, NULL, NULL);
        outcome->bytes += request->size;
        if (result == HF_NOTFOUND) {
            outcome->misses++;
            outcome->missed_bytes += request->size;
            result = put(store, key, value, request->size, outcome);
        } else if (result == HF_OK || result == HF_TRUNCATED) {
            outcome->hits++;
            bool changes = next_random(&seed) % WHOLE < overwrite;
            outcome->overwrites += changes;
            result = changes ? put(store, key, value, request->size, outcome) : HF_OK;
        }
        if (result == HF_OK && (i + 1 == trace->count || (i >= trace->count / 2 && i % SAMPLE == 0)))
            result = sample(store, outcome);
        if (i % (1 << 16) == 0)
            progress_show(i, trace->count);
    }
    return result;
}

/* ---- The report ----------------------------------------------------------------------------------------------------------- */

static double share(uint64_t part, uint64_t whole) {
    return whole ? (double)part / (double)whole : 0;
}

static void print_json(const struct trace *trace, const struct outcome *outcome) {
    const struct hf_stats *stats = &outcome->stats;
    printf("{\"miss_ratio\":%.6f,\"byte_miss_ratio\":%.6f,\"live_share\":%.4f,\"requests\":%zu,\"keys\":%" PRIu64
           ",\"footprint\":%" PRIu64 ",\"heap\":%" PRIu64 ",\"stripes\":%" PRIu64 ",\"hits\":%" PRIu64 ",\"misses\":%" PRIu64
           ",\"overwrites\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"entries\":%" PRIu64 ",\"evictions\":%" PRIu64
           ",\"evictions_small\":%" PRIu64 ",\"evictions_slot\":%" PRIu64 ",\"copies\":%" PRIu64 ",\"promotions\":%" PRIu64 "}\n",
           share(outcome->misses, trace->count), share(outcome->missed_bytes, outcome->bytes),
           outcome->live / (double)outcome->samples, trace->count, trace->keys, trace->footprint, outcome->heap, wanted.stripes,
           outcome->hits, outcome->misses, outcome->overwrites, outcome->refused, stats->entries, stats->evictions,
           stats->evictions_small, stats->evictions_slot, stats->moves, stats->promotions);
}

static void print_text(const struct trace *trace, const struct outcome *outcome) {
    const struct hf_stats *stats = &outcome->stats;
    struct shown shown;
    printf("requests          %zu for %" PRIu64 " keys\n", trace->count, trace->keys);
    printf("footprint         %s\n", show_size(trace->footprint, &shown));
    printf("heap              %s in %" PRIu64 " stripes\n", show_size(outcome->heap, &shown), wanted.stripes);
    printf("miss ratio        %.4f\n", share(outcome->misses, trace->count));
    printf("byte miss ratio   %.4f\n", share(outcome->missed_bytes, outcome->bytes));
    printf("live              %.1f %% of the heap, %" PRIu64 " entries at the end\n",
           100 * outcome->live / (double)outcome->samples, stats->entries);
    printf("evictions         %" PRIu64 ", %" PRIu64 " of them new entries that were hardly read\n", stats->evictions,
           stats->evictions_small);
    printf("copies            %" PRIu64 ", %" PRIu64 " of them promotions\n", stats->moves, stats->promotions);
    printf("overwrites        %" PRIu64 "\n", outcome->overwrites);
    printf("refused           %" PRIu64 " values larger than a stripe takes\n", outcome->refused);
}

/* ---- The command ---------------------------------------------------------------------------------------------------------- */

static int replay_trace(const struct trace *trace, const char *path, uint64_t heap, uint64_t overwrite) {
    struct outcome outcome = { .stats = HF_STATS_INIT };
    struct hf_info info = HF_INFO_INIT;
    hf_store *store = NULL;
    void *value = calloc(1, (size_t)trace->largest + 1);
    if (!value)
        return fail(path, "no memory for a value");
    int result = open_cache(&store, trace, heap);
    if (result == HF_OK)
        result = hf_info(store, &info);
    outcome.heap = heap_bytes(&info);
    progress_start(path);
    if (result == HF_OK)
        result = serve(store, trace, overwrite, value, &outcome);
    progress_end();
    hf_close(&store);
    free(value);
    if (result != HF_OK)
        return report_result(path, result);
    if (wanted.json)
        print_json(trace, &outcome);
    else
        print_text(trace, &outcome);
    return TOOL_DONE;
}

static int replay(int argc, char **argv) {
    (void)argc;
    struct trace trace;
    uint64_t part = 0, bytes = 0, overwrite;
    if (!parse_share(wanted.heap, &part) && !parse_size(wanted.heap, &bytes))
        return usage_error("--heap %s: a share as in 5%%, or a size as in 64M, is wanted", wanted.heap);
    if (part == 0 && bytes == 0)
        return usage_error("--heap %s: more than nothing is wanted", wanted.heap);
    if (bytes > HEAP_MOST)
        return usage_error("--heap %s: no store has more than 128G", wanted.heap);
    if (!parse_share(wanted.overwrite, &overwrite) || overwrite > WHOLE)
        return usage_error("--overwrite %s: a share as in 30%% is wanted", wanted.overwrite);
    if (wanted.stripes & (wanted.stripes - 1))
        return usage_error("--stripes %" PRIu64 ": a power of two is wanted", wanted.stripes);
    int code = TOOL_FAILED;
    if (trace_read(&trace, argv[0], (uint32_t)wanted.round)) {
        uint64_t heap = part ? (uint64_t)((double)trace.footprint * (double)part / WHOLE) : bytes;
        code = replay_trace(&trace, argv[0], heap, overwrite);
    }
    trace_free(&trace);
    return code;
}

static const struct option_spec replay_options[] = {
    {.name = "heap", .kind = OPTION_TEXT, .argument = "SHARE", .target = &wanted.heap,
     .help = "of the footprint, as in 5%, or bytes, as in 64M (default 10%)"},
    {.name = "stripes", .kind = OPTION_NUMBER, .argument = "N", .target = &wanted.stripes, .low = 1, .high = HF_STRIPES_MAX,
     .help = "a power of two (default 1)"},
    {.name = "overwrite", .kind = OPTION_TEXT, .argument = "SHARE", .target = &wanted.overwrite,
     .help = "of the hits that are followed by a put of the same size, as in 30%"},
    {.name = "round", .kind = OPTION_NUMBER, .argument = "BYTES", .target = &wanted.round, .low = 1, .high = 4096,
     .help = "to what the footprint rounds an entry (default 64; 32: to what it takes in this store)"},
    {.name = "json", .kind = OPTION_SWITCH, .target = &wanted.json, .help = "print one JSON object"},
    {.name = NULL},
};

const struct command command_replay = {
    .name = "replay",
    .group = GROUP_TRIAL,
    .summary = "tell how a cache would serve a trace",
    .operands = "TRACE",
    .about = "Replays a trace against a temporary store in mode cache: for each request a get, and a put if it misses.\n"
             "TRACE has a line for each request, the key's number and the bytes of its value; '-' is standard input, and\n"
             "what ends in .xz is unpacked by xz. The footprint is the sum over the keys of 56 + bytes, rounded up to 64.\n",
    .examples = "holdfast replay web07.txt.xz --heap 5%\n"
                "holdfast replay web07.txt.xz --heap 20% --stripes 16 --overwrite 30% --json\n",
    .options = replay_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = replay,
};
