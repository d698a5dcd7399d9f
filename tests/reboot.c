/* SPDX-License-Identifier: MIT */
/*
 * Files that outlived their writers' memory: after a reboot (the file's boot id is patched), as a copy made while a lock was
 * held, and with sectors lost as a power failure loses them. Guarantee F: what is returned was really stored under that key.
 * Knows the layout, to patch files.
 */
#include "layout.h"
#include "puppet.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

const unsigned test_seconds = 120;

enum { KEYS = 200, SIZE = 100 };

static struct hf_options with_flags(uint32_t flags) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = flags;
    options.capacity = 256 << 10;
    options.max_value = 1000;
    options.stripes = 4;
    options.timeout_ms = 2000;
    return options;
}

static size_t key_of(char key[16], uint64_t number) {
    return (size_t)snprintf(key, 16, "key-%03u", (unsigned)number);
}

static void put_all(hf_store *store, uint64_t sequence) {
    char key[16], value[SIZE];
    for (uint64_t i = 0; i < KEYS; i++) {
        value_make(value, SIZE, i, sequence);
        CHECK_RC(hf_put(store, key, key_of(key, i), value, SIZE, NULL, NULL), HF_OK);
    }
}

/* A store of KEYS entries that no process has open; with a second version of every value if `bytes_before` wants the first. */
static void make_store(const char *name, void **bytes_before, size_t *size) {
    char path[CHECK_PATH];
    hf_store *store = check_create(name, with_flags(0));
    put_all(store, 1);
    if (bytes_before) {
        *bytes_before = check_read_file(check_path(path, name), size);
        put_all(store, 2);
    }
    CHECK_RC(hf_close(&store), HF_OK);
}

/* As if the machine had been started anew since the file was last verified. */
static void forget_boot(unsigned char *bytes) {
    struct hf__live *live = (struct hf__live *)(void *)(bytes + HF__LIVE_AT);
    CHECK(live->in_use == 1);
    live->boot_id[0] ^= 0x5555;
}

/* Replaces the file's content: same inode, as after a reboot. */
static void rewrite(const char *path, const void *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(pwrite(fd, bytes, size, 0), (ssize_t)size);
    close(fd);
}

/* Every key is absent or has a whole value of its own; how many are there? */
static unsigned count_whole(hf_store *store) {
    char key[16], value[1000];
    unsigned whole = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        size_t length = 0;
        uint64_t sequence = 0;
        int rc = hf_get(store, key, key_of(key, i), value, sizeof value, &length, NULL);
        CHECK(rc == HF_OK || rc == HF_NOTFOUND || rc == HF_ERR_BUSY || rc == HF_ERR_FORMAT);
        if (rc != HF_OK)
            continue;
        CHECK(length == SIZE && value_whole(value, length, i, &sequence));
        CHECK(sequence == 1 || sequence == 2);
        whole++;
    }
    return whole;
}

static unsigned count_readonly(const char *path, uint32_t unverified) {
    struct hf_options options = with_flags(HF_RDONLY);
    struct hf_info info = HF_INFO_INIT;
    hf_store *store = check_open(path, &options);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(info.unverified, unverified);
    unsigned whole = count_whole(store);
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0, sequence;
    int rc;
    while ((rc = hf_scan(store, &cursor, 0, &item)) != HF_END) {
        if (rc == HF_ERR_BUSY) {
            cursor++;
            continue;
        }
        CHECK_RC(rc, HF_OK);
        CHECK(item.key_len == 7 && memcmp(item.key, "key-", 4) == 0);
        CHECK(value_whole(item.value, item.value_len, strtoull((const char *)item.key + 4, NULL, 10), &sequence));
    }
    hf_item_free(&item);
    CHECK_RC(hf_close(&store), HF_OK);
    return whole;
}

/* Flips one bit in the value of the key; where it stands is found by its bytes. */
static void damage_value(unsigned char *bytes, size_t size, uint64_t number) {
    char value[SIZE];
    value_make(value, SIZE, number, 1);
    unsigned char *at = memmem(bytes, size, value, SIZE);
    CHECK(at != NULL);
    at[SIZE / 2] ^= 0x10;
}

