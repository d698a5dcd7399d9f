/* SPDX-License-Identifier: MIT */
/*
 * What a chaos run tells people at its end: a table, and how long recoveries and waits took. May not judge: it adds up and
 * prints.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chaos.h"

enum { BAR = 50 };

void chaos_add_up(const struct chaos_run *run, struct chaos_sums *sums) {
    const struct chaos *chaos = run->chaos;
    memset(sums, 0, sizeof *sums);
    for (uint32_t i = 0; i < chaos->slot_count; i++) {
        const struct chaos_slot *slot = &chaos->slots[i];
        for (unsigned verb = 0; verb < CHAOS_VERB_COUNT; verb++)
            sums->verbs[verb] += atomic_load(&slot->counts[verb]);
        sums->refused += atomic_load(&slot->refused);
        sums->busies += atomic_load(&slot->busies);
        sums->timeouts += atomic_load(&slot->timeouts);
        sums->unstored += atomic_load(&slot->unstored);
        chaos_merge(&sums->writes, &slot->writes);
        chaos_merge(&sums->reads, &slot->reads);
    }
    for (unsigned way = 0; way < CHAOS_DEATH_COUNT; way++)
        sums->killed += run->deaths[way];
    sums->killed += atomic_load(&chaos->forks_killed);
}

unsigned chaos_texts(const struct chaos *chaos) {
    unsigned count = atomic_load(&chaos->violations);
    return count < CHAOS_TEXTS ? count : CHAOS_TEXTS;
}

/* A process may have been killed while it wrote the words. */
const char *chaos_text(const struct chaos *chaos, unsigned index) {
    const struct chaos_violation_text *text = &chaos->texts[index];
    return atomic_load(&text->ready) ? text->words : "(its finder was killed before it could say what)";
}

static uint64_t verdict_count(const struct chaos *chaos, enum hf_verdict verdict) {
    return atomic_load(&chaos->verdicts[verdict]);
}

/* ---- Rows --------------------------------------------------------------------------------------------------------------- */

static void print_row(const char *label, uint64_t count, const char *remark) {
    printf("  %-21s %12" PRIu64 "%s%s\n", label, count, *remark ? "  " : "", remark);
}

static void print_work(const struct chaos_run *run, const struct chaos_sums *sums) {
    print_row("opens", atomic_load(&run->chaos->opens), "by path; the others inherited their handle");
    for (unsigned verb = 0; verb < CHAOS_VERB_COUNT; verb++)
        print_row(chaos_verb_name(verb), sums->verbs[verb], "");
    print_row("refused", sums->refused, "writes, by a full store");
    print_row("busy", sums->busies, "reads of entries that kept changing");
    print_row("timed out", sums->timeouts, "calls with a short deadline, while a lock's holder was stopped");
    print_row("fill waits", run->stats.fill_waits, "fills that waited for another's value");
    print_row("unstored", sums->unstored, "computed values, overtaken by a put or delete, given up, or without room");
    print_row("late", atomic_load(&run->chaos->late), "waits that saw a change more than 300 ms after it was known");
    print_row("moves", run->stats.moves, "entries moved to make room");
    print_row("evictions", run->stats.evictions, "entries evicted to make room");
    print_row("contended", run->stats.contended, "locks that had to be waited for");
}

static void print_deaths(const struct chaos_run *run, const struct chaos_sums *sums) {
    const struct chaos *chaos = run->chaos;
    char remark[200], label[40];
    snprintf(remark, sizeof remark, "%" PRIu64 " writers, %" PRIu64 " readers, %" PRIu64 " of their forked children",
             run->writers_killed, run->readers_killed, (uint64_t)atomic_load(&chaos->forks_killed));
    print_row("kills", sums->killed, remark);
    for (unsigned way = 0; way < CHAOS_DEATH_COUNT; way++) {
        snprintf(label, sizeof label, "  %s", chaos_death_name(way));
        print_row(label, run->deaths[way], "");
    }
    print_row("  inside a write", run->in_flight, "writes that were running when their process died");
    snprintf(remark, sizeof remark, "killed while they repaired; repairs told twice by the store's log: %" PRIu64, run->repeated);
    if (atomic_load(&chaos->sees_repairs))
        print_row("  repairers", run->repairers, remark);
    else
        print_row("  repairers", run->repeated, "at least: killed after they had written down their repair, which was repeated");
    print_row("sweeps", run->sweeps, "all processes killed at once, and the store opened anew");
    print_row("forked", atomic_load(&chaos->forks), "children that went on with the handle of their parent");
    snprintf(remark, sizeof remark, "processes, %" PRIu64 " of them with a lock; %" PRIu64 " gets meanwhile", run->holders,
             run->stop_reads);
    print_row("stopped", run->stops, remark);
}

