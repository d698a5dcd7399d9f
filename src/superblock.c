/* SPDX-License-Identifier: MIT */
/* The superblock: made once, checked at every open. A reader trusts nothing in a file but what passed here. */
#include "internal.h"

#ifdef __GLIBC__
#define LIBC "glibc"
#else
#define LIBC "musl"
#endif

static void describe_build(struct hf__superblock *superblock) {
    memcpy(superblock->magic, HF__MAGIC, sizeof superblock->magic);
    superblock->format = HF__FORMAT;
    superblock->byte_order = HF__BYTE_ORDER;
    superblock->pointer_size = sizeof(void *);
    superblock->mutex_size = HF__MUTEX_SIZE;
    superblock->mutex_align = HF__MUTEX_ALIGN;
    superblock->block_size = HF__BLOCK;
    memcpy(superblock->libc, LIBC, sizeof LIBC);
}

static int no_random(void) {
    return hf__fail_errno("the kernel gives no random number (getrandom)");
}

int hf__superblock_renew(struct hf__superblock *superblock) {
    if (!hf__random(&superblock->store_id))
        return no_random();
    superblock->created_ms = hf__now_ms();
    superblock->checksum = hf__hash_superblock(superblock);
    return HF_OK;
}

int hf__superblock_make(struct hf__superblock *superblock, const struct hf__geometry *geometry) {
    memset(superblock, 0, sizeof *superblock);
    describe_build(superblock);
    superblock->geometry = *geometry;
    if (!hf__random(&superblock->seed))
        return no_random();
    return hf__superblock_renew(superblock);
}

static int check_format(const struct hf__superblock *superblock) {
    if (memcmp(superblock->magic, HF__MAGIC, sizeof superblock->magic) != 0)
        return hf__fail(HF_ERR_FORMAT, "not a Holdfast store");
    if (superblock->byte_order != HF__BYTE_ORDER)
        return hf__fail(HF_ERR_ABI, "the store was made on a machine with another byte order: dump it there, load it here");
    if (superblock->format != HF__FORMAT || superblock->block_size != HF__BLOCK ||
        (superblock->incompatible & ~HF__INCOMPATIBLE))
        return hf__fail(HF_ERR_VERSION,
                        "the store has format %u with features 0x%x, this program knows format %u: use the version that made it",
                        superblock->format, superblock->incompatible, HF__FORMAT);
    return HF_OK;
}

bool hf__superblock_ours(const struct hf__superblock *superblock) {
    struct hf__superblock ours = { .format = 0 };
    describe_build(&ours);
    return superblock->pointer_size == ours.pointer_size && superblock->mutex_size == ours.mutex_size &&
           superblock->mutex_align == ours.mutex_align && memcmp(superblock->libc, ours.libc, sizeof ours.libc) == 0;
}

static int check_build(const struct hf__superblock *superblock) {
    if (!hf__superblock_ours(superblock) && !HF_PLANTED(ABI_IGNORED))
        return hf__fail(HF_ERR_ABI,
                        "the store's writers use %.15s with %u-byte pointers, this program %s with %u-byte pointers: "
                        "use one C library and word size, or open it read-only",
                        superblock->libc, superblock->pointer_size, LIBC, (unsigned)sizeof(void *));
    return HF_OK;
}

int hf__superblock_check(const struct hf__superblock *superblock, uint64_t file_size, bool *readonly) {
    int result = check_format(superblock);
    if (result == HF_OK && superblock->checksum != hf__hash_superblock(superblock))
        result = hf__fail(HF_ERR_FORMAT, "the superblock is damaged: restore the store from a copy");
    if (result == HF_OK)
        result = hf__geometry_check(&superblock->geometry);
    if (result == HF_OK && file_size < superblock->geometry.file_size)
        result = hf__fail(HF_ERR_FORMAT, "truncated: the store has %llu bytes, the file %llu: restore it from a copy",
                          (unsigned long long)superblock->geometry.file_size, (unsigned long long)file_size);
    if (result == HF_OK && !*readonly && (superblock->compatible & ~HF__COMPATIBLE))
        *readonly = true;
    if (result == HF_OK && !*readonly)
        result = check_build(superblock);
    return result;
}
