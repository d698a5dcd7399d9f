/* SPDX-License-Identifier: MIT */
/*
 * Processes that really write beside each other, while their pages are photographed one by one, torn in the middle of a store as
 * a disk controller reads them; then all are killed. What they store they note before they store it.
 */
#include "poweroff.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { WRITERS = 2, NOTES = 1 << 12 };

struct note {
    uint32_t count;
    uint64_t prints[NOTES];
};

struct writer {
    struct world *world;
    struct note *note;
    uint64_t chance;
};

/* Versions and expiries are known only afterwards, so they are left out. */
static void put_noted(struct writer *writer, hf_store *store, const char *key, size_t key_len, uint32_t number) {
    char value[VALUE_MAX];
    struct world *world = writer->world;
    struct hf_put_options options = HF_PUT_INIT;
    struct hf_meta meta = {0};
    size_t length = check_below(&writer->chance, (check_below(&writer->chance, 25) ? world->small : world->large) + 1);
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = check_random(&writer->chance);
        memcpy(value + at, &word, length - at < 8 ? length - at : 8);
    }
    options.flags = meta.flags = (uint32_t)check_below(&writer->chance, 3);
    writer->note->prints[writer->note->count] = world_print(world, number, value, length, &meta);
    __atomic_store_n(&writer->note->count, writer->note->count + 1, __ATOMIC_RELEASE);
    int rc = hf_put(store, key, key_len, value, length, &options, NULL);
    CHECK(rc == HF_OK || rc == HF_ERR_FULL);
}

static int write_for_ever(void *argument) {
    struct writer *writer = argument;
    char key[HF_KEY_MAX];
    hf_store *store = check_open(writer->world->path, NULL);
    while (writer->note->count < NOTES) {
        uint32_t number = (uint32_t)check_below(&writer->chance, writer->world->keys);
        size_t key_len = world_key(key, number);
        if (check_below(&writer->chance, 4)) {
            put_noted(writer, store, key, key_len, number);
        } else {
            int rc = hf_delete(store, key, key_len, 0);
            CHECK(rc == HF_OK || rc == HF_NOTFOUND);
        }
    }
    pause();
    return 0;
}

static void wait_for_notes(const struct note *note, uint32_t count) {
    while (__atomic_load_n(&note->count, __ATOMIC_ACQUIRE) < count)
        check_sleep_ms(0);
}

static void signal_all(const pid_t children[WRITERS], int number) {
    for (uint32_t i = 0; i < WRITERS; i++)
        kill(children[i], number);
}

/* As if the kernel had written every page while nobody changed one. */
static void sync_all(struct world *world, const pid_t children[WRITERS]) {
    signal_all(children, SIGSTOP);
    for (uint32_t i = 0; i < WRITERS; i++)
        CHECK(waitpid(children[i], NULL, WUNTRACED) == children[i]);
    world_synced(world, 0, world->size);
    signal_all(children, SIGCONT);
}

void live_run(struct world *world) {
    struct writer writers[WRITERS];
    pid_t children[WRITERS];
    world->exact = false;
    hf_store *first = history_open(world, 0);
    history_close(&first);
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ world, check_shared(sizeof(struct note)), check_random(&world->chance) };
        children[i] = check_spawn(write_for_ever, &writers[i]);
    }
    if (check_below(&world->chance, 3)) {
        wait_for_notes(writers[0].note, (uint32_t)check_below(&world->chance, NOTES / 2));
        sync_all(world, children);
    }
    for (uint32_t photographs = 1 + (uint32_t)check_below(&world->chance, IMAGES - 2); photographs > 0; photographs--) {
        uint32_t now = __atomic_load_n(&writers[0].note->count, __ATOMIC_ACQUIRE);
        uint32_t pause = (uint32_t)check_below(&world->chance, 1u << check_below(&world->chance, 10));
        wait_for_notes(writers[0].note, now + pause < NOTES ? now + pause : NOTES);
        world_photograph(world);
    }
    signal_all(children, SIGKILL);
    for (uint32_t i = 0; i < WRITERS; i++) {
        CHECK(check_killed(check_wait(children[i], 20)));
        for (uint32_t n = 0; n < writers[i].note->count; n++)
            world_remember(world, writers[i].note->prints[n]);
        munmap(writers[i].note, sizeof(struct note));
    }
    world_photograph(world);
}
