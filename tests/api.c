/* SPDX-License-Identifier: MIT */
/*
 * Linked with the shared library and nothing else: calls every exported function once, as a program would. What each one must
 * do in every case is the business of the other tests.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/mman.h>

const unsigned test_seconds = 60;

static const char key[] = "key";
enum { KEY = sizeof key - 1 };

static void call_texts(void) {
    CHECK(strcmp(hf_version(), HF_VERSION) == 0);
    CHECK(strcmp(hf_result_name(HF_ERR_FULL), "HF_ERR_FULL") == 0);
    CHECK(strcmp(hf_result_name(12345), "unknown") == 0);
    CHECK(strlen(hf_result_text(HF_ERR_FULL)) > 10);
    CHECK(strcmp(hf_cause_name(HF_CAUSE_DEATH), "owner-died") == 0);
    CHECK(strcmp(hf_operation_name(HF_OP_INCR), "incr") == 0);
    CHECK(strcmp(hf_verdict_name(HF_VERDICT_NEW), "kept-new") == 0);
    CHECK(strcmp(hf_verdict_name(99), "unknown") == 0);
    CHECK(strlen(hf_step_name(0)) > 0);
    CHECK(strcmp(hf_step_name(1u << 30), "unknown") == 0);
    CHECK(strlen(hf_invariant_text(HF_I5_CHECKSUM)) > 5);
    CHECK(strcmp(hf_invariant_text(1000), "unknown") == 0);
    CHECK(strcmp(hf_explain(), "") == 0);
}

#define TEXT_OF_RESULT(name, value, text) \
    CHECK(strcmp(hf_result_name(name), #name) == 0 && strcmp(hf_result_text(name), text) == 0);
static void call_every_result(void) {
    HF_RESULTS(TEXT_OF_RESULT)
}

static void call_writes(hf_store *store) {
    uint64_t version = 0;
    int64_t sum = 0;
    size_t length = 0;
    char buffer[32];
    CHECK_RC(hf_put(store, key, KEY, "value", 5, NULL, &version), HF_OK);
    CHECK(version != 0);
    CHECK_RC(hf_append(store, key, KEY, "s", 1, &length), HF_OK);
    CHECK_EQ(length, 6);
    CHECK_RC(hf_touch(store, key, KEY, 0), HF_OK);
    CHECK_RC(hf_take(store, key, KEY, buffer, sizeof buffer, &length, NULL), HF_OK);
    CHECK_RC(hf_incr(store, key, KEY, 5, NULL, &sum), HF_OK);
    CHECK_EQ(sum, 5);
    CHECK_RC(hf_delete(store, key, KEY, 0), HF_OK);
    CHECK_RC(hf_expire(store, NULL), HF_OK);
    CHECK_RC(hf_clear(store), HF_OK);
    CHECK_RC(hf_put(store, key, KEY, "value", 5, NULL, NULL), HF_OK);
}

static int compute(void *context, const void *asked, size_t asked_len, struct hf_fill *fill) {
    CHECK(asked_len == KEY && memcmp(asked, key, KEY) == 0);
    fill->value = context;
    fill->value_len = strlen(context);
    return HF_OK;
}

static void call_fills(hf_store *store) {
    char text[] = "filled", buffer[32];
    size_t length = 0;
    struct hf_lease lease;
    struct hf_fill fill = {.value = text, .value_len = sizeof text};
    CHECK_RC(hf_clear(store), HF_OK);
    CHECK_RC(hf_get_or_fill(store, key, KEY, buffer, sizeof buffer, &length, NULL, compute, text, NULL), HF_OK);
    CHECK(length == 6 && memcmp(buffer, text, 6) == 0);
    CHECK_RC(hf_fill_begin(store, key, KEY, NULL, &lease), HF_EXISTS);
    CHECK_RC(hf_delete(store, key, KEY, 0), HF_OK);
    CHECK_RC(hf_fill_begin(store, key, KEY, NULL, &lease), HF_OK);
    CHECK_RC(hf_fill_cancel(store, &lease), HF_OK);
    CHECK_RC(hf_fill_begin(store, key, KEY, NULL, &lease), HF_OK);
    CHECK_RC(hf_fill_publish(store, key, KEY, &fill, &lease, NULL), HF_OK);
}

static void call_waits(hf_store *store) {
    struct hf_watch watch = HF_WATCH_INIT;
    struct hf_meta meta;
    CHECK_RC(hf_wait(store, key, KEY, 0, HF_FOREVER, &meta), HF_OK);
    CHECK_RC(hf_wait(store, key, KEY, meta.version, 1, NULL), HF_UNCHANGED);
    CHECK_RC(hf_wait_any(store, &watch, HF_FOREVER), HF_OK);
    CHECK(watch.from < watch.to);
    hf_watch_free(&watch);
    CHECK(watch.memory == NULL);
}

/* The key gets its value again. */
static void call_many(hf_store *store) {
    struct hf_put_request puts[2] = {{key, KEY, "value", 5, NULL, 0, 1, 0}, {key, 0, "value", 5, NULL, 0, 1, 0}};
    char buffer[32];
    struct hf_meta meta;
    struct hf_get_request gets[2] = {{key, KEY, buffer, sizeof buffer, &meta, 0, 1, 0}, {"other", 5, NULL, 0, NULL, 0, 1, 0}};
    CHECK_RC(hf_put_many(store, puts, 2), HF_ERR_ARGUMENT);
    CHECK(puts[0].result == HF_OK && puts[0].version != 0 && puts[1].result == HF_ERR_ARGUMENT);
    CHECK_RC(hf_get_many(store, gets, 2), HF_OK);
    CHECK(gets[0].result == HF_OK && gets[0].value_len == 5 && meta.version == puts[0].version);
    CHECK(memcmp(buffer, "value", 5) == 0 && gets[1].result == HF_NOTFOUND);
}

