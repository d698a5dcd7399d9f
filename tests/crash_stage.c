/* SPDX-License-Identifier: MIT */
/*
 * Where a scenario takes place: a store made for it, kept as bytes, brought back before every run. See crash.h.
 *
 * Knows the layout: it keeps what belongs to the file (superblock, identity) apart from what belongs to the moment.
 */
#include "crash.h"
#include "stepper.h"

#include <fcntl.h>
#include <sys/mman.h>

const char *crash_path(char path[CHECK_PATH], const char *name) {
    static pid_t owner; /* the first to ask; its children ask for the same file */
    char unique[64];
    if (owner == 0)
        owner = getpid();
    snprintf(unique, sizeof unique, "%s.%d", name, (int)owner);
    return check_path(path, unique);
}

/* ---- Preparing ----------------------------------------------------------------------------------------------------------- */

/* A store of exactly so many buckets and blocks in each stripe. */
static hf_store *tiny_store(const struct scenario *scenario) {
    struct hf__geometry geometry = {.entries = 1, .entry_size = 1, .mode = scenario->mode, .stripes = scenario->stripes};
    hf_store *store = NULL;
    geometry.buckets = scenario->buckets;
    geometry.blocks = scenario->blocks;
    geometry.max_value = scenario->blocks * HF__BLOCK;
    geometry.max_key = HF_KEY_MAX;
    geometry.small_blocks = scenario->small;
    geometry.ghosts = scenario->small ? HF__GHOST_ROUND : 0;
    hf__geometry_parts(&geometry);
    int fd = memfd_create("holdfast-test", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_RC(hf__format(fd, &geometry), HF_OK);
    CHECK_RC(hf_open_fd(&store, fd, NULL), HF_OK);
    close(fd);
    return store;
}

hf_store *crash_renew(const struct stage *stage) {
    unlink(stage->path);
    check_write_file(stage->path, stage->image, stage->image_size);
    hf_store *store = check_open(stage->path, NULL);
    if (stage->scenario->first)
        stage->scenario->first(store);
    return store;
}

/* Does the operation, or the one that was killed in before, take the path it is meant to? */
static bool takes_path(const struct stage *stage) {
    const struct scenario *scenario = stage->scenario;
    struct moment was;
    if (!scenario->must_hold)
        return true;
    hf_store *store = crash_renew(stage);
    crash_moment(store, &was);
    if (scenario->killed_in)
        CHECK_RC(scenario->killed_in(store), HF_OK);
    else
        CHECK_RC(scenario->act(store), scenario->result);
    bool took = scenario->must_hold(store, &was);
    CHECK_RC(hf_close(&store), HF_OK);
    return took;
}

static bool prepare_once(struct stage *stage) {
    hf_store *store = tiny_store(stage->scenario);
    char snapshot[CHECK_PATH];
    stage->scenario->prepare(store);
    unlink(crash_path(snapshot, "prepared"));
    CHECK_RC(hf_copy(store, snapshot, NULL), HF_OK);
    CHECK_RC(hf_close(&store), HF_OK);
    free(stage->image);
    stage->image = check_read_file(snapshot, &stage->image_size);
    unlink(snapshot);
    return takes_path(stage);
}

void crash_prepare(struct stage *stage, const struct scenario *scenario) {
    check_at("%s", scenario->name);
    *stage = (struct stage){.scenario = scenario};
    crash_path(stage->path, "work");
    for (unsigned tries = 1; !prepare_once(stage); tries++)
        if (tries >= 200)
            check_failed(__FILE__, __LINE__, "no store of %u took the path that is wanted", tries);
    hf_store *store = crash_renew(stage);
    crash_look(store, &stage->original);
    CHECK(scenario->killed_in || crash_same(stage->original.subject, scenario->before));
    CHECK_RC(hf_close(&store), HF_OK);
}

void crash_dismiss(struct stage *stage) {
    unlink(stage->path);
    free(stage->image);
    stage->image = NULL;
}

/* ---- Entering ------------------------------------------------------------------------------------------------------------ */

static int killed_in(void *argument) {
    const struct stage *stage = argument;
    return stage->scenario->killed_in(stage->store) < 0;
}

static bool anyone_at(const struct stage *stage, enum hf__step step) {
    for (uint32_t i = 0; i < stage->scenario->stripes; i++) {
        const struct hf__record *record = &hf__stripe_at(stage->store->region, i)->record;
        if (record->operation != HF_OP_NONE && record->step == step)
            return true;
    }
    return false;
}

/* Leaves the store as somebody does who is killed at the step that the scenario wants. */
static void let_somebody_die(struct stage *stage) {
    struct stepper stepper;
    stepper_start(&stepper, killed_in, stage);
    while (stepper_step(&stepper)) {
        if (!anyone_at(stage, stage->scenario->killed_at))
            continue;
        stepper_kill(&stepper);
        return;
    }
    check_failed(__FILE__, __LINE__, "the operation that was to be killed never came to that step");
}

static uint32_t stripe_of(const hf_store *store, const char *key) {
    return hf__locate(store->region, hf__hash_key(store->region, key, strlen(key))).stripe;
}

static void pretend_reboot(unsigned char *bytes) {
    struct hf__live *live = (struct hf__live *)(void *)(bytes + HF__LIVE_AT);
    CHECK(live->in_use == 1);
    live->boot_id[0] ^= 0x5555;
}

static unsigned char *map_file(const struct stage *stage) {
    int fd = open(stage->path, O_RDWR | O_CLOEXEC);
    void *file = mmap(NULL, stage->image_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(fd >= 0 && file != MAP_FAILED);
    close(fd);
    return file;
}

void crash_enter(struct stage *stage) {
    const struct scenario *scenario = stage->scenario;
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = HF_RDONLY;
    stage->store = crash_renew(stage);
    stage->viewer = check_open(stage->path, &options);
    stage->file = map_file(stage);
    if (scenario->killed_in)
        let_somebody_die(stage);
    crash_look(stage->viewer, &stage->original);
    CHECK(crash_same(stage->original.subject, scenario->before));
    CHECK(stage->original.count > 0 || scenario->others_may_go);
    stage->stripe = stripe_of(stage->store, scenario->others_may_go ? "nobody" : stage->original.others[0].key);
    stage->ready_from = HF__RING_AT;
    if (scenario->opening != CRASH_OPENED) {
        CHECK_RC(hf_close(&stage->store), HF_OK);
        stage->ready_from = 0;
    }
    stage->ready = malloc(stage->image_size);
    CHECK(stage->ready != NULL);
    memcpy(stage->ready, stage->file, stage->image_size);
    if (scenario->opening == CRASH_OPENS_REBOOTED)
        pretend_reboot(stage->ready);
    crash_reset(stage);
}

void crash_reset(const struct stage *stage) {
    memcpy(stage->file + stage->ready_from, stage->ready + stage->ready_from, stage->image_size - stage->ready_from);
}

void crash_leave(struct stage *stage) {
    munmap(stage->file, stage->image_size);
    free(stage->ready);
    CHECK_RC(hf_close(&stage->viewer), HF_OK);
    CHECK_RC(hf_close(&stage->store), HF_OK);
    stage->file = stage->ready = NULL;
}

/* ---- Transplanting ------------------------------------------------------------------------------------------------------- */

void crash_transplant(const struct stage *stage, const unsigned char *bytes, unsigned char *to,
                      const struct hf__identity *identity) {
    struct hf__live *live = (struct hf__live *)(void *)(to + HF__LIVE_AT);
    struct hf__identity ours;
    CHECK_RC(hf__identity_of(stage->viewer->region->fd, &ours), HF_OK);
    memcpy(to, bytes, stage->image_size);
    if (live->device == ours.device)
        live->device = identity->device;
    if (live->inode == ours.inode)
        live->inode = identity->inode;
    if (live->birth == ours.birth)
        live->birth = identity->birth;
}
