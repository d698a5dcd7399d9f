/* SPDX-License-Identifier: MIT */
/*
 * What comes of entries that change whenever they are read, and of locks that cannot be had: by deadline, for ever, or because
 * their mutex is past repair; each verb on a stripe in quarantine; damage that is done while a repair runs. Needs the test build
 * of the library, whose points tell when to change what.
 */
#include "fault.h"
#include "internal.h"
#include "puppet.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

const unsigned test_seconds = 60;

static hf_store *store;
static char path[CHECK_PATH];

static void make_store(uint32_t timeout_ms) {
    struct hf_options options = check_small_store(0);
    options.stripes = 1;
    options.max_value = 1000;
    options.timeout_ms = timeout_ms;
    unlink(check_path(path, "busy"));
    store = check_create("busy", options);
    check_put(store, "key", "value");
}

static hf_store *reader_of_it(void) {
    struct hf_options options = check_small_store(HF_RDONLY);
    return check_open(path, &options);
}

static struct hf__spot spot_of_key(void) {
    struct hf__spot spot;
    struct hf__place place = hf__locate(store->region, hf__hash_key(store->region, "key", 3));
    hf__find(store->region, &place, "key", 3, &spot);
    CHECK(spot.word != 0);
    return spot;
}

/* ---- Entries that change ------------------------------------------------------------------------------------------------- */

static struct {
    uint64_t *stamp;
    uint64_t *slot;
    uint64_t word, number; /* as they were */
    unsigned times; /* how many more reads are disturbed */
} disturbed;

/* At the moment when a reader has looked at an entry: its blocks seem to be used anew. */
static void change_stamp(const char *point) {
    if (strcmp(point, "read:end") == 0 && disturbed.times > 0) {
        ++*disturbed.stamp;
        disturbed.times--;
    }
}

/* ... its slot names other blocks, and with the next read these again. */
static void change_slot(const char *point) {
    if (strcmp(point, "read:stamp") == 0 && disturbed.times > 0) {
        *disturbed.slot ^= 2;
        disturbed.times--;
    }
}

static void leave_alone(void) {
    hf__point_hook = NULL;
    *disturbed.slot = disturbed.word;
    *disturbed.stamp = disturbed.number;
}

static void disturb(void (*hook)(const char *point), unsigned times) {
    struct hf__spot spot = spot_of_key();
    disturbed.stamp = &spot.view.entry->stamp;
    disturbed.slot = hf__slot_at(store->region, spot.slot);
    disturbed.word = spot.word;
    disturbed.number = *disturbed.stamp;
    disturbed.times = times;
    hf__point_hook = hook;
}

static int read_key(hf_store *handle) {
    char value[16];
    size_t length;
    int rc = hf_get(handle, "key", 3, value, sizeof value, &length, NULL);
    CHECK(rc != HF_OK || (length == 5 && memcmp(value, "value", 5) == 0));
    return rc;
}

static int scan_key(hf_store *handle) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    int rc = hf_scan(handle, &cursor, 0, &item);
    hf_item_free(&item);
    return rc;
}

static int check_store(hf_store *handle) {
    return hf_check(handle, NULL, NULL);
}

static int read_fresh(hf_store *handle) {
    void *value = NULL;
    int rc = hf_get_dup(handle, "key", 3, &value, NULL, NULL);
    CHECK((value != NULL) == (rc == HF_OK));
    free(value);
    return rc;
}

static int (*const reads[])(hf_store *) = {read_key, scan_key, read_fresh, check_store};
enum { READS = sizeof reads / sizeof *reads, EVER = INT32_MAX };

/* Now and then, and then again and again. */
static void read_disturbed(hf_store *handle, int (*read)(hf_store *), void (*hook)(const char *), int expected) {
    disturb(hook, 100);
    CHECK_RC(read(handle), HF_OK);
    CHECK_EQ(disturbed.times, 0);
    leave_alone();
    disturb(hook, EVER);
    CHECK_RC(read(handle), expected);
    leave_alone();
}

