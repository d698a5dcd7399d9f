/* SPDX-License-Identifier: MIT */
/* What must hold of every state a power failure leaves. See poweroff.h. */
#include "poweroff.h"

/* The prints of what a store says of every key; 0: absent. */
static uint64_t told[KEYS_MAX];
static char value[VALUE_MAX];

static struct hf_options with_flags(uint32_t flags) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = flags;
    options.timeout_ms = 2000;
    return options;
}

/* Was this ever stored under that key? */
static uint64_t known(const struct world *world, uint32_t number, const void *bytes, size_t length,
                      const struct hf_meta *meta) {
    uint64_t print = world_print(world, number, bytes, length, meta);
    if (!world_knows(world, print))
        check_failed(__FILE__, __LINE__, "key %u: a value of %zu bytes, version %llu, that was never stored under it", number,
                     length, (unsigned long long)meta->version);
    CHECK(meta->expires_ms == 0 || meta->ttl_ms > 0);
    return print;
}

static void get_all(struct world *world, hf_store *store, struct tally *tally) {
    char key[HF_KEY_MAX];
    for (uint32_t number = 0; number < world->keys; number++) {
        size_t length;
        struct hf_meta meta;
        int rc = hf_get(store, key, world_key(key, number), value, sizeof value, &length, &meta);
        CHECK(rc == HF_OK || rc == HF_NOTFOUND);
        told[number] = rc == HF_OK ? known(world, number, value, length, &meta) : 0;
        tally->values += rc == HF_OK;
    }
}

/* `agree`: each key once, and as hf_get told it. Before a writer has verified the image a key may stand in two slots. */
static void scan_all(struct world *world, hf_store *store, bool agree) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    uint32_t seen = 0, expected = 0;
    int rc;
    while ((rc = hf_scan(store, &cursor, 0, &item)) == HF_OK) {
        uint32_t number = world_number(item.key, item.key_len);
        uint64_t print = known(world, number, item.value, item.value_len, &item.meta);
        CHECK(!agree || told[number] == print);
        seen++;
    }
    CHECK_RC(rc, HF_END);
    hf_item_free(&item);
    for (uint32_t number = 0; number < world->keys; number++)
        expected += told[number] != 0;
    if (agree)
        CHECK_EQ(seen, expected);
}

static void read_only(struct world *world, struct tally *tally) {
    struct hf_options options = with_flags(HF_RDONLY);
    struct hf_info info = HF_INFO_INIT;
    hf_store *store = check_open(world->path, &options);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(info.unverified, 1);
    get_all(world, store, tally);
    scan_all(world, store, false);
    int rc = hf_check(store, NULL, NULL);
    CHECK(rc == HF_OK || rc == HF_DAMAGED);
    CHECK_RC(hf_close(&store), HF_OK);
}

/* ---- What survived ------------------------------------------------------------------------------------------------------- */

/* Mode store may give up some of the newest entries for its reserve, which the older ones that came back have eaten up; never one
 * that was the same in every image. Mode cache has nothing to give up. */
static void missed(const struct living *entry, struct tally *tally) {
    if (tally->faults++ < 3)
        fprintf(stderr, "key %u, %s, is lost [%s]\n", entry->key,
                entry->stable ? "the same in every image" : "wholly on disk in a cache", check_context);
}

static void count_survivors(struct world *world, const unsigned char *state, struct tally *tally) {
    uint64_t alive = 0, present = 0;
    for (uint32_t i = 0; i < world->living_count; i++) {
        const struct living *entry = &world->living[i];
        bool whole = world_holds(world, state, entry), survived = told[entry->key] == entry->print;
        alive += survived;
        tally->whole += whole;
        tally->survived += whole && survived;
        tally->stable += entry->stable;
        if (!survived && (entry->stable || (whole && world->view.geometry.mode == HF_MODE_CACHE)))
            missed(entry, tally);
    }
    for (uint32_t number = 0; number < world->keys; number++)
        present += told[number] != 0;
    tally->entries += world->living_count;
    tally->elder += present - alive;
}

/* ---- Life goes on -------------------------------------------------------------------------------------------------------- */

/* No version that was given out before the power failed is ever given again. */
static uint64_t least_version(const struct world *world, const void *key, size_t key_len) {
    struct hf__region view = world->view;
    view.base = world->images[world->image_count - 1];
    return hf__stripe_at(&view, hf__locate(&view, hf__hash_key(&view, key, key_len)).stripe)->next_stamp;
}

