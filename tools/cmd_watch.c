/* SPDX-License-Identifier: MIT */
/*
 * watch: changes of a store, as they happen. Keeps the keys and versions it has seen, place by place (hf_wait_any tells which),
 * and compares them with what is there now; a key that has gone is found by its absence. Only reads, so that it needs no
 * permission to write and slows nobody down.
 */
#include "json.h"
#include "operands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 1000u /* after so long: has the file been replaced? */

struct known {
    uint64_t version;
    uint64_t expires_ms;
    uint32_t hash;
    uint32_t length;
    bool there;
    unsigned char key[];
};

/* The keys between two cursors. */
struct place {
    uint64_t from;
    size_t count, size;
    struct known **keys;
};

static struct {
    bool json, hex;
    uint64_t count, timeout_ms;
} wanted;

static struct {
    hf_store *store;
    const char *path;
    struct bytes *keys; /* operands; NULL: all */
    int key_count;
    struct place *places;
    size_t place_count;
    uint64_t next_expiry;
    uint64_t told;
    bool silent; /* what was there before the watch began */
} watching;

static bool done(void) {
    return (wanted.count && watching.told >= wanted.count) || output_failed();
}

static void tell(const char *event, const struct known *known) {
    if (watching.silent || done())
        return;
    watching.told++;
    if (wanted.json) {
        printf("{\"event\":\"%s\",\"key\":", event);
        json_print_bytes(known->key, known->length);
        printf(",\"version\":%" PRIu64 "}\n", known->version);
    } else {
        printf("%s %" PRIu64 " ", event, known->version);
        if (wanted.hex)
            print_hex(known->key, known->length);
        else
            print_bytes(known->key, known->length);
        putchar('\n');
    }
    fflush(stdout);
}

static bool is_wanted(const struct hf_item *item) {
    for (int i = 0; i < watching.key_count; i++)
        if (watching.keys[i].length == item->key_len && memcmp(watching.keys[i].data, item->key, item->key_len) == 0)
            return true;
    return !watching.keys;
}

static uint32_t hash_of(const void *key, size_t length) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const unsigned char *at = key, *end = at + length; at < end; at++)
        hash = (hash ^ *at) * 16777619u;
    return hash;
}

/* ---- Places --------------------------------------------------------------------------------------------------------------- */

static bool no_memory(void) {
    fail(watching.path, "no memory for the keys that are watched");
    return false;
}

static struct place *place_at(uint64_t from) {
    for (size_t i = 0; i < watching.place_count; i++)
        if (watching.places[i].from == from)
            return &watching.places[i];
    struct place *more = realloc(watching.places, (watching.place_count + 1) * sizeof *more);
    if (!more) {
        no_memory();
        return NULL;
    }
    watching.places = more;
    more[watching.place_count] = (struct place){.from = from};
    return &more[watching.place_count++];
}

/* Keys are kept in the order of their hashes, in which those that are new are sorted in later. */
static int by_hash(const void *a, const void *b) {
    uint32_t x = (*(struct known *const *)a)->hash, y = (*(struct known *const *)b)->hash;
    return (x > y) - (x < y);
}

