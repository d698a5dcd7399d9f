/* SPDX-License-Identifier: MIT */
/*
 * The election of the first writer.
 *
 * A lock of the open file description (OFD) on the store's first byte. Who gets it exclusively is alone: he makes the mutexes
 * anew (a mutex word outlives a reboot as garbage), repairs what dead processes left, verifies every entry if the machine or the
 * file is another one, writes down the boot and the file last, and shares the lock. The others share it and see that the boot and
 * the file are written down; if not, the first writer died in the middle: they let go and stand for election again.
 *
 * The lock is polled, never upgraded in a blocking way (two upgraders would wait for each other for ever), and once attached
 * never given back explicitly, for that would take it from forked children too: it goes with the mapping.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

int hf__file_lock(int fd, short type) {
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
    int failed;
    do
        failed = fcntl(fd, HF_PLANTED(CLASSIC_LOCK) ? F_SETLK : F_OFD_SETLK, &lock);
    while (failed && errno == EINTR);
    return failed ? errno : 0;
}

static void init_locks(const struct hf__region *region, bool verify) {
    for (uint32_t stripe = 0; stripe < region->geometry.stripes; stripe++) {
        struct hf__stripe *header = hf__stripe_at(region, stripe);
        struct hf_recovery recovery;
        if (!HF_PLANTED(STALE_MUTEXES))
            hf__lock_init(header);
        if (verify)
            hf__recover_logged(region, stripe, HF_CAUSE_VERIFY, &recovery);
        else if (header->record.operation != HF_OP_NONE)
            hf__recover_logged(region, stripe, HF_CAUSE_OPEN, &recovery);
        HF_POINT("open:stripe");
    }
    for (uint32_t fill = 0; fill < region->geometry.fills; fill++)
        hf__fill_init(hf__fill_at(region, fill));
}

static void write_identity(struct hf__live *live, const struct hf__identity *identity) {
    hf__store(&live->boot_id[0], identity->boot_id[0]);
    hf__store(&live->boot_id[1], identity->boot_id[1]);
    hf__store(&live->device, identity->device);
    hf__store(&live->inode, identity->inode);
    hf__store(&live->birth, identity->birth);
    hf__store(&live->namespace_device, identity->namespace_device);
    hf__store(&live->namespace_inode, identity->namespace_inode);
    hf__in_order();
}

/* Before the first change of a complete image: a machine crash must find that it is no longer known to be one. */
static int mark_in_use(const struct hf__region *region) {
    struct hf__live *live = hf__live(region);
    if (hf__load32(&live->in_use) || HF_PLANTED(IN_USE_UNSET))
        return HF_OK;
    hf__publish32(&live->in_use, 1);
    int result = HF_PLANTED(IN_USE_UNSYNCED) ? HF_OK : hf__file_sync(live, HF__PAGE);
    if (result != HF_OK)
        hf__publish32(&live->in_use, 0);
    return result;
}

/* Before the first stamp is given after a machine crash: recover.c has made the counters jump ahead of what was given and lost,
 * and should the jump be lost, too, the next crash would repeat it. */
static int sync_stripes(const struct hf__region *region) {
    return hf__file_sync(hf__stripe_at(region, 0), (size_t)(region->geometry.fills_at - region->geometry.stripes_at));
}

static int become_first(const struct hf__region *region, const struct hf__identity *identity) {
    struct hf__live *live = hf__live(region);
    bool verify = hf__load32(&live->in_use) && !hf__identity_matches(identity, live) && !HF_PLANTED(VERIFY_SKIPPED);
    int result = HF_PLANTED(PAGES_TAKEN) ? hf__file_allocate_new(region->fd, region->geometry.file_size)
                                         : hf__file_allocate(region->fd, region->geometry.file_size);
    if (result == HF_OK)
        result = mark_in_use(region);
    if (result != HF_OK)
        return result;
    hf__publish32(&live->ready, 0);
    hf__in_order();
    if (HF_PLANTED(IDENTITY_FIRST))
        write_identity(live, identity);
    HF_POINT("open:first");
    init_locks(region, verify);
    HF_POINT("open:stripes");
    if (verify && (result = sync_stripes(region)) != HF_OK)
        return result;
    write_identity(live, identity);
    HF_POINT("open:identity");
    hf__publish32(&live->ready, 1);
    HF_POINT("open:ready");
    return HF_OK;
}

static bool joined(const struct hf__region *region, const struct hf__identity *identity) {
    const struct hf__live *live = hf__live(region);
    return (hf__observe32(&live->ready) == 1 || HF_PLANTED(READY_IGNORED)) && hf__identity_matches(identity, live);
}

static int namespace_check(const struct hf__region *region, const struct hf__identity *identity) {
    const struct hf__live *live = hf__live(region);
    if ((hf__load(&live->namespace_device) == identity->namespace_device &&
         hf__load(&live->namespace_inode) == identity->namespace_inode) || HF_PLANTED(NAMESPACE_IGNORED))
        return HF_OK;
    return hf__fail(HF_ERR_NAMESPACE,
                    "the store's writers live in another PID namespace: share it (docker run --pid=...), or open read-only");
}

void hf__pause(void) {
    struct timespec pause = { .tv_sec = 0, .tv_nsec = 2000000 };
    nanosleep(&pause, NULL);
}

static int cannot_lock(int error) {
    errno = error;
    return hf__fail_errno("cannot lock the store file");
}

/* One attempt: HF_OK, a failure, or HF_ERR_BUSY for "not yet". */
static int stand(const struct hf__region *region, const struct hf__identity *identity) {
    int error = hf__file_lock(region->fd, HF_PLANTED(ELECTION_SHARED) ? F_RDLCK : F_WRLCK);
    if (error == 0) {
        int result = become_first(region, identity);
        error = hf__file_lock(region->fd, result == HF_OK ? F_RDLCK : F_UNLCK);
        return result == HF_OK && error != 0 ? cannot_lock(error) : result;
    }
    if (error == EAGAIN)
        error = hf__file_lock(region->fd, F_RDLCK);
    if (error != 0)
        return error == EAGAIN ? HF_ERR_BUSY : cannot_lock(error);
    if (joined(region, identity)) {
        int result = namespace_check(region, identity);
        if (result != HF_OK)
            hf__file_lock(region->fd, F_UNLCK);
        return result;
    }
    if (!HF_PLANTED(ELECTION_KEPT))
        hf__file_lock(region->fd, F_UNLCK);
    return HF_ERR_BUSY;
}

int hf__attach(struct hf__region *region, uint32_t timeout_ms) {
    struct hf__identity identity;
    int result = hf__identity_of(region->fd, &identity);
    if (result != HF_OK)
        return result;
    uint64_t deadline = hf__monotonic_us() + (uint64_t)timeout_ms * 1000;
    while ((result = stand(region, &identity)) == HF_ERR_BUSY) {
        if (timeout_ms != HF_FOREVER && hf__monotonic_us() >= deadline)
            return hf__fail(HF_ERR_TIMEOUT,
                            "another process keeps the store file locked without opening it as a writer: 'lslocks' names it");
        hf__pause();
    }
    return result;
}
