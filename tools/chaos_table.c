/* SPDX-License-Identifier: MIT */
/*
 * What a chaos run tells at its end: a table for people, or the same as one JSON object. May not judge: it adds up and prints.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chaos.h"
#include "json.h"

/* The sums over all slots. */
struct sums {
    uint64_t acts[CHAOS_ACT_COUNT];
    uint64_t refused, busies;
    struct chaos_histogram writes, reads;
};

static void add_up(const struct chaos *chaos, struct sums *sums) {
    memset(sums, 0, sizeof *sums);
    for (unsigned i = 0; i < CHAOS_SLOTS_MAX; i++) {
        const struct chaos_slot *slot = &chaos->slots[i];
        for (unsigned act = 0; act < CHAOS_ACT_COUNT; act++)
            sums->acts[act] += atomic_load(&slot->counts[act]);
        sums->refused += atomic_load(&slot->refused);
        sums->busies += atomic_load(&slot->busies);
        chaos_merge(&sums->writes, &slot->writes);
        chaos_merge(&sums->reads, &slot->reads);
    }
}

static unsigned texts_of(const struct chaos *chaos) {
    unsigned count = atomic_load(&chaos->violations);
    return count < CHAOS_TEXTS ? count : CHAOS_TEXTS;
}

/* A process may have been killed while it wrote the words. */
static const char *words_of(const struct chaos *chaos, unsigned index) {
    const struct chaos_violation_text *text = &chaos->texts[index];
    return atomic_load(&text->ready) ? text->words : "(its finder was killed before it could say what)";
}

static uint64_t verdict_count(const struct chaos *chaos, enum hf_verdict verdict) {
    return atomic_load(&chaos->verdicts[verdict]);
}

/* ---- For people ------------------------------------------------------------------------------------------------------------ */

static void print_times(const char *label, const struct chaos_histogram *histogram) {
    printf("  %-14s  p50 %" PRIu64 " us, p99 %" PRIu64 " us, longest %" PRIu64 " us\n", label, chaos_quantile(histogram, 500),
           chaos_quantile(histogram, 990), (uint64_t)atomic_load(&histogram->max));
}

static void print_row(const char *label, uint64_t count, const char *remark) {
    printf("  %-14s %12" PRIu64 "%s%s\n", label, count, *remark ? "  " : "", remark);
}

static void print_work(const struct chaos_run *run) {
    print_row("moves", run->stats.moves, "entries moved to make room");
    print_row("evictions", run->stats.evictions, "entries evicted to make room");
    print_row("contended", run->stats.contended, "locks that had to be waited for");
}

static void print_deaths(const struct chaos_run *run) {
    const struct chaos *chaos = run->chaos;
    char remark[200];
    snprintf(remark, sizeof remark, "%" PRIu64 " before the first call, %" PRIu64 " while settling what the last one left",
             run->early_kills, run->settling_kills);
    print_row("writers killed", run->kills, remark);
    print_row("readers killed", run->reader_kills, "");
    snprintf(remark, sizeof remark, "all processes killed at once; the next opener made %" PRIu64 " of the recoveries",
             (uint64_t)atomic_load(&chaos->first_opens));
    print_row("sweeps", run->sweeps, remark);
    snprintf(remark, sizeof remark, "told: %" PRIu64 " idle, %" PRIu64 " kept-old, %" PRIu64 " kept-new, %" PRIu64 " checked",
             verdict_count(chaos, HF_VERDICT_IDLE), verdict_count(chaos, HF_VERDICT_OLD),
             verdict_count(chaos, HF_VERDICT_NEW), verdict_count(chaos, HF_VERDICT_CHECKED));
    print_row("recoveries", run->stats.recoveries, remark);
}

