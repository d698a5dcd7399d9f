/* SPDX-License-Identifier: MIT */
/*
 * Random numbers, distributions and keys. May not know what they are drawn for.
 */
#include <math.h>
#include <string.h>

#include "bench.h"

static const uint64_t golden = 0x9e3779b97f4a7c15u; /* 2^64 divided by the golden ratio: odd */

uint64_t bench_mix(uint64_t number) {
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

uint64_t bench_next(struct bench_random *random) {
    random->state += golden;
    return bench_mix(random->state);
}

uint64_t bench_below(struct bench_random *random, uint64_t bound) {
    return bench_scale(bench_next(random), bound);
}

double bench_fraction(struct bench_random *random) {
    return (double)(bench_next(random) >> 11) * 0x1p-53;
}

/* ---- Zipf --------------------------------------------------------------------------------------------------------------- */
/*
 * The bar of rank k, one wide from k - 1/2 to k + 1/2 and k^-s high, has less area than the curve x^-s above it, since the curve
 * is convex. So: a point is drawn evenly under the curve (by the inverse of its integral), rounded to a rank, and kept if it
 * falls into the part that stands for the bar. Hardly any are drawn anew. (Hoermann and Derflinger, 1996.)
 */

static double integral(double s, double x) {
    return s == 1 ? log(x) : expm1((1 - s) * log(x)) / (1 - s);
}

static double inverse(double s, double y) {
    return s == 1 ? exp(y) : exp(log1p((1 - s) * y) / (1 - s));
}

struct bench_zipf bench_zipf_over(uint64_t n, double exponent) {
    struct bench_zipf zipf = { .n = n, .exponent = exponent };
    zipf.first = integral(exponent, 1.5) - 1;
    zipf.last = integral(exponent, (double)n + 0.5);
    zipf.sure = 2 - inverse(exponent, integral(exponent, 2.5) - pow(2, -exponent));
    return zipf;
}

uint64_t bench_zipf_draw(const struct bench_zipf *zipf, struct bench_random *random) {
    for (;;) {
        double y = zipf->last + bench_fraction(random) * (zipf->first - zipf->last);
        double x = inverse(zipf->exponent, y), rank = floor(x + 0.5);
        if (rank < 1)
            rank = 1;
        if (rank > (double)zipf->n)
            rank = (double)zipf->n;
        if (rank - x <= zipf->sure || y >= integral(zipf->exponent, rank + 0.5) - pow(rank, -zipf->exponent))
            return (uint64_t)rank;
    }
}

/* ---- Entries ------------------------------------------------------------------------------------------------------------ */

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Multiples of the stride visit every entry once, and neighbours in rank lie far apart. */
static uint64_t stride_of(uint64_t entries) {
    uint64_t stride = bench_scale(golden, entries) | 1;
    while (common_divisor(stride, entries) != 1)
        stride += 2;
    return stride;
}

struct bench_draw bench_draw_over(enum bench_distribution distribution, uint64_t entries) {
    struct bench_draw draw = { .distribution = distribution, .entries = entries };
    draw.stride = stride_of(entries);
    draw.zipf = bench_zipf_over(entries, 0.99);
    return draw;
}

uint64_t bench_draw(const struct bench_draw *draw, struct bench_random *random) {
    if (draw->distribution == BENCH_UNIFORM)
        return bench_below(random, draw->entries);
    uint64_t rank = bench_zipf_draw(&draw->zipf, random);
    if (draw->distribution == BENCH_LATEST)
        return draw->entries - rank;
    return rank * draw->stride % draw->entries; /* both are below 2^32 */
}

/* ---- Keys --------------------------------------------------------------------------------------------------------------- */

/* The 8 half-bytes of a number as 8 letters from a to p. */
static uint64_t letters(uint32_t number) {
    uint64_t spread = number;
    spread = (spread | spread << 16) & 0x0000ffff0000ffffu;
    spread = (spread | spread << 8) & 0x00ff00ff00ff00ffu;
    spread = (spread | spread << 4) & 0x0f0f0f0f0f0f0f0fu;
    return spread + 0x6161616161616161u;
}

/* A permutation of 32 bits. */
static uint32_t mix_half(uint32_t number) {
    number = (number ^ number >> 16) * 0x7feb352du;
    number = (number ^ number >> 15) * 0x846ca68bu;
    return number ^ number >> 16;
}

void bench_key(char *key, uint32_t key_size, uint64_t number) {
    uint64_t low, high;
    if (key_size < 16) {
        low = letters(mix_half((uint32_t)number));
        memset(key, '.', key_size - 8);
        memcpy(key + key_size - 8, &low, 8);
        return;
    }
    uint64_t mixed = bench_mix(number);
    low = letters((uint32_t)mixed);
    high = letters((uint32_t)(mixed >> 32));
    memset(key, '.', key_size - 16);
    memcpy(key + key_size - 16, &high, 8);
    memcpy(key + key_size - 8, &low, 8);
}
