/* SPDX-License-Identifier: MIT */
/*
 * A writer led instruction by instruction through every operation. After each instruction that changed the file, others look at
 * it (guarantee D); and a process is really killed at each of those instructions, for whatever SIGKILL leaves behind is what
 * stood in memory after one of them (A, B, C). No named point is needed, and none can be forgotten.
 *
 *     crash_steps [--only NAME] [--look] [--repairers] [--planted BUG]
 *
 * --look leaves out the deaths, which take most of the time; --repairers adds, for each of them, the death of the one who repairs
 * at each instruction that changes the file: minutes for one operation.
 */
#include "crash.h"
#include "stepper.h"

#include <fcntl.h>
#include <sys/mman.h>

const unsigned test_seconds = 3600;

enum { CHANGES_MAX = 4096 };

static struct stage stage;
static hf_store *store, *viewer; /* the viewer is read-only: a look leaves nothing behind */
static int *act_result;

/* The file as others see it, and how it was a moment ago. */
static const unsigned char *file;
static unsigned char *before;

static unsigned long changes[CHANGES_MAX]; /* after how many instructions the file changed */
static unsigned change_count;

static int act(void *unused) {
    (void)unused;
    *act_result = stage.scenario->act(store);
    return 0;
}

static void open_stage(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = HF_RDONLY;
    store = crash_renew(&stage);
    viewer = check_open(stage.path, &options);
    int fd = open(stage.path, O_RDONLY | O_CLOEXEC);
    file = mmap(NULL, stage.image_size, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(fd >= 0 && file != MAP_FAILED);
    close(fd);
}

static void close_stage(void) {
    munmap((void *)(uintptr_t)file, stage.image_size);
    CHECK_RC(hf_close(&viewer), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

static bool changed(void) {
    if (memcmp(before, file, stage.image_size) == 0)
        return false;
    memcpy(before, file, stage.image_size);
    return true;
}

/* Leads the writer once through the operation, and looks whenever the file has changed. */
static unsigned long look_everywhere(void) {
    struct stepper stepper;
    bool saw_new = false;
    open_stage();
    memcpy(before, file, stage.image_size);
    change_count = 0;
    stepper_start(&stepper, act, NULL);
    while (stepper_step(&stepper)) {
        if (!changed())
            continue;
        check_at("%s, after instruction %lu", stage.scenario->name, stepper.steps);
        CHECK(change_count < CHANGES_MAX);
        changes[change_count++] = stepper.steps;
        crash_glance(&stage, viewer, &saw_new);
    }
    CHECK_RC(*act_result, stage.scenario->result);
    saw_new = true;
    crash_glance(&stage, viewer, &saw_new);
    close_stage();
    return stepper.steps;
}

/* Leaves the stage as a victim does that is killed after so many instructions. */
static pid_t die_after(unsigned long steps) {
    struct stepper stepper;
    open_stage();
    stepper_start(&stepper, act, NULL);
    CHECK(stepper_steps(&stepper, steps));
    stepper_kill(&stepper);
    return stepper.child;
}

static void verify_death(unsigned long steps) {
    check_at("%s, killed after instruction %lu", stage.scenario->name, steps);
    pid_t victim = die_after(steps);
    crash_verify(&stage, store, victim);
    close_stage();
}

/* ---- Deaths of repairers ------------------------------------------------------------------------------------------------- */

static int repair(void *unused) {
    (void)unused;
    crash_next_write(&stage, store);
    return 0;
}

/* After how many instructions of a repair the file changes, up to the last change. */
static unsigned repairs_of(unsigned long steps, unsigned long repairs[CHANGES_MAX]) {
    struct stepper stepper;
    unsigned count = 0;
    die_after(steps);
    memcpy(before, file, stage.image_size);
    stepper_start(&stepper, repair, NULL);
    while (stepper_step(&stepper)) {
        if (changed()) {
            CHECK(count < CHANGES_MAX);
            repairs[count++] = stepper.steps;
        }
    }
    close_stage();
    return count;
}

static unsigned verify_repairers(unsigned long steps) {
    static unsigned long repairs[CHANGES_MAX];
    unsigned count = repairs_of(steps, repairs);
    for (unsigned i = 0; i < count; i++) {
        struct stepper stepper;
        check_at("%s, killed after instruction %lu, its repairer after %lu", stage.scenario->name, steps, repairs[i]);
        pid_t victim = die_after(steps);
        stepper_start(&stepper, repair, NULL);
        if (stepper_steps(&stepper, repairs[i])) /* the clock decides how long some paths are */
            stepper_kill(&stepper);
        crash_verify(&stage, store, victim);
        close_stage();
    }
    return count;
}

static void run_scenario(const struct scenario *scenario, struct puppet *puppet, bool deaths, bool repairers) {
    unsigned long doubles = 0;
    crash_prepare(&stage, scenario, puppet);
    before = malloc(stage.image_size);
    CHECK(before != NULL);
    unsigned long steps = look_everywhere();
    for (unsigned i = 0; i < change_count; i++) {
        if (deaths)
            verify_death(changes[i]);
        if (repairers)
            doubles += verify_repairers(changes[i]);
    }
    free(before);
    printf("%-32s %6lu instructions, %4u changed the file%s", scenario->name, steps, change_count,
           deaths ? ", a death at each" : "");
    if (repairers)
        printf(", %lu of repairers", doubles);
    printf("\n");
    CHECK(change_count > 4);
}

int test_run(int argc, char **argv) {
    bool look_only = check_argument(argc, argv, "--look");
    const char *only = check_text(argc, argv, "--only", NULL);
    struct puppet *puppet = puppet_new();
    unsigned run = 0;
    act_result = check_shared(sizeof *act_result);
    for (size_t i = 0; i < crash_scenario_count; i++) {
        if (only && strcmp(only, crash_scenarios[i].name) != 0)
            continue;
        run_scenario(&crash_scenarios[i], puppet, !look_only, check_argument(argc, argv, "--repairers"));
        run++;
    }
    CHECK(run > 0);
    return 0;
}
