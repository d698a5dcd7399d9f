/* SPDX-License-Identifier: MIT */
/*
 * The arithmetic of the benchmarks against truth: quantiles against sorted numbers, distributions against their formulas, keys
 * and strides against the promise that none comes twice. Nothing here measures time.
 *
 *     bench_figures [CASE...]
 */
#include "../check.h"
#include "bench.h"

#include <math.h>

const unsigned test_seconds = 120;

enum { NUMBERS = 50000, DRAWS = 1000000 };

/* ---- The histogram --------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void compare_quantiles(const struct bench_histogram *histogram, uint64_t *numbers, size_t count) {
    static const double shares[] = { 0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1 };
    qsort(numbers, count, sizeof *numbers, compare);
    CHECK_EQ(histogram->count, count);
    CHECK_EQ(histogram->max, numbers[count - 1]);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        size_t rank = (size_t)ceil(shares[i] * (double)count);
        uint64_t truth = numbers[rank > 0 ? rank - 1 : 0], told = bench_quantile(histogram, shares[i]);
        check_at("share %g of %zu: %llu, in truth %llu", shares[i], count, (unsigned long long)told, (unsigned long long)truth);
        CHECK(told >= truth);
        CHECK(told - truth <= truth / 256);
    }
}

/* Of all magnitudes, so that each power of two has its share. */
static void case_histogram(void) {
    static struct bench_histogram histogram, half;
    static uint64_t numbers[NUMBERS];
    uint64_t random = 1, sum = 0;
    for (size_t i = 0; i < NUMBERS; i++) {
        numbers[i] = i == 1 ? UINT64_C(1) << 35 : check_random(&random) >> (29 + check_below(&random, 35));
        sum += numbers[i];
        bench_note(i % 2 ? &half : &histogram, numbers[i]);
    }
    bench_merge(&histogram, &half);
    CHECK_EQ(histogram.sum, sum);
    compare_quantiles(&histogram, numbers, NUMBERS);
}

static void case_small_histograms(void) {
    static struct bench_histogram histogram;
    uint64_t numbers[] = { 0, 1, 511, 512, 513, 1u << 20, (1u << 20) - 1, 7 };
    CHECK_EQ(bench_quantile(&histogram, 0.5), 0);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t sorted[8];
        bench_note(&histogram, numbers[i]);
        memcpy(sorted, numbers, sizeof numbers);
        compare_quantiles(&histogram, sorted, i + 1);
    }
    bench_note(&histogram, UINT64_MAX);
    CHECK_EQ(histogram.max, (long long)UINT64_MAX);
    CHECK_EQ(bench_quantile(&histogram, 1), (long long)UINT64_MAX);
}

static void case_median(void) {
    double odd[] = { 5, 1, 3 }, even[] = { 4, 1, 3, 100 };
    CHECK(bench_median(odd, 3) == 3);
    CHECK(bench_median(even, 4) == 3.5);
    CHECK(bench_median(odd, 1) == 1);
}

/* ---- Distributions --------------------------------------------------------------------------------------------------------- */

/* Within five standard deviations of what the formula says: by chance one seed in millions fails, and the seed is fixed. */
static void compare_frequency(uint64_t seen, double share) {
    double expected = share * DRAWS, deviation = sqrt(expected * (1 - share));
    check_at("seen %llu, expected %.1f", (unsigned long long)seen, expected);
    CHECK(fabs((double)seen - expected) <= 5 * deviation + 1);
}

static void compare_zipf(uint64_t n, double exponent) {
    struct bench_zipf zipf = bench_zipf_over(n, exponent);
    struct bench_random random = { 7 };
    uint64_t *seen = calloc(n + 1, sizeof *seen), group = 0;
    double sum = 0, group_share = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t rank = bench_zipf_draw(&zipf, &random);
        CHECK(rank >= 1 && rank <= n);
        seen[rank]++;
    }
    for (uint64_t rank = 1; rank <= n; rank++)
        sum += pow((double)rank, -exponent);
    for (uint64_t rank = 1; rank <= n; rank++) {
        double share = pow((double)rank, -exponent) / sum;
        group += seen[rank];
        group_share += share;
        if (group_share * DRAWS >= 1000 || rank == n) {
            compare_frequency(group, group_share);
            group = 0;
            group_share = 0;
        }
    }
    free(seen);
}

