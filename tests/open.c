/* SPDX-License-Identifier: MIT */
/*
 * Opening: everything that must be refused is refused with the right result and a sentence, and the file is left as it was;
 * and the ways of opening that must work. Knows the superblock's layout, to make files of other builds.
 */
#include "check.h"
#include "hash.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

const unsigned test_seconds = 60;

enum { ANY_FAILURE = 1000 };

/* Opens with the flags, expects the result, and no change of the file. */
static void refused(const char *path, uint32_t flags, int expected) {
    struct stat before, after;
    size_t size = 0, size_after = 0;
    CHECK_EQ(stat(path, &before), 0);
    bool regular = S_ISREG(before.st_mode);
    void *bytes = regular ? check_read_file(path, &size) : NULL;
    struct hf_options options = check_small_store(flags);
    hf_store *store = NULL;
    int rc = hf_open(&store, path, &options);
    if (expected == ANY_FAILURE)
        CHECK(rc < 0);
    else
        CHECK_RC(rc, expected);
    CHECK(store == NULL);
    CHECK(strlen(hf_explain()) > 10 && strchr(hf_explain(), '\n') == NULL);
    CHECK_EQ(stat(path, &after), 0);
    CHECK(after.st_ino == before.st_ino && after.st_size == before.st_size && after.st_mode == before.st_mode);
    if (regular) {
        void *bytes_after = check_read_file(path, &size_after);
        CHECK(size == size_after && memcmp(bytes, bytes_after, size) == 0);
        CHECK(after.st_mtim.tv_sec == before.st_mtim.tv_sec && after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
        free(bytes_after);
    }
    free(bytes);
}

static void refused_by_all(const char *path, int expected) {
    refused(path, 0, expected);
    refused(path, HF_CREATE, expected);
    refused(path, HF_RDONLY, expected);
}

/* A store with a few entries, as bytes. */
static void *image(size_t *size) {
    char path[CHECK_PATH];
    hf_store *store = check_create("image", check_small_store(0));
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        check_put(store, key, "value");
    }
    CHECK_RC(hf_close(&store), HF_OK);
    void *bytes = check_read_file(check_path(path, "image"), size);
    unlink(path);
    return bytes;
}

/* ---- Files that are no stores -------------------------------------------------------------------------------------------- */

static void no_stores(void) {
    char path[CHECK_PATH];
    hf_store *store = NULL;
    CHECK_RC(hf_open(&store, check_path(path, "nothing"), NULL), HF_NOTFOUND);
    CHECK(store == NULL);
    struct hf_options readonly = check_small_store(HF_RDONLY), create = check_small_store(HF_CREATE);
    CHECK_RC(hf_open(&store, path, &readonly), HF_NOTFOUND);
    int rc = hf_open(&store, check_path(path, "no/such/directory"), &create);
    CHECK_RC(rc, HF_ERR_SYSTEM);
    CHECK_EQ(errno, ENOENT);

    refused_by_all(check_path(path, ""), ANY_FAILURE);
    CHECK_EQ(check_entries_of(path), 0);
    CHECK_EQ(mkfifo(check_path(path, "fifo"), 0600), 0);
    refused_by_all(path, ANY_FAILURE);
    refused_by_all("/dev/null", ANY_FAILURE);
    refused_by_all("/dev/zero", ANY_FAILURE);

    check_write_file(check_path(path, "empty"), "", 0);
    refused(path, 0, HF_ERR_FORMAT);
    refused(path, HF_RDONLY, HF_ERR_FORMAT);
    check_write_file(check_path(path, "text"), "hello, world\n", 13);
    refused_by_all(path, HF_ERR_FORMAT);
    char *zeros = calloc(1, 1 << 20);
    check_write_file(check_path(path, "zeros"), zeros, 1 << 20);
    refused_by_all(path, HF_ERR_FORMAT);
    uint64_t seed = 42;
    for (size_t at = 0; at < 1 << 20; at += 8)
        ((uint64_t *)(void *)zeros)[at / 8] = check_random(&seed);
    check_write_file(check_path(path, "random"), zeros, 1 << 20);
    refused_by_all(path, HF_ERR_FORMAT);
    free(zeros);
}

static void truncated(void) {
    char path[CHECK_PATH];
    size_t size;
    void *bytes = image(&size);
    const size_t lengths[] = {1, 7, 8, 100, sizeof(struct hf__superblock) - 1, sizeof(struct hf__superblock), 4095, 4096, 8192,
                              HF__STRIPES_AT, size / 2, size - 4096, size - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        check_at("cut to %zu bytes", lengths[i]);
        check_write_file(check_path(path, "cut"), bytes, lengths[i]);
        refused_by_all(path, HF_ERR_FORMAT);
    }
    free(bytes);
}