static struct known *find(const struct place *place, size_t count, uint32_t hash, const struct hf_item *item) {
    size_t low = 0;
    for (size_t high = count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (place->keys[middle]->hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count && place->keys[low]->hash == hash; low++)
        if (place->keys[low]->length == item->key_len && memcmp(place->keys[low]->key, item->key, item->key_len) == 0)
            return place->keys[low];
    return NULL;
}

static struct known *add(struct place *place, uint32_t hash, const struct hf_item *item) {
    if (place->count == place->size) {
        size_t size = place->size ? 2 * place->size : 64;
        struct known **keys = realloc(place->keys, size * sizeof(struct known *));
        if (!keys)
            return NULL;
        place->keys = keys;
        place->size = size;
    }
    struct known *known = malloc(sizeof *known + item->key_len);
    if (!known)
        return NULL;
    *known = (struct known){.hash = hash, .length = (uint32_t)item->key_len};
    memcpy(known->key, item->key, item->key_len);
    place->keys[place->count++] = known;
    return known;
}

static void expect_expiry(const struct known *known) {
    if (known->expires_ms && known->expires_ms < watching.next_expiry)
        watching.next_expiry = known->expires_ms;
}

/* What is there now, among the `before` keys that were there. */
static bool meet(struct place *place, size_t before, const struct hf_item *item) {
    uint32_t hash = hash_of(item->key, item->key_len);
    struct known *known = find(place, before, hash, item);
    if (!known && !(known = add(place, hash, item)))
        return no_memory();
    bool changed = known->version != item->meta.version;
    known->there = true;
    known->version = item->meta.version;
    known->expires_ms = item->meta.expires_ms;
    expect_expiry(known);
    if (changed)
        tell("put", known);
    return true;
}

/* Those that are there no more go. */
static void sweep(struct place *place) {
    uint64_t now = clock_ms();
    size_t kept = 0;
    for (size_t i = 0; i < place->count; i++) {
        struct known *known = place->keys[i];
        if (known->there) {
            place->keys[kept++] = known;
            continue;
        }
        tell(known->expires_ms && known->expires_ms <= now ? "expired" : "delete", known);
        free(known);
    }
    place->count = kept;
}

static int look(const struct hf_watch *watch) {
    struct hf_item item = HF_ITEM_INIT;
    struct place *place = place_at(watch->from);
    uint64_t cursor = watch->from;
    int result = HF_OK;
    bool room = place != NULL;
    size_t before = room ? place->count : 0;
    for (size_t i = 0; i < before; i++)
        place->keys[i]->there = false;
    while (room && (result = scan_next(watching.store, &cursor, HF_SCAN_KEYS, &item)) == HF_OK && cursor <= watch->to)
        if (is_wanted(&item))
            room = meet(place, before, &item);
    hf_item_free(&item);
    if (!room)
        return TOOL_FAILED;
    if (result < 0)
        return report_result(watching.path, result);
    sweep(place);
    if (place->count > 0)
        qsort(place->keys, place->count, sizeof *place->keys, by_hash);
    return TOOL_DONE;
}

/* Expiries are no changes of the store. */
static void expire(void) {
    uint64_t now = clock_ms();
    if (now < watching.next_expiry)
        return;
    watching.next_expiry = UINT64_MAX;
    for (size_t i = 0; i < watching.place_count; i++) {
        struct place *place = &watching.places[i];
        for (size_t k = 0; k < place->count; k++) {
            struct known *known = place->keys[k];
            known->there = !known->expires_ms || known->expires_ms > now;
            if (known->there)
                expect_expiry(known);
        }
        sweep(place);
    }
}

/* ---- The loop ------------------------------------------------------------------------------------------------------------- */

static bool replaced(void) {
    struct hf_info info = HF_INFO_INIT;
    return hf_info(watching.store, &info) == HF_OK && info.detached;
}

static uint32_t patience(uint64_t end) {
    uint64_t now = clock_ms(), until = now + LOOK_MS;
    until = until < end ? until : end;
    until = until < watching.next_expiry ? until : watching.next_expiry;
    return until > now ? (uint32_t)(until - now) : 0;
}

static int follow(struct hf_watch *watch, uint64_t end) {
    while (!done()) {
        int result = hf_wait_any(watching.store, watch, watching.silent ? 0 : patience(end));
        int code = result == HF_OK ? look(watch) : result < 0 ? report_result(watching.path, result) : TOOL_DONE;
        if (code != TOOL_DONE)
            return code;
        expire();
        if (result != HF_UNCHANGED)
            continue;
        if (watching.silent) {
            watching.silent = false;
            continue;
        }
        if (replaced())
            return fail(watching.path, "the store was deleted or replaced: watch the new one");
        if (clock_ms() >= end)
            return wanted.count ? TOOL_NO : TOOL_DONE;
    }
    return TOOL_DONE;
}

static void forget(void) {
    for (size_t i = 0; i < watching.place_count; i++) {
        for (size_t k = 0; k < watching.places[i].count; k++)
            free(watching.places[i].keys[k]);
        free(watching.places[i].keys);
    }
    free(watching.places);
}

static int watch_keys(char **keys, int count) {
    struct hf_watch watch = HF_WATCH_INIT;
    watching.keys = count > 0 ? calloc((size_t)count, sizeof *watching.keys) : NULL;
    if (count > 0 && !watching.keys)
        return no_memory() ? TOOL_DONE : TOOL_FAILED;
    for (watching.key_count = 0; watching.key_count < count; watching.key_count++)
        if (!key_operand(keys[watching.key_count], wanted.hex, &watching.keys[watching.key_count])) {
            free(watching.keys);
            return TOOL_USAGE;
        }
    watching.next_expiry = UINT64_MAX;
    watching.silent = true;
    watching.store = open_store(watching.path, TO_READ);
    int code = watching.store ? follow(&watch, wanted.timeout_ms ? clock_ms() + wanted.timeout_ms : UINT64_MAX) : TOOL_FAILED;
    hf_watch_free(&watch);
    forget();
    free(watching.keys);
    close_store(&watching.store, watching.path);
    return code;
}

static int watch_store(int argc, char **argv) {
    if (wanted.json && wanted.hex)
        return usage_error("--json does not go with --hex");
    watching.path = argv[0];
    return watch_keys(argv + 1, argc - 1);
}

static const struct option_spec watch_options[] = {
    {.name = "json", .kind = OPTION_SWITCH, .target = &wanted.json, .help = "print a JSON object on a line for each change"},
    {.name = "hex", .kind = OPTION_SWITCH, .target = &wanted.hex, .help = "print and take keys in hexadecimal"},
    {.name = "count", .kind = OPTION_NUMBER, .argument = "N", .target = &wanted.count, .low = 1,
     .help = "end after N changes"},
    {.name = "timeout", .kind = OPTION_DURATION, .argument = "T", .target = &wanted.timeout_ms, .low = 1,
     .help = "end after this time; with --count the exit code is then 1"},
    {.name = NULL},
};

const struct command command_watch = {
    .name = "watch",
    .group = GROUP_LIST,
    .summary = "print changes as they happen",
    .operands = "STORE [KEY...]",
    .about = "Prints a line for each change of the KEYs, or of any key: put, delete (also an eviction) or expired, the\n"
             "version, and the key. Looks every 20 ms; changes of one key in between are one line, and its last state is\n"
             "never missed. Needs memory for the keys that are watched.\n",
    .examples = "holdfast watch users.hf\n"
                "holdfast watch jobs.hf ready --count 1 --timeout 1m && echo go\n"
                "holdfast watch users.hf --json | jq -r 'select(.event == \"delete\") | .key'\n",
    .options = watch_options,
    .min_operands = 1,
    .max_operands = -1,
    .run = watch_store,
};
