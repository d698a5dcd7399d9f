/* SPDX-License-Identifier: MIT */
/* Leading a process through a scenario, from state to state: see crash_lead.h. */
#include "crash_lead.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* Shared with the children. */
static struct shared {
    unsigned points;  /* named points passed by the process that is led */
    unsigned stop_at; /* the one to stop at, before it is counted       */
    int result;
    bool arrived;     /* the sleeper                                    */
    double through;   /* when it was                                    */
} *shared;

static unsigned char *seen; /* the file, how it was after the last step */

/* ---- In the child -------------------------------------------------------------------------------------------------------- */

#ifdef HF_TEST
static void count_point(const char *name) {
    (void)name;
    if (shared->points + 1 == shared->stop_at)
        raise(SIGSTOP);
    shared->points++;
}
#endif

static void count_points(void) {
#ifdef HF_TEST
    hf__point_hook = count_point;
#endif
}

static hf_store *mine(const struct stage *stage) {
    return stage->store ? stage->store : check_open(stage->path, NULL);
}

int lead_act(void *argument) {
    const struct stage *stage = argument;
    count_points();
    hf_store *store = mine(stage);
    shared->result = stage->scenario->act ? stage->scenario->act(store) : HF_OK;
    return 0;
}

int lead_next_write(void *argument) {
    const struct stage *stage = argument;
    count_points();
    crash_next_write(stage, mine(stage), 20);
    return 0;
}

static int sleep_in_lock(void *argument) {
    const struct stage *stage = argument;
    shared->arrived = true;
    crash_next_write(stage, mine(stage), 20);
    shared->through = check_seconds();
    return 0;
}

int lead_result(void) {
    return shared->result;
}

/* ---- Locks --------------------------------------------------------------------------------------------------------------- */

/* Where in a mutex the kernel finds the owner's thread id: the first word that names it. */
static size_t lock_word_at(void) {
    pthread_mutexattr_t attributes;
    union {
        pthread_mutex_t mutex;
        uint32_t words[sizeof(pthread_mutex_t) / 4];
    } own;
    size_t at = 0;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&own.mutex, &attributes);
    pthread_mutex_lock(&own.mutex);
    while (at < sizeof own.words / 4 && own.words[at] != (uint32_t)syscall(SYS_gettid))
        at++;
    CHECK(at < sizeof own.words / 4);
    pthread_mutex_unlock(&own.mutex);
    return at * 4;
}

static uint32_t lock_word(const unsigned char *mutex_line) {
    static size_t at = SIZE_MAX;
    uint32_t word;
    if (at == SIZE_MAX)
        at = lock_word_at();
    memcpy(&word, mutex_line + at, sizeof word);
    return word;
}

#define OWNER 0x3fffffffu
#define WAITERS 0x80000000u

bool lead_locked_by(const unsigned char *mutex_line, pid_t owner) {
    return (lock_word(mutex_line) & OWNER) == (uint32_t)owner;
}

static const unsigned char *contended_lock(const struct lead *lead) {
    const struct hf__geometry *geometry = &lead->stage->viewer->region->geometry;
    return lead->stage->file + geometry->stripes_at + lead->stage->stripe * sizeof(struct hf__stripe);
}

bool lead_owns(const struct lead *lead) {
    return lead_locked_by(contended_lock(lead), lead->stepper.child);
}

/* ---- Places -------------------------------------------------------------------------------------------------------------- */

enum { PLACES = 1 << 16 };

static struct place {
    uintptr_t place;
    unsigned since; /* when counting began */
    unsigned times;
} places[PLACES];
static unsigned since;

/* How often was the instruction at this place executed since counting began, this time included? */
static unsigned times_at(uintptr_t place) {
    size_t i = (place * 0x9e3779b97f4a7c15u >> 20) % PLACES;
    for (unsigned tries = 0; places[i].since == since && places[i].place != place; tries++) {
        CHECK(tries < PLACES / 2);
        i = (i + 1) % PLACES;
    }
    if (places[i].since != since)
        places[i] = (struct place){place, since, 0};
    return ++places[i].times;
}

/* From here on: at a point, and when the other one has been put to sleep. */
static void begin_counting(struct lead *lead) {
    lead->stepped = false;
    since++;
}

/* ---- The sleeper --------------------------------------------------------------------------------------------------------- */

static char state_of(pid_t process) {
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *name_end = strrchr(text, ')');
    CHECK(length > 0 && name_end && name_end[1] == ' ');
    return name_end[2];
}

static void see(struct lead *lead) {
    memcpy(seen, lead->stage->file, lead->stage->image_size);
}

static void put_to_sleep(struct lead *lead) {
    double deadline = check_seconds() + 20;
    shared->through = 0;
    lead->slept = lead->sleeper = check_spawn(sleep_in_lock, (void *)(uintptr_t)lead->stage);
    while (!(lock_word(contended_lock(lead)) & WAITERS) || state_of(lead->sleeper) != 'S') {
        CHECK(check_seconds() < deadline);
        check_sleep_ms(0);
    }
    lead->sleeps_at = lead->at;
    begin_counting(lead);
    see(lead);
}

/* Somebody who opens the file while the victim does, and may have to wait for it. */
static void let_other_open(struct lead *lead) {
    double deadline = check_seconds() + 20;
    shared->through = 0;
    shared->arrived = false;
    lead->slept = lead->sleeper = check_spawn(sleep_in_lock, (void *)(uintptr_t)lead->stage);
    while (!shared->arrived)
        CHECK(check_seconds() < deadline);
    check_sleep_ms(1);
}