static void case_zipf(void) {
    compare_zipf(1, 0.99);
    compare_zipf(2, 0.99);
    compare_zipf(10, 0.99);
    compare_zipf(1000, 0.99);
    compare_zipf(100000, 0.99);
    compare_zipf(1000, 1);
    compare_zipf(1000, 1.5);
}

static void case_uniform(void) {
    enum { BINS = 500 };
    struct bench_draw draw = bench_draw_over(BENCH_UNIFORM, BINS);
    struct bench_random random = { 9 };
    uint64_t seen[BINS] = { 0 };
    for (uint64_t i = 0; i < DRAWS; i++)
        seen[bench_draw(&draw, &random)]++;
    for (unsigned i = 0; i < BINS; i++)
        compare_frequency(seen[i], 1.0 / BINS);
}

/* The most wanted of zipfian are the ranks scattered by a stride; of latest they are the last numbers. */
static void case_wanted(void) {
    enum { ENTRIES = 1000 };
    uint64_t seen[ENTRIES] = { 0 }, latest[ENTRIES] = { 0 };
    struct bench_draw zipfian = bench_draw_over(BENCH_ZIPFIAN, ENTRIES), last = bench_draw_over(BENCH_LATEST, ENTRIES);
    struct bench_random random = { 3 };
    double sum = 0;
    for (unsigned rank = 1; rank <= ENTRIES; rank++)
        sum += pow(rank, -0.99);
    for (uint64_t i = 0; i < DRAWS; i++) {
        seen[bench_draw(&zipfian, &random)]++;
        latest[bench_draw(&last, &random)]++;
    }
    for (uint64_t rank = 1; rank <= ENTRIES; rank++) {
        compare_frequency(seen[rank * zipfian.stride % ENTRIES], pow((double)rank, -0.99) / sum);
        compare_frequency(latest[ENTRIES - rank], pow((double)rank, -0.99) / sum);
    }
}

/* Multiples of the stride visit every entry, whatever their number. */
static void case_strides(void) {
    for (uint64_t entries = 1; entries <= 600; entries++) {
        struct bench_draw draw = bench_draw_over(BENCH_ZIPFIAN, entries);
        bool visited[600] = { false };
        for (uint64_t i = 0; i < entries; i++) {
            uint64_t at = i * draw.stride % entries;
            check_at("%llu entries, stride %llu", (unsigned long long)entries, (unsigned long long)draw.stride);
            CHECK(!visited[at]);
            visited[at] = true;
        }
    }
}

/* ---- Keys ------------------------------------------------------------------------------------------------------------------ */

static int compare_keys(const void *a, const void *b) {
    return memcmp(a, b, 16);
}

static void compare_keys_of(uint32_t size) {
    char *keys = calloc(2 * NUMBERS, 16), key[BENCH_KEY_MAX + 1];
    uint32_t seen[8] = { 0 };
    for (uint64_t i = 0; i < 2 * NUMBERS; i++) {
        memset(key, 0, sizeof key);
        bench_key(key, size, i < NUMBERS ? i : BENCH_ABSENT + i);
        CHECK_EQ(strspn(key, ".abcdefghijklmnop"), size);
        for (uint32_t at = 0; at < 8; at++)
            seen[at] |= 1u << (key[size - 8 + at] - 'a');
        memcpy(keys + i * 16, key + (size < 16 ? 0 : size - 16), size < 16 ? size : 16);
    }
    for (uint32_t at = 0; at < 8; at++)
        CHECK_EQ(seen[at], 0xffff); /* all 16 letters: no bit of the number is lost */
    qsort(keys, 2 * NUMBERS, 16, compare_keys);
    for (size_t i = 1; i < 2 * NUMBERS; i++)
        CHECK(memcmp(keys + (i - 1) * 16, keys + i * 16, 16) != 0);
    free(keys);
}

static void case_keys(void) {
    compare_keys_of(8);
    compare_keys_of(13);
    compare_keys_of(16);
    compare_keys_of(BENCH_KEY_MAX);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        { "histogram", case_histogram }, { "small-histograms", case_small_histograms }, { "median", case_median },
        { "zipf", case_zipf },           { "uniform", case_uniform },                   { "wanted", case_wanted },
        { "strides", case_strides },     { "keys", case_keys },
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
