/* SPDX-License-Identifier: MIT */
/*
 * hf_copy, and the creation of a store, led from system call to system call. After each of them the power fails: in every state
 * of the directory that the order of the writes, syncs and changes of names allows (disk.h), there is either no file under the
 * name, or the one that was there before, or a complete one. Then the same with a SIGKILL. And a snapshot that is made while
 * others write is a cut: it holds nothing that was written after something it does not hold.
 *
 *     poweroff_copy [--seed S] [CASE...]
 */
#include "disk.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

const unsigned test_seconds = 240;

enum { KEYS = 150, SIZE = 200, DENSITIES = 5 };

static uint64_t chance;
static char directory[CHECK_PATH], power_off[CHECK_PATH], target[CHECK_PATH];
static uint64_t calls, states, kills, present, leftovers, cuts;

/* ---- What is made, and what it must be ----------------------------------------------------------------------------------- */

struct making {
    const char *name;
    bool no_tmpfile, replace, create;
    hf_store *source;
    void *before; /* the file that is replaced */
    size_t before_size;
};

static void fill(hf_store *store, uint64_t sequence) {
    char key[16], value[SIZE];
    for (uint64_t i = 0; i < KEYS; i++) {
        value_make(value, SIZE, i, sequence);
        CHECK_RC(hf_put(store, key, (size_t)snprintf(key, sizeof key, "%u", (unsigned)i), value, SIZE, NULL, NULL), HF_OK);
    }
}

static struct hf_options small(void) {
    struct hf_options options = check_small_store(0);
    options.capacity = 192 << 10;
    options.max_value = 1000;
    options.stripes = 4;
    return options;
}

/* All keys, all of one sequence. */
static void complete(hf_store *store) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0, sequence, first = 0;
    uint32_t count = 0;
    int rc;
    while ((rc = hf_scan(store, &cursor, 0, &item)) == HF_OK) {
        char key[16] = "";
        CHECK(item.key_len < sizeof key);
        memcpy(key, item.key, item.key_len);
        CHECK(value_whole(item.value, item.value_len, strtoull(key, NULL, 10), &sequence));
        first = first ? first : sequence;
        CHECK_EQ(sequence, first);
        count++;
    }
    CHECK_RC(rc, HF_END);
    CHECK_EQ(count, KEYS);
    hf_item_free(&item);
}

