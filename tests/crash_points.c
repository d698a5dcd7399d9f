/* SPDX-License-Identifier: MIT */
/*
 * Kills a process at every named point of every operation, and the one that repairs after it at every point of that, and
 * verifies after each death:
 *
 *   D  before any repair, a get, a scan and a read-only handle agree, and tell the subject's old value or its new one
 *   C  the next write succeeds within two seconds
 *   A  afterwards the subject has its old or its new value; what was seen as new stays new
 *   B  every other key is as it was (unless the operation evicts or clears)
 *   -  hf_check finds the store sound; the verdict in the recovery log is what is seen; nothing was dropped
 *
 *     crash_points [--only NAME] [--single] [--planted BUG]
 *
 * --single leaves out the deaths of repairers.
 */
#include "crash.h"
#include "puppet.h"

#include <signal.h>
#include <sys/wait.h>

const unsigned test_seconds = 1200;

static struct stage stage;
static struct puppet *puppet, *repairer;
static int *act_result;
static unsigned long deaths, double_deaths;

/* ---- Victims and repairers ----------------------------------------------------------------------------------------------- */

static hf_store *inherited; /* what the next child finds open; NULL: it opens the file itself */

static hf_store *mine(void) {
    return inherited ? inherited : check_open(stage.path, NULL);
}

static int act(void *unused) {
    (void)unused;
    hf_store *store = mine();
    puppet_arm(puppet, puppet->act_at, SIGKILL); /* counts from here on, if the file was opened just now */
    *act_result = stage.scenario->act(store);
    return 0;
}

static int repair(void *unused) {
    (void)unused;
    crash_next_write(&stage, mine(), 2);
    return 0;
}

/* A victim that dies at its n-th point; its pid, or 0 if it completed. */
static pid_t victim_at(unsigned n) {
    *act_result = 1000;
    puppet->act_at = n;
    puppet->reached = 0;
    pid_t child = check_spawn(act, NULL);
    int status = check_wait(child, 20);
    if (check_killed(status))
        return child;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_RC(*act_result, stage.scenario->result);
    return 0;
}

/* Kills a victim at point n and, unless m is 0, the one who repairs after it at point m; then verifies. Tells whether n and m
 * were points, not past the end. */
struct died {
    bool victim, repairer;
};

static struct died kill_at(unsigned n, unsigned m, bool opens) {
    struct died died = {false, false};
    const char *how = opens ? " (openers)" : "";
    hf_store *store = crash_renew(&stage);
    inherited = opens ? NULL : store;
    if (opens)
        CHECK_RC(hf_close(&store), HF_OK);
    check_at("%s%s, killed at point %u", stage.scenario->name, how, n);
    pid_t victim = victim_at(n);
    died.victim = victim != 0;
    check_at("%s%s, killed at point %u, %s", stage.scenario->name, how, n, puppet->point);
    if (m > 0) {
        died.repairer = puppet_killed_at(repairer, m, repair, NULL);
        check_at("%s%s, killed at point %u, %s, its repairer at point %u, %s", stage.scenario->name, how, n, puppet->point, m,
                 repairer->point);
    }
    if (opens)
        store = check_open(stage.path, NULL);
    crash_verify(&stage, store, stage.path, victim);
    CHECK_RC(hf_close(&store), HF_OK);
    deaths += died.victim && m == 0;
    double_deaths += died.repairer;
    return died;
}

static void kill_everywhere(bool opens, bool single) {
    for (unsigned n = 1; kill_at(n, 0, opens).victim; n++)
        for (unsigned m = 1; !single && kill_at(n, m, opens).repairer; m++)
            ;
}

static void run_scenario(const struct scenario *scenario, bool single) {
    unsigned long before = deaths, doubles = double_deaths;
    crash_prepare(&stage, scenario);
    kill_everywhere(false, single);
    if (scenario->by_openers)
        kill_everywhere(true, single);
    printf("%-32s %4lu deaths, %5lu deaths of repairers\n", scenario->name, deaths - before, double_deaths - doubles);
    CHECK(deaths - before >= 1);
    crash_dismiss(&stage);
}

/* Where somebody has died before, or opens the file, a death of a repairer or opener is meant: there are enough of them here. */
static bool of_one_death(const struct scenario *scenario) {
    return !scenario->killed_in && scenario->opening == CRASH_OPENED;
}

int test_run(int argc, char **argv) {
    bool single = check_argument(argc, argv, "--single");
    const char *only = check_text(argc, argv, "--only", NULL);
    puppet = puppet_new();
    repairer = puppet_new();
    act_result = check_shared(sizeof *act_result);
    for (size_t i = 0; i < crash_scenario_count; i++)
        if (only ? strcmp(only, crash_scenarios[i].name) == 0 : of_one_death(&crash_scenarios[i]))
            run_scenario(&crash_scenarios[i], single);
    printf("%lu deaths at named points, %lu of repairers after them\n", deaths, double_deaths);
    CHECK(deaths > 0);
    return 0;
}
