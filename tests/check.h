/* SPDX-License-Identifier: MIT */
#ifndef CHECK_H
#define CHECK_H
/*
 * What every test program shares: assertions, a temporary directory, child processes with a deadline, self-verifying values.
 * It knows the public header only; what reaches into the library stands in plant.c and in the tests that say so.
 *
 * A program defines test_run and test_seconds; main() is in check.c. It runs test_run in a process group of its own, ends what
 * is left of that group after it or after test_seconds, and removes the temporary directory whatever happened.
 */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <holdfast.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The test itself: 0 passed, 77 skipped. `--planted BUG` has been taken out of the arguments; argv[0] is the program. */
int test_run(int argc, char **argv);
/* A hang guard, not an expectation: after so many seconds the test is ended and has failed. */
extern const unsigned test_seconds;

/* Whether a sanitizer watches: some cannot follow a thread that is cancelled, or that reads when it has all but ended. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHECK_SANITIZED 1
#elif defined(__has_feature)
#define CHECK_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define CHECK_SANITIZED 0
#endif

/* ---- Assertions: a failure prints the place, the values and check_context, and ends the process with 1 ------------------- */

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, "not true: %s", #condition))
#define CHECK_EQ(actual, expected) \
    check_equal(__FILE__, __LINE__, #actual " == " #expected, (long long)(actual), (long long)(expected))
/* For calls that return enum hf_result; a failure also prints hf_explain(). */
#define CHECK_RC(call, expected) check_result(__FILE__, __LINE__, #call, (call), (expected))

extern _Thread_local char check_context[200]; /* what the test is at, for the message of a failure */
__attribute__((format(printf, 1, 2))) void check_at(const char *format, ...);

__attribute__((noreturn, format(printf, 3, 4))) void check_failed(const char *file, int line, const char *format, ...);
void check_equal(const char *file, int line, const char *text, long long actual, long long expected);
void check_result(const char *file, int line, const char *text, int actual, int expected);

/* Ends the process: this machine cannot run the test. */
__attribute__((noreturn)) void check_skip(const char *reason);

/* ---- Time and chance ----------------------------------------------------------------------------------------------------- */

double check_seconds(void); /* monotonic */
void check_sleep_ms(unsigned milliseconds);
uint64_t check_random(uint64_t *state);                         /* any state will do as a seed */
uint64_t check_below(uint64_t *state, uint64_t bound);          /* 0 to bound - 1 */
bool check_argument(int argc, char **argv, const char *name);   /* is it there? */
uint64_t check_number(int argc, char **argv, const char *name, uint64_t otherwise); /* the number after it */
const char *check_text(int argc, char **argv, const char *name, const char *otherwise);

/* Runs the cases whose names are arguments; all of them if none is. */
struct check_case {
    const char *name;
    void (*run)(void);
};
void check_cases(int argc, char **argv, const struct check_case *cases, size_t count);

/* ---- Files --------------------------------------------------------------------------------------------------------------- */

enum { CHECK_PATH = 256 };
extern char check_directory[CHECK_PATH];
/* The path of `name` in the temporary directory (of `name` "": the directory itself). */
const char *check_path(char path[CHECK_PATH], const char *name);
void *check_read_file(const char *path, size_t *size); /* to be freed */
void check_write_file(const char *path, const void *bytes, size_t size);
size_t check_entries_of(const char *directory); /* names in it, not counting . and .. */
void *check_shared(size_t size);                /* zeroed memory, shared with children */

/* Opens a store that must open. `options` may be NULL. */
hf_store *check_open(const char *path, const struct hf_options *options);
/* Makes a new store of that name in the temporary directory, with HF_CREATE | HF_EXCLUSIVE added to the flags. */
/* Options of a store of 1 MiB that waits two seconds at most. */
struct hf_options check_small_store(uint32_t flags);
hf_store *check_create(const char *name, struct hf_options options);

void check_put(hf_store *store, const char *key, const char *value);
/* The value must be this text; NULL: the key must be absent. */
void check_value(hf_store *store, const char *key, const char *value);
/* hf_check must call the store sound; what it says is printed. */
void check_sound(hf_store *store);

/* ---- Child processes ----------------------------------------------------------------------------------------------------- */

typedef int check_body(void *argument);
pid_t check_spawn(check_body *body, void *argument); /* the child ends by _exit(body(argument)) */
int check_wait(pid_t child, unsigned seconds);       /* its wait status; a child that takes longer is killed: failure */
bool check_killed(int status);                       /* by SIGKILL */
void check_ended(pid_t child, unsigned seconds);     /* it must end with 0; its 77 skips this test too */
void check_run(check_body *body, void *argument);    /* spawn, then ended within 60 s */

/* ---- Values that verify themselves --------------------------------------------------------------------------------------- */

/* Every 8-byte word depends on key, sequence and length, so that a mix of two values is seen. Sizes from 24 bytes. */
enum { VALUE_MIN = 24 };
void value_make(void *buffer, size_t size, uint64_t key, uint64_t sequence);
/* Is it a value of that key, whole? Tells its sequence. */
bool value_whole(const void *buffer, size_t size, uint64_t key, uint64_t *sequence);

#endif