static void verify(const struct making *making, const char *path) {
    char file[CHECK_PATH];
    CHECK((size_t)snprintf(file, sizeof file, "%s/made", path) < sizeof file);
    leftovers += check_entries_of(path) > (access(file, F_OK) == 0);
    if (access(file, F_OK) != 0) {
        CHECK(!making->replace);
        return;
    }
    present++;
    struct hf_options options = check_small_store(0);
    hf_store *store = check_open(file, &options);
    check_sound(store);
    if (making->create)
        fill(store, 1);
    complete(store);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static int make(void *argument) {
    const struct making *making = argument;
    struct hf_options options = small();
    struct hf_copy_options how = HF_COPY_INIT;
    hf_store *store;
    options.flags = HF_CREATE;
    how.replace = making->replace;
    if (making->create) {
        CHECK_RC(hf_open(&store, target, &options), HF_OK);
        CHECK_RC(hf_close(&store), HF_OK);
    } else {
        CHECK_RC(hf_copy(making->source, target, &how), HF_OK);
    }
    return 0;
}

static void prepare(const struct making *making) {
    if (making->replace)
        check_write_file(target, making->before, making->before_size);
    else
        unlink(target);
}

/* ---- Power failures and kills -------------------------------------------------------------------------------------------- */

static void fail_here(const struct disk *disk, const struct making *making) {
    for (uint32_t listing = 0; listing < disk->listing_count; listing++)
        for (uint64_t density = 0; density < DENSITIES; density++) {
            check_at("%s: power off after call %llu (%s), names %u of %u, density %llu", making->name,
                     (unsigned long long)disk->calls, disk->call, listing, disk->listing_count, (unsigned long long)density);
            disk_build(disk, listing, power_off, density * 8 / (DENSITIES - 1), &chance);
            verify(making, power_off);
            states++;
        }
}

/* Whoever was told that it is done finds it after any power failure. */
static bool durable(const struct disk *disk) {
    for (uint32_t i = 0; i < disk->listings[0].count; i++)
        if (strcmp(disk->listings[0].names[i].name, "made") == 0)
            return true;
    return false;
}

static uint64_t power_fails(struct making *making) {
    struct disk disk;
    prepare(making);
    disk_start(&disk, directory, making->no_tmpfile, make, making);
    fail_here(&disk, making);
    while (disk_step(&disk))
        fail_here(&disk, making);
    check_at("%s: complete", making->name);
    CHECK(durable(&disk));
    CHECK_EQ(check_entries_of(directory), 1);
    verify(making, directory);
    calls += disk.calls;
    uint64_t made = disk.calls;
    disk_end(&disk);
    return made;
}

static void killed(struct making *making, uint64_t made) {
    for (uint64_t n = 0; n < made; n++) {
        struct disk disk;
        check_at("%s: killed after call %llu", making->name, (unsigned long long)n);
        disk_empty(directory);
        prepare(making);
        disk_start(&disk, directory, making->no_tmpfile, make, making);
        for (uint64_t i = 0; i < n; i++)
            CHECK(disk_step(&disk));
        disk_kill(&disk);
        disk_end(&disk);
        verify(making, directory);
        if (making->source)
            fill(making->source, 2);
        kills++;
    }
    disk_empty(directory);
}

static void at_every_call(struct making making) {
    char path[CHECK_PATH];
    if (!making.create) {
        making.source = check_create("source", small());
        fill(making.source, 1);
        CHECK_RC(hf_copy(making.source, check_path(path, "before"), NULL), HF_OK);
        making.before = check_read_file(path, &making.before_size);
        fill(making.source, 2);
    }
    uint64_t made = power_fails(&making);
    killed(&making, made);
    if (making.source) {
        check_sound(making.source);
        CHECK_RC(hf_close(&making.source), HF_OK);
        unlink(check_path(path, "source"));
        unlink(check_path(path, "before"));
    }
    free(making.before);
}

static void copy(void) {
    at_every_call((struct making){ .name = "copy" });
    at_every_call((struct making){ .name = "copy without O_TMPFILE", .no_tmpfile = true });
}

static void copy_over(void) {
    at_every_call((struct making){ .name = "copy over a file", .replace = true });
    at_every_call((struct making){ .name = "copy over a file without O_TMPFILE", .replace = true, .no_tmpfile = true });
}

static void create(void) {
    at_every_call((struct making){ .name = "create", .create = true });
    at_every_call((struct making){ .name = "create without O_TMPFILE", .create = true, .no_tmpfile = true });
}

/* ---- A snapshot while others write --------------------------------------------------------------------------------------- */

enum { CHAIN = 24, CUTS = 150 };

static int write_chain(void *argument) {
    hf_store *store = argument;
    char key[16];
    for (uint64_t sequence = 1; sequence < UINT64_MAX; sequence++)
        for (unsigned i = 0; i < CHAIN; i++)
            CHECK_RC(hf_put(store, key, (size_t)snprintf(key, sizeof key, "link %u", i), &sequence, sizeof sequence, NULL, NULL),
                     HF_OK);
    return 0;
}

/* One writer stores a number under every key of the chain, then the next number: the numbers fall once, by one. */
static void check_chain(hf_store *store) {
    char key[16];
    uint64_t last = 0;
    unsigned falls = 0;
    for (unsigned i = 0; i < CHAIN; i++) {
        uint64_t sequence;
        CHECK_RC(hf_get(store, key, (size_t)snprintf(key, sizeof key, "link %u", i), &sequence, sizeof sequence, NULL, NULL),
                 HF_OK);
        CHECK(i == 0 || sequence == last || sequence + 1 == last);
        falls += i > 0 && sequence != last;
        last = sequence;
    }
    CHECK(falls <= 1);
}

static void cut(void) {
    char path[CHECK_PATH];
    hf_store *store = check_create("chained", small()), *snapshot;
    uint64_t zero = 0;
    for (unsigned i = 0; i < CHAIN; i++)
        CHECK_RC(hf_put(store, path, (size_t)snprintf(path, 16, "link %u", i), &zero, sizeof zero, NULL, NULL), HF_OK);
    pid_t writer = check_spawn(write_chain, store);
    for (cuts = 0; cuts < CUTS; cuts++) {
        CHECK_RC(hf_copy(store, check_path(path, "snapshot"), NULL), HF_OK);
        snapshot = check_open(path, NULL);
        check_sound(snapshot);
        check_chain(snapshot);
        CHECK_RC(hf_close(&snapshot), HF_OK);
        unlink(path);
    }
    kill(writer, SIGKILL);
    CHECK(check_killed(check_wait(writer, 20)));
    CHECK_RC(hf_close(&store), HF_OK);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"copy", copy},
        {"copy-over", copy_over},
        {"create", create},
        {"cut", cut},
    };
    chance = check_number(argc, argv, "--seed", 1);
    CHECK(mkdir(check_path(directory, "here"), 0700) == 0 && mkdir(check_path(power_off, "power-off"), 0700) == 0);
    check_path(target, "here/made");
    bool all = argc == 1 || check_argument(argc, argv, "--seed");
    check_cases(all ? 1 : argc, argv, cases, sizeof cases / sizeof *cases);
    printf("snapshots and creations: power off after each of %llu system calls, %llu states of the directory, %llu kills; the "
           "name was there %llu times, a temporary one was left %llu times; %llu snapshots of a moment while others wrote; "
           "0 faults\n",
           (unsigned long long)calls, (unsigned long long)states, (unsigned long long)kills, (unsigned long long)present,
           (unsigned long long)leftovers, (unsigned long long)cuts);
    return 0;
}
