/* SPDX-License-Identifier: MIT */
/*
 * The results as JSON on standard output, for tools/bench/peers/report.py.
 */
#include <stdio.h>

#include "../machine.h"
#include "measure.h"

/* None of the texts holds control characters. */
static void text(const char *name, const char *value) {
    printf(",\"%s\":\"", name);
    for (; *value; value++)
        printf(*value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    putchar('"');
}

static void print_machine(const struct bench_machine *machine) {
    printf("{\"cores\":%u,\"load\":%.2f", machine->cores, machine->load);
    text("cpu", machine->cpu);
    text("kernel", machine->kernel);
    text("libc", machine->libc);
    text("file_system", machine->file_system);
    text("huge_pages", machine->huge_pages);
    text("compiler", machine->compiler);
    text("build", machine->build);
    putchar('}');
}

void print_begin(const struct stage *stage, const struct plan *plan) {
    struct bench_machine machine;
    bench_machine_now(&machine, stage->scratch.path);
    printf("{\"machine\":");
    print_machine(&machine);
    printf(",\"entries\":%llu,\"key_size\":%u,\"value_size\":%u,\"seconds\":%g,\"repeats\":%u,\"many_keys\":%d",
           (unsigned long long)stage->config.entries, stage->config.key_size, stage->config.value_size, (double)plan->ns / 1e9,
           plan->repeats, MANY_KEYS);
    text("missing", peers_missing);
    printf(",\n\"results\":[");
}

void print_result(const struct stage *stage, unsigned store, const struct workload *workload, unsigned repeat,
                  const struct bench_result *result) {
    static const char *separator = "\n ";
    printf("%s{\"processes\":%u,\"repeat\":%u,\"ns\":%.2f,\"typical_ns\":%.2f,\"per_second\":%.0f", separator,
           workload->processes, repeat, result->ns, result->typical_ns, result->per_second);
    separator = ",\n ";
    text("engine", stage->store[store].engine->name);
    text("workload", workload->name);
    printf(",\"operations\":%llu,\"p50_ns\":%llu,\"p99_ns\":%llu,\"p999_ns\":%llu,\"max_ns\":%llu}",
           (unsigned long long)result->operations, (unsigned long long)bench_quantile(&result->times, 0.5),
           (unsigned long long)bench_quantile(&result->times, 0.99), (unsigned long long)bench_quantile(&result->times, 0.999),
           (unsigned long long)result->times.max);
}

/* The stores last, when they have grown as far as they do. */
void print_end(const struct stage *stage) {
    printf("],\n\"engines\":[");
    for (unsigned i = 0; i < stage->count; i++) {
        const struct bench_engine *engine = stage->store[i].engine;
        char settings[1000] = "";
        if (engine->settings)
            engine->settings(stage->store[i].path, settings, sizeof settings);
        printf("%s{\"several_processes\":%s,\"bytes\":%llu", i ? ",\n " : "\n ", stage->pair_index[i] >= 0 ? "true" : "false",
               engine->footprint ? (unsigned long long)engine->footprint(stage->store[i].path) : 0);
        text("name", engine->name);
        text("about", engine->about);
        text("settings", settings);
        putchar('}');
    }
    printf("]}\n");
}
