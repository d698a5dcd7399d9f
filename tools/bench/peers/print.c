/* SPDX-License-Identifier: MIT */
/*
 * The results as JSON, for tools/bench-peers. Texts of engines hold no control characters.
 */
#include "measure.h"

static void print_text(FILE *output, const char *name, const char *text) {
    fprintf(output, ", \"%s\": \"", name);
    for (; *text; text++)
        fprintf(output, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    fputc('"', output);
}

void print_begin(FILE *output, const struct stage *stage, const struct plan *plan) {
    fprintf(output, "{\"entries\": %llu, \"key_size\": %u, \"value_size\": %u, \"seconds\": %g, \"repeats\": %u",
            (unsigned long long)stage->config.entries, stage->config.key_size, stage->config.value_size, (double)plan->ns / 1e9,
            plan->repeats);
    print_text(output, "missing", peers_missing);
    fprintf(output, ",\n\"results\": [");
}

void print_result(FILE *output, const struct stage *stage, unsigned store, const struct workload *workload, unsigned repeat,
                  const struct bench_result *result) {
    static const char *separator = "\n ";
    fprintf(output, "%s{\"processes\": %u, \"repeat\": %u, \"ns\": %.2f, \"per_second\": %.0f, \"operations\": %llu", separator,
            workload->processes, repeat, result->ns, result->per_second, (unsigned long long)result->operations);
    separator = ",\n ";
    print_text(output, "engine", stage->store[store].engine->name);
    print_text(output, "workload", workload->name);
    fprintf(output, ", \"p50\": %llu, \"p99\": %llu, \"p999\": %llu, \"max\": %llu, \"misses\": %llu}",
            (unsigned long long)bench_quantile(&result->times, 0.5), (unsigned long long)bench_quantile(&result->times, 0.99),
            (unsigned long long)bench_quantile(&result->times, 0.999), (unsigned long long)result->times.max,
            (unsigned long long)result->misses);
}

/* The stores last, when they have grown as far as they do. */
void print_end(FILE *output, const struct stage *stage) {
    fprintf(output, "],\n\"engines\": [");
    for (unsigned i = 0; i < stage->count; i++) {
        const struct bench_engine *engine = stage->store[i].engine;
        char settings[1000] = "";
        if (engine->settings)
            engine->settings(stage->store[i].path, settings, sizeof settings);
        fprintf(output, "%s{\"several_processes\": %s, \"bytes\": %llu", i ? ",\n " : "\n ",
                stage->pair_index[i] >= 0 ? "true" : "false",
                engine->footprint ? (unsigned long long)engine->footprint(stage->store[i].path) : 0);
        print_text(output, "name", engine->name);
        print_text(output, "about", engine->about);
        print_text(output, "settings", settings);
        fprintf(output, "}");
    }
    fprintf(output, "]}\n");
}
