/* SPDX-License-Identifier: MIT */
/*
 * See memo.h. posix_spawn was rejected: it cannot ask for a signal at the death of the parent, and a command whose memo was
 * killed would run on beside the one that the next memo starts.
 */
#include "memo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Signals -------------------------------------------------------------------------------------------------------------- */

static const int passed[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
enum { PASSED = sizeof passed / sizeof *passed };

static volatile pid_t running;

/* What a terminal sends goes to the command as well, of itself. */
static void pass_on(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (info->si_code != SI_KERNEL)
        kill(running, signal);
}

struct signals {
    sigset_t mask;
    struct sigaction actions[PASSED], child;
};

/* From here on the signals wait, so that none comes before the command is there; what was ignored stays so. Except SIGCHLD: the
 * child of a process that ignores it leaves no exit code. */
static void hold_signals(struct signals *before) {
    struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t held;
    sigemptyset(&held);
    for (int i = 0; i < PASSED; i++)
        sigaddset(&held, passed[i]);
    action.sa_mask = held;
    sigprocmask(SIG_BLOCK, &held, &before->mask);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &before->child);
    for (int i = 0; i < PASSED; i++) {
        sigaction(passed[i], NULL, &before->actions[i]);
        if (before->actions[i].sa_handler != SIG_IGN)
            sigaction(passed[i], &action, NULL);
    }
}

static void restore_signals(const struct signals *before) {
    for (int i = 0; i < PASSED; i++)
        sigaction(passed[i], &before->actions[i], NULL);
    sigaction(SIGCHLD, &before->child, NULL);
    sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

/* ---- Starting ------------------------------------------------------------------------------------------------------------- */

static int cannot_run(const char *name, int error) {
    complain(NULL, "%s: %s", name, strerror(error));
    return error == ENOENT ? 127 : 126;
}

int become_command(char **command) {
    signal(SIGPIPE, SIG_DFL); /* main ignores it */
    execvp(command[0], command);
    return cannot_run(command[0], errno);
}

/* In the child. Tells errno through `fault`, which closes if the command has taken over. */
__attribute__((noreturn)) static void start(char **command, const int output[2], int fault, const struct signals *before) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    restore_signals(before);
    signal(SIGPIPE, SIG_DFL);
    if (dup2(output[0], STDOUT_FILENO) >= 0 && dup2(output[1], STDERR_FILENO) >= 0)
        execvp(command[0], command);
    int error = errno;
    _exit(write(fault, &error, sizeof error) == sizeof error ? 127 : 126);
}

/* ---- Passing on ----------------------------------------------------------------------------------------------------------- */

