/* SPDX-License-Identifier: MIT */
/*
 * The parent of a chaos run: starts the workers, kills them at random moments and in every way, puts new ones in their places,
 * and ends the rounds. May not look into the store but through its own handle. Its children ask the kernel (PR_SET_PDEATHSIG) to
 * be killed when it dies; what they leave behind themselves becomes its own (PR_SET_CHILD_SUBREAPER). They yield the
 * processors to it, or it could not kill at the moments it chooses.
 *
 * In every round half of the workers are spared while they make no progress, so that a hang is seen as a hang and not hidden by
 * the next kill; and no round ends by killing somebody who may hang.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"
#include "tool.h"

enum { US = 1000, MS = 1000000, TICK_NS = 5 * MS, PACE_NS = 500 * MS, ROUND_MS = 1500, LOOK_MS = 250, SPARE_NS = 20 * MS };
enum { PATIENCE_NS = 500 * MS };

static unsigned places_of(const struct chaos_run *run) {
    return run->chaos->writers + run->chaos->readers;
}

static const char *role_of(const struct chaos_run *run, unsigned place) {
    return place < run->chaos->writers ? "writer" : "reader";
}

/* ---- Start -------------------------------------------------------------------------------------------------------------- */

static bool spawn(struct chaos_run *run, unsigned place) {
    struct chaos_child *child = &run->children[place];
    pid_t parent = getpid();
    uint64_t random = chaos_random(&run->random), now = chaos_now();
    atomic_store(&chaos_slot_of(run->chaos, place, 0)->active, 1);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)!nice(CHAOS_NICE);
        if (getppid() == parent)
            chaos_process(run->chaos, run->store, run->path, place, child->starts, random);
        _exit(0);
    }
    if (pid < 0) {
        fail(run->path, "cannot start a worker: %s; ask for fewer", strerror(errno));
        return false;
    }
    *child = (struct chaos_child){ .pid = pid, .starts = child->starts + 1 };
    for (unsigned i = 0; i <= run->chaos->threads; i++)
        run->since[place * (run->chaos->threads + 1) + i] = now;
    return true;
}

static bool spawn_missing(struct chaos_run *run) {
    for (unsigned i = 0; i < places_of(run); i++)
        if (run->children[i].pid == 0 && !spawn(run, i))
            return false;
    return true;
}

/* ---- End ---------------------------------------------------------------------------------------------------------------- */

static void count_death(struct chaos_run *run, unsigned place, enum chaos_death way) {
    struct chaos *chaos = run->chaos;
    run->deaths[way]++;
    *(place < chaos->writers ? &run->writers_killed : &run->readers_killed) += 1;
    for (unsigned i = 0; i <= chaos->threads; i++) {
        const struct chaos_slot *slot = chaos_slot_of(chaos, place, i);
        run->repairers += atomic_load(&slot->repairing);
        run->in_flight += chaos_running_write(slot) != NULL;
    }
}

/* A child that the worker had forked is killed with it; only when it is dead, too, is its last call over. */
static void bury_forked(struct chaos_run *run, unsigned place) {
    unsigned pid = atomic_load(&chaos_slot_of(run->chaos, place, run->chaos->threads)->pid);
    if (pid != 0)
        waitpid((pid_t)pid, NULL, 0);
}

static void bury(struct chaos_run *run, unsigned place, int status) {
    struct chaos_child *child = &run->children[place];
    const struct chaos_slot *slot = chaos_slot_of(run->chaos, place, 0);
    unsigned used = atomic_load(&slot->used);
    const char *act = chaos_verb_name(used ? slot->log[used - 1].verb : CHAOS_VERB_COUNT);
    bool stopping = atomic_load(&run->chaos->stop);
    child->pid = 0;
    child->stopped = 0;
    bury_forked(run, place);
    if (child->condemned && chaos_is_death(child->way, status))
        count_death(run, place, child->way);
    else if (child->swept && chaos_is_death(CHAOS_BY_SWEEP, status))
        count_death(run, place, CHAOS_BY_SWEEP);
    else if (WIFSIGNALED(status))
        chaos_violation(run->chaos, "%s %u crashed, its first thread in or after %s: %s", role_of(run, place), place, act,
                        strsignal(WTERMSIG(status)));
    else if (!stopping || WEXITSTATUS(status) != 0)
        chaos_violation(run->chaos, "%s %u ended with exit code %d before its time", role_of(run, place), place,
                        WEXITSTATUS(status));
    for (unsigned i = 0; i <= run->chaos->threads; i++)
        chaos_bury(chaos_slot_of(run->chaos, place, i));
}

