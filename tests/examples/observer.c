/* SPDX-License-Identifier: MIT */
/*
 * Looks at the store of thermometer.c and heating.c and cannot disturb them: HF_RDONLY needs read permission only, takes no lock
 * and writes nothing, also while a writer is stopped or dead. It may run as another user, or in another container that has the
 * file mounted read-only.
 *
 *     ./observer
 */
#include "reading.h"

#include <holdfast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(const struct hf_item *item) {
    struct reading reading;
    printf("%.*s = ", (int)item->key_len, (const char *)item->key);
    if (item->value_len == sizeof reading) {
        memcpy(&reading, item->value, sizeof reading);
        printf("%.3f degrees, reading %llu", (double)reading.millidegrees / 1000, (unsigned long long)reading.number);
    } else {
        printf("%.*s", (int)item->value_len, (const char *)item->value);
    }
    if (item->meta.ttl_ms)
        printf(", for another %llu s", (unsigned long long)(item->meta.ttl_ms + 999) / 1000);
    putchar('\n');
}

int main(void) {
    const char *path = getenv("STORE") ? getenv("STORE") : ROOMS_STORE;
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_item item = HF_ITEM_INIT;
    hf_store *store;
    uint64_t cursor = 0;
    int result;
    options.flags = HF_RDONLY;
    if (hf_open(&store, path, &options) != HF_OK) {
        fprintf(stderr, "observer: %s: there is no store, or: %s\n", path, hf_explain());
        return 1;
    }
    /* HF_ERR_BUSY: that entry is being rewritten without a pause, and a reader without a lock cannot make it stop: again. */
    while ((result = hf_scan(store, &cursor, 0, &item)) == HF_OK || result == HF_ERR_BUSY)
        if (result == HF_OK)
            print(&item);
    if (result != HF_END)
        fprintf(stderr, "observer: %s: %s\n", path, hf_explain());
    hf_item_free(&item);
    hf_close(&store);
    return result == HF_END ? 0 : 1;
}