/* True: stored, and there to be read. */
static bool put_and_read(struct world *world, hf_store *store, uint32_t number, size_t length) {
    static char found[VALUE_MAX];
    char key[HF_KEY_MAX];
    size_t key_len = world_key(key, number), found_len;
    uint64_t version;
    memset(value, 'A' + (int)check_below(&world->chance, 26), length);
    int rc = hf_put(store, key, key_len, value, length, NULL, &version);
    CHECK(rc == HF_OK || rc == HF_ERR_FULL);
    if (rc == HF_ERR_FULL)
        return false;
    if (version < least_version(world, key, key_len))
        check_failed(__FILE__, __LINE__, "version %llu is given again: before the power failed the next one was %llu",
                     (unsigned long long)version, (unsigned long long)least_version(world, key, key_len));
    CHECK_RC(hf_get(store, key, key_len, found, sizeof found, &found_len, NULL), HF_OK);
    CHECK(found_len == length && memcmp(found, value, length) == 0);
    return true;
}

/* In mode store, a replace by the same size never fails. */
static void replace(struct world *world, hf_store *store, uint32_t number) {
    char key[HF_KEY_MAX];
    struct hf_meta meta;
    if (hf_exists(store, key, world_key(key, number), &meta) == HF_OK)
        CHECK(put_and_read(world, store, number, meta.value_len) || world->view.geometry.mode == HF_MODE_CACHE);
}

static void write_on(struct world *world, hf_store *store, struct tally *tally) {
    char key[HF_KEY_MAX];
    uint32_t replaces = check_below(&world->chance, 8) ? 30 : 4 * world->keys;
    for (uint32_t i = 0; i < replaces; i++)
        replace(world, store, (uint32_t)check_below(&world->chance, world->keys));
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t number = (uint32_t)check_below(&world->chance, world->keys);
        put_and_read(world, store, number, check_below(&world->chance, world->small + 1));
        int rc = hf_delete(store, key, world_key(key, (number + 7) % world->keys), 0);
        CHECK(rc == HF_OK || rc == HF_NOTFOUND);
        CHECK_RC(hf_exists(store, key, world_key(key, (number + 7) % world->keys), NULL), HF_NOTFOUND);
    }
    tally->writes += replaces + 40;
}

/* ---- A second failure, during the verification --------------------------------------------------------------------------- */

static struct world *verified;
static unsigned char *copy_to; /* NULL: it is done */
static uint32_t points_left;

static void copy_at_point(const char *name) {
    (void)name;
    if (!copy_to || points_left-- > 0)
        return;
    memcpy(copy_to, verified->file, verified->size);
    copy_to = NULL;
}

/* Opens for writing, and copies the file at some moment in between. */
static hf_store *open_and_copy(struct world *world, unsigned char *left) {
    struct hf_options options = with_flags(0);
    verified = world;
    copy_to = left;
    points_left = (uint32_t)check_below(&world->chance, 6 * world->view.geometry.stripes + 4);
    hf__point_hook = left ? copy_at_point : NULL;
    hf_store *store = check_open(world->path, &options);
    hf__point_hook = NULL;
    if (copy_to)
        memcpy(copy_to, world->file, world->size);
    return store;
}

void judge(struct world *world, const unsigned char *state, struct tally *tally, unsigned char *left) {
    struct hf_info info = HF_INFO_INIT;
    memcpy(world->file, state, world->size);
    read_only(world, tally);
    hf_store *store = open_and_copy(world, left);
    CHECK_RC(hf_info(store, &info), HF_OK);
    CHECK_EQ(info.unverified, 0);
    check_sound(store);
    get_all(world, store, tally);
    scan_all(world, store, true);
    count_survivors(world, state, tally);
    write_on(world, store, tally);
    check_sound(store);
    CHECK_RC(hf_close(&store), HF_OK);
    tally->states++;
}

/* What the disk holds is of the state or of what the verification had changed until the power failed again. */
void judge_second(struct world *world, const unsigned char *state, unsigned char *left, struct tally *tally) {
    struct hf__live *live = (struct hf__live *)(void *)(left + HF__LIVE_AT);
    live->boot_id[0] = world->boot;
    uint64_t density = check_below(&world->chance, 9);
    size_t unit = check_below(&world->chance, 2) ? SECTOR : HF__PAGE;
    for (size_t at = 0; at < world->size; at += unit)
        if (check_below(&world->chance, 8) < density)
            memcpy(left + at, state + at, unit);
    judge(world, left, tally, NULL);
    tally->again++;
}