static void print_recoveries(const struct chaos_run *run) {
    const struct chaos *chaos = run->chaos;
    char remark[200];
    snprintf(remark, sizeof remark,
             "told: %" PRIu64 " idle, %" PRIu64 " kept-old, %" PRIu64 " kept-new, %" PRIu64 " checked; %" PRIu64
             " by a first opener",
             verdict_count(chaos, HF_VERDICT_IDLE), verdict_count(chaos, HF_VERDICT_OLD),
             verdict_count(chaos, HF_VERDICT_NEW), verdict_count(chaos, HF_VERDICT_CHECKED),
             (uint64_t)atomic_load(&chaos->first_opens));
    print_row("recoveries", run->stats.recoveries, remark);
}

static void print_verdict(const struct chaos_run *run) {
    const struct chaos *chaos = run->chaos;
    unsigned violations = atomic_load(&chaos->violations);
    char remark[200];
    snprintf(remark, sizeof remark,
             "calls, in %" PRIu64 " rounds, for an order that explains them; %" PRIu64 " histories undecided", run->rounds,
             chaos_judge_undecided(run->judge));
    print_row("judged", chaos_judge_calls(run->judge), remark);
    print_row("violations", violations, violations > CHAOS_TEXTS ? "the first of them:" : "");
    for (unsigned i = 0; i < chaos_texts(chaos); i++)
        printf("    %s\n", chaos_text(chaos, i));
}

/* ---- Times -------------------------------------------------------------------------------------------------------------- */

static void print_times(const char *label, const struct chaos_histogram *histogram) {
    printf("  %-30s %10" PRIu64 " times: p50 %" PRIu64 " us, p90 %" PRIu64 " us, p99 %" PRIu64 " us, longest %" PRIu64 " us\n",
           label, chaos_total(histogram), chaos_quantile(histogram, 500), chaos_quantile(histogram, 900),
           chaos_quantile(histogram, 990), (uint64_t)atomic_load(&histogram->max));
}

/* One line for each power of two. */
static void print_bars(const char *label, const struct chaos_histogram *histogram) {
    static const char full[] = "##################################################";
    uint64_t counts[65], most = 1;
    unsigned used = chaos_octaves(histogram, counts), first = 0;
    print_times(label, histogram);
    while (first < used && counts[first] == 0)
        first++;
    for (unsigned i = first; i < used; i++)
        most = counts[i] > most ? counts[i] : most;
    for (unsigned i = first; i < used; i++) {
        int length = (int)((counts[i] * BAR + most - 1) / most);
        printf("    < %9" PRIu64 " us %10" PRIu64 "  %.*s\n", UINT64_C(1) << i, counts[i], length, full);
    }
}

void chaos_print_table(const struct chaos_run *run) {
    static const char *const skews[] = { [CHAOS_UNIFORM] = "uniform", [CHAOS_ZIPF] = "zipf", [CHAOS_MIXED] = "mixed" };
    const struct chaos *chaos = run->chaos;
    struct chaos_sums sums;
    chaos_add_up(run, &sums);
    printf("chaos: %s, seed %" PRIu64 ", %" PRIu32 " writers and %" PRIu32 " readers of %" PRIu32 " threads, %" PRIu32
           " keys (%s), values up to %" PRIu32 " bytes, %s mode, %.1f s%s\n",
           run->path, chaos->seed, chaos->writers, chaos->readers, chaos->threads, chaos->keys, skews[chaos->skew],
           chaos->max_value, chaos->cache ? "cache" : "store", (double)run->took_ms / 1000,
           run->interrupted ? " (interrupted)" : "");
    print_work(run, &sums);
    print_deaths(run, &sums);
    print_recoveries(run);
    print_times("read call", &sums.reads);
    print_times("deadline overrun", &chaos->overrun);
    print_times("change until its waiter saw it", &chaos->sight);
    print_bars("write call, lock wait included", &sums.writes);
    print_bars("recovery", &chaos->recovery);
    print_bars("next writer after a death", &chaos->next_writer);
    print_bars("kernel's hand-over of a mutex", &chaos->hand_over);
    print_verdict(run);
}
