/* SPDX-License-Identifier: MIT */
/*
 * One of two unrelated programs that meet in a store: puts readings, as a sensor would, under "reading:ROOM".
 *
 *     ./thermometer kitchen 21500 19000 18250       # STORE=/path/to/store for another store than the usual one
 *     ./heating kitchen 20000
 *     ./observer
 *
 * Neither knows the other, or whether it runs. Whichever comes first makes the store; the other finds it.
 */
#include "reading.h"

#include <holdfast.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    const char *path = getenv("STORE") ? getenv("STORE") : ROOMS_STORE;
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_put_options brief = HF_PUT_INIT;
    hf_store *store;
    char key[64];
    if (argc < 3) {
        fprintf(stderr, "usage: thermometer ROOM MILLIDEGREES...\n");
        return 2;
    }
    options.flags = HF_CREATE;
    options.entries = 1000;
    options.file_mode = 0644; /* others may read; whoever may write is trusted by all other writers */
    if (hf_open(&store, path, &options) < 0) {
        fprintf(stderr, "thermometer: %s: %s\n", path, hf_explain());
        return 1;
    }
    brief.ttl_ms = 60 * 1000; /* a reading of a minute ago is none: a dead thermometer is noticed */
    size_t key_len = (size_t)snprintf(key, sizeof key, "reading:%s", argv[1]);
    for (int i = 2; i < argc; i++) {
        struct reading reading = {.millidegrees = atoll(argv[i]), .number = (uint64_t)i - 1};
        if (hf_put(store, key, key_len, &reading, sizeof reading, &brief, NULL) != HF_OK) {
            fprintf(stderr, "thermometer: %s: %s\n", path, hf_explain());
            return 1;
        }
    }
    hf_close(&store);
    return 0;
}
