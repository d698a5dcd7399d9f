/* SPDX-License-Identifier: MIT */
/*
 * The power fails (guarantee F). Stores of random shapes are written to; the disk is then given, page by page or sector by
 * sector, what it may hold at that moment: the newest bytes, or older ones, back to the last sync or the creation. In every such
 * state, opened as after a reboot: each value that is returned, read-only before a writer has verified the file or afterwards,
 * was really stored under that key; hf_check is clean after the first writer's open; scans and gets agree; writing goes on, a
 * replace by the same size never fails in mode store, and no version is given twice; an entry that stood unchanged in every image
 * of its pages is still there; and all of that again when the power fails once more during the verification. Then the machine
 * goes on from one of the states, and the power fails again.
 *
 *     poweroff [--states N] [--seed S] [--jobs J] [--history H] [--live]
 *
 * --history repeats one history alone: a failure names it. --live takes the images from processes that really run beside each
 * other and are killed; such a history cannot be repeated.
 */
#include "poweroff.h"

#include <sys/wait.h>

const unsigned test_seconds = 4 * 3600;

enum { FAILURES = 3, STATES = 50, JOBS_MAX = 16, STRATEGIES_MAX = 16, STATE_SECONDS = 60 };

struct job {
    uint64_t history, failure, state; /* where it is */
    uint64_t histories, entries_stored;
    struct tally tallies[STRATEGIES_MAX + 1]; /* the last one: a second failure during the verification */
};

static struct job *jobs;
static uint64_t seed, wanted, job_count;
static bool live;

static void fail_once(struct world *world, struct job *job, unsigned char *state, unsigned char *left) {
    world_census(world);
    for (job->state = 0; job->state < STATES; job->state++) {
        size_t which = check_below(&world->chance, strategy_count);
        check_at("seed %llu, history %llu, failure %llu, state %llu: %s", (unsigned long long)seed,
                 (unsigned long long)job->history, (unsigned long long)job->failure, (unsigned long long)job->state,
                 strategies[which].name);
        alarm(STATE_SECONDS);
        bool again = check_below(&world->chance, 4) == 0;
        state_build(world, &strategies[which], state);
        judge(world, state, &job->tallies[which], again ? left : NULL);
        if (again)
            judge_second(world, state, left, &job->tallies[STRATEGIES_MAX]);
    }
    alarm(STATE_SECONDS);
}

static void run_history(struct job *job) {
    static struct world world;
    uint64_t mixed = seed + job->history * 0x9e3779b97f4a7c15u;
    world_make(&world, check_random(&mixed));
    unsigned char *state = malloc(world.size), *left = malloc(world.size);
    CHECK(state && left);
    for (job->failure = 0; job->failure < FAILURES; job->failure++) {
        check_at("seed %llu, history %llu, before failure %llu", (unsigned long long)seed, (unsigned long long)job->history,
                 (unsigned long long)job->failure);
        if (live)
            live_run(&world);
        else
            history_run(&world);
        fail_once(&world, job, state, left);
        state_build(&world, &strategies[check_below(&world.chance, strategy_count)], state);
        world_restart(&world, state);
    }
    job->entries_stored += world.fact_count;
    job->histories++;
    world_end(&world);
    free(state);
    free(left);
}

static uint64_t states_of(const struct job *job) {
    uint64_t sum = 0;
    for (size_t i = 0; i <= STRATEGIES_MAX; i++)
        sum += job->tallies[i].states;
    return sum;
}

static int run_job(void *argument) {
    struct job *job = argument;
    uint64_t first = (uint64_t)(job - jobs);
    for (job->history = first; states_of(job) < (wanted + job_count - 1) / job_count; job->history += job_count)
        run_history(job);
    return 0;
}

static int run_one(void *argument) {
    run_history(argument);
    return 0;
}

/* ---- The report ---------------------------------------------------------------------------------------------------------- */

