/* SPDX-License-Identifier: MIT */
/*
 * Every operation, instruction by instruction (guarantees A, B, C, D). No named point is needed, and none can be forgotten.
 *
 *   snapshots  After each instruction that changed something, a get, a scan and a check of the live file by a reader; and copies
 *              of the file are recovered and verified (crash_snapshots.h).
 *   deaths     A process is really killed at each of these moments, with another one asleep in its lock, which must be woken,
 *              told, and get through; then everything is verified (crash_verify.c).
 *   repairers  The process that repairs after a death is killed, too, at each moment of its repair, and the next one repairs.
 *
 *     crash_steps [--only NAME] [--look] [--deaths] [--repairers] [--every N] [--seed S] [--jobs J] [--planted BUG]
 *
 * --look: snapshots only; --deaths: no snapshots; --repairers: repairers after each of the deaths. --every: of the moments of
 * death only each N-th, beginning by chance. A scenario is ended by its first fault, the others go on.
 */
#include "crash_snapshots.h"

#include <limits.h>
#include <sched.h>
#include <sys/wait.h>

const unsigned test_seconds = 24 * 3600;

enum { STATES_MAX = 8192, WAITS_MAX = 8192 };

/* A wake-up that is lost costs a slice of a second (lock.c). A late one is tried again: a busy machine is not late every time. */
#ifdef __GLIBC__
#define LATE_MS 900
#else
#define LATE_MS 2500 /* musl loses some: its unlock forgets the lock before it wakes the next one */
#endif
#define LATE_TRIES 5

/* What a run of a scenario adds up to. Shared with the process that runs it. */
static struct tally {
    unsigned long instructions, states, snapshots, deaths, asleep, repairers, late, missed;
    unsigned wait_count;
    float waits[WAITS_MAX]; /* of sleepers, milliseconds */
} *tallies, *tally;

static struct options {
    bool look, deaths, repairers;
    unsigned every;
    uint64_t seed;
} options;

static struct stage stage;

struct states {
    unsigned count;
    struct state sleeps_at;
    struct state all[STATES_MAX];
};

/* ---- Snapshots ----------------------------------------------------------------------------------------------------------- */

static void look_everywhere(void) {
    struct snapshots *snapshots = snapshots_new(&stage);
    struct lead lead;
    bool saw_new = false;
    unsigned changes = 0;
    lead_start(&lead, &stage, lead_act);
    while (lead_step(&lead)) {
        if (!lead.changed)
            continue;
        changes++;
        check_at("%s, after instruction %lu", stage.scenario->name, lead.stepper.steps);
        crash_glance(&stage, stage.viewer, &saw_new);
        tally->snapshots += snapshots_recover(snapshots, lead.stepper.child);
    }
    CHECK_RC(lead_result(), stage.scenario->result);
    saw_new = true;
    crash_glance(&stage, stage.viewer, &saw_new);
    tally->instructions += lead.stepper.steps;
    tally->states += changes;
    CHECK(changes > 0);
    snapshots_free(snapshots);
    crash_reset(&stage);
}

/* ---- Deaths -------------------------------------------------------------------------------------------------------------- */

/* The moments at which a process that runs `body` may be killed. */
static void find_states(check_body *body, bool with_sleeper, struct states *states) {
    struct lead lead;
    states->count = 0;
    lead_start(&lead, &stage, body);
    lead_note(&lead);
    if (with_sleeper)
        lead_with_sleeper(&lead, (struct state){.points = UINT_MAX});
    while (lead_step(&lead)) {
        if (!lead.changed)
            continue;
        CHECK(states->count < STATES_MAX);
        states->all[states->count++] = lead.at;
    }
    lead_end(&lead);
    states->sleeps_at = lead.sleeps_at;
}

static void lead_there(struct lead *lead, struct state state) {
    if (!lead_to(lead, state))
        check_failed(__FILE__, __LINE__, "it went another way than the time before, and ended");
    tally->missed += lead->at.points != state.points || lead->at.changes != state.changes;
}

static void verify(pid_t victim) {
    hf_store *store = stage.store ? stage.store : check_open(stage.path, NULL);
    crash_verify(&stage, store, stage.path, victim);
    if (!stage.store)
        CHECK_RC(hf_close(&store), HF_OK);
}

