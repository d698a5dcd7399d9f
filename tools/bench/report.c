/* SPDX-License-Identifier: MIT */
/*
 * Medians and ratios, and how they look to people and to programs. May not measure.
 */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

/* ---- Figures ------------------------------------------------------------------------------------------------------------ */

void bench_line_add(struct bench_line *line, const struct bench_result *result) {
    if (line->repeats < BENCH_REPEATS_MAX) {
        line->ns[line->repeats] = result->ns;
        line->typical_ns[line->repeats] = result->typical_ns;
        line->per_second[line->repeats] = result->per_second;
        line->p99[line->repeats++] = (double)bench_quantile(&result->times, 0.99);
    }
    line->sum.operations += result->operations;
    line->sum.hits += result->hits;
    line->sum.misses += result->misses;
    line->sum.wrong += result->wrong;
    line->sum.threads = result->threads;
    bench_merge(&line->sum.times, &result->times);
}

double bench_line_median(const struct bench_line *line, const double *of) {
    double sorted[BENCH_REPEATS_MAX];
    memcpy(sorted, of, line->repeats * sizeof *sorted);
    return bench_median(sorted, line->repeats);
}

static double figure(const struct bench_line *line, unsigned repeat, enum bench_measure of, bool typical) {
    if (of == BENCH_OF_P99)
        return line->p99[repeat];
    if (of == BENCH_OF_RATE)
        return typical ? line->sum.threads * 1e9 / line->typical_ns[repeat] : line->per_second[repeat];
    return typical ? line->typical_ns[repeat] : line->ns[repeat];
}

double bench_ratio_of(const struct bench_ratio *ratio, bool typical) {
    double quotients[BENCH_REPEATS_MAX];
    for (unsigned i = 0; i < ratio->over->repeats; i++) {
        double under = figure(ratio->under, i, ratio->of, typical);
        under += ratio->plus ? figure(ratio->plus, i, ratio->of, typical) : 0;
        under -= ratio->minus ? figure(ratio->minus, i, ratio->of, typical) : 0;
        quotients[i] = under > 0 ? figure(ratio->over, i, ratio->of, typical) / under : 0;
    }
    return bench_median(quotients, ratio->over->repeats);
}

/* ---- For people --------------------------------------------------------------------------------------------------------- */

void bench_print_machine(const struct bench_machine *machine) {
    printf("machine      %s, %u cores; load of the last minute %.1f\n", machine->cpu, machine->cores, machine->load);
    printf("system       %s, %s\n", machine->kernel, machine->libc);
    printf("files        %s\n", machine->file_system);
    printf("build        %s, %s\n", machine->compiler, machine->build);
    if (machine->load > 0.5 + machine->cores / 4.0)
        printf("             the machine was busy: compare the columns 'typical', and repeat when it is quiet\n");
}

/* "12.3M" */
static const char *short_rate(double rate, char *text, size_t size) {
    const char *unit = rate >= 1e6 ? "M" : rate >= 1e3 ? "k" : "";
    snprintf(text, size, "%.2f%s", rate >= 1e6 ? rate / 1e6 : rate >= 1e3 ? rate / 1e3 : rate, unit);
    return text;
}

static void print_line(const struct bench_line *line) {
    char rate[32];
    const struct bench_histogram *times = &line->sum.times;
    printf("%-18s %10s %9.1f %9.1f %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %11" PRIu64 "\n", line->name,
           short_rate(bench_line_median(line, line->per_second), rate, sizeof rate), bench_line_median(line, line->ns),
           bench_line_median(line, line->typical_ns), bench_quantile(times, 0.5), bench_quantile(times, 0.99),
           bench_quantile(times, 0.999), times->max);
}

static void print_ratio(const struct bench_ratio *ratio) {
    printf("%-52s %7.2f %9.2f", ratio->name, bench_ratio_of(ratio, false), bench_ratio_of(ratio, true));
    if (ratio->goal > 0)
        printf("   at %s %.2f", ratio->of == BENCH_OF_RATE ? "least" : "most", ratio->goal);
    putchar('\n');
}

void bench_print_table(const struct bench_report *report) {
    bench_print_machine(&report->machine);
    printf("store        %s; %s\n", report->store, report->settings);
    printf("entries      %" PRIu64 " of %" PRIu32 " + %" PRIu32 " bytes, %.1f bytes of file each; keys %s, seed %" PRIu64 "\n",
           report->entries, report->key_size, report->value_size, (double)report->footprint / (double)report->entries,
           report->distribution, report->seed);
    printf("run          %" PRIu32 " process%s of %" PRIu32 " thread%s, medians of %" PRIu32 " repeats in turn\n\n",
           report->processes, report->processes == 1 ? "" : "es", report->threads, report->threads == 1 ? "" : "s",
           report->repeats);
    printf("%-18s %10s %9s %9s %9s %9s %9s %11s\n", "", "per second", "ns", "typical", "p50", "p99", "p99.9", "max");
    for (unsigned i = 0; i < report->line_count; i++) {
        if (!report->lines[i].hidden)
            print_line(&report->lines[i]);
    }
    for (unsigned i = 0; i < report->line_count; i++) {
        const struct bench_line *line = &report->lines[i];
        if (line->kills > 0)
            printf("%-18s %" PRIu64 " writers killed, %" PRIu64 " stripes repaired\n", line->name, line->kills, line->repairs);
    }
    if (report->ratio_count > 0)
        printf("\n%-52s %7s %9s\n", "", "ratio", "typical");
    for (unsigned i = 0; i < report->ratio_count; i++)
        print_ratio(&report->ratios[i]);
}