/* Who can lock asks for the lock in between, and gives up at the deadline; who cannot gives up after a while. */
static void changing_entries(void) {
    static void (*const hooks[])(const char *) = {change_stamp, change_slot};
    make_store(60);
    hf_store *reader = reader_of_it();
    for (unsigned i = 0; i < READS * 2; i++) {
        check_at("read %u, hook %u", i / 2, i % 2);
        if (reads[i / 2] == check_store && hooks[i % 2] == change_stamp)
            continue; /* for whom the checksum of such an entry is wrong */
        read_disturbed(reader, reads[i / 2], hooks[i % 2], HF_ERR_BUSY);
        if (reads[i / 2] != check_store) /* which has the lock then */
            read_disturbed(store, reads[i / 2], hooks[i % 2], HF_ERR_TIMEOUT);
    }
    CHECK_RC(hf_close(&reader), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    make_store(HF_FOREVER);
    disturb(change_stamp, 5000);
    CHECK_RC(read_key(store), HF_OK);
    CHECK_EQ(disturbed.times, 0);
    leave_alone();
    CHECK_RC(hf_close(&store), HF_OK);
}

/* A longer value is stored between the two looks of hf_get_dup. */
static void lengthen(const char *point) {
    if (strcmp(point, "read:end") != 0)
        return;
    hf__point_hook = NULL;
    CHECK_RC(hf_put(store, "key", 3, "a longer value", 14, NULL, NULL), HF_OK);
}

static void growing_value(void) {
    void *value = NULL;
    size_t length = 0;
    make_store(1000);
    hf__point_hook = lengthen;
    CHECK_RC(hf_get_dup(store, "key", 3, &value, &length, NULL), HF_OK);
    CHECK(length == 14 && strcmp(value, "a longer value") == 0);
    free(value);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Locks that cannot be had -------------------------------------------------------------------------------------------- */

static int put_and_stop(void *puppet) {
    puppet_arm(puppet, 2, SIGSTOP);
    check_put(store, "key", "value");
    return 0;
}

static pid_t stopped_holder(void) {
    int status;
    pid_t child = check_spawn(put_and_stop, puppet_new());
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    return child;
}

static int repair_it(hf_store *handle) {
    return hf_repair(handle, NULL);
}

static int put_it(hf_store *handle) {
    return hf_put(handle, "key", 3, "value", 5, NULL, NULL);
}

static int delete_it(hf_store *handle) {
    return hf_delete(handle, "key", 3, 0);
}

static int take_it(hf_store *handle) {
    char value[16];
    return hf_take(handle, "key", 3, value, sizeof value, NULL, NULL);
}

static int incr_it(hf_store *handle) {
    return hf_incr(handle, "key", 3, 1, NULL, NULL);
}

static int append_it(hf_store *handle) {
    return hf_append(handle, "key", 3, "s", 1, NULL);
}

static int touch_it(hf_store *handle) {
    return hf_touch(handle, "key", 3, 0);
}

static int copy_it(hf_store *handle) {
    char copy[CHECK_PATH];
    int rc = hf_copy(handle, check_path(copy, "never"), NULL);
    CHECK(access(copy, F_OK) != 0);
    return rc;
}

static int (*const writes[])(hf_store *) = {put_it, delete_it, take_it, incr_it, append_it, touch_it, hf_clear, copy_it};
enum { WRITES = sizeof writes / sizeof *writes };

static void each_write(int expected) {
    for (unsigned i = 0; i < WRITES; i++) {
        check_at("write %u", i);
        CHECK_RC(writes[i](store), expected);
        CHECK(strlen(hf_explain()) > 10);
    }
    CHECK_RC(read_key(store), HF_OK); /* and readers go on */
}

static void stopped(void) {
    make_store(30);
    pid_t holder = stopped_holder();
    each_write(HF_ERR_TIMEOUT);
    CHECK_RC(repair_it(store), HF_ERR_TIMEOUT);
    CHECK_RC(check_store(store), HF_ERR_TIMEOUT);
    disturb(change_stamp, EVER);
    CHECK_RC(read_key(store), HF_ERR_TIMEOUT);
    leave_alone();
    kill(holder, SIGCONT);
    check_ended(holder, 10);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static int go_on_later(void *holder) {
    check_sleep_ms(1300); /* longer than a slice of the wait */
    return kill(*(pid_t *)holder, SIGCONT);
}

static void waited_for_ever(void) {
    make_store(HF_FOREVER);
    pid_t holder = stopped_holder(), waker = check_spawn(go_on_later, &holder);
    double start = check_seconds();
    CHECK_RC(put_it(store), HF_OK);
    CHECK(check_seconds() - start > 1.2);
    check_ended(holder, 10);
    check_ended(waker, 10);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* In a write that holds the stripe, as a signal handler would: reads of an entry that changes cannot ask for the lock. */
static void read_inside(const char *point) {
    if (strcmp(point, "begin") != 0)
        return;
    disturb(change_stamp, 100);
    CHECK_RC(read_key(store), HF_OK);
    CHECK_EQ(disturbed.times, 0);
    hf__point_hook = NULL;
}

static void reentered(void) {
    make_store(1000);
    hf__point_hook = read_inside;
    CHECK_RC(put_it(store), HF_OK);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

static int die_holding(void *mutex) {
    pthread_mutex_lock(mutex);
    return 0;
}

/* Somebody else's code let go of a dead owner's lock without repairing anything. The next first writer makes it anew. */
static void unrecoverable(void) {
    make_store(1000);
    pthread_mutex_t *mutex = &hf__stripe_at(store->region, 0)->mutex;
    check_run(die_holding, mutex);
    CHECK_EQ(pthread_mutex_lock(mutex), EOWNERDEAD);
    pthread_mutex_unlock(mutex);
    CHECK_RC(repair_it(store), HF_ERR_QUARANTINED);
    each_write(HF_ERR_QUARANTINED);
    CHECK_RC(read_key(store), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_open(path, NULL);
    CHECK_RC(put_it(store), HF_OK);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* The mutex is no mutex of any kind that there is. */
static void no_mutex(void) {
    make_store(1000);
    memset(hf__stripe_at(store->region, 0)->mutex_line, 0x55, HF__LINE);
#ifdef __GLIBC__
    each_write(HF_ERR_FORMAT);
#else
    each_write(HF_ERR_TIMEOUT); /* to musl it is one that somebody holds */
#endif
    CHECK_RC(hf_close(&store), HF_OK);
    store = check_open(path, NULL);
    CHECK_RC(put_it(store), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
}

static void quarantined(void) {
    make_store(1000);
    hf__stripe_at(store->region, 0)->quarantined = 1;
    each_write(HF_ERR_QUARANTINED);
    CHECK_RC(check_store(store), HF_DAMAGED);
    CHECK_RC(repair_it(store), HF_OK);
    CHECK_RC(put_it(store), HF_OK);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- Damage during a repair ---------------------------------------------------------------------------------------------- */

static const char *damage_at;
static uint64_t *damage;

static void damage_there(const char *point) {
    if (strcmp(point, damage_at) == 0)
        *damage ^= 1ull << 60;
}

static void repair_with_damage(const char *point, uint64_t *word, int expected) {
    check_at("damage at %s", point);
    damage_at = point;
    damage = word;
    hf__point_hook = damage_there;
    CHECK_RC(repair_it(store), expected);
    hf__point_hook = NULL;
    CHECK_RC(put_it(store), strcmp(point, "recover:3") == 0 ? HF_ERR_QUARANTINED : HF_OK);
    CHECK_RC(repair_it(store), HF_OK);
    CHECK_RC(put_it(store), HF_OK);
    check_sound(store);
}

static void damaged_meanwhile(void) {
    make_store(1000);
    repair_with_damage("recover:3", &hf__map_at(store->region, 0)->used, HF_ERR_QUARANTINED);
    repair_with_damage("recover:3", &hf__map_at(store->region, 0)->first, HF_ERR_QUARANTINED);
    repair_with_damage("recover:logged", &hf__bucket_at(store->region, 0, 0)->control, HF_ERR_QUARANTINED);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- What appears and disappears between a look and a link -------------------------------------------------------------- */

static void make_file(const char *point) {
    if (strcmp(point, "create:file") != 0)
        return;
    hf__point_hook = NULL;
    check_write_file(check_path(path, "appeared"), "", 0);
}

static void appeared(void) {
    struct hf_options options = check_small_store(HF_CREATE | HF_EXCLUSIVE);
    hf__point_hook = make_file;
    CHECK_RC(hf_open(&store, check_path(path, "appeared"), &options), HF_EXISTS);
    CHECK(store == NULL);
    CHECK_EQ(unlink(path), 0);
    options.flags = HF_CREATE;
    hf__point_hook = make_file;
    CHECK_RC(hf_open(&store, path, &options), HF_ERR_FORMAT); /* the file is empty */
    CHECK(store == NULL);
}

static void remove_directory(const char *point) {
    char directory[CHECK_PATH];
    if (strcmp(point, "file:link") == 0)
        CHECK_EQ(rmdir(check_path(directory, "short-lived")), 0);
}

static void disappeared(void) {
    char directory[CHECK_PATH];
    struct hf_options options = check_small_store(HF_CREATE);
    CHECK_EQ(mkdir(check_path(directory, "short-lived"), 0700), 0);
    hf__point_hook = remove_directory;
    CHECK_RC(hf_open(&store, check_path(path, "short-lived/store"), &options), HF_ERR_SYSTEM);
    hf__point_hook = NULL;
    CHECK(errno == ENOENT && strstr(hf_explain(), "its name") && store == NULL);
}

int test_run(int argc, char **argv) {
    static const struct check_case cases[] = {
        {"changing-entries", changing_entries},
        {"growing-value", growing_value},
        {"stopped", stopped},
        {"waited-for-ever", waited_for_ever},
        {"reentered", reentered},
        {"unrecoverable", unrecoverable},
        {"no-mutex", no_mutex},
        {"quarantined", quarantined},
        {"damaged-meanwhile", damaged_meanwhile},
        {"appeared", appeared},
        {"disappeared", disappeared},
    };
    check_cases(argc, argv, cases, sizeof cases / sizeof *cases);
    return 0;
}
