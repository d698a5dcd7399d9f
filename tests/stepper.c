/* SPDX-License-Identifier: MIT */
/* Leading a child instruction by instruction: see stepper.h. */
#include "stepper.h"

#include <alloca.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

struct task {
    check_body *body;
    void *argument;
};

static __attribute__((noinline)) int run(const struct task *task, volatile unsigned char *padding) {
    padding[0] = 0;
    raise(SIGSTOP);
    return task->body(task->argument);
}

/* Wherever it is forked, its stack begins at the same place in a page: the C library chooses the way in which it copies by the
 * addresses, and one child must go the same way as another. */
static int traced(void *argument) {
    enum { PLACE = 1 << 16 };
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return 77;
    size_t above = (uintptr_t)__builtin_frame_address(0) % PLACE;
    return run(argument, alloca(above + 1));
}

static void stay_on_one_processor(void) {
    cpu_set_t one;
    int now = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET(now >= 0 ? (unsigned)now : 0u, &one);
    sched_setaffinity(0, sizeof one, &one); /* for speed only */
}

/* True: stopped. */
static bool wait_for_stop(struct stepper *stepper) {
    int status;
    CHECK(waitpid(stepper->child, &status, 0) == stepper->child);
    if (WIFSTOPPED(status)) {
        int number = WSTOPSIG(status);
        if (number != SIGTRAP && number != SIGSTOP)
            check_failed(__FILE__, __LINE__, "the child got signal %d after %lu steps", number, stepper->steps);
        return true;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        check_skip("ptrace is not permitted");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        check_failed(__FILE__, __LINE__, "the child ended with wait status 0x%x after %lu steps", status, stepper->steps);
    return false;
}

void stepper_start(struct stepper *stepper, check_body *body, void *argument) {
    static bool pinned;
    struct task task = {body, argument};
    if (!pinned)
        stay_on_one_processor();
    pinned = true;
    stepper->steps = 0;
    stepper->child = check_spawn(traced, &task);
    CHECK(wait_for_stop(stepper));
    CHECK_EQ(ptrace(PTRACE_SETOPTIONS, stepper->child, NULL, (void *)PTRACE_O_EXITKILL), 0);
}

bool stepper_step(struct stepper *stepper) {
    CHECK_EQ(ptrace(PTRACE_SINGLESTEP, stepper->child, NULL, NULL), 0);
    stepper->steps++;
    return wait_for_stop(stepper);
}

bool stepper_steps(struct stepper *stepper, unsigned long count) {
    while (count-- > 0)
        if (!stepper_step(stepper))
            return false;
    return true;
}

bool stepper_run(struct stepper *stepper) {
    CHECK_EQ(ptrace(PTRACE_CONT, stepper->child, NULL, NULL), 0);
    return wait_for_stop(stepper);
}

bool stepper_call(struct stepper *stepper) {
    CHECK_EQ(ptrace(PTRACE_SYSCALL, stepper->child, NULL, NULL), 0);
    stepper->steps++;
    return wait_for_stop(stepper);
}

/* ---- Breakpoints --------------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define PLACE_AT offsetof(struct user, regs.rip)
#elif defined(__i386__)
#define PLACE_AT offsetof(struct user, regs.eip)
#endif

#ifdef PLACE_AT
#define TRAP 0xccul /* one byte long, and behind it when it traps */

uintptr_t stepper_place(const struct stepper *stepper) {
    errno = 0;
    long place = ptrace(PTRACE_PEEKUSER, stepper->child, (void *)PLACE_AT, NULL);
    CHECK(errno == 0);
    return (uintptr_t)place;
}

static void poke(const struct stepper *stepper, uintptr_t place, long word) {
    CHECK_EQ(ptrace(PTRACE_POKETEXT, stepper->child, (void *)place, (void *)word), 0);
}

/* To where it is about to execute it next. The child's text is its own from the first write on. */
static bool run_to_trap(struct stepper *stepper, uintptr_t place) {
    errno = 0;
    long word = ptrace(PTRACE_PEEKTEXT, stepper->child, (void *)place, NULL);
    CHECK(errno == 0);
    poke(stepper, place, (long)(((unsigned long)word & ~0xfful) | TRAP));
    if (!stepper_run(stepper))
        return false;
    poke(stepper, place, word);
    CHECK_EQ(stepper_place(stepper), place + 1);
    CHECK_EQ(ptrace(PTRACE_POKEUSER, stepper->child, (void *)PLACE_AT, (void *)place), 0);
    return true;
}

/* A repeated instruction (rep movs) is stepped through repetition by repetition, and counts once. */
bool stepper_run_to(struct stepper *stepper, uintptr_t place, unsigned n) {
    bool there = stepper_place(stepper) == place;
    for (;;) {
        if (there && --n == 0)
            return true;
        while (there) {
            if (!stepper_step(stepper))
                return false;
            there = stepper_place(stepper) == place;
        }
        if (!run_to_trap(stepper, place))
            return false;
        there = true;
    }
}
#else
uintptr_t stepper_place(const struct stepper *stepper) {
    (void)stepper;
    return 0;
}

bool stepper_run_to(struct stepper *stepper, uintptr_t place, unsigned n) {
    (void)stepper, (void)place, (void)n;
    return false;
}
#endif

void stepper_kill(struct stepper *stepper) {
    kill(stepper->child, SIGKILL);
    CHECK(check_killed(check_wait(stepper->child, 20)));
}
