/* SPDX-License-Identifier: MIT */
/*
 * The other of two unrelated programs: reads what thermometer.c puts, and puts its decision under "heating:ROOM".
 *
 *     ./heating kitchen 20000
 */
#include "reading.h"

#include <holdfast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *path) {
    fprintf(stderr, "heating: %s: %s\n", path, hf_explain());
    return 1;
}

int main(int argc, char **argv) {
    const char *path = getenv("STORE") ? getenv("STORE") : ROOMS_STORE;
    hf_store *store;
    struct reading reading;
    struct hf_meta meta;
    char key[64];
    size_t length;
    if (argc != 3) {
        fprintf(stderr, "usage: heating ROOM MILLIDEGREES\n");
        return 2;
    }
    int result = hf_open(&store, path, NULL);
    if (result == HF_NOTFOUND) {
        fprintf(stderr, "heating: %s: no thermometer has made it yet\n", path);
        return 1;
    }
    if (result < 0)
        return fail(path);
    size_t key_len = (size_t)snprintf(key, sizeof key, "reading:%s", argv[1]);
    result = hf_get(store, key, key_len, &reading, sizeof reading, &length, &meta);
    if (result < 0)
        return fail(path);
    /* No reading, or one that has expired, or bytes that are none: off is the safe side. */
    const char *decision = "off";
    if (result == HF_OK && length == sizeof reading && reading.millidegrees < atoll(argv[2]))
        decision = "on";
    key_len = (size_t)snprintf(key, sizeof key, "heating:%s", argv[1]);
    if (hf_put(store, key, key_len, decision, strlen(decision), NULL, NULL) != HF_OK)
        return fail(path);
    puts(decision);
    hf_close(&store);
    return 0;
}
