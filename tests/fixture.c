/* SPDX-License-Identifier: MIT */
/* What a test program may use while it runs: time, chance, files, stores, children, values. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* ---- Time, chance, arguments --------------------------------------------------------------------------------------------- */

double check_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void check_sleep_ms(unsigned milliseconds) {
    struct timespec time = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&time, &time) < 0 && errno == EINTR)
        ;
}

static uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

uint64_t check_random(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    return mixed(*state);
}

uint64_t check_below(uint64_t *state, uint64_t bound) {
    return check_random(state) % bound;
}

const char *check_text(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return otherwise;
}

bool check_argument(int argc, char **argv, const char *name) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}

uint64_t check_number(int argc, char **argv, const char *name, uint64_t otherwise) {
    const char *text = check_text(argc, argv, name, NULL);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

void check_cases(int argc, char **argv, const struct check_case *cases, size_t count) {
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && !check_argument(argc, argv, cases[i].name))
            continue;
        check_at("%s", cases[i].name);
        cases[i].run();
        done++;
    }
    check_at("arguments");
    CHECK(argc == 1 ? done == count : done == (size_t)(argc - 1));
}

/* ---- Files --------------------------------------------------------------------------------------------------------------- */

const char *check_path(char path[CHECK_PATH], const char *name) {
    int length = snprintf(path, CHECK_PATH, "%s%s%s", check_directory, name[0] ? "/" : "", name);
    CHECK(length > 0 && length < CHECK_PATH);
    return path;
}

void *check_read_file(const char *path, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    *size = (size_t)status.st_size;
    char *bytes = malloc(*size + 1);
    CHECK(bytes != NULL);
    for (size_t at = 0; at < *size;) {
        ssize_t part = read(fd, bytes + at, *size - at);
        CHECK(part > 0);
        at += (size_t)part;
    }
    close(fd);
    return bytes;
}

void check_write_file(const char *path, const void *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    for (size_t at = 0; at < size;) {
        ssize_t part = write(fd, (const char *)bytes + at, size - at);
        CHECK(part > 0);
        at += (size_t)part;
    }
    CHECK_EQ(close(fd), 0);
}

size_t check_entries_of(const char *directory) {
    DIR *stream = opendir(directory);
    CHECK(stream != NULL);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(stream));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return count;
}

void *check_shared(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

/* ---- Stores -------------------------------------------------------------------------------------------------------------- */

hf_store *check_open(const char *path, const struct hf_options *options) {
    hf_store *store = NULL;
    CHECK_RC(hf_open(&store, path, options), HF_OK);
    CHECK(store != NULL);
    return store;
}

struct hf_options check_small_store(uint32_t flags) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = flags;
    options.capacity = 1 << 20;
    options.timeout_ms = 2000;
    return options;
}

hf_store *check_create(const char *name, struct hf_options options) {
    char path[CHECK_PATH];
    options.flags |= HF_CREATE | HF_EXCLUSIVE;
    return check_open(check_path(path, name), &options);
}

void check_put(hf_store *store, const char *key, const char *value) {
    CHECK_RC(hf_put(store, key, strlen(key), value, strlen(value), NULL, NULL), HF_OK);
}

void check_value(hf_store *store, const char *key, const char *value) {
    void *found = NULL;
    size_t length = 0;
    int rc = hf_get_dup(store, key, strlen(key), &found, &length, NULL);
    if (rc != (value ? HF_OK : HF_NOTFOUND))
        check_failed(__FILE__, __LINE__, "get of %s: %s (%s), expected %s", key, hf_result_name(rc), hf_explain(),
                     value ? value : "no such key");
    if (value && (length != strlen(value) || memcmp(found, value, length) != 0))
        check_failed(__FILE__, __LINE__, "the value of %s is '%.60s', not '%.60s'", key, (char *)found, value);
    free(found);
}

static void print_violation(void *context, const struct hf_violation *violation) {
    (void)context;
    fprintf(stderr, "violated in stripe %u at %llu: I%u %s\n", violation->stripe, (unsigned long long)violation->position,
            violation->invariant, hf_invariant_text(violation->invariant));
}

void check_sound(hf_store *store) {
    struct hf_check_options options = HF_CHECK_INIT;
    options.violation = print_violation;
    CHECK_RC(hf_check(store, &options, NULL), HF_OK);
}

/* ---- Child processes ----------------------------------------------------------------------------------------------------- */

pid_t check_spawn(check_body *body, void *argument) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(body(argument));
    return child;
}

int check_wait(pid_t child, unsigned seconds) {
    double deadline = check_seconds() + seconds;
    int status;
    for (unsigned pause = 0;; pause = pause < 5 ? pause + 1 : 5) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        CHECK(ended >= 0);
        if (ended == child)
            return status;
        if (check_seconds() > deadline) {
            kill(child, SIGKILL);
            check_failed(__FILE__, __LINE__, "child %d still ran after %u seconds", (int)child, seconds);
        }
        struct timespec time = {0, 20000l << pause};
        nanosleep(&time, NULL);
    }
}

bool check_killed(int status) {
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

void check_ended(pid_t child, unsigned seconds) {
    int status = check_wait(child, seconds);
    if (WIFSIGNALED(status))
        check_failed(__FILE__, __LINE__, "a child was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == 77)
        _exit(77);
    CHECK_EQ(WEXITSTATUS(status), 0);
}

void check_run(check_body *body, void *argument) {
    check_ended(check_spawn(body, argument), 60);
}

/* ---- Values that verify themselves --------------------------------------------------------------------------------------- */

static uint64_t word_of(uint64_t key, uint64_t sequence, size_t size, size_t index) {
    return mixed(key * 0x100000001b3u + sequence + ((uint64_t)size << 40) + index * 0x9e3779b97f4a7c15u);
}

void value_make(void *buffer, size_t size, uint64_t key, uint64_t sequence) {
    char *bytes = buffer;
    memcpy(bytes, &sequence, 8);
    for (size_t at = 8; at < size; at += 8) {
        uint64_t word = word_of(key, sequence, size, at);
        memcpy(bytes + at, &word, size - at < 8 ? size - at : 8);
    }
}

bool value_whole(const void *buffer, size_t size, uint64_t key, uint64_t *sequence) {
    const char *bytes = buffer;
    if (size < VALUE_MIN)
        return false;
    memcpy(sequence, bytes, 8);
    for (size_t at = 8; at < size; at += 8) {
        uint64_t word = word_of(key, *sequence, size, at);
        if (memcmp(bytes + at, &word, size - at < 8 ? size - at : 8) != 0)
            return false;
    }
    return true;
}
