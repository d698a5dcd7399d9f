/* SPDX-License-Identifier: MIT */
/* Leading a child instruction by instruction: see stepper.h. */
#include "stepper.h"

#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

struct task {
    check_body *body;
    void *argument;
};

static int traced(void *argument) {
    struct task *task = argument;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return 77;
    raise(SIGSTOP);
    return task->body(task->argument);
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

void stepper_kill(struct stepper *stepper) {
    kill(stepper->child, SIGKILL);
    CHECK(check_killed(check_wait(stepper->child, 20)));
}
