/* SPDX-License-Identifier: MIT */
/*
 * What a chaos run tells programs at its end: one JSON object, for --json and --report. May not judge: it adds up and prints.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chaos.h"
#include "json.h"

static void print_times(const char *name, const struct chaos_histogram *histogram) {
    uint64_t counts[65];
    unsigned used = chaos_octaves(histogram, counts);
    printf(",\"%s\":{\"count\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64
           ",\"below_power_of_two\":[",
           name, chaos_total(histogram), chaos_quantile(histogram, 500), chaos_quantile(histogram, 900),
           chaos_quantile(histogram, 990), (uint64_t)atomic_load(&histogram->max));
    for (unsigned i = 0; i < used; i++)
        printf("%s%" PRIu64, i ? "," : "", counts[i]);
    fputs("]}", stdout);
}

static void print_deaths(const struct chaos_run *run, const struct chaos_sums *sums) {
    const struct chaos *chaos = run->chaos;
    printf(",\"kills\":{\"all\":%" PRIu64 ",\"writers\":%" PRIu64 ",\"readers\":%" PRIu64 ",\"forked\":%" PRIu64 ",\"ways\":{",
           sums->killed, run->writers_killed, run->readers_killed, (uint64_t)atomic_load(&chaos->forks_killed));
    for (unsigned way = 0; way < CHAOS_DEATH_COUNT; way++)
        printf("%s\"%s\":%" PRIu64, way ? "," : "", chaos_death_name(way), run->deaths[way]);
    printf("},\"inside_a_write\":%" PRIu64 ",\"repairs_repeated\":%" PRIu64, run->in_flight, run->repeated);
    if (atomic_load(&chaos->sees_repairs))
        printf(",\"repairers\":%" PRIu64, run->repairers);
    printf("},\"sweeps\":%" PRIu64 ",\"forks\":%" PRIu64 ",\"stops\":%" PRIu64 ",\"stops_with_a_lock\":%" PRIu64
           ",\"gets_while_stopped\":%" PRIu64,
           run->sweeps, (uint64_t)atomic_load(&chaos->forks), run->stops, run->holders, run->stop_reads);
    printf(",\"recoveries\":%" PRIu64 ",\"first_open_recoveries\":%" PRIu64 ",\"verdicts\":{",
           run->stats.recoveries, (uint64_t)atomic_load(&chaos->first_opens));
    for (enum hf_verdict verdict = HF_VERDICT_IDLE; verdict <= HF_VERDICT_CHECKED; verdict++)
        printf("%s\"%s\":%" PRIu64, verdict == HF_VERDICT_IDLE ? "" : ",", hf_verdict_name(verdict),
               (uint64_t)atomic_load(&chaos->verdicts[verdict]));
    putchar('}');
}

static void print_work(const struct chaos_run *run, const struct chaos_sums *sums) {
    printf(",\"operations\":{\"open\":%" PRIu64, (uint64_t)atomic_load(&run->chaos->opens));
    for (unsigned verb = 0; verb < CHAOS_VERB_COUNT; verb++)
        printf(",\"%s\":%" PRIu64, chaos_verb_name(verb), sums->verbs[verb]);
    printf("},\"refused\":%" PRIu64 ",\"busy\":%" PRIu64 ",\"timeouts\":%" PRIu64, sums->refused, sums->busies, sums->timeouts);
    printf(",\"fill_waits\":%" PRIu64 ",\"unstored\":%" PRIu64 ",\"late\":%" PRIu64, run->stats.fill_waits, sums->unstored,
           (uint64_t)atomic_load(&run->chaos->late));
    printf(",\"moves\":%" PRIu64 ",\"evictions\":%" PRIu64 ",\"contended\":%" PRIu64, run->stats.moves, run->stats.evictions,
           run->stats.contended);
}

void chaos_print_json(const struct chaos_run *run) {
    const struct chaos *chaos = run->chaos;
    struct chaos_sums sums;
    chaos_add_up(run, &sums);
    fputs("{\"store\":", stdout);
    json_print_bytes(run->path, strlen(run->path));
    printf(",\"seed\":%" PRIu64 ",\"writers\":%" PRIu32 ",\"readers\":%" PRIu32 ",\"threads\":%" PRIu32 ",\"keys\":%" PRIu32
           ",\"max_value\":%" PRIu32 ",\"mode\":\"%s\",\"ms\":%" PRIu64 ",\"interrupted\":%s",
           chaos->seed, chaos->writers, chaos->readers, chaos->threads, chaos->keys, chaos->max_value,
           chaos->cache ? "cache" : "store", run->took_ms, run->interrupted ? "true" : "false");
    print_work(run, &sums);
    print_deaths(run, &sums);
    print_times("recovery_us", &chaos->recovery);
    print_times("next_writer_us", &chaos->next_writer);
    print_times("kernel_hand_over_us", &chaos->hand_over);
    print_times("deadline_overrun_us", &chaos->overrun);
    print_times("change_seen_us", &chaos->sight);
    print_times("write_us", &sums.writes);
    print_times("read_us", &sums.reads);
    printf(",\"rounds\":%" PRIu64 ",\"judged\":%" PRIu64 ",\"undecided\":%" PRIu64 ",\"violations\":%u,\"words\":[", run->rounds,
           chaos_judge_calls(run->judge), chaos_judge_undecided(run->judge), atomic_load(&chaos->violations));
    for (unsigned i = 0; i < chaos_texts(chaos); i++) {
        fputs(i ? "," : "", stdout);
        json_print_bytes(chaos_text(chaos, i), strlen(chaos_text(chaos, i)));
    }
    puts("]}");
}
