/* SPDX-License-Identifier: MIT */
/*
 * What the parent does besides killing: it sees that nobody hangs, itself included; stops processes for a while, so that a lock
 * is held by somebody who neither works nor dies; reads the store's own log of recoveries; and measures what the kernel alone
 * takes to hand a dead owner's lock over.
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

enum { MS = 1000000, GUARD_S = 60, RING = 256 };
enum { CONTROL_FREE, CONTROL_HELD, CONTROL_WAITED };

/* ---- Guard: the parent's own calls -------------------------------------------------------------------------------------- */

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

/* ---- Progress ----------------------------------------------------------------------------------------------------------- */

/* True if some thread of the place has made no progress for so long. */
bool chaos_stalled(const struct chaos_run *run, unsigned place, uint64_t now, uint64_t nanoseconds) {
    unsigned slots = run->chaos->threads + 1;
    bool any = false;
    for (unsigned i = place * slots; i < (place + 1) * slots; i++)
        any |= atomic_load(&run->chaos->slots[i].active) && now >= run->since[i] + nanoseconds;
    return any && run->children[place].pid != 0 && !run->children[place].condemned;
}

static void tell_hang(struct chaos_run *run, unsigned place, const struct chaos_slot *slot) {
    unsigned used = atomic_load(&slot->used);
    const struct chaos_op *last = used ? &slot->log[used - 1] : NULL;
    if (last && atomic_load(&last->returned) == 0)
        chaos_violation(run->chaos, "%s %u hung in %s of key %" PRIu32 ": no progress for 15 s",
                        place < run->chaos->writers ? "writer" : "reader", place, chaos_verb_name(last->verb), last->key);
    else
        chaos_violation(run->chaos, "%s %u hung in hf_open, hf_close or hf_scan: no progress for 15 s",
                        place < run->chaos->writers ? "writer" : "reader", place);
}

static void look_at(struct chaos_run *run, unsigned place, unsigned index, uint64_t now) {
    struct chaos_child *child = &run->children[place];
    const struct chaos_slot *slot = &run->chaos->slots[index];
    uint64_t beat = atomic_load(&slot->beat);
    if (beat != run->beats[index] || child->stopped || !atomic_load(&slot->active)) {
        run->beats[index] = beat;
        run->since[index] = now;
    }
    if (child->pid == 0 || now < run->since[index] + CHAOS_HANG_NS)
        return;
    tell_hang(run, place, slot);
    kill(child->pid, SIGKILL);
    child->condemned = true;
    child->way = CHAOS_BY_KILL;
    run->since[index] = now;
}

/* Who makes no progress for 15 seconds hangs. */
void chaos_watch(struct chaos_run *run, uint64_t now) {
    unsigned slots = run->chaos->threads + 1;
    for (unsigned place = 0; place < run->chaos->writers + run->chaos->readers; place++)
        for (unsigned i = 0; i < slots; i++)
            look_at(run, place, place * slots + i, now);
}

/* ---- Stopped processes -------------------------------------------------------------------------------------------------- */

/* By all who are not stopped: a stopped process's own do not grow. */
static uint64_t gets_of(const struct chaos *chaos) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < chaos->slot_count; i++)
        sum += atomic_load(&chaos->slots[i].counts[CHAOS_GET]);
    return sum;
}

static uint64_t timeouts_of(const struct chaos *chaos) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < chaos->slot_count; i++)
        sum += atomic_load(&chaos->slots[i].timeouts);
    return sum;
}

/* Is some thread of the place inside of a write? */
bool chaos_writes_now(const struct chaos *chaos, unsigned place) {
    bool any = false;
    for (unsigned i = 0; i < chaos->threads; i++)
        any |= chaos_running_write(&chaos->slots[place * (chaos->threads + 1) + i]) != NULL;
    return any;
}

/* Longer than the short deadlines if a write is running, for it may hold a lock; else for a moment. */
void chaos_stop(struct chaos_run *run, unsigned place, uint64_t now) {
    static const struct timespec moment = { .tv_nsec = MS / 10 };
    struct chaos_child *child = &run->children[place];
    if (child->pid == 0 || child->condemned || child->stopped)
        return;
    atomic_fetch_add(&run->chaos->places[place].stops, 1);
    if (kill(child->pid, SIGSTOP) != 0)
        return;
    nanosleep(&moment, NULL);
    run->stops++;
    child->stopped = now;
    child->until = now + (chaos_writes_now(run->chaos, place) ? 60 * MS + chaos_below(&run->random, 200 * MS)
                                                              : chaos_below(&run->random, 5 * MS));
    child->reads = gets_of(run->chaos);
    child->timeouts = timeouts_of(run->chaos);
}

