/* SPDX-License-Identifier: MIT */
/*
 * What is put around every input, whichever engine brings it: a limit of CPU time, so that an input that loops is found like one
 * that crashes, and a look at the descriptors before and after. Memory is AddressSanitizer's to watch.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <holdfast.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

unsigned fuzz_cpu_ms = 1000;

void fuzz_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: not true: %s (last explanation: %s)\n", file, line, condition, hf_explain());
    abort();
}

uint64_t fuzz_random(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

size_t fuzz_below(uint64_t *state, size_t bound) {
    return (size_t)(fuzz_random(state) % bound);
}

static void too_long(int number) {
    static const char text[] = "the input takes too much CPU time\n";
    (void)number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
    abort();
}

static void limit_cpu(unsigned milliseconds) {
    struct itimerval limit = {.it_value = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000}};
    if (milliseconds > 0)
        signal(SIGPROF, too_long);
    setitimer(ITIMER_PROF, &limit, NULL);
}

/* Of the first ones: a new one is the lowest that is free. */
static unsigned open_descriptors(void) {
    unsigned count = 0;
    for (int fd = 0; fd < 64; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool first = true; /* the first input may open what it keeps for all */
    unsigned before = open_descriptors();
    limit_cpu(fuzz_cpu_ms);
    fuzz_one(data, size);
    limit_cpu(0);
    MUST(first || open_descriptors() == before);
    first = false;
    return 0;
}

/* Half of the changes are the engine's own. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    uint64_t random = seed;
    if (size > 0 && fuzz_below(&random, 2) == 0)
        return LLVMFuzzerMutate(data, size, max);
    return fuzz_mutate(data, size, max, &random);
}