static void last_recovery(hf_store *store, struct hf_recovery *last) {
    struct hf_recovery all[256];
    size_t count = 0;
    CHECK_RC(hf_recoveries(store, all, 256, &count), HF_OK);
    CHECK(count > 0);
    *last = all[count - 1];
    for (size_t i = 0; i < count; i++)
        if (all[i].dropped > 0)
            *last = all[i];
}

/* Is there one damaged value, seen by no reader, dropped by the first writer, once? */
static void verified_by_writer(const char *path) {
    struct hf_recovery recovery;
    struct hf_stats stats = HF_STATS_INIT;
    CHECK_EQ(count_readonly(path, 1), KEYS - 1);
    hf_store *store = check_open(path, NULL);
    CHECK_EQ(count_whole(store), KEYS - 1);
    check_sound(store);
    last_recovery(store, &recovery);
    CHECK_EQ(recovery.cause, HF_CAUSE_VERIFY);
    CHECK_EQ(recovery.verdict, HF_VERDICT_CHECKED);
    CHECK_EQ(recovery.dropped, 1);
    CHECK_RC(hf_stats(store, &stats), HF_OK);
    CHECK_EQ(stats.dropped, 1);
    CHECK_EQ(stats.entries, KEYS - 1);
    CHECK_RC(hf_close(&store), HF_OK);
    CHECK_EQ(count_readonly(path, 0), KEYS - 1);
}

/* The image of a new store after a reboot that spoilt the value of one key. */
static unsigned char *spoilt_image(const char *name, uint64_t key, char path[CHECK_PATH], size_t *size) {
    make_store(name, NULL, NULL);
    unsigned char *bytes = check_read_file(check_path(path, name), size);
    forget_boot(bytes);
    damage_value(bytes, *size, key);
    return bytes;
}

static void rebooted(void) {
    char path[CHECK_PATH];
    size_t size;
    unsigned char *bytes = spoilt_image("rebooted", 77, path, &size);
    rewrite(path, bytes, size);
    verified_by_writer(path);
    free(bytes);
}

static int open_for_writing(void *path) {
    hf_store *store = check_open(path, NULL);
    puppet_disarm();
    CHECK_RC(hf_close(&store), HF_OK);
    return 0;
}

/* The first writer after the reboot dies while it verifies: the next one must not take the image for verified. */
static void verifier_killed(void) {
    char path[CHECK_PATH];
    size_t size;
    unsigned char *bytes = spoilt_image("verifier", 78, path, &size);
    struct puppet *puppet = puppet_new();
    unsigned n = 1;
    for (;; n++) {
        rewrite(path, bytes, size);
        bool died = puppet_killed_at(puppet, n, open_for_writing, path);
        check_at("verifier killed at point %u, %s", n, puppet->point);
        hf_store *store = check_open(path, NULL);
        CHECK_EQ(count_whole(store), KEYS - 1);
        check_sound(store);
        CHECK_RC(hf_close(&store), HF_OK);
        if (!died)
            break;
    }
    printf("verification killed at %u points\n", n - 1);
    CHECK(n > 4);
    free(bytes);
}

/* ---- A copy that carries a held lock ------------------------------------------------------------------------------------- */

struct stopped {
    struct puppet *puppet;
    hf_store *store;
};

static int put_and_stop(void *argument) {
    struct stopped *stopped = argument;
    char key[16], value[SIZE];
    value_make(value, SIZE, 5, 2);
    puppet_arm(stopped->puppet, 2, SIGSTOP);
    CHECK_RC(hf_put(stopped->store, key, key_of(key, 5), value, SIZE, NULL, NULL), HF_OK);
    return 0;
}

