/* SPDX-License-Identifier: MIT */
/*
 * The parent of a chaos run: starts the workers, kills them at random moments, puts new ones in their places, and sees that
 * nobody hangs. May not look into the store but through its own handle. Its children ask the kernel (PR_SET_PDEATHSIG) to be
 * killed when it dies.
 *
 * A worker that has made no progress for a moment is spared, so that a hang is seen as a hang and not hidden by the next kill.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"
#include "tool.h"

enum { US = 1000, MS = 1000000, TICK_NS = 5 * MS, SPARE_NS = 20 * MS, PACE_NS = 500 * MS, GUARD_S = 60, SWEEP_MS = 1500 };

/* ---- Guard: the parent's own calls ----------------------------------------------------------------------------------------- */

static const char *guarded;

static void guard_expired(int signal) {
    (void)signal;
    static const char message[] = "holdfast: chaos: violation: the parent hung for 60 s in: ";
    if (write(STDERR_FILENO, message, sizeof message - 1) >= 0 && write(STDERR_FILENO, guarded, strlen(guarded)) >= 0)
        (void)!write(STDERR_FILENO, "\n", 1);
    _exit(TOOL_NO);
}

/* From here on the parent is in `what`, and the run fails if it is there for 60 seconds. NULL: it has come out. */
void chaos_guard(const char *what) {
    struct sigaction action = { .sa_handler = guard_expired };
    guarded = what;
    sigaction(SIGALRM, &action, NULL);
    alarm(what ? GUARD_S : 0);
}

bool chaos_reopen(struct chaos_run *run) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.timeout_ms = run->chaos->timeout_ms;
    options.log = chaos_log;
    options.log_context = run->chaos;
    chaos_guard("hf_close and hf_open of the store after all its processes were killed");
    int result = run->store ? hf_close(&run->store) : HF_OK;
    if (result == HF_OK)
        result = hf_open(&run->store, run->path, &options);
    chaos_guard(NULL);
    if (result != HF_OK)
        chaos_violation(run->chaos, "the store could not be opened again: %s (%s)", hf_result_name(result), hf_explain());
    return result == HF_OK;
}

/* ---- Start ----------------------------------------------------------------------------------------------------------------- */

static unsigned children_of(const struct chaos_run *run) {
    return run->chaos->writers + run->chaos->readers;
}

static const char *role_of(const struct chaos_run *run, unsigned index) {
    return index < run->chaos->writers ? "writer" : "reader";
}

static void work(struct chaos_run *run, unsigned index, pid_t parent, uint64_t random) {
    unsigned start = run->children[index].starts;
    bool writes = index < run->chaos->writers;
    struct chaos_worker worker;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        return;
    if (!chaos_worker_init(&worker, run->chaos, index, run->store, random)) {
        chaos_violation(run->chaos, "out of memory in a worker");
        return;
    }
    if (!chaos_worker_open(&worker, run->path, !writes && start % 2 == 0 ? HF_RDONLY : 0, start))
        return;
    if (writes)
        chaos_writer(&worker, index);
    else
        chaos_reader(&worker);
    hf_close(&worker.store);
}

static bool spawn(struct chaos_run *run, unsigned index) {
    struct chaos_child *child = &run->children[index];
    pid_t parent = getpid();
    uint64_t random = chaos_random(&run->random);
    atomic_store(&run->chaos->slots[index].phase, CHAOS_STARTING);
    pid_t pid = fork();
    if (pid == 0) {
        work(run, index, parent, random);
        _exit(0);
    }
    if (pid < 0) {
        fail(run->path, "cannot start a worker: %s; ask for fewer", strerror(errno));
        return false;
    }
    *child = (struct chaos_child){ .pid = pid, .starts = child->starts + 1, .since = chaos_now() };
    return true;
}

static bool spawn_missing(struct chaos_run *run) {
    for (unsigned i = 0; i < children_of(run); i++)
        if (run->children[i].pid == 0 && !spawn(run, i))
            return false;
    return true;
}

/* ---- End ------------------------------------------------------------------------------------------------------------------- */

static void count_kill(struct chaos_run *run, unsigned index) {
    unsigned phase = atomic_load(&run->chaos->slots[index].phase);
    if (index >= run->chaos->writers) {
        run->reader_kills++;
        return;
    }
    run->kills++;
    run->early_kills += phase == CHAOS_STARTING;
    run->settling_kills += phase == CHAOS_SETTLING;
}

static void bury(struct chaos_run *run, unsigned index, int status) {
    struct chaos_slot *slot = &run->chaos->slots[index];
    run->children[index].pid = 0;
    chaos_shared_bury(run->chaos, slot);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        count_kill(run, index);
    else if (WIFSIGNALED(status))
        chaos_violation(run->chaos, "%s %u crashed in %s of key %u: %s", role_of(run, index), index,
                        chaos_act_name(atomic_load(&slot->act)), atomic_load(&slot->key), strsignal(WTERMSIG(status)));
    else if (!atomic_load(&run->chaos->stop) || WEXITSTATUS(status) != 0)
        chaos_violation(run->chaos, "%s %u ended with exit code %d before its time", role_of(run, index), index,
                        WEXITSTATUS(status));
}

