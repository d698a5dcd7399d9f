/* SPDX-License-Identifier: MIT */
/* One writer whose every step follows from the seed, photographed at the named points of the library, between them, and at what
 * it syncs. See poweroff.h. */
#include "poweroff.h"

#include <sys/mman.h>

static struct world *watched;
static uint32_t points_left; /* until the next photograph; 0: none */

/* Photographs come in bursts: two ages of a page that are one step of one operation apart are worth most. */
static void at_point(const char *name) {
    (void)name;
    if (points_left == 0 || --points_left > 0)
        return;
    world_photograph(watched);
    if (check_below(&watched->chance, 2))
        points_left = 1 + (uint32_t)check_below(&watched->chance, 4);
}

static void history_watch(struct world *world, uint32_t points) {
    watched = world;
    points_left = points;
    hf__point_hook = at_point;
}

static void history_unwatch(void) {
    points_left = 0;
    hf__point_hook = NULL;
}

/* ---- What is synced ------------------------------------------------------------------------------------------------------ */

static struct world *synced; /* NULL: nobody wants to know */

/* The file's offset of an address in a mapping of it; the size of the file if it is none. */
static size_t offset_of(const struct world *world, const void *address) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512], path[CHECK_PATH];
    unsigned long long begin, end, offset;
    size_t found = world->size;
    CHECK(maps != NULL);
    while (found == world->size && fgets(line, sizeof line, maps))
        if (sscanf(line, "%llx-%llx %*s %llx %*s %*s %255s", &begin, &end, &offset, path) == 4 &&
            strcmp(path, world->path) == 0 && (uintptr_t)address >= begin && (uintptr_t)address < end)
            found = (size_t)((uintptr_t)address - begin + offset);
    fclose(maps);
    return found;
}

int __real_msync(void *address, size_t size, int flags);
int __wrap_msync(void *address, size_t size, int flags);

/* The linker leads the library's calls of msync here. */
int __wrap_msync(void *address, size_t size, int flags) {
    int result = __real_msync(address, size, flags);
    if (result == 0 && synced && (flags & MS_SYNC)) {
        size_t at = offset_of(synced, address);
        CHECK(at < synced->size);
        world_synced(synced, at, size);
    }
    return result;
}

/* ---- Operations ---------------------------------------------------------------------------------------------------------- */

struct act {
    struct world *world;
    hf_store *store;
    uint32_t number;
    char key[HF_KEY_MAX];
    size_t key_len;
    char value[VALUE_MAX];
    size_t value_len;
};

static uint64_t below(struct act *act, uint64_t bound) {
    return check_below(&act->world->chance, bound);
}

/* What the store now holds under the key has been stored. */
static void remember(struct act *act) {
    struct hf_meta meta;
    int rc = hf_get(act->store, act->key, act->key_len, act->value, sizeof act->value, &act->value_len, &meta);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
    if (rc == HF_OK)
        world_remember(act->world, world_print(act->world, act->number, act->value, act->value_len, &meta));
}

static void random_value(struct act *act) {
    uint32_t most = below(act, 25) == 0 ? act->world->large : act->world->small;
    act->value_len = below(act, most + 1);
    for (size_t at = 0; at < act->value_len; at += 8) {
        uint64_t word = check_random(&act->world->chance);
        memcpy(act->value + at, &word, act->value_len - at < 8 ? act->value_len - at : 8);
    }
}

static bool full(int rc) {
    CHECK(rc == HF_OK || rc == HF_ERR_FULL);
    return rc == HF_ERR_FULL;
}

enum { LONG_AGO = 1000 }; /* milliseconds since 1970 */