static void await_sleeper(struct lead *lead) {
    int status = check_wait(lead->sleeper, 20);
    CHECK_EQ(status, 0);
    lead->sleeper = 0;
    see(lead);
}

/* The victim has let go of the lock and woken it. */
static void let_through(struct lead *lead) {
    if (lead->sleeper && !lead_owns(lead) && state_of(lead->sleeper) != 'S')
        await_sleeper(lead);
}

/* ---- Leading ------------------------------------------------------------------------------------------------------------- */

static bool head_changed(struct lead *lead) {
    struct robust_head head = {0, 0, 0};
    size_t size;
    if (lead->head_at == 0 && syscall(SYS_get_robust_list, lead->stepper.child, &lead->head_at, &size) != 0)
        check_failed(__FILE__, __LINE__, "get_robust_list: %s", strerror(errno));
    if (lead->head_at == 0)
        return false;
    struct iovec here = {&head, sizeof head}, there = {(void *)lead->head_at, sizeof head};
    CHECK_EQ(process_vm_readv(lead->stepper.child, &here, 1, &there, 1, 0), (ssize_t)sizeof head);
    bool changed = memcmp(&head, &lead->head, sizeof head) != 0;
    lead->head = head;
    return changed;
}

static bool file_changed(struct lead *lead) {
    if (memcmp(seen, lead->stage->file, lead->stage->image_size) == 0)
        return false;
    see(lead);
    return true;
}

void lead_start(struct lead *lead, const struct stage *stage, check_body *body) {
    static size_t seen_size;
    if (!shared)
        shared = check_shared(sizeof *shared);
    if (seen_size < stage->image_size)
        seen = realloc(seen, seen_size = stage->image_size);
    CHECK(seen != NULL);
    *lead = (struct lead){.stage = stage};
    *shared = (struct shared){.result = 1000};
    stepper_start(&lead->stepper, body, (void *)(uintptr_t)stage);
    see(lead);
    head_changed(lead);
}

static void note_place(struct lead *lead) {
    uintptr_t place = stepper_place(&lead->stepper);
    if (place == lead->at.place) /* repeated */
        return;
    lead->at.place = place;
    lead->at.times = times_at(place);
    lead->at.others = lead->at.changes;
}

static void begin_at_point(struct lead *lead, unsigned points) {
    lead->at = (struct state){.points = points};
    begin_counting(lead);
}

void lead_note(struct lead *lead) {
    lead->noting = true;
    begin_counting(lead);
}

/* ---- Steps --------------------------------------------------------------------------------------------------------------- */

void lead_with_sleeper(struct lead *lead, struct state sleeps_at) {
    lead->with_sleeper = true;
    lead->sleeps_at = sleeps_at;
}

bool lead_step(struct lead *lead) {
    lead->changed = false;
    lead->stepped = true;
    if (lead->noting)
        note_place(lead);
    if (!stepper_step(&lead->stepper))
        return false;
    if (shared->points != lead->at.points)
        begin_at_point(lead, shared->points);
    let_through(lead); /* what it writes is no change of the victim's */
    bool file = file_changed(lead), head = head_changed(lead);
    lead->changed = file || head;
    lead->at.changes += lead->changed;
    if (lead->with_sleeper && !lead->slept && lead->stage->store && lead_owns(lead))
        put_to_sleep(lead);
    return true;
}

/* At full speed to just behind a named point. */
static bool run_to_point(struct lead *lead, unsigned points) {
    shared->stop_at = points;
    if (!stepper_run(&lead->stepper))
        return false;
    shared->stop_at = 0;
    while (shared->points != points)
        if (!stepper_step(&lead->stepper))
            return false;
    let_through(lead);
    see(lead);
    head_changed(lead);
    begin_at_point(lead, points);
    return true;
}

/* At full speed to just before a state. */
static bool run_to_place(struct lead *lead, struct state state) {
    if (!stepper_run_to(&lead->stepper, state.place, state.times))
        return false;
    let_through(lead);
    see(lead);
    head_changed(lead);
    lead->at.changes = state.others;
    return true;
}

static bool step_to(struct lead *lead, struct state state) {
    if (lead->at.points < state.points && !run_to_point(lead, state.points))
        return false;
    if (state.place && !lead->stepped && lead->at.changes < state.changes && !run_to_place(lead, state))
        return false;
    while (lead->at.points == state.points && lead->at.changes < state.changes)
        if (!lead_step(lead))
            return false;
    return true;
}

static bool before(struct state a, struct state b) {
    return a.points < b.points || (a.points == b.points && a.changes < b.changes);
}

/* Where it has to stop on the way for the sleeper, it must not run past it. */
bool lead_to(struct lead *lead, struct state state) {
    struct state sleeps_at = lead->sleeps_at;
    bool stops = lead->with_sleeper && lead->stage->store && before(sleeps_at, state);
    return (!stops || step_to(lead, sleeps_at)) && step_to(lead, state);
}

/* An operation that takes a lock twice may have let the sleeper through in between. */
bool lead_is_awaited(struct lead *lead) {
    return lead->sleeper && lead_owns(lead) && shared->through == 0 && state_of(lead->sleeper) == 'S';
}

double lead_kill(struct lead *lead) {
    if (lead->with_sleeper && !lead->stage->store)
        let_other_open(lead);
    double killed = check_seconds();
    stepper_kill(&lead->stepper);
    if (!lead->sleeper)
        return -1;
    await_sleeper(lead);
    return (shared->through - killed) * 1000;
}

void lead_end(struct lead *lead) {
    if (lead->sleeper)
        await_sleeper(lead);
}
