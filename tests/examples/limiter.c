/* SPDX-License-Identifier: MIT */
/*
 * A rate limiter for any number of processes: at most LIMIT calls of a client in a window of time.
 *
 *     ./limiter /dev/shm/limits.hf 10.0.0.7 100 60000 500      # 500 calls, of which 100 a minute are admitted
 *
 * Each call counts the client's counter up. The first one makes it, with the window as its time to live; when that is over, the
 * counter is gone, and the next call begins a new window. hf_incr is one atomic step, so exactly LIMIT calls of a window see a
 * sum of at most LIMIT, however many processes ask at once. A process killed inside hf_incr may have used up one call that it
 * never made; none is ever admitted too many.
 */
#include <holdfast.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copy this. A limiter that cannot count admits: it must not become the outage. */
static bool admitted(hf_store *store, const char *client, int64_t limit, uint64_t window_ms) {
    struct hf_incr_options options = HF_INCR_INIT;
    int64_t calls;
    options.ttl_ms = window_ms; /* of a counter that this call makes; one that is there keeps its own */
    if (hf_incr(store, client, strlen(client), 1, &options, &calls) != HF_OK) {
        fprintf(stderr, "limiter: %s\n", hf_explain());
        return true;
    }
    return calls <= limit;
}

int main(int argc, char **argv) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store;
    if (argc != 6) {
        fprintf(stderr, "usage: limiter STORE CLIENT LIMIT WINDOW_MS CALLS\n");
        return 2;
    }
    options.flags = HF_CREATE;
    options.mode = HF_MODE_CACHE; /* clients come and go: the seldom seen make room, and begin a new window too early then */
    if (hf_open(&store, argv[1], &options) < 0) {
        fprintf(stderr, "limiter: %s: %s\n", argv[1], hf_explain());
        return 1;
    }
    long calls = atol(argv[5]), done = 0;
    for (long i = 0; i < calls; i++)
        done += admitted(store, argv[2], atoll(argv[3]), strtoull(argv[4], NULL, 10));
    printf("%ld\n", done);
    hf_close(&store);
    return 0;
}