/* ---- For programs ------------------------------------------------------------------------------------------------------- */

void bench_json_text(const char *name, const char *text) {
    printf("\"%s\":", name);
    json_print_bytes(text, strlen(text));
}

void bench_json_machine(const struct bench_machine *machine) {
    printf("\"machine\":{");
    bench_json_text("cpu", machine->cpu);
    printf(",\"cores\":%u,\"load\":%.2f,", machine->cores, machine->load);
    bench_json_text("kernel", machine->kernel);
    putchar(',');
    bench_json_text("libc", machine->libc);
    putchar(',');
    bench_json_text("file_system", machine->file_system);
    putchar(',');
    bench_json_text("huge_pages", machine->huge_pages);
    printf("},\"build\":{");
    bench_json_text("compiler", machine->compiler);
    putchar(',');
    bench_json_text("options", machine->build);
    putchar('}');
}

static void json_array(const char *name, const double *values, unsigned count) {
    printf("\"%s\":[", name);
    for (unsigned i = 0; i < count; i++)
        printf("%s%.2f", i ? "," : "", values[i]);
    putchar(']');
}

static void json_line(const struct bench_line *line) {
    const struct bench_histogram *times = &line->sum.times;
    putchar('{');
    bench_json_text("name", line->name);
    printf(",\"threads\":%" PRIu32 ",\"operations\":%" PRIu64 ",\"hits\":%" PRIu64 ",\"misses\":%" PRIu64, line->sum.threads,
           line->sum.operations, line->sum.hits, line->sum.misses);
    printf(",\"per_second\":%.1f,\"ns\":%.2f,\"typical_ns\":%.2f", bench_line_median(line, line->per_second),
           bench_line_median(line, line->ns), bench_line_median(line, line->typical_ns));
    printf(",\"p50_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64 ",\"p999_ns\":%" PRIu64, bench_quantile(times, 0.5),
           bench_quantile(times, 0.99), bench_quantile(times, 0.999));
    printf(",\"max_ns\":%" PRIu64 ",\"sampled\":%" PRIu64 ",", times->max, times->count);
    if (line->kills > 0)
        printf("\"kills\":%" PRIu64 ",\"repairs\":%" PRIu64 ",", line->kills, line->repairs);
    json_array("ns_of_repeats", line->ns, line->repeats);
    putchar(',');
    json_array("typical_ns_of_repeats", line->typical_ns, line->repeats);
    putchar('}');
}

static void json_ratio(const struct bench_ratio *ratio) {
    putchar('{');
    bench_json_text("name", ratio->name);
    printf(",\"ratio\":%.4f,\"typical\":%.4f", bench_ratio_of(ratio, false), bench_ratio_of(ratio, true));
    if (ratio->goal > 0)
        printf(",\"%s\":%.2f", ratio->of == BENCH_OF_RATE ? "at_least" : "at_most", ratio->goal);
    putchar('}');
}

void bench_print_json(const struct bench_report *report) {
    putchar('{');
    bench_json_machine(&report->machine);
    putchar(',');
    bench_json_text("store", report->store);
    putchar(',');
    bench_json_text("settings", report->settings);
    putchar(',');
    bench_json_text("distribution", report->distribution);
    printf(",\"entries\":%" PRIu64 ",\"key_size\":%" PRIu32 ",\"value_size\":%" PRIu32 ",\"file_bytes\":%" PRIu64
           ",\"processes\":%" PRIu32 ",\"threads\":%" PRIu32 ",\"repeats\":%" PRIu32 ",\"batch\":%" PRIu32 ",\"seed\":%" PRIu64,
           report->entries, report->key_size, report->value_size, report->footprint, report->processes, report->threads,
           report->repeats, report->batch, report->seed);
    printf(",\"runs\":[");
    bool first = true;
    for (unsigned i = 0; i < report->line_count; i++) {
        if (report->lines[i].hidden)
            continue;
        if (!first)
            putchar(',');
        first = false;
        json_line(&report->lines[i]);
    }
    printf("],\"ratios\":[");
    for (unsigned i = 0; i < report->ratio_count; i++) {
        if (i > 0)
            putchar(',');
        json_ratio(&report->ratios[i]);
    }
    printf("]}\n");
}
