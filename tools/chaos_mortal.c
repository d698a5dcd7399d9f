/* SPDX-License-Identifier: MIT */
/*
 * How a worker dies, seen from both sides. SIGKILL, SIGSEGV and SIGABRT end it from outside, wherever it is. For _exit and exec
 * the parent sends it a signal: every other worker then makes the call in a handler, which interrupts some thread in the middle
 * of whatever it does; the others have a thread that waits for the signal and makes the call while the rest are at work.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos.h"

enum { EXIT_SIGNAL = SIGUSR1, EXEC_SIGNAL = SIGUSR2, NO_EXEC_CODE = 127 };

/* The new program lives on for a moment: what the old one held must not wait for its end. */
static void die(int signal) {
    static char program[] = "/bin/sleep", name[] = "sleep", time[] = "0.02";
    static char *const arguments[] = { name, time, NULL }, *const environment[] = { NULL };
    if (signal == EXIT_SIGNAL)
        _exit(CHAOS_EXIT_CODE);
    execve(program, arguments, environment);
    _exit(NO_EXEC_CODE);
}

static void *wait_for_death(void *unused) {
    sigset_t set;
    int signal = 0;
    (void)unused;
    sigemptyset(&set);
    sigaddset(&set, EXIT_SIGNAL);
    sigaddset(&set, EXEC_SIGNAL);
    sigwait(&set, &signal);
    die(signal);
    return NULL;
}

/* A limit of 1 keeps also those dumps from being written that go through a pipe. */
static void dump_no_core(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max < 1 ? limit.rlim_max : 1;
    setrlimit(RLIMIT_CORE, &limit);
}

/* Makes this process die as the parent will ask it to. False: no thread could be started. */
bool chaos_mortal(unsigned start) {
    sigset_t blocked;
    pthread_t waiter;
    struct sigaction action = { .sa_handler = die };
    bool by_thread = start % 2 != 0;
    dump_no_core();
    signal(SIGSEGV, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    sigaction(EXIT_SIGNAL, &action, NULL);
    sigaction(EXEC_SIGNAL, &action, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    if (by_thread) {
        sigaddset(&blocked, EXIT_SIGNAL);
        sigaddset(&blocked, EXEC_SIGNAL);
    }
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    return !by_thread || pthread_create(&waiter, NULL, wait_for_death, NULL) == 0;
}

int chaos_send(int pid, enum chaos_death death) {
    static const int signals[CHAOS_DEATH_COUNT] = {
        [CHAOS_BY_KILL] = SIGKILL,     [CHAOS_BY_SEGV] = SIGSEGV, [CHAOS_BY_ABRT] = SIGABRT,  [CHAOS_BY_EXIT] = EXIT_SIGNAL,
        [CHAOS_BY_EXEC] = EXEC_SIGNAL, [CHAOS_BY_STOP] = SIGKILL, [CHAOS_BY_SWEEP] = SIGKILL,
    };
    return kill(pid, signals[death]);
}

/* Is this how a process ends that died so? */
bool chaos_is_death(enum chaos_death death, int status) {
    switch (death) {
    case CHAOS_BY_SEGV: return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
    case CHAOS_BY_ABRT: return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    case CHAOS_BY_EXIT: return WIFEXITED(status) && WEXITSTATUS(status) == CHAOS_EXIT_CODE;
    case CHAOS_BY_EXEC: return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    case CHAOS_BY_KILL:
    case CHAOS_BY_STOP:
    case CHAOS_BY_SWEEP:
    case CHAOS_DEATH_COUNT: break;
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

const char *chaos_death_name(unsigned death) {
    static const char *const names[] = { CHAOS_DEATHS(CHAOS_NAMED_TEXT) };
    return death < CHAOS_DEATH_COUNT ? names[death] : "unknown";
}