static void put(struct act *act) {
    static char kept[VALUE_MAX];
    struct hf_put_options options = HF_PUT_INIT;
    uint64_t fate = below(act, 20);
    random_value(act);
    memcpy(kept, act->value, act->value_len);
    size_t kept_len = act->value_len;
    options.flags = (uint32_t)below(act, 3);
    options.expires_ms = fate == 0 ? LONG_AGO : fate < 3 ? HF__EXPIRY_MAX - below(act, 1000) : 0;
    options.condition = below(act, 10) == 0 ? HF_IF_ABSENT : HF_ALWAYS;
    int rc = hf_put(act->store, act->key, act->key_len, act->value, act->value_len, &options, NULL);
    if (rc == HF_EXISTS || full(rc))
        return;
    act->value_len = VALUE_MAX;
    remember(act);
    CHECK(fate == 0 || (act->value_len == kept_len && memcmp(act->value, kept, kept_len) == 0));
}

static void append(struct act *act) {
    char tail[64];
    memset(tail, 'a' + (int)below(act, 26), sizeof tail);
    int rc = hf_append(act->store, act->key, act->key_len, tail, below(act, sizeof tail), NULL);
    if (rc != HF_ERR_TOOBIG && !full(rc))
        remember(act);
}

static void incr(struct act *act) {
    int rc = hf_incr(act->store, act->key, act->key_len, (int64_t)below(act, 1000) - 300, NULL, NULL);
    if (rc != HF_ERR_NUMBER && !full(rc))
        remember(act);
}

static void touch(struct act *act) {
    int rc = hf_touch(act->store, act->key, act->key_len, below(act, 2) ? 0 : 1000000000 + below(act, 1000));
    if (rc != HF_NOTFOUND && !full(rc))
        remember(act);
}

static void delete(struct act *act) {
    int rc = hf_delete(act->store, act->key, act->key_len, 0);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
}

static void take(struct act *act) {
    int rc = hf_take(act->store, act->key, act->key_len, act->value, sizeof act->value, NULL, NULL);
    CHECK(rc == HF_OK || rc == HF_NOTFOUND);
}

static void act_once(struct act *act) {
    uint64_t kind = below(act, 100);
    act->number = (uint32_t)below(act, act->world->keys);
    act->key_len = world_key(act->key, act->number);
    if (kind < 60)
        put(act);
    else if (kind < 75)
        delete(act);
    else if (kind < 80)
        take(act);
    else if (kind < 86)
        append(act);
    else if (kind < 89)
        incr(act);
    else if (kind < 95)
        touch(act);
    else if (kind < 99 || below(act, 4))
        remember(act);
    else if (below(act, 10))
        CHECK_RC(hf_sync(act->store), HF_OK);
    else
        CHECK_RC(hf_clear(act->store), HF_OK);
}

static void act_often(struct act *act, uint64_t times) {
    for (uint64_t i = 0; i < times; i++)
        act_once(act);
}

/* Half of the histories have a sync behind the filling of the store, so that there is something that must survive. */
static void fill(struct act *act, uint64_t times) {
    uint64_t sync = below(act, 4) ? below(act, 2) : 2;
    act_often(act, times);
    if (sync == 0)
        CHECK_RC(hf_sync(act->store), HF_OK);
    else if (sync == 1)
        world_photograph(act->world);
}

hf_store *history_open(struct world *world, uint32_t points) {
    synced = world;
    history_watch(world, points);
    hf_store *store = check_open(world->path, NULL);
    history_unwatch();
    return store;
}

void history_close(hf_store **store) {
    synced = NULL;
    CHECK_RC(hf_close(store), HF_OK);
}

void history_run(struct world *world) {
    static struct act act;
    act = (struct act){ .world = world };
    act.store = history_open(world, (uint32_t)check_below(&world->chance, 60));
    fill(&act, world->keys * (1 + below(&act, 3)));
    for (uint64_t bursts = 1 + below(&act, 5); bursts > 0; bursts--) {
        act_often(&act, below(&act, 1u << below(&act, 9)));
        history_watch(world, 1 + (uint32_t)below(&act, 25));
        act_once(&act);
        history_unwatch();
    }
    /* The last photograph is the moment itself, in the middle of an operation if it has so many points. */
    uint32_t before = world->image_count;
    history_watch(world, 1 + (uint32_t)below(&act, 20));
    act_once(&act);
    history_unwatch();
    if (world->image_count == before)
        world_photograph(world);
    history_close(&act.store);
}
