/* SPDX-License-Identifier: MIT */
/* See loading.h. */
#include "loading.h"

#include <sys/mman.h>
#include <unistd.h>

enum { LARGEST_VALUE = 1024, LONGEST_LINE = 6 * (LARGEST_VALUE + HF_KEY_MAX) };

FILE *fuzz_messages;

int loading_file(const void *bytes, size_t size) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
    return fd;
}

static void become(int standard, int fd) {
    MUST(dup2(fd, standard) == standard);
    close(fd);
}

void loading_prepare(void) {
    static const char given[] = "{\"key\":\"given\",\"value\":\"on standard input\"}\n";
    if (!fuzz_messages) {
        fuzz_messages = fopen("/dev/null", "w");
        MUST(fuzz_messages);
        fflush(stdout);
        become(STDIN_FILENO, loading_file(given, sizeof given - 1));
        become(STDOUT_FILENO, loading_file("", 0));
    }
    MUST(lseek(STDIN_FILENO, 0, SEEK_SET) == 0 && lseek(STDOUT_FILENO, 0, SEEK_SET) == 0 && ftruncate(STDOUT_FILENO, 0) == 0);
}

int loading_printed(void) {
    MUST(fflush(stdout) == 0);
    off_t size = lseek(STDOUT_FILENO, 0, SEEK_CUR);
    char *bytes = malloc((size_t)size + 1);
    MUST(size >= 0 && bytes && pread(STDOUT_FILENO, bytes, (size_t)size, 0) == size);
    int fd = loading_file(bytes, (size_t)size);
    free(bytes);
    MUST(lseek(STDOUT_FILENO, 0, SEEK_SET) == 0 && ftruncate(STDOUT_FILENO, 0) == 0);
    return fd;
}

bool loading_load(int fd, bool (*load)(struct loader *loader), hf_store **store) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.capacity = 96 << 10;
    options.max_value = LARGEST_VALUE;
    options.stripes = 1;
    MUST(hf_open_anonymous(store, &options) == HF_OK);
    struct loader loader = {.store = *store, .store_path = "store", .file = "input"};
    loader.lines.fd = fd;
    loader.lines.limit = LONGEST_LINE;
    bool complete = load(&loader);
    free_buffer(&loader.lines.buffer);
    close(fd);
    return complete;
}

void loading_print_all(hf_store *store, void (*print)(const struct entry *entry)) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    int rc;
    while ((rc = hf_scan(store, &cursor, 0, &item)) == HF_OK) {
        struct entry entry = {.key = item.key, .key_len = item.key_len, .value = item.value, .value_len = item.value_len,
                              .expires_ms = item.meta.expires_ms, .version = item.meta.version, .flags = item.meta.flags};
        print(&entry);
    }
    MUST(rc == HF_END);
    hf_item_free(&item);
}

static void compare_item(const struct hf_item *item, hf_store *other, bool values_only) {
    void *value = NULL;
    size_t length = 0;
    struct hf_meta meta;
    int rc = hf_get_dup(other, item->key, item->key_len, &value, &length, &meta);
    MUST(rc == HF_OK || (rc == HF_NOTFOUND && item->meta.expires_ms && item->meta.expires_ms <= clock_ms()));
    if (rc == HF_OK) {
        MUST(length == item->value_len && memcmp(value, item->value, length) == 0);
        MUST(values_only || (meta.flags == item->meta.flags && meta.expires_ms == item->meta.expires_ms));
    }
    free(value);
}

void loading_compare(hf_store *one, hf_store *other, bool values_only) {
    struct hf_item item = HF_ITEM_INIT;
    hf_store *const stores[2] = {one, other};
    for (int i = 0; i < 2; i++) {
        uint64_t cursor = 0;
        int rc;
        while ((rc = hf_scan(stores[i], &cursor, 0, &item)) == HF_OK)
            compare_item(&item, stores[1 - i], values_only);
        MUST(rc == HF_END);
    }
    hf_item_free(&item);
}