/* Buries who has died; with `wait` set, waits until all have. */
static void reap(struct chaos_run *run, bool wait) {
    for (unsigned i = 0; i < children_of(run); i++) {
        int status;
        pid_t pid = run->children[i].pid;
        if (pid != 0 && waitpid(pid, &status, wait ? 0 : WNOHANG) == pid)
            bury(run, i, status);
    }
}

static unsigned alive(const struct chaos_run *run) {
    unsigned count = 0;
    for (unsigned i = 0; i < children_of(run); i++)
        count += run->children[i].pid != 0;
    return count;
}

static void condemn(struct chaos_child *child) {
    if (child->pid != 0) {
        kill(child->pid, SIGKILL);
        child->condemned = true;
    }
}

static void condemn_all(struct chaos_run *run) {
    for (unsigned i = 0; i < children_of(run); i++)
        condemn(&run->children[i]);
}

/* ---- Watch ----------------------------------------------------------------------------------------------------------------- */

/* The more workers there are, the longer each may wait for a processor. */
static bool stalled(const struct chaos_run *run, const struct chaos_child *child, uint64_t now) {
    return child->pid != 0 && now - child->since >= SPARE_NS * (uint64_t)(1 + children_of(run) / 16);
}

/* True if some worker is stalled. One that is for 15 seconds hangs. */
static bool watch(struct chaos_run *run, uint64_t now) {
    bool any = false;
    for (unsigned i = 0; i < children_of(run); i++) {
        struct chaos_child *child = &run->children[i];
        struct chaos_slot *slot = &run->chaos->slots[i];
        uint64_t beat = atomic_load(&slot->beat);
        if (beat != child->beat) {
            child->beat = beat;
            child->since = now;
        }
        any |= stalled(run, child, now);
        if (child->pid == 0 || child->condemned || now - child->since < CHAOS_HANG_NS)
            continue;
        chaos_violation(run->chaos, "%s %u hung in %s of key %u: no progress for 15 s", role_of(run, i), i,
                        chaos_act_name(atomic_load(&slot->act)), atomic_load(&slot->key));
        condemn(child);
    }
    return any;
}

/* One worker; a reader now and then, as that must not matter to anybody. */
static void strike(struct chaos_run *run, uint64_t now) {
    unsigned index = (unsigned)chaos_below(&run->random, run->chaos->writers);
    if (run->chaos->readers != 0 && chaos_below(&run->random, 10) == 0)
        index = run->chaos->writers + (unsigned)chaos_below(&run->random, run->chaos->readers);
    if (!stalled(run, &run->children[index], now))
        condemn(&run->children[index]);
}

/* All at once, the parent's handle closed too, so that the next opener is the store's first writer and finds what the dead left
 * in several stripes. */
static bool sweep(struct chaos_run *run) {
    condemn_all(run);
    reap(run, true);
    run->sweeps++;
    return chaos_reopen(run) && spawn_missing(run);
}

/* ---- The loop -------------------------------------------------------------------------------------------------------------- */

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

/* Some kills follow on the heels of the one before: the next victim may be repairing what the last one left. */
static uint64_t next_delay(struct chaos_run *run, uint64_t pace) {
    return chaos_below(&run->random, chaos_below(&run->random, 4) == 0 ? 200 * US : 2 * pace);
}

static bool rage(struct chaos_run *run) {
    uint64_t start = chaos_now(), end = start + run->seconds * 1000 * MS, now = start;
    uint64_t pace = next_pace(run), paced_until = start + PACE_NS;
    uint64_t next_kill = start, next_sweep = start + SWEEP_MS * (uint64_t)MS;
    while (now < end && !run->interrupted && !atomic_load(&run->chaos->stop)) {
        rest(run, now, next_kill);
        reap(run, false);
        if (!atomic_load(&run->chaos->stop) && !spawn_missing(run))
            return false;
        now = chaos_now();
        bool any_stalled = watch(run, now);
        if (now >= next_sweep && !any_stalled) {
            if (!sweep(run))
                return false;
            next_sweep = now + MS * chaos_below(&run->random, 2 * SWEEP_MS);
        } else if (now >= next_kill) {
            strike(run, now);
            next_kill = now + next_delay(run, pace);
        }
        if (now >= paced_until) {
            pace = next_pace(run);
            paced_until = now + PACE_NS;
        }
        progress_show((now - start) / MS, run->seconds * 1000);
    }
    run->took_ms = (now - start) / MS;
    return true;
}

static void stop_workers(struct chaos_run *run) {
    atomic_store(&run->chaos->stop, true);
    while (alive(run) != 0) {
        uint64_t now = chaos_now();
        watch(run, now);
        rest(run, now, now + TICK_NS);
        reap(run, false);
    }
}

/* False if a worker could not be started: told the user. */
bool chaos_run(struct chaos_run *run) {
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, SIGALRM);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &set, NULL);
    progress_start("killing");
    bool done = spawn_missing(run) && rage(run);
    if (done)
        stop_workers(run);
    condemn_all(run);
    reap(run, true);
    progress_end();
    return done;
}