static void copied_while_locked(void) {
    char path[CHECK_PATH], copy[CHECK_PATH];
    make_store("locked", NULL, NULL);
    struct stopped stopped = {puppet_new(), check_open(check_path(path, "locked"), NULL)};
    pid_t child = check_spawn(put_and_stop, &stopped);
    while (stopped.puppet->reached < 2)
        check_sleep_ms(1);
    size_t size;
    void *bytes = check_read_file(path, &size);
    check_write_file(check_path(copy, "copy"), bytes, size);
    struct hf_options options = with_flags(0);
    options.timeout_ms = 1000;
    hf_store *store = check_open(copy, &options);
    CHECK_EQ(count_whole(store), KEYS);
    put_all(store, 2);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
    kill(child, SIGCONT);
    check_ended(child, 10);
    CHECK_RC(hf_close(&stopped.store), HF_OK);
    free(bytes);
}

/* ---- Versions ----------------------------------------------------------------------------------------------------------- */

static uint64_t put_version(hf_store *store, const char *value) {
    uint64_t version = 0;
    CHECK_RC(hf_put(store, "key", 3, value, strlen(value), NULL, &version), HF_OK);
    return version;
}

/* The last puts never reached the disk. A version that their callers were told must not come back with another value: who kept
 * it would replace what he has never seen. */
static void versions(void) {
    char path[CHECK_PATH];
    size_t size;
    hf_store *store = check_create("versions", with_flags(0));
    put_version(store, "on the disk");
    unsigned char *bytes = check_read_file(check_path(path, "versions"), &size);
    uint64_t told = put_version(store, "lost");
    CHECK_RC(hf_close(&store), HF_OK);
    forget_boot(bytes);
    rewrite(path, bytes, size);
    store = check_open(path, NULL);
    check_value(store, "key", "on the disk");
    CHECK(put_version(store, "another") > told);
    CHECK_RC(hf_close(&store), HF_OK);
    free(bytes);
}

/* ---- Lost sectors -------------------------------------------------------------------------------------------------------- */

enum { SECTOR = 512 };

/* Some sectors keep what they had before the last writes, some are lost. Superblock and identity are written once and kept. */
static void lose_sectors(unsigned char *bytes, const unsigned char *older, size_t size, uint64_t *seed) {
    uint64_t sectors = 1 + check_below(seed, 40);
    for (uint64_t i = 0; i < sectors; i++) {
        size_t at = 2 * HF__PAGE + check_below(seed, (size - 2 * HF__PAGE) / SECTOR) * SECTOR;
        switch (check_below(seed, 3)) {
        case 0:
            memcpy(bytes + at, older + at, SECTOR);
            break;
        case 1:
            memset(bytes + at, 0, SECTOR);
            break;
        default:
            for (size_t word = 0; word < SECTOR; word += 8)
                *(uint64_t *)(void *)(bytes + at + word) = check_random(seed);
        }
    }
}

static void lost_sectors(void) {
    char path[CHECK_PATH];
    size_t size, whole = 0;
    void *older;
    make_store("lost", &older, &size);
    unsigned char *bytes = check_read_file(check_path(path, "lost"), &size), *image = malloc(size);
    forget_boot(bytes);
    uint64_t seed = 20260101;
    for (unsigned round = 0; round < 300; round++) {
        check_at("round %u", round);
        memcpy(image, bytes, size);
        lose_sectors(image, older, size, &seed);
        rewrite(path, image, size);
        unsigned seen = count_readonly(path, 1);
        hf_store *store = check_open(path, NULL);
        whole += count_whole(store);
        check_sound(store);
        put_all(store, 2);
        CHECK_EQ(count_whole(store), KEYS);
        check_sound(store);
        CHECK_RC(hf_close(&store), HF_OK);
        CHECK(seen <= KEYS);
    }
    printf("lost sectors: %.1f %% of the entries survived\n", (double)whole / 300 / KEYS * 100);
    CHECK(whole > 300 * KEYS / 2);
    free(older);
    free(bytes);
    free(image);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"rebooted", rebooted},
        {"verifier-killed", verifier_killed},
        {"copied-while-locked", copied_while_locked},
        {"versions", versions},
        {"lost-sectors", lost_sectors},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
