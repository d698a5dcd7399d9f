/* SPDX-License-Identifier: MIT */
/*
 * Measures this library and its peers in one run. tools/bench-peers runs this, and makes a table and a picture of what it prints.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

static const char usage[] =
    "usage: bench-peers [--entries N] [--seconds S] [--repeats N] [--engines A,B] [--directory DIR]     prints JSON\n"
    "       bench-peers --verify      short: does every engine find what was put?\n"
    "       bench-peers --list        what was built, and what was not\n";

struct request {
    uint64_t entries;
    struct plan plan;
    const char *engines, *directory;
    bool verify, list;
};

static double number(const char *text, double low, double high) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= low && value <= high)) {
        fprintf(stderr, "bench-peers: %s: not a number from %g to %g\n", text, low, high);
        exit(2);
    }
    return value;
}

static struct request understand(int argc, char **argv) {
    static const struct option options[] = {
        { "entries", 1, NULL, 'n' },   { "seconds", 1, NULL, 's' }, { "repeats", 1, NULL, 'r' }, { "engines", 1, NULL, 'e' },
        { "directory", 1, NULL, 'd' }, { "verify", 0, NULL, 'v' },  { "list", 0, NULL, 'l' },   { NULL, 0, NULL, 0 },
    };
    struct request request = { .entries = 1000000, .plan = { .ns = 1000000000, .repeats = 5 } };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'n':
            request.entries = (uint64_t)number(optarg, 1, 1e8);
            break;
        case 's':
            request.plan.ns = (uint64_t)(number(optarg, 0.001, 60) * 1e9);
            break;
        case 'r':
            request.plan.repeats = (unsigned)number(optarg, 1, 100);
            break;
        case 'e':
            request.engines = optarg;
            break;
        case 'd':
            request.directory = optarg;
            break;
        case 'v':
            request.verify = true;
            break;
        case 'l':
            request.list = true;
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (optind != argc) {
        fputs(usage, stderr);
        exit(2);
    }
    return request;
}

static int list(void) {
    for (unsigned i = 0; peers_built[i]; i++)
        printf("%s: %s\n", peers_built[i]->name, peers_built[i]->about);
    printf("not built: %s\n", *peers_missing ? peers_missing : "none");
    return 0;
}

int main(int argc, char **argv) {
    struct request request = understand(argc, argv);
    struct stage stage;
    if (request.list)
        return list();
    uint64_t entries = request.verify ? 1000 : request.entries;
    int answer = stage_begin(&stage, entries, request.engines, request.directory);
    if (answer == BENCH_DONE)
        answer = request.verify ? verify_all(&stage) : measure_all(&stage, &request.plan);
    stage_end(&stage);
    bench_die();
    if (fflush(stdout) != 0) {
        perror("bench-peers: standard output");
        return 3;
    }
    return answer == BENCH_DONE ? 0 : 3;
}