/* Was the one who slept told that the owner had died? */
static void repaired_by(pid_t repairer) {
    struct hf_recovery log[16];
    size_t count = 0;
    CHECK_RC(hf_recoveries(stage.viewer, log, 16, &count), HF_OK);
    for (size_t i = 0; i < count; i++)
        if (log[i].repairer == (uint32_t)repairer && log[i].stripe == stage.stripe && log[i].cause == HF_CAUSE_DEATH)
            return;
    check_failed(__FILE__, __LINE__, "the sleeper got the lock of a dead owner and was not told");
}

/* How long the sleeper waited, ms; below 0: nobody slept. */
static double die_at(const struct states *states, unsigned number) {
    struct lead lead;
    bool saw_new = false;
    crash_reset(&stage);
    lead_start(&lead, &stage, lead_act);
    lead_with_sleeper(&lead, states->sleeps_at);
    lead_there(&lead, states->all[number]);
    crash_glance(&stage, stage.viewer, &saw_new);
    bool told = lead_is_awaited(&lead);
    double wait = lead_kill(&lead);
    if (told)
        repaired_by(lead.slept);
    verify(lead.stepper.child);
    return wait;
}

static void verify_death(const struct states *states, unsigned number) {
    double wait = LATE_MS;
    for (unsigned tries = 0; wait >= LATE_MS; tries++) {
        CHECK(tries < LATE_TRIES); /* the wake-up is lost */
        wait = die_at(states, number);
        tally->deaths++;
        tally->late += wait >= LATE_MS;
    }
    if (wait < 0)
        return;
    tally->asleep++;
    if (tally->wait_count < WAITS_MAX)
        tally->waits[tally->wait_count++] = (float)wait;
}

/* ---- Deaths of repairers ------------------------------------------------------------------------------------------------- */

static void bring_back(const unsigned char *bytes) {
    memcpy(stage.file + stage.ready_from, bytes + stage.ready_from, stage.image_size - stage.ready_from);
}

/* Whom the victim left what it left is told by the bytes alone: the kernel has done its part. */
static void verify_repairers(struct state state, unsigned number) {
    static struct states repair;
    struct lead lead;
    unsigned char *left = malloc(stage.image_size);
    CHECK(left != NULL);
    crash_reset(&stage);
    lead_start(&lead, &stage, lead_act);
    lead_there(&lead, state);
    lead_kill(&lead);
    pid_t victim = lead.stepper.child;
    memcpy(left, stage.file, stage.image_size);
    find_states(lead_next_write, false, &repair);
    for (unsigned i = 0; i < repair.count; i++) {
        check_at("%s, killed at moment %u (%u changes after point %u), its repairer at %u of %u", stage.scenario->name, number,
                 state.changes, state.points, i, repair.count);
        bring_back(left);
        lead_start(&lead, &stage, lead_next_write);
        lead_there(&lead, repair.all[i]);
        lead_kill(&lead);
        verify(victim);
        tally->repairers++;
    }
    free(left);
}

static void kill_everywhere(uint64_t first) {
    static struct states states;
    find_states(lead_act, true, &states);
    CHECK_RC(lead_result(), stage.scenario->result);
    for (unsigned i = (unsigned)(first % options.every); i < states.count; i += options.every) {
        check_at("%s, killed at moment %u (%u changes after point %u)", stage.scenario->name, i, states.all[i].changes,
                 states.all[i].points);
        verify_death(&states, i);
        if (options.repairers)
            verify_repairers(states.all[i], i);
    }
}

/* ---- Scenarios ----------------------------------------------------------------------------------------------------------- */

static int run_scenario(void *argument) {
    const struct scenario *scenario = argument;
    uint64_t chance = options.seed + (uint64_t)(scenario - crash_scenarios);
    tally = &tallies[scenario - crash_scenarios];
    double start = check_seconds();
    crash_prepare(&stage, scenario);
    crash_enter(&stage);
    if (options.look)
        look_everywhere();
    if (options.deaths)
        kill_everywhere(check_random(&chance));
    crash_leave(&stage);
    crash_dismiss(&stage);
    printf("%-37s %6lu instructions %4lu states %5lu snapshots %4lu deaths %4lu asleep %6lu repairers %5.1f s\n",
           scenario->name, tally->instructions, tally->states, tally->snapshots, tally->deaths, tally->asleep,
           tally->repairers, check_seconds() - start);
    return 0;
}