/* Buries who has died; with `wait` set, waits until all have. */
static void reap(struct chaos_run *run, bool wait) {
    for (unsigned i = 0; i < places_of(run); i++) {
        int status;
        pid_t pid = run->children[i].pid;
        if (pid != 0 && waitpid(pid, &status, wait ? 0 : WNOHANG) == pid)
            bury(run, i, status);
    }
}

static unsigned alive(const struct chaos_run *run) {
    unsigned count = 0;
    for (unsigned i = 0; i < places_of(run); i++)
        count += run->children[i].pid != 0;
    return count;
}

/* Who was told to die in another way, and has not yet, may now be killed. */
static void condemn(struct chaos_run *run, unsigned place, enum chaos_death way) {
    struct chaos_child *child = &run->children[place];
    if (child->pid == 0 || (child->condemned && way != CHAOS_BY_SWEEP))
        return;
    chaos_mark(run->chaos, child->pid);
    if (chaos_send(child->pid, way) != 0)
        return;
    if (!child->condemned)
        child->way = way;
    child->condemned = true;
    child->swept = way == CHAOS_BY_SWEEP;
}

/* ---- Strikes ------------------------------------------------------------------------------------------------------------ */

static enum chaos_death draw_death(struct chaos_run *run) {
    static const enum chaos_death ways[] = { CHAOS_BY_KILL, CHAOS_BY_KILL, CHAOS_BY_KILL, CHAOS_BY_KILL, CHAOS_BY_SEGV,
                                             CHAOS_BY_ABRT, CHAOS_BY_EXIT, CHAOS_BY_EXEC };
    return ways[chaos_below(&run->random, sizeof ways / sizeof *ways)];
}

/* A reader now and then, as that must not matter to anybody. Else, three times in four, the next writer that is inside of a
 * write: it may hold a lock. */
static unsigned draw_place(struct chaos_run *run) {
    unsigned writers = run->chaos->writers, first = (unsigned)chaos_below(&run->random, writers);
    if (run->chaos->readers != 0 && chaos_below(&run->random, 10) == 0)
        return writers + (unsigned)chaos_below(&run->random, run->chaos->readers);
    bool any = chaos_below(&run->random, 4) == 0;
    for (unsigned i = 0; i < writers && !any; i++)
        if (run->children[(first + i) % writers].pid != 0 && chaos_writes_now(run->chaos, (first + i) % writers))
            return (first + i) % writers;
    return first;
}

static bool spared(const struct chaos_run *run, unsigned place, uint64_t now) {
    return place % 2 == run->rounds % 2 && chaos_stalled(run, place, now, SPARE_NS);
}

/* Some follow each other so closely that the next may be repairing what the last one left. */
static void burst(struct chaos_run *run, uint64_t now) {
    unsigned first = (unsigned)chaos_below(&run->random, run->chaos->writers);
    for (unsigned i = 0; i + 1 < run->chaos->writers || i == 0; i++) {
        unsigned place = (first + i) % run->chaos->writers;
        struct timespec moment = { .tv_nsec = (long)chaos_below(&run->random, 100 * US) };
        if (!spared(run, place, now))
            condemn(run, place, CHAOS_BY_KILL);
        nanosleep(&moment, NULL);
    }
}

static void strike(struct chaos_run *run, uint64_t now) {
    unsigned place = draw_place(run);
    uint64_t dice = chaos_below(&run->random, 24);
    if (dice == 0)
        burst(run, now);
    else if (spared(run, place, now) || run->children[place].stopped)
        return;
    else if (dice <= 4)
        chaos_stop(run, place, now);
    else
        condemn(run, place, draw_death(run));
}

/* ---- The loop ----------------------------------------------------------------------------------------------------------- */

/* Until `until`, the end of a tick, or the end of a child. Interrupts end the run. */
static void rest(struct chaos_run *run, uint64_t now, uint64_t until) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    uint64_t left = until > now ? until - now : 0;
    struct timespec time = { .tv_nsec = (long)(left < TICK_NS ? left : TICK_NS) };
    int signal = sigtimedwait(&set, NULL, &time);
    if (signal > 0 && signal != SIGCHLD)
        run->interrupted = true;
}

