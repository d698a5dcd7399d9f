/* SPDX-License-Identifier: MIT */
/* Recovery on copies of the file: see crash_snapshots.h. */
#include "crash_snapshots.h"

#include <fcntl.h>
#include <sys/mman.h>

struct copy {
    char path[CHECK_PATH];
    unsigned char *bytes;
    struct hf__identity identity;
};

struct snapshots {
    const struct stage *stage;
    struct copy joined, alone;
    hf_store *store;                   /* of `joined`                                            */
    unsigned char dead_lock[HF__LINE]; /* a mutex, as the kernel leaves it when its owner dies */
};

static void make_copy(struct copy *copy, const char *name, const struct stage *stage) {
    crash_path(copy->path, name);
    check_write_file(copy->path, stage->image, stage->image_size);
    int fd = open(copy->path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_RC(hf__identity_of(fd, &copy->identity), HF_OK);
    void *bytes = mmap(NULL, stage->image_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(bytes != MAP_FAILED);
    copy->bytes = bytes;
    close(fd);
}

static int die_with_lock(void *store) {
    struct hf__hold hold;
    return hf__lock(store, 0, 1000, &hold) != HF_OK;
}

/* Asks the kernel instead of knowing how the C library lays out a mutex. */
static void take_dead_lock(struct snapshots *snapshots) {
    check_run(die_with_lock, snapshots->store);
    memcpy(snapshots->dead_lock, hf__stripe_at(snapshots->store->region, 0)->mutex_line, HF__LINE);
    check_sound(snapshots->store);
}

struct snapshots *snapshots_new(const struct stage *stage) {
    struct snapshots *snapshots = calloc(1, sizeof *snapshots);
    CHECK(snapshots != NULL);
    snapshots->stage = stage;
    make_copy(&snapshots->alone, "alone", stage);
    make_copy(&snapshots->joined, "joined", stage);
    snapshots->store = check_open(snapshots->joined.path, NULL);
    take_dead_lock(snapshots);
    return snapshots;
}

void snapshots_free(struct snapshots *snapshots) {
    CHECK_RC(hf_close(&snapshots->store), HF_OK);
    munmap(snapshots->joined.bytes, snapshots->stage->image_size);
    munmap(snapshots->alone.bytes, snapshots->stage->image_size);
    unlink(snapshots->joined.path);
    unlink(snapshots->alone.path);
    free(snapshots);
}

static void recover_joined(struct snapshots *snapshots, pid_t victim) {
    const struct stage *stage = snapshots->stage;
    const struct hf__region *region = snapshots->store->region;
    memcpy(region->base + HF__RING_AT, stage->file + HF__RING_AT, stage->image_size - HF__RING_AT);
    hf__live(region)->recoveries = ((const struct hf__live *)(const void *)(stage->file + HF__LIVE_AT))->recoveries;
    for (uint32_t i = 0; i < region->geometry.stripes; i++) {
        unsigned char *lock = hf__stripe_at(region, i)->mutex_line;
        if (lead_locked_by(lock, victim))
            memcpy(lock, snapshots->dead_lock, HF__LINE);
    }
    crash_verify(stage, snapshots->store, snapshots->joined.path, victim);
}

static void recover_alone(struct snapshots *snapshots, pid_t victim) {
    const struct stage *stage = snapshots->stage;
    crash_transplant(stage, stage->file, snapshots->alone.bytes, &snapshots->alone.identity);
    hf_store *store = check_open(snapshots->alone.path, NULL);
    crash_verify(stage, store, snapshots->alone.path, victim);
    CHECK_RC(hf_close(&store), HF_OK);
}

unsigned snapshots_recover(struct snapshots *snapshots, pid_t victim) {
    recover_alone(snapshots, victim);
    if (!snapshots->stage->store)
        return 1; /* the locks are being made: nobody can own one yet */
    recover_joined(snapshots, victim);
    return 2;
}