static void stay_on(unsigned job) {
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    unsigned skip = job % (unsigned)CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && skip-- == 0) {
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one); /* for speed only */
            return;
        }
}

enum { JOBS_MAX = 64 };

/* Waits for one of the jobs; its place. */
static unsigned await_one(pid_t jobs[JOBS_MAX], unsigned count, unsigned *faults, bool *skipped) {
    int status;
    pid_t ended = wait(&status);
    CHECK(ended > 0);
    unsigned job = 0;
    while (job < count && jobs[job] != ended)
        job++;
    CHECK(job < count);
    jobs[job] = 0;
    bool skip = WIFEXITED(status) && WEXITSTATUS(status) == 77;
    *skipped |= skip;
    *faults += !skip && status != 0;
    return job;
}

/* Runs the scenarios, each in a process of its own, so many at a time; how many had a fault. */
static unsigned run_scenarios(const char *only, unsigned job_count, bool *skipped) {
    pid_t jobs[JOBS_MAX] = {0};
    unsigned running = 0, faults = 0, run = 0;
    for (size_t i = 0; i < crash_scenario_count; i++) {
        if (only && strcmp(only, crash_scenarios[i].name) != 0)
            continue;
        unsigned job = running < job_count ? running++ : await_one(jobs, job_count, &faults, skipped);
        jobs[job] = fork();
        CHECK(jobs[job] >= 0);
        if (jobs[job] == 0) {
            stay_on(job);
            exit(run_scenario((void *)(uintptr_t)&crash_scenarios[i]));
        }
        run++;
    }
    while (running-- > 0)
        await_one(jobs, job_count, &faults, skipped);
    CHECK(run > 0);
    return faults;
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print_sum(unsigned faults) {
    struct tally sum = {0};
    float *waits = calloc(crash_scenario_count, sizeof sum.waits);
    unsigned long count = 0;
    CHECK(waits != NULL);
    for (size_t i = 0; i < crash_scenario_count; i++) {
        const struct tally *one = &tallies[i];
        sum.instructions += one->instructions;
        sum.states += one->states;
        sum.snapshots += one->snapshots;
        sum.deaths += one->deaths;
        sum.asleep += one->asleep;
        sum.repairers += one->repairers;
        sum.late += one->late;
        sum.missed += one->missed;
        memcpy(waits + count, one->waits, one->wait_count * sizeof *waits);
        count += one->wait_count;
    }
    qsort(waits, count, sizeof *waits, by_size);
    if (count > 0)
        printf("a sleeper was through after %.2f ms (median), %.2f ms (99 %%), %.2f ms (all); %lu late ones were tried again\n",
               (double)waits[count / 2], (double)waits[count * 99 / 100], (double)waits[count - 1], sum.late);
    if (sum.missed)
        printf("%lu moments were gone by when the process was stopped, a little later\n", sum.missed);
    printf("sum: instructions=%lu states=%lu snapshots=%lu deaths=%lu asleep=%lu repairers=%lu faults=%u\n", sum.instructions,
           sum.states, sum.snapshots, sum.deaths, sum.asleep, sum.repairers, faults);
    free(waits);
}

int test_run(int argc, char **argv) {
    bool skipped = false;
    options.look = !check_argument(argc, argv, "--deaths");
    options.deaths = !check_argument(argc, argv, "--look");
    options.repairers = check_argument(argc, argv, "--repairers");
    options.every = (unsigned)check_number(argc, argv, "--every", 1);
    options.seed = check_number(argc, argv, "--seed", 0);
    unsigned jobs = (unsigned)check_number(argc, argv, "--jobs", 1);
    CHECK(options.every > 0 && jobs > 0 && jobs <= JOBS_MAX);
    tallies = check_shared(crash_scenario_count * sizeof *tallies);
    unsigned faults = run_scenarios(check_text(argc, argv, "--only", NULL), jobs, &skipped);
    if (skipped)
        return 77;
    print_sum(faults);
    return faults > 0;
}
