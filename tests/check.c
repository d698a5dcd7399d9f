/* SPDX-License-Identifier: MIT */
/*
 * The main() of every test program: a guard process that gives the test a temporary directory and a deadline; and the
 * assertions. What a program may use while it runs stands in fixture.c.
 */
#include "check.h"

#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

_Thread_local char check_context[200];
char check_directory[CHECK_PATH];

/* Defined by plant.c in programs that are linked with the test build of the library. */
__attribute__((weak)) void test_plant(const char *name);

void check_at(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check_context, sizeof check_context, format, arguments);
    va_end(arguments);
}

void check_failed(const char *file, int line, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s:%d: %s%s%s%s\n", file, line, text, check_context[0] ? " [" : "", check_context,
            check_context[0] ? "]" : "");
    _exit(1);
}

void check_equal(const char *file, int line, const char *text, long long actual, long long expected) {
    if (actual != expected)
        check_failed(file, line, "%s: it is %lld, not %lld", text, actual, expected);
}

void check_result(const char *file, int line, const char *text, int actual, int expected) {
    if (actual != expected)
        check_failed(file, line, "%s: it is %s, not %s (explanation: %s)", text, hf_result_name(actual),
                     hf_result_name(expected), hf_explain());
}

void check_skip(const char *reason) {
    printf("skipped: %s\n", reason);
    fflush(stdout);
    _exit(77);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place) {
    (void)status, (void)type, (void)place;
    return remove(path);
}

static void make_directory(void) {
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    const char *asked = getenv("HOLDFAST_TEST_DIR");
    snprintf(check_directory, sizeof check_directory, "%s/holdfast-test-XXXXXX", asked ? asked : base);
    if (!mkdtemp(check_directory)) {
        perror(check_directory);
        exit(1);
    }
}

static void take_planted(int *argc, char **argv) {
    for (int i = 1; i + 1 < *argc; i++) {
        if (strcmp(argv[i], "--planted") != 0)
            continue;
        if (!test_plant) {
            fprintf(stderr, "%s is not linked with the test build of the library: it has no bugs to plant\n", argv[0]);
            exit(2);
        }
        test_plant(argv[i + 1]);
        memmove(&argv[i], &argv[i + 2], (size_t)(*argc - i - 1) * sizeof *argv);
        *argc -= 2;
        return;
    }
}

static void run_in_group(int argc, char **argv, const sigset_t *mask) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    exit(test_run(argc, argv));
}

/* Waits for the test until the deadline or until the guard is asked to end; the exit status of the program. */
static int guard(pid_t test, const sigset_t *watched) {
    double deadline = check_seconds() + test_seconds;
    for (;;) {
        int status;
        if (waitpid(test, &status, WNOHANG) == test) {
            if (WIFEXITED(status))
                return WEXITSTATUS(status);
            fprintf(stderr, "the test was ended by signal %d\n", WTERMSIG(status));
            return 1;
        }
        double left = deadline - check_seconds();
        if (left <= 0) {
            fprintf(stderr, "the test hung: ended after %u seconds\n", test_seconds);
            return 1;
        }
        struct timespec time = {left < 1 ? 0 : 1, 50000000};
        int number = sigtimedwait(watched, NULL, &time);
        if (number > 0 && number != SIGCHLD)
            return 128 + number;
    }
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    take_planted(&argc, argv);
    make_directory();
    sigset_t watched, before;
    sigemptyset(&watched);
    const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(&watched, signals[i]);
    sigprocmask(SIG_BLOCK, &watched, &before);
    pid_t test = fork();
    if (test == 0)
        run_in_group(argc, argv, &before);
    setpgid(test, test);
    int result = test < 0 ? 1 : guard(test, &watched);
    kill(-test, SIGKILL);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    nftw(check_directory, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    return result;
}