/* ---- Superblocks of other builds and damaged ones ------------------------------------------------------------------------ */

#define FIELD(member) offsetof(struct hf__superblock, member), sizeof(((struct hf__superblock *)0)->member)
static const struct {
    const char *what;
    size_t at, size;
    uint64_t value;
    bool checksum_fits;
    int writers, readers;
} damages[] = {
    {"magic", FIELD(magic), 0x1234, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"format 0", FIELD(format), 0, true, HF_ERR_VERSION, HF_ERR_VERSION},
    {"format 99", FIELD(format), 99, true, HF_ERR_VERSION, HF_ERR_VERSION},
    {"incompatible feature", FIELD(incompatible), 1u << 31, true, HF_ERR_VERSION, HF_ERR_VERSION},
    {"byte order", FIELD(byte_order), 0x04030201, true, HF_ERR_ABI, HF_ERR_ABI},
    {"pointer size", FIELD(pointer_size), sizeof(void *) ^ 12, true, HF_ERR_ABI, HF_OK},
    {"mutex size", FIELD(mutex_size), HF__MUTEX_SIZE + 8, true, HF_ERR_ABI, HF_OK},
    {"mutex alignment", FIELD(mutex_align), HF__MUTEX_ALIGN * 2, true, HF_ERR_ABI, HF_OK},
    {"C library", FIELD(libc), 0x6362696c, true, HF_ERR_ABI, HF_OK},
    {"seed without checksum", FIELD(seed), 5, false, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"checksum", FIELD(checksum), 5, false, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"stripes 3", FIELD(geometry.stripes), 3, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"stripes 0", FIELD(geometry.stripes), 0, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"stripes 2^31", FIELD(geometry.stripes), 1u << 31, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"buckets 0", FIELD(geometry.buckets), 0, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"buckets 2^32 - 1", FIELD(geometry.buckets), UINT32_MAX, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"blocks 0", FIELD(geometry.blocks), 0, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"blocks 2^32 - 1", FIELD(geometry.blocks), UINT32_MAX, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"heap elsewhere", FIELD(geometry.heap_at), 1ull << 40, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"index elsewhere", FIELD(geometry.index_at), 4096, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"file size", FIELD(geometry.file_size), 1ull << 60, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"mode", FIELD(geometry.mode), 7, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"default time to live", FIELD(geometry.default_ttl_ms), HF__EXPIRY_MAX + 1, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"ring in mode store", FIELD(geometry.small_blocks), 8, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"ghosts in mode store", FIELD(geometry.ghosts), HF__GHOST_ROUND, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"ghosts elsewhere", FIELD(geometry.ghosts_at), 4096, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"longest key 0", FIELD(geometry.max_key), 0, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"longest key", FIELD(geometry.max_key), HF_KEY_MAX + 1, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
    {"largest value", FIELD(geometry.max_value), UINT32_MAX, true, HF_ERR_FORMAT, HF_ERR_FORMAT},
};

static void opens_readonly(const char *path) {
    struct hf_options options = check_small_store(HF_RDONLY);
    hf_store *store = check_open(path, &options);
    check_value(store, "key-7", "value");
    CHECK_RC(hf_put(store, "k", 1, "v", 1, NULL, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void other_builds(void) {
    char path[CHECK_PATH];
    size_t size;
    unsigned char *bytes = image(&size), *changed = malloc(size);
    CHECK(changed != NULL);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        check_at("%s", damages[i].what);
        memcpy(changed, bytes, size);
        memset(changed + damages[i].at, 0, damages[i].size);
        memcpy(changed + damages[i].at, &damages[i].value, damages[i].size < 8 ? damages[i].size : 8);
        struct hf__superblock *superblock = (struct hf__superblock *)(void *)changed;
        if (damages[i].checksum_fits)
            superblock->checksum = hf__hash_superblock(superblock);
        check_write_file(check_path(path, "other"), changed, size);
        refused(path, 0, damages[i].writers);
        refused(path, HF_CREATE, damages[i].writers);
        if (damages[i].readers == HF_OK)
            opens_readonly(path);
        else
            refused(path, HF_RDONLY, damages[i].readers);
    }
    free(changed);
    free(bytes);
}

/* A feature that this build does not know but a reader need not know: the handle is read-only, whatever was asked for. */
static void compatible_feature(void) {
    char path[CHECK_PATH];
    size_t size;
    unsigned char *bytes = image(&size);
    struct hf__superblock *superblock = (struct hf__superblock *)(void *)bytes;
    superblock->compatible = 1u << 31;
    superblock->checksum = hf__hash_superblock(superblock);
    check_write_file(check_path(path, "newer"), bytes, size);
    struct hf_options options = check_small_store(0);
    struct hf_info info = HF_INFO_INIT;
    hf_store *store = check_open(path, &options);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(info.readonly, 1);
    check_value(store, "key-7", "value");
    CHECK_RC(hf_put(store, "k", 1, "v", 1, NULL, NULL), HF_ERR_READONLY);
    CHECK_RC(hf_close(&store), HF_OK);
    free(bytes);
}

/* ---- Options ------------------------------------------------------------------------------------------------------------- */

static void option_ranges(void) {
    const struct hf_options table[] = {
        {.flags = 8 | HF_CREATE},
        {.flags = HF_RDONLY | HF_CREATE},
        {.flags = HF_RDONLY | HF_EXCLUSIVE},
        {.flags = HF_EXCLUSIVE},
        {.flags = HF_CREATE, .mode = 2},
        {.flags = HF_CREATE, .mode = UINT32_MAX},
        {.flags = HF_CREATE, .capacity = 1},
        {.flags = HF_CREATE, .capacity = 16384},
        {.flags = HF_CREATE, .capacity = 1ull << 47},
        {.flags = HF_CREATE, .capacity = UINT64_MAX},
        {.flags = HF_CREATE, .entries = 1ull << 32},
        {.flags = HF_CREATE, .entries = UINT64_MAX},
        {.flags = HF_CREATE, .entries = UINT32_MAX, .entry_size = HF_VALUE_MAX},
        {.flags = HF_CREATE, .entries = 1000000, .capacity = 1 << 20},
        {.flags = HF_CREATE, .entries = 10000, .entry_size = 4096, .capacity = 1 << 20},
        {.flags = HF_CREATE, .entry_size = HF_VALUE_MAX + HF_KEY_MAX + 1},
        {.flags = HF_CREATE, .entry_size = 100000, .max_value = 1000},
        {.flags = HF_CREATE, .max_value = HF_VALUE_MAX + 1},
        {.flags = HF_CREATE, .max_value = 1 << 20, .capacity = 1 << 20},
        {.flags = HF_CREATE, .stripes = 3},
        {.flags = HF_CREATE, .stripes = HF_STRIPES_MAX + 1},
        {.flags = HF_CREATE, .stripes = HF_STRIPES_MAX * 2},
        {.flags = HF_CREATE, .stripes = HF_STRIPES_MAX, .capacity = 1 << 20},
        {.flags = HF_CREATE, .file_mode = 010000},
        {.flags = HF_CREATE, .max_key = HF_KEY_MAX + 1},
    };
    char path[CHECK_PATH], directory[CHECK_PATH];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        check_at("option %zu", i);
        struct hf_options options = table[i];
        options.size = sizeof options;
        hf_store *store = NULL;
        CHECK_RC(hf_open(&store, check_path(path, "never"), &options), HF_ERR_ARGUMENT);
        CHECK(store == NULL && strlen(hf_explain()) > 10);
        if (options.flags & HF_CREATE && !(options.flags & HF_RDONLY)) {
            options.flags &= ~(uint32_t)HF_CREATE;
            CHECK_RC(hf_open_anonymous(&store, &options), HF_ERR_ARGUMENT);
        }
    }
    CHECK_EQ(check_entries_of(check_path(directory, "")), 0);
}

/* A 32-bit program can write down sizes that it cannot map. */
static void addresses(void) {
    char path[CHECK_PATH], directory[CHECK_PATH];
    hf_store *store = NULL;
    struct hf_options options = check_small_store(HF_CREATE);
    options.capacity = 5ull << 30;
    if (sizeof(void *) > 4)
        return;
    CHECK_RC(hf_open(&store, check_path(path, "vast"), &options), HF_ERR_ARGUMENT);
    CHECK(store == NULL && strstr(hf_explain(), "64-bit") != NULL);
    CHECK_EQ(check_entries_of(check_path(directory, "")), 0);
}

static void defaults(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_info info = HF_INFO_INIT;
    hf_store *store;
    struct stat status;
    char path[CHECK_PATH];
    umask(0);
    store = check_create("default", options);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(stat(check_path(path, "default"), &status), 0);
    CHECK_EQ(status.st_mode & 07777, 0600);
    CHECK(status.st_size > 60 << 20 && status.st_size <= 64 << 20 && info.file_size == (uint64_t)status.st_size);
    CHECK((uint64_t)status.st_blocks * 512 >= info.file_size);
    CHECK(info.stripes >= 16 && info.stripes <= 256 && info.entries >= 1024ull * info.stripes);
    CHECK_EQ(info.max_value, 64 << 10);
    CHECK(info.entry_size >= 128);
    CHECK(info.mode == HF_MODE_STORE && info.readonly == 0 && info.detached == 0 && info.unverified == 0);
    CHECK(info.created_ms > 0 && info.format >= 1);
    CHECK_RC(hf_close(&store), HF_OK);

    options.file_mode = 0640;
    options.capacity = 1 << 20;
    options.mode = HF_MODE_CACHE;
    options.stripes = 4;
    options.max_value = 1000;
    store = check_create("chosen", options);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK(info.mode == HF_MODE_CACHE && info.stripes == 4 && info.max_value == 1000 && info.file_size <= 1 << 20);
    CHECK_EQ(stat(check_path(path, "chosen"), &status), 0);
    CHECK_EQ(status.st_mode & 07777, 0640);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void exclusive(void) {
    char path[CHECK_PATH];
    hf_store *store = check_create("exclusive", check_small_store(0)), *other = NULL;
    struct hf_options options = check_small_store(HF_CREATE | HF_EXCLUSIVE);
    CHECK_RC(hf_open(&other, check_path(path, "exclusive"), &options), HF_EXISTS);
    CHECK(other == NULL);
    options.flags = HF_CREATE;
    other = check_open(path, &options);
    check_put(store, "k", "v");
    check_value(other, "k", "v");
    CHECK_RC(hf_close(&store), HF_OK);
    check_value(other, "k", "v"); /* one mapping, two handles */
    check_put(other, "k", "w");
    CHECK_RC(hf_close(&other), HF_OK);
    other = check_open(path, NULL);
    check_value(other, "k", "w");
    CHECK_RC(hf_close(&other), HF_OK);
}

/* ---- Descriptors, anonymous stores --------------------------------------------------------------------------------------- */

static int put_child(void *store) {
    check_value(store, "parent", "1");
    check_put(store, "child", "2");
    hf_store *handle = store;
    CHECK_RC(hf_close(&handle), HF_OK);
    return 0;
}

static int open_inherited(void *number) {
    hf_store *store = NULL;
    CHECK_RC(hf_open_fd(&store, *(int *)number, NULL), HF_OK);
    check_value(store, "child", "2");
    check_put(store, "inherited", "3");
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

static void descriptors(void) {
    hf_store *store = NULL;
    char path[CHECK_PATH];
    struct hf_options options = check_small_store(0);
    int fd = memfd_create("holdfast-test", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_RC(hf_open_fd(&store, fd, &options), HF_ERR_FORMAT);
    options.flags = HF_CREATE;
    CHECK_RC(hf_open_fd(&store, fd, &options), HF_OK);
    check_put(store, "parent", "1");
    check_run(put_child, store);
    check_value(store, "child", "2");
    check_run(open_inherited, &fd);
    CHECK_RC(hf_close(&store), HF_OK);
    options.flags = HF_CREATE | HF_EXCLUSIVE;
    CHECK_RC(hf_open_fd(&store, fd, &options), HF_EXISTS);
    options.flags = HF_CREATE;
    CHECK_RC(hf_open_fd(&store, fd, &options), HF_OK); /* it is a store now: opened, not made anew */
    check_value(store, "inherited", "3");
    CHECK_RC(hf_close(&store), HF_OK);
    close(fd);
    CHECK_RC(hf_open_fd(&store, fd, &options), HF_ERR_SYSTEM);
    CHECK_RC(hf_open_fd(&store, -1, &options), HF_ERR_ARGUMENT);

    store = check_create("by-path", check_small_store(0));
    check_put(store, "k", "v");
    CHECK_RC(hf_close(&store), HF_OK);
    fd = open(check_path(path, "by-path"), O_RDONLY | O_CLOEXEC);
    options.flags = 0;
    int rc = hf_open_fd(&store, fd, &options);
    CHECK(rc < 0 && store == NULL);
    options.flags = HF_RDONLY;
    CHECK_RC(hf_open_fd(&store, fd, &options), HF_OK);
    close(fd);
    check_value(store, "k", "v");
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A file of others that begins with zeros, as disk images do, is not one that a creator left half made. */
static void foreign_descriptor(void) {
    static const size_t data_at[] = {HF__STRIPES_AT + HF__PAGE, 64 << 10, (1 << 20) - 1};
    enum { LENGTH = 1 << 20 };
    for (size_t i = 0; i < sizeof data_at / sizeof *data_at; i++) {
        check_at("zeros, and data at %zu", data_at[i]);
        char path[CHECK_PATH], *bytes = calloc(1, LENGTH);
        CHECK(bytes != NULL);
        bytes[data_at[i]] = 'x';
        check_write_file(check_path(path, "foreign"), bytes, LENGTH);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        struct hf_options options = check_small_store(HF_CREATE);
        hf_store *store = NULL;
        CHECK_RC(hf_open_fd(&store, fd, &options), HF_ERR_FORMAT);
        size_t size;
        char *after = check_read_file(path, &size);
        CHECK(size == LENGTH && memcmp(bytes, after, LENGTH) == 0);
        close(fd);
        free(after);
        free(bytes);
    }
}

static void anonymous(void) {
    hf_store *store = NULL;
    struct hf_options options = check_small_store(0);
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK);
    check_put(store, "parent", "1");
    check_run(put_child, store);
    check_value(store, "child", "2");
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK_RC(hf_open_anonymous(&store, &options), HF_OK); /* another one: empty */
    check_value(store, "child", NULL);
    CHECK_RC(hf_close(&store), HF_OK);
    options.flags = HF_RDONLY;
    CHECK_RC(hf_open_anonymous(&store, &options), HF_ERR_ARGUMENT);
}

static void stale(void) {
    char path[CHECK_PATH], other[CHECK_PATH];
    struct hf_info info = HF_INFO_INIT;
    hf_store *old = check_create("stale", check_small_store(0)), *new = check_create("new", check_small_store(0));
    CHECK_RC(hf_info(old, &info), HF_OK);
    CHECK_EQ(info.detached, 0);
    check_put(old, "k", "old");
    check_put(new, "k", "new");
    CHECK_EQ(rename(check_path(other, "new"), check_path(path, "stale")), 0);
    CHECK_RC(hf_info(old, &info), HF_OK);
    CHECK_EQ(info.detached, 1);
    CHECK_RC(hf_info(new, &info), HF_OK);
    CHECK_EQ(info.detached, 0);
    check_value(old, "k", "old");
    CHECK_RC(hf_close(&new), HF_OK);
    new = check_open(path, NULL);
    check_value(new, "k", "new");
    CHECK_EQ(unlink(path), 0);
    CHECK_RC(hf_info(new, &info), HF_OK);
    CHECK_EQ(info.detached, 1);
    CHECK_RC(hf_close(&new), HF_OK);
    CHECK_RC(hf_close(&old), HF_OK);
}

/* What is printed where nobody reads is written into no store. 2: it was. */
static int print_into_nothing(void *unused) {
    struct hf_options options = check_small_store(HF_CREATE);
    char path[CHECK_PATH];
    hf_store *store, *reader;
    (void)unused;
    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    if (hf_open(&store, check_path(path, "standard"), &options) != HF_OK || hf_put(store, "k", 1, "v", 1, NULL, NULL) != HF_OK)
        return 3;
    options.flags = HF_RDONLY;
    if (hf_open(&reader, path, &options) != HF_OK)
        return 4;
    for (int fd = 0; fd <= 2; fd++)
        if (write(fd, "printed", 7) >= 0 || errno != EBADF || fcntl(fd, F_GETFD) >= 0)
            return 2;
    return hf_close(&reader) == HF_OK && hf_close(&store) == HF_OK ? 0 : 5;
}

static void standard(void) {
    char path[CHECK_PATH];
    check_run(print_into_nothing, NULL);
    hf_store *store = check_open(check_path(path, "standard"), NULL);
    check_value(store, "k", "v");
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"option-ranges", option_ranges}, {"addresses", addresses}, {"no-stores", no_stores},
        {"truncated", truncated},         {"other-builds", other_builds},
        {"compatible-feature", compatible_feature},
        {"defaults", defaults},           {"exclusive", exclusive},
        {"descriptors", descriptors},     {"anonymous", anonymous},
        {"stale", stale},                 {"standard", standard},
        {"foreign-descriptor", foreign_descriptor},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