bool write_all(int fd, const void *data, size_t length) {
    for (const char *at = data; length > 0;) {
        ssize_t written = write(fd, at, length);
        if (written < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (written < 0 && errno != EINTR)
            return false;
        at += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

enum { ROOM = 65536, TICK_MS = 10 };

static const int printed_on[2] = {STDOUT_FILENO, STDERR_FILENO};

bool prepare_run(struct run *run) {
    return reserve_buffer(&run->output[0], ROOM) && reserve_buffer(&run->output[1], ROOM);
}

static size_t waiting(const struct run *run, int which) {
    return run->output[which].length - run->passed[which];
}

/* What cannot be kept is only on its way through, and no more is read before it has gone. */
static bool takes_more(const struct run *run, int which) {
    return run->whole || waiting(run, which) == 0;
}

/* For what comes next; false: there is none yet. */
static bool make_room(struct run *run, int which) {
    struct buffer *output = &run->output[which];
    if (run->whole && output->length == output->size && !reserve_buffer(output, 2 * output->size))
        run->whole = run->done = false;
    if (!takes_more(run, which))
        return false;
    if (!run->whole)
        output->length = run->passed[which] = 0;
    return true;
}

static bool cannot_pass(struct run *run, const char *what) {
    run->lost = errno != EPIPE;
    run->done = false;
    if (run->lost)
        complain(what, "%s", strerror(errno));
    return false;
}

/* What has come; false at the end. */
static bool take(struct run *run, int which, int from) {
    struct buffer *output = &run->output[which];
    if (!make_room(run, which))
        return true;
    ssize_t length = read(from, output->data + output->length, output->size - output->length);
    if (length < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (length < 0)
        return cannot_pass(run, run->command[0]);
    output->length += (size_t)length;
    run->whole = run->whole && run->output[0].length + run->output[1].length <= run->limit;
    return length > 0;
}

/* As much as does not wait for a reader; both outputs may be one pipe, so each is asked just before. False if nobody wants it any
 * more: the command then gets the SIGPIPE that it would have got. */
static bool pass(struct run *run, int which) {
    struct pollfd end = {.fd = printed_on[which], .events = POLLOUT};
    size_t length = waiting(run, which) < PIPE_BUF ? waiting(run, which) : PIPE_BUF;
    if (poll(&end, 1, 0) != 1)
        return true;
    ssize_t written = write(end.fd, run->output[which].data + run->passed[which], length);
    if (written < 0 && errno != EINTR && errno != EAGAIN) {
        run->passed[which] = run->output[which].length;
        return cannot_pass(run, which == 0 ? "standard output" : "standard error");
    }
    run->passed[which] += written > 0 ? (size_t)written : 0;
    return true;
}

/* Whatever can be done next. A command that has closed its outputs may run on, so that its end is looked for as well. */
static void pass_some(struct run *run, const int from[2], bool open[2]) {
    struct pollfd in[4];
    struct pollfd *out = in + 2;
    for (int which = 0; which < 2; which++) {
        in[which] = (struct pollfd){.fd = open[which] && takes_more(run, which) ? from[which] : -1, .events = POLLIN};
        out[which] = (struct pollfd){.fd = waiting(run, which) > 0 ? printed_on[which] : -1, .events = POLLOUT};
    }
    if (poll(in, 4, open[0] || open[1] ? -1 : TICK_MS) <= 0)
        return;
    for (int which = 0; which < 2; which++) {
        bool more = !in[which].revents || take(run, which, from[which]);
        if (out[which].revents)
            more = pass(run, which) && more;
        if (open[which] && !more) {
            close(from[which]);
            open[which] = false;
        }
    }
}

/* The command has ended, and its number is still its own: a signal that is passed on now hits nobody else. */
static bool ended(pid_t child, int flags) {
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT | flags) < 0 ? errno != EINTR : info.si_pid != 0;
}

static void pass_until_end(struct run *run, const int from[2], pid_t child) {
    bool open[2] = {true, true};
    while (open[0] || open[1] || ((waiting(run, 0) > 0 || waiting(run, 1) > 0) && !ended(child, WNOHANG)))
        pass_some(run, from, open);
    while (!ended(child, 0))
        ;
}

static int code_of(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- Running -------------------------------------------------------------------------------------------------------------- */

enum { OUT, ERR, FAULT, PIPES };

static bool make_pipes(int pipes[PIPES][2]) {
    for (int i = 0; i < PIPES; i++) {
        if (pipe2(pipes[i], O_CLOEXEC) == 0)
            continue;
        while (i-- > 0) {
            close(pipes[i][0]);
            close(pipes[i][1]);
        }
        return false;
    }
    return true;
}

/* The child's ends are closed, its errno is read: 0 if the command runs. */
static int started(int pipes[PIPES][2]) {
    int error = 0;
    for (int i = 0; i < PIPES; i++)
        close(pipes[i][1]);
    while (read(pipes[FAULT][0], &error, sizeof error) < 0 && errno == EINTR)
        ;
    close(pipes[FAULT][0]);
    return error;
}

void run_command(struct run *run) {
    int pipes[PIPES][2];
    struct signals before;
    run->code = TOOL_FAILED;
    run->done = run->lost = false;
    if (!make_pipes(pipes)) {
        fail(run->command[0], "%s", strerror(errno));
        return;
    }
    hold_signals(&before);
    pid_t child = fork();
    if (child == 0)
        start(run->command, (const int[2]){pipes[OUT][1], pipes[ERR][1]}, pipes[FAULT][1], &before);
    int fork_error = errno;
    running = child;
    int error = started(pipes);
    run->done = run->whole = child > 0 && error == 0;
    if (child > 0) {
        sigprocmask(SIG_SETMASK, &before.mask, NULL);
        pass_until_end(run, (const int[2]){pipes[OUT][0], pipes[ERR][0]}, child);
    } else {
        fail(run->command[0], "%s", strerror(fork_error));
        close(pipes[OUT][0]);
        close(pipes[ERR][0]);
    }
    restore_signals(&before);
    if (child > 0)
        run->code = code_of(child);
    if (run->lost)
        run->code = TOOL_FAILED;
    if (error != 0)
        run->code = cannot_run(run->command[0], error);
}