void chaos_print_table(const struct chaos_run *run) {
    const struct chaos *chaos = run->chaos;
    struct sums sums;
    add_up(chaos, &sums);
    printf("chaos: %s, seed %" PRIu64 ", %" PRIu32 " writers, %" PRIu32 " readers, %" PRIu32 " keys, %s mode, %.1f s%s\n",
           run->path, chaos->seed, chaos->writers, chaos->readers, chaos->keys, chaos->cache ? "cache" : "store",
           (double)run->took_ms / 1000, run->interrupted ? " (interrupted)" : "");
    for (unsigned act = 0; act < CHAOS_ACT_COUNT; act++)
        print_row(chaos_act_name(act), sums.acts[act], "");
    print_row("refused", sums.refused, "writes, by a full store");
    print_row("busy", sums.busies, "reads of entries that kept changing");
    print_work(run);
    print_deaths(run);
    print_times("recovery", &chaos->recovery);
    print_times("write call", &sums.writes);
    print_times("read call", &sums.reads);
    unsigned violations = atomic_load(&chaos->violations);
    print_row("violations", violations, violations > CHAOS_TEXTS ? "the first of them:" : "");
    for (unsigned i = 0; i < texts_of(chaos); i++)
        printf("    %s\n", words_of(chaos, i));
}

/* ---- For programs ---------------------------------------------------------------------------------------------------------- */

static void print_json_times(const char *name, const struct chaos_histogram *histogram) {
    printf(",\"%s\":{\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64 "}", name, chaos_quantile(histogram, 500),
           chaos_quantile(histogram, 990), (uint64_t)atomic_load(&histogram->max));
}

static void print_json_deaths(const struct chaos_run *run) {
    const struct chaos *chaos = run->chaos;
    printf(",\"kills\":{\"writers\":%" PRIu64 ",\"early\":%" PRIu64 ",\"settling\":%" PRIu64 ",\"readers\":%" PRIu64
           ",\"sweeps\":%" PRIu64 "}",
           run->kills, run->early_kills, run->settling_kills, run->reader_kills, run->sweeps);
    printf(",\"recoveries\":%" PRIu64 ",\"first_open_recoveries\":%" PRIu64 ",\"verdicts\":{",
           run->stats.recoveries, (uint64_t)atomic_load(&chaos->first_opens));
    for (enum hf_verdict verdict = HF_VERDICT_IDLE; verdict <= HF_VERDICT_CHECKED; verdict++)
        printf("%s\"%s\":%" PRIu64, verdict == HF_VERDICT_IDLE ? "" : ",", hf_verdict_name(verdict),
               verdict_count(chaos, verdict));
    putchar('}');
}

void chaos_print_json(const struct chaos_run *run) {
    const struct chaos *chaos = run->chaos;
    struct sums sums;
    add_up(chaos, &sums);
    fputs("{\"store\":", stdout);
    json_print_bytes(run->path, strlen(run->path));
    printf(",\"seed\":%" PRIu64 ",\"writers\":%" PRIu32 ",\"readers\":%" PRIu32 ",\"keys\":%" PRIu32
           ",\"mode\":\"%s\",\"ms\":%" PRIu64 ",\"interrupted\":%s,\"operations\":{",
           chaos->seed, chaos->writers, chaos->readers, chaos->keys, chaos->cache ? "cache" : "store", run->took_ms,
           run->interrupted ? "true" : "false");
    for (unsigned act = 0; act < CHAOS_ACT_COUNT; act++)
        printf("%s\"%s\":%" PRIu64, act ? "," : "", chaos_act_name(act), sums.acts[act]);
    printf("},\"refused\":%" PRIu64 ",\"busy\":%" PRIu64, sums.refused, sums.busies);
    printf(",\"moves\":%" PRIu64 ",\"evictions\":%" PRIu64 ",\"contended\":%" PRIu64, run->stats.moves, run->stats.evictions,
           run->stats.contended);
    print_json_deaths(run);
    print_json_times("recovery_us", &chaos->recovery);
    print_json_times("write_us", &sums.writes);
    print_json_times("read_us", &sums.reads);
    printf(",\"violations\":%u,\"words\":[", atomic_load(&chaos->violations));
    for (unsigned i = 0; i < texts_of(chaos); i++) {
        fputs(i ? "," : "", stdout);
        json_print_bytes(words_of(chaos, i), strlen(words_of(chaos, i)));
    }
    puts("]}");
}