static void call_reads(hf_store *store) {
    struct hf_meta meta;
    struct hf_item item = HF_ITEM_INIT;
    char buffer[32];
    void *copy = NULL;
    size_t length = 0;
    uint64_t cursor = 0, count = 0;
    CHECK_RC(hf_get(store, key, KEY, buffer, sizeof buffer, &length, &meta), HF_OK);
    CHECK_RC(hf_get_stale(store, key, KEY, buffer, sizeof buffer, &length, &meta), HF_OK);
    CHECK(length == 5 && memcmp(buffer, "value", 5) == 0);
    CHECK_RC(hf_get_dup(store, key, KEY, &copy, &length, NULL), HF_OK);
    CHECK(strcmp(copy, "value") == 0);
    free(copy);
    CHECK_RC(hf_exists(store, key, KEY, &meta), HF_OK);
    CHECK_RC(hf_scan(store, &cursor, 0, &item), HF_OK);
    CHECK(item.key_len == KEY && memcmp(item.key, key, KEY) == 0);
    hf_item_free(&item);
    CHECK(item.memory == NULL);
    CHECK_RC(hf_count(store, &count), HF_OK);
    CHECK_EQ(count, 1);
}

static void on_progress(void *context, uint64_t done, uint64_t total) {
    CHECK(done <= total && done >= *(uint64_t *)context);
    *(uint64_t *)context = done == total ? UINT64_MAX : done;
}

static void call_with_progress(hf_store *store) {
    struct hf_check_options check = HF_CHECK_INIT;
    struct hf_copy_options copy = HF_COPY_INIT;
    char path[CHECK_PATH];
    uint64_t done = 0;
    check.progress = copy.progress = on_progress;
    check.context = copy.context = &done;
    CHECK_RC(hf_check(store, &check, NULL), HF_OK);
    CHECK(done == UINT64_MAX);
    done = 0;
    CHECK_RC(hf_copy(store, check_path(path, "copy"), &copy), HF_EXISTS);
    copy.replace = 1;
    CHECK_RC(hf_copy(store, path, &copy), HF_OK);
    CHECK(done == UINT64_MAX);
}

static void call_whole_store(hf_store *store) {
    struct hf_info info = HF_INFO_INIT;
    struct hf_stats stats = HF_STATS_INIT;
    struct hf_report report;
    struct hf_recovery recoveries[4];
    char path[CHECK_PATH];
    size_t count = 99;
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK(info.store_id != 0);
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_EQ(stats.entries, 1);
    uint64_t entries = 0;
    for (uint32_t stripe = 0; stripe < info.stripes; stripe++) {
        CHECK_RC(hf_stats_stripe(store, stripe, &stats), HF_OK);
        entries += stats.entries;
    }
    CHECK_EQ(entries, 1);
    CHECK_RC(hf_sync(store), HF_OK);
    CHECK_RC(hf_copy(store, check_path(path, "copy"), NULL), HF_OK);
    CHECK_RC(hf_check(store, NULL, &report), HF_OK);
    CHECK_EQ(report.entries, 1);
    CHECK_RC(hf_recoveries(store, recoveries, 4, &count), HF_OK);
    CHECK_EQ(count, 0);
    CHECK_RC(hf_repair(store, &report), HF_OK);
    CHECK_EQ(report.dropped, 0);
    struct hf_lock lock;
    count = 99;
    CHECK_RC(hf_locks(store, &lock, 1, &count), HF_OK);
    CHECK_EQ(count, 0);
}

int test_run(int argc, char **argv) {
    (void)argc, (void)argv;
    call_texts();
    call_every_result();
    struct hf_options options = HF_OPTIONS_INIT;
    hf_store *store = NULL;
    char path[CHECK_PATH];
    options.flags = HF_CREATE;
    CHECK_RC(hf_open(&store, check_path(path, "store"), &options), HF_OK);
    call_writes(store);
    call_fills(store);
    call_waits(store);
    call_writes(store);
    call_many(store);
    call_reads(store);
    call_whole_store(store);
    call_with_progress(store);
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK(store == NULL);
    CHECK_RC(hf_close(&store), HF_OK);

    int fd = memfd_create("holdfast-api", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_RC(hf_open_fd(&store, fd, &options), HF_OK);
    close(fd);
    call_writes(store);
    CHECK_RC(hf_close(&store), HF_OK);
    options.flags = 0;
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
    call_writes(store);
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}