/* The stop is over: the process goes on or, one time in four, is killed as it is. */
static void end_stop(struct chaos_run *run, struct chaos_child *child, bool may_kill) {
    run->stop_reads += gets_of(run->chaos) - child->reads;
    run->holders += timeouts_of(run->chaos) != child->timeouts;
    child->stopped = 0;
    if (!may_kill || chaos_below(&run->random, 4) != 0) {
        kill(child->pid, SIGCONT);
        return;
    }
    chaos_mark(run->chaos, child->pid);
    kill(child->pid, SIGKILL);
    child->way = CHAOS_BY_STOP;
    child->condemned = true;
}

/* Ends the stops whose time is over, or all. No stop ends before somebody has read meanwhile (guarantee D). */
void chaos_continue(struct chaos_run *run, uint64_t now, bool all) {
    for (unsigned place = 0; place < run->chaos->writers + run->chaos->readers; place++) {
        struct chaos_child *child = &run->children[place];
        bool alone = run->chaos->readers == 0 || all;
        if (child->pid == 0 || !child->stopped || (now < child->until && !all))
            continue;
        if (alone || gets_of(run->chaos) != child->reads)
            end_stop(run, child, !all);
        else if (now > child->stopped + CHAOS_HANG_NS)
            chaos_violation(run->chaos, "nobody read anything for 15 s while a process was stopped");
    }
}

/* ---- The store's own log ------------------------------------------------------------------------------------------------ */

/* A repair that the log tells twice was made twice: the first repairer was killed after it had written it down. */
void chaos_read_log(struct chaos_run *run) {
    struct hf_recovery log[RING];
    size_t count = 0;
    if (hf_recoveries(run->store, log, RING, &count) != HF_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        if (log[i].sequence <= run->log_read)
            continue;
        run->log_read = log[i].sequence;
        for (size_t before = 0; before < i && log[i].pid != 0; before++)
            if (log[before].stripe == log[i].stripe && log[before].pid == log[i].pid && log[before].repairer != log[i].repairer &&
                log[before].key_hash == log[i].key_hash && log[before].step == log[i].step)
                run->repeated++;
    }
}

/* ---- The kernel alone --------------------------------------------------------------------------------------------------- */

bool chaos_control_init(struct chaos *chaos) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    int error = pthread_mutex_init(&chaos->control, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return error == 0;
}

static void hold(struct chaos *chaos) {
    pthread_mutex_lock(&chaos->control);
    atomic_store(&chaos->control_state, CONTROL_HELD);
    for (;;)
        pause();
}

static void wait_in_line(struct chaos *chaos) {
    atomic_store(&chaos->control_state, CONTROL_WAITED);
    if (pthread_mutex_lock(&chaos->control) == EOWNERDEAD) {
        chaos_count(&chaos->hand_over, (chaos_now() - atomic_load(&chaos->control_killed)) / 1000);
        pthread_mutex_consistent(&chaos->control);
    }
    pthread_mutex_unlock(&chaos->control);
}

static pid_t start_control(struct chaos *chaos, void (*act)(struct chaos *chaos), unsigned state) {
    static const struct timespec moment = { .tv_nsec = MS / 5 };
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            act(chaos);
        _exit(0);
    }
    while (pid > 0 && atomic_load(&chaos->control_state) != state)
        nanosleep(&moment, NULL);
    return pid;
}

/* A bare robust mutex: one process holds it, another waits for it, the first is killed. What the second waits is what no store
 * could save, under the same load. */
static void measure(struct chaos *chaos) {
    static const struct timespec asleep = { .tv_nsec = MS };
    atomic_store(&chaos->control_state, CONTROL_FREE);
    pid_t holder = start_control(chaos, hold, CONTROL_HELD);
    pid_t waiter = holder > 0 ? start_control(chaos, wait_in_line, CONTROL_WAITED) : -1;
    nanosleep(&asleep, NULL);
    atomic_store(&chaos->control_killed, chaos_now());
    if (holder > 0 && kill(holder, SIGKILL) == 0)
        waitpid(holder, NULL, 0);
    if (waiter > 0)
        waitpid(waiter, NULL, 0);
}

/* Measures beside the run until it is killed; 0 if it could not be started, which costs no more than the comparison. Closes the
 * handle, or nobody would ever be the first writer again. */
int chaos_control(struct chaos_run *run) {
    static const struct timespec pause_between = { .tv_nsec = 100 * MS };
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid > 0 ? pid : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)!nice(CHAOS_NICE);
    hf_close(&run->store);
    while (getppid() == parent) {
        measure(run->chaos);
        nanosleep(&pause_between, NULL);
    }
    _exit(0);
}
