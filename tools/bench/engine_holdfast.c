/* SPDX-License-Identifier: MIT */
/*
 * This library as an engine, by its public functions.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <holdfast.h>

#include "../large.h"
#include "engines.h"

static int failed(int result) {
    return bench_explain("%s", result < 0 ? hf_explain() : hf_result_text(result));
}

static int create(const char *path, const struct bench_config *config) {
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store;
    options.flags = HF_CREATE | HF_EXCLUSIVE;
    options.entries = config->entries;
    options.entry_size = ((config->key_size + 7) & ~7u) + config->value_size;
    options.max_value = config->value_size;
    int result = hf_open(&store, path, &options);
    if (result != HF_OK)
        return failed(result);
    hf_close(&store);
    return BENCH_DONE;
}


static int open_store(const char *path, const struct bench_config *config, void **store) {
    hf_store *opened;
    (void)config;
    int result = hf_open(&opened, path, NULL);
    *store = opened;
    return result == HF_OK ? BENCH_DONE : failed(result);
}

/* With the pages that tmpfs makes by itself: neither who makes the store asks for others, nor who is the first to open it. */
static int create_small(const char *path, const struct bench_config *config) {
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    int answer = create(path, config);
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
    return answer;
}

static int open_small(const char *path, const struct bench_config *config, void **store) {
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    int answer = open_store(path, config, store);
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
    return answer;
}

static int put(void *store, const void *key, size_t key_len, const void *value, size_t value_len) {
    int result = hf_put(store, key, key_len, value, value_len, NULL, NULL);
    return result == HF_OK ? BENCH_DONE : failed(result);
}

static int get(void *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    int result = hf_get(store, key, key_len, buffer, size, value_len, NULL);
    return result == HF_OK ? BENCH_DONE : result == HF_NOTFOUND ? BENCH_MISSING : failed(result);
}

static int get_many(void *store, struct bench_item *items, size_t count) {
    struct hf_get_request requests[BENCH_BATCH_MAX];
    for (size_t i = 0; i < count; i++)
        requests[i] = (struct hf_get_request){ .key = items[i].key, .key_len = items[i].key_len, .buffer = items[i].buffer,
                                               .size = items[i].size };
    int result = hf_get_many(store, requests, count);
    for (size_t i = 0; i < count; i++) {
        items[i].value_len = requests[i].value_len;
        items[i].result = requests[i].result == HF_OK ? BENCH_DONE : BENCH_MISSING;
    }
    return result == HF_OK ? BENCH_DONE : failed(result);
}

static int erase(void *store, const void *key, size_t key_len) {
    int result = hf_delete(store, key, key_len, 0);
    return result == HF_OK ? BENCH_DONE : result == HF_NOTFOUND ? BENCH_MISSING : failed(result);
}

static void close_store(void *store) {
    hf_store *closed = store;
    hf_close(&closed);
}

static void settings(const char *path, char *text, size_t size) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_info info = HF_INFO_INIT;
    hf_store *store;
    options.flags = HF_RDONLY;
    if (hf_open(&store, path, &options) != HF_OK)
        return;
    if (hf_info(store, &info) == HF_OK)
        snprintf(text, size, "mode %s, %" PRIu32 " stripes, %" PRIu64 " buckets, %" PRIu64 " blocks of %" PRIu32 " bytes, "
                 "%" PRIu64 " %% of the file in large pages",
                 info.mode == HF_MODE_CACHE ? "cache" : "store", info.stripes, info.buckets, info.blocks, info.block_size,
                 large_pages_of(path) * 100 / info.file_size);
    hf_close(&store);
}

static uint64_t footprint(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

#define BY_HOLDFAST \
    .about = "Holdfast " HF_VERSION, .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS, .put = put, .get = get, \
    .get_many = get_many, .erase = erase, .close = close_store, .settings = settings, .footprint = footprint

const struct bench_engine bench_holdfast = { .name = "holdfast", .create = create, .open = open_store, BY_HOLDFAST };
const struct bench_engine bench_holdfast_small = {
    .name = "Holdfast (small pages)", .create = create_small, .open = open_small, BY_HOLDFAST
};
