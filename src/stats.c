/* SPDX-License-Identifier: MIT */
/* What the store is and what it has counted. No locks. */
#include "internal.h"
#include "tally.h"

#include <sys/stat.h>

static void describe(const struct hf__region *region, struct hf_info *info) {
    const struct hf__geometry *geometry = &region->geometry;
    info->store_id = region->store_id;
    info->created_ms = region->created_ms;
    info->file_size = geometry->file_size;
    info->entries = geometry->entries;
    info->entry_size = geometry->entry_size;
    info->max_value = geometry->max_value;
    info->max_key = geometry->max_key;
    info->small_bytes = geometry->small_blocks * HF__BLOCK;
    info->mode = geometry->mode;
    info->default_ttl_ms = geometry->default_ttl_ms;
    info->stripes = geometry->stripes;
    info->format = HF__FORMAT;
    info->block_size = HF__BLOCK;
    info->blocks = (uint64_t)geometry->blocks * geometry->stripes;
    info->buckets = (uint64_t)geometry->buckets * geometry->stripes;
    info->readonly = !region->writable;
    info->unverified = region->unverified;
    memcpy(info->libc, ((const struct hf__superblock *)(const void *)region->base)->libc, sizeof info->libc - 1);
}

int hf_info(hf_store *store, struct hf_info *theirs) {
    struct hf_info info = HF_INFO_INIT;
    struct stat file;
    if (!store || !theirs || theirs->size < sizeof theirs->size)
        return hf__fail(HF_ERR_ARGUMENT, "hf_info needs a store, and a struct that starts with HF_INFO_INIT");
    describe(store->region, &info);
    if (fstat(store->region->fd, &file) != 0)
        return hf__fail_errno("fstat");
    info.detached = hf__load32(&store->region->named) && file.st_nlink == 0;
    for (uint32_t stripe = 0; stripe < info.stripes; stripe++)
        info.unfinished += hf__load32(&hf__stripe_at(store->region, stripe)->record.operation) != HF_OP_NONE;
    info.size = theirs->size;
    memcpy(theirs, &info, theirs->size < sizeof info ? theirs->size : sizeof info);
    return HF_OK;
}

static void add(const struct hf__region *region, const struct hf__stripe *header, struct hf_stats *stats) {
    uint64_t used = hf__load32(&header->used_blocks);
    stats->entries += hf__load32(&header->entries);
    stats->used_bytes += used * HF__BLOCK;
    stats->free_bytes += (region->geometry.blocks - used) * HF__BLOCK;
    stats->puts += hf__load(&header->puts);
    stats->deletes += hf__load(&header->deletes);
    stats->evictions += hf__load(&header->evictions);
    stats->expirations += hf__load(&header->expirations);
    stats->evictions_small += hf__load(&header->evictions_small);
    stats->evictions_slot += hf__load(&header->evictions_slot);
    stats->moves += hf__load(&header->moves);
    stats->promotions += hf__load(&header->promotions);
    stats->refusals += hf__load(&header->refusals);
    stats->recoveries += hf__load(&header->recoveries);
    stats->dropped += hf__load(&header->dropped);
    stats->contended += hf__load(&header->contended);
}

static void add_tallies(const struct hf__region *region, struct hf_stats *stats) {
    uint64_t sums[HF__TALLY_COUNT];
    hf__tally_hand_in(region);
    hf__tally_sum(region, sums);
#define ADD(name) stats->name += sums[HF__TALLY_##name];
    HF__TALLIES(ADD)
#undef ADD
}

static int check_stats(const hf_store *store, const struct hf_stats *theirs, const char *what) {
    if (!store || !theirs || theirs->size < sizeof theirs->size)
        return hf__fail(HF_ERR_ARGUMENT, "%s needs a store, and a struct that starts with HF_STATS_INIT", what);
    return HF_OK;
}

/* An older caller's struct is filled as far as it goes. */
static int give_stats(struct hf_stats *stats, struct hf_stats *theirs) {
    stats->size = theirs->size;
    memcpy(theirs, stats, theirs->size < sizeof *stats ? theirs->size : sizeof *stats);
    return HF_OK;
}

int hf_stats(hf_store *store, struct hf_stats *theirs) {
    struct hf_stats stats = HF_STATS_INIT;
    int result = check_stats(store, theirs, "hf_stats");
    if (result != HF_OK)
        return result;
    for (uint32_t stripe = 0; stripe < store->region->geometry.stripes; stripe++)
        add(store->region, hf__stripe_at(store->region, stripe), &stats);
    add_tallies(store->region, &stats);
    return give_stats(&stats, theirs);
}

int hf_stats_stripe(hf_store *store, uint32_t stripe, struct hf_stats *theirs) {
    struct hf_stats stats = HF_STATS_INIT;
    int result = check_stats(store, theirs, "hf_stats_stripe");
    if (result == HF_OK && stripe >= store->region->geometry.stripes)
        result = hf__fail(HF_ERR_ARGUMENT, "there is no stripe %u: the store has %u", stripe, store->region->geometry.stripes);
    if (result != HF_OK)
        return result;
    add(store->region, hf__stripe_at(store->region, stripe), &stats);
    return give_stats(&stats, theirs);
}

int hf_sync(hf_store *store) {
    if (!store || !store->region->writable)
        return hf__result(store ? HF_ERR_READONLY : HF_ERR_ARGUMENT);
    return hf__file_sync(store->region->base, hf__mapped_size(&store->region->geometry));
}