/* The kills come in calmer and wilder times, so that some workers live long and some die before they have begun. */
static uint64_t next_pace(struct chaos_run *run) {
    static const uint64_t mean_ns[] = { 2 * MS, 4 * MS, 8 * MS, 16 * MS };
    return mean_ns[chaos_below(&run->random, sizeof mean_ns / sizeof *mean_ns)];
}

static uint64_t next_delay(struct chaos_run *run, uint64_t pace) {
    return chaos_below(&run->random, chaos_below(&run->random, 4) == 0 ? 200 * US : 2 * pace);
}

/* One round of killing: until its time is over, a log is full, or the run ends. A parent that had to wait for a processor makes
 * up for the kills it missed. False: a worker could not be started. */
static bool rage(struct chaos_run *run, uint64_t start, uint64_t end) {
    uint64_t now = chaos_now(), over = now + MS * chaos_below(&run->random, 2 * ROUND_MS) + 50 * MS, next_kill = now;
    uint64_t pace = next_pace(run), paced_until = now + PACE_NS, next_look = now;
    over = over < end ? over : end;
    while (now < over && !run->interrupted && !atomic_load(&run->chaos->stop) && !atomic_load(&run->chaos->crowded)) {
        rest(run, now, next_kill);
        reap(run, false);
        if (!atomic_load(&run->chaos->stop) && !spawn_missing(run))
            return false;
        now = chaos_now();
        chaos_continue(run, now, false);
        chaos_watch(run, now);
        for (unsigned i = 0; now >= next_kill && i < run->chaos->writers; i++) {
            strike(run, now);
            next_kill += next_delay(run, pace);
        }
        next_kill = now >= next_kill ? now : next_kill;
        if (now >= paced_until) {
            pace = next_pace(run);
            paced_until = now + PACE_NS;
        }
        if (now >= next_look) {
            chaos_read_log(run);
            next_look = now + (uint64_t)LOOK_MS * MS;
        }
        progress_show((now - start) / MS, run->seconds * 1000);
    }
    return true;
}

/* Everybody finishes his call and ends. */
static void calm_down(struct chaos_run *run) {
    uint64_t now = chaos_now();
    atomic_store(&run->chaos->stop, true);
    chaos_continue(run, now, true);
    while (alive(run) != 0) {
        now = chaos_now();
        chaos_watch(run, now);
        rest(run, now, now + TICK_NS);
        reap(run, false);
    }
}

/* What the dead left behind. */
static void reap_strangers(void) {
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

static void kill_all(struct chaos_run *run) {
    for (unsigned i = 0; i < places_of(run); i++)
        condemn(run, i, CHAOS_BY_SWEEP);
    reap(run, true);
    reap_strangers();
}

/* Half of the rounds end with all processes killed at once, the parent's handle closed too, so that the next opener is the
 * store's first writer and finds what the dead left in several stripes. While somebody makes no progress nobody is killed: he may
 * hang. */
static bool finish_round(struct chaos_run *run) {
    bool sweep = !atomic_load(&run->chaos->stop) && chaos_below(&run->random, 2) == 0;
    for (unsigned i = 0; i < places_of(run); i++)
        sweep &= !chaos_stalled(run, i, chaos_now(), PATIENCE_NS);
    if (sweep)
        run->sweeps++;
    else
        calm_down(run);
    kill_all(run);
    chaos_read_log(run);
    bool going = !sweep || chaos_reopen(run);
    atomic_store(&run->chaos->stop, atomic_load(&run->chaos->violations) != 0);
    return chaos_end_round(run) && going;
}

/* False if a worker could not be started, or what was seen not be kept: told the user. */
bool chaos_run(struct chaos_run *run) {
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, SIGALRM);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    progress_start("killing");
    run->control = chaos_control(run);
    uint64_t start = chaos_now(), end = start + run->seconds * 1000 * MS;
    bool done = true;
    do {
        done = spawn_missing(run) && rage(run, start, end);
        done = done ? finish_round(run) : (kill_all(run), false);
    } while (done && !run->interrupted && chaos_now() < end && atomic_load(&run->chaos->violations) == 0);
    run->took_ms = (chaos_now() - start) / MS;
    if (run->control != 0 && kill(run->control, SIGKILL) == 0)
        waitpid(run->control, NULL, 0);
    reap_strangers();
    progress_end();
    return done;
}
