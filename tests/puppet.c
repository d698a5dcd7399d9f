/* SPDX-License-Identifier: MIT */
/* Puppets: see puppet.h. The hook runs inside the library with locks held, so it only counts, notes the name and raises. */
#include "puppet.h"
#include "fault.h"

#include <signal.h>
#include <sys/wait.h>

static struct puppet *armed;

struct puppet *puppet_new(void) {
    return check_shared(sizeof(struct puppet));
}

static void copy_name(char *to, size_t size, const char *name) {
    size_t i = 0;
    for (; i + 1 < size && name[i]; i++)
        to[i] = name[i];
    to[i] = 0;
}

bool puppet_saw(const struct puppet *puppet, const char *name) {
    for (unsigned i = 0; i < puppet->name_count; i++)
        if (strcmp(puppet->names[i], name) == 0)
            return true;
    return false;
}

static void at_point(const char *name) {
    armed->reached++;
    copy_name(armed->point, sizeof armed->point, name);
    if (!puppet_saw(armed, name) && armed->name_count < sizeof armed->names / sizeof *armed->names)
        copy_name(armed->names[armed->name_count++], sizeof armed->names[0], name);
    if (armed->reached == armed->act_at)
        raise(armed->signal);
}

void puppet_arm(struct puppet *puppet, unsigned n, int signal) {
    armed = puppet;
    puppet->reached = 0;
    puppet->act_at = n;
    puppet->signal = signal;
    puppet->point[0] = 0;
    hf__point_hook = at_point;
}

void puppet_disarm(void) {
    hf__point_hook = NULL;
}

struct puppet_task {
    struct puppet *puppet;
    unsigned n;
    int signal;
    check_body *body;
    void *argument;
};

static int run_armed(void *argument) {
    struct puppet_task *task = argument;
    puppet_arm(task->puppet, task->n, task->signal);
    return task->body(task->argument);
}

bool puppet_killed_at(struct puppet *puppet, unsigned n, check_body *body, void *argument) {
    struct puppet_task task = {puppet, n, SIGKILL, body, argument};
    int status = check_wait(check_spawn(run_armed, &task), 20);
    if (check_killed(status))
        return true;
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    return false;
}

pid_t puppet_stopped_at(struct puppet *puppet, unsigned n, check_body *body, void *argument) {
    struct puppet_task task = {puppet, n, SIGSTOP, body, argument};
    pid_t child = check_spawn(run_armed, &task);
    int status;
    CHECK(waitpid(child, &status, WUNTRACED) == child);
    if (WIFSTOPPED(status))
        return child;
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
    return 0;
}
