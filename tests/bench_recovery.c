/* SPDX-License-Identifier: MIT */
/*
 * How long the repair of one stripe of a full store takes, and the first write that meets it: a process dies there, in the middle
 * of an update, again and again. A benchmark on the released code: it judges no time. Knows the library inside, to die in time.
 *
 *     bench_recovery [--capacity BYTES] [--deaths N] [--seed S]
 */
#include "check.h"
#include "internal.h"

#include <inttypes.h>
#include <signal.h>

const unsigned test_seconds = 1800;

enum { KEY_LEN = 16, VALUE_LEN = 100, DEATHS_MAX = 100000 };

static hf_store *store;
static uint32_t repair_us[DEATHS_MAX], write_us[DEATHS_MAX];

static void key_of(char key[KEY_LEN + 1], uint64_t number) {
    snprintf(key, KEY_LEN + 1, "%016" PRIu64, number % 10000000000000000u);
}

static int put(uint64_t number) {
    char key[KEY_LEN + 1], value[VALUE_LEN];
    key_of(key, number);
    memset(value, 'v', sizeof value);
    return hf_put(store, key, KEY_LEN, value, VALUE_LEN, NULL, NULL);
}

/* Dies as the owner of the key's stripe, with an update in flight. */
static int die(void *number) {
    struct hf__write write;
    char key[KEY_LEN + 1];
    key_of(key, *(const uint64_t *)number);
    CHECK_RC(hf__write_begin(&write, store, HF_OP_PUT, key, KEY_LEN), HF_OK);
    raise(SIGKILL);
    return 1;
}

static void note_repair(void *at, const struct hf_recovery *recovery) {
    CHECK_EQ(recovery->verdict, HF_VERDICT_OLD);
    **(uint32_t **)at = recovery->microseconds;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void tell(const char *what, uint32_t *us, uint64_t count) {
    qsort(us, count, sizeof *us, compare);
    printf("%-22s p50 %6" PRIu32 " us   p99 %6" PRIu32 " us   max %6" PRIu32 " us\n", what, us[count / 2], us[count * 99 / 100],
           us[count - 1]);
}

static uint64_t fill(void) {
    uint64_t number = 0;
    int rc;
    while ((rc = put(number)) == HF_OK)
        number++;
    CHECK_RC(rc, HF_ERR_FULL);
    return number;
}

static void measure(uint64_t entries, uint64_t deaths, uint64_t seed, uint32_t **at) {
    for (uint64_t i = 0; i < deaths; i++) {
        uint64_t number = check_below(&seed, entries);
        repair_us[i] = UINT32_MAX;
        *at = &repair_us[i];
        CHECK(check_killed(check_wait(check_spawn(die, &number), 20)));
        uint64_t before = hf__monotonic_us();
        CHECK_RC(put(number), HF_OK);
        write_us[i] = (uint32_t)(hf__monotonic_us() - before);
        CHECK(repair_us[i] != UINT32_MAX);
    }
}

int test_run(int argc, char **argv) {
    uint64_t deaths = check_number(argc, argv, "--deaths", 500), seed = check_number(argc, argv, "--seed", 1);
    uint32_t *at;
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_info info = HF_INFO_INIT;
    options.capacity = check_number(argc, argv, "--capacity", 0);
    options.log = note_repair;
    options.log_context = &at;
    CHECK(deaths >= 1 && deaths <= DEATHS_MAX);
    store = check_create("full", options);
    uint64_t entries = fill();
    CHECK_RC(hf_info(store, &info), HF_OK);
    printf("%" PRIu64 " MiB, %" PRIu64 " entries of 16 + 100 bytes in %u stripes; ", info.file_size >> 20, entries, info.stripes);
    printf("%" PRIu64 " deaths in an update, seed %" PRIu64 "\n", deaths, seed);
    measure(entries, deaths, seed, &at);
    tell("repair of the stripe", repair_us, deaths);
    tell("the write that meets it", write_us, deaths);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}