static void add(struct tally *sum, const struct tally *tally) {
    uint64_t *to = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)tally;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void print_row(const char *name, const struct tally *tally) {
    if (tally->states == 0)
        return;
    double states = (double)tally->states, of = tally->entries ? 100.0 / (double)tally->entries : 0;
    printf("%-28s %8.0f %8.1f %8.2f %8.2f %6.0f %8.0f %8.1f\n", name, states, (double)tally->entries / states,
           (double)tally->whole * of, (double)tally->survived * of, (double)(tally->whole - tally->survived),
           (double)tally->stable, (double)tally->elder / states);
}

static struct tally print_table(uint64_t *histories, uint64_t *stored) {
    struct tally all = {0};
    printf("%-28s %8s %8s %8s %8s %6s %8s %8s\n", "which pages are old", "states", "alive", "whole %", "kept %", "lost",
           "stable", "elder");
    for (size_t i = 0; i <= STRATEGIES_MAX; i++) {
        struct tally sum = {0};
        for (uint64_t job = 0; job < job_count; job++)
            add(&sum, &jobs[job].tallies[i]);
        print_row(i < strategy_count ? strategies[i].name : "again, while verifying", &sum);
        add(&all, &sum);
    }
    print_row("all", &all);
    for (uint64_t job = 0; job < job_count; job++) {
        *histories += jobs[job].histories;
        *stored += jobs[job].entries_stored;
    }
    puts("alive: entries per state when the power failed; whole: their bytes and slot reached the disk; kept: those that the\n"
         "verified store returns; lost: whole, and not returned; stable: unchanged in all images; elder: values that are older,\n"
         "or were deleted since, per state");
    return all;
}

static int report(bool failed) {
    uint64_t histories = 0, stored = 0;
    struct tally all = print_table(&histories, &stored);
    uint64_t faults = (failed ? 1 : 0) + all.faults;
    printf("states of a power failure: %llu states (%llu of them a second failure while verifying) of %llu histories, "
           "%llu different values stored, %llu values returned, %llu writes afterwards; of %llu entries wholly on disk %llu "
           "survived, %llu were the same in every image; %llu faults\n",
           (unsigned long long)all.states, (unsigned long long)all.again, (unsigned long long)histories,
           (unsigned long long)stored, (unsigned long long)all.values, (unsigned long long)all.writes,
           (unsigned long long)all.whole, (unsigned long long)all.survived, (unsigned long long)all.stable,
           (unsigned long long)faults);
    return faults ? 1 : 0;
}

static bool ended_well(const struct job *job, pid_t child) {
    int status = check_wait(child, test_seconds);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    fprintf(stderr, "repeat it with --seed %llu --history %llu; it was at failure %llu, state %llu", (unsigned long long)seed,
            (unsigned long long)job->history, (unsigned long long)job->failure, (unsigned long long)job->state);
    if (WIFSIGNALED(status))
        fprintf(stderr, ", and was ended by signal %d%s", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    fprintf(stderr, "\n");
    return false;
}

int test_run(int argc, char **argv) {
    pid_t children[JOBS_MAX];
    bool failed = false, one = check_argument(argc, argv, "--history");
    seed = check_number(argc, argv, "--seed", 1);
    wanted = check_number(argc, argv, "--states", 3000);
    job_count = one ? 1 : check_number(argc, argv, "--jobs", 2);
    live = check_argument(argc, argv, "--live");
    CHECK(job_count >= 1 && job_count <= JOBS_MAX && strategy_count < STRATEGIES_MAX);
    printf("seed %llu\n", (unsigned long long)seed);
    jobs = check_shared(JOBS_MAX * sizeof *jobs);
    jobs[0].history = check_number(argc, argv, "--history", 0);
    for (uint64_t i = 0; i < job_count; i++)
        children[i] = check_spawn(one ? run_one : run_job, &jobs[i]);
    for (uint64_t i = 0; i < job_count; i++)
        failed |= !ended_well(&jobs[i], children[i]);
    return report(failed);
}
