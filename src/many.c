/* SPDX-License-Identifier: MIT */
/*
 * Many puts: a chunk of requests is checked, hashed and aimed at first, so that the lines they will touch are fetched at once;
 * then those of one stripe are done under one taking of its lock, in their order. Nothing is done twice here: each put is the one
 * of put.c, with an in-flight record of its own, so that recovery knows nothing of groups.
 *
 * Results and versions are kept aside until no lock is held: the caller's memory is not stored to under one.
 */
#include "internal.h"

#define CHUNK 64u
#define HOLD_PUTS 16u           /* under one taking of a lock, at most          */
#define HOLD_BYTES (64u * 1024) /* ... and no further one after so many bytes   */
#define NOBODY 0xffu

struct request {
    struct hf__put put;
    struct hf__place place;
    uint32_t blocks;
    uint64_t version;
    int result;
    uint8_t next; /* of those whose stripes have the same number modulo CHUNK, in order; NOBODY: none */
};

struct many {
    struct hf_store *store;
    struct hf_put_request *asked; /* the chunk at hand */
    uint32_t count;
    struct request requests[CHUNK];
    uint64_t late[HF_STRIPES_MAX / 64]; /* stripes whose lock was waited for in vain: once is enough */
    const struct hf_put_request *failed; /* the first; NULL: none */
};

/* ---- Before the locks ---------------------------------------------------------------------------------------------------- */

static int prepare(struct hf__write *write, struct hf_store *store, const struct hf_put_request *asked, struct hf__put *put) {
    if (asked->reserved != 0)
        return hf__fail(HF_ERR_ARGUMENT, "the reserved field of a request must be 0");
    return hf__put_prepare(write, put, store, asked->key, asked->key_len, asked->value, asked->value_len, asked->options);
}

static void prepare_chunk(struct many *many) {
    struct hf__write write;
    struct hf__likely likely;
    for (uint32_t i = 0; i < many->count; i++) {
        struct request *request = &many->requests[i];
        request->result = prepare(&write, many->store, &many->asked[i], &request->put);
        if (request->result != HF_OK)
            continue;
        request->place = write.place;
        request->blocks = write.blocks;
    }
    for (uint32_t i = 0; i < many->count; i++) {
        const struct request *request = &many->requests[i];
        if (request->result != HF_OK)
            continue;
        hf__fetch_room(many->store->region, request->place.stripe, request->blocks);
        if (hf__likely(many->store->region, &request->place, &likely))
            hf__fetch_likely(many->store->region, request->place.stripe, &likely);
    }
}

/* ---- Under a lock -------------------------------------------------------------------------------------------------------- */

/* A lock, and how much was done since it was taken. */
struct group {
    struct hf__write write;
    uint32_t stripe;
    bool held;
    int refused; /* why the lock was not to be had, or HF_OK */
    uint32_t puts;
    uint64_t bytes;
};

static int take_lock(struct many *many, struct group *group) {
    uint64_t *late = &many->late[group->stripe / 64], bit = 1ull << group->stripe % 64;
    int result = hf__lock(many->store, group->stripe, *late & bit ? 0 : many->store->timeout_ms, &group->write.hold);
    if (result == HF_ERR_TIMEOUT && !HF_PLANTED(GROUP_WAITS_AGAIN))
        *late |= bit;
    group->held = result == HF_OK;
    group->refused = result;
    group->puts = 0;
    group->bytes = 0;
    return result;
}

static void let_go(struct group *group) {
    if (group->held)
        hf__unlock(&group->write.hold);
    group->held = false;
}

static int put_one(struct many *many, struct group *group, uint32_t number) {
    struct request *request = &many->requests[number];
    struct hf__write *write = &group->write;
    if (group->refused != HF_OK || (!group->held && take_lock(many, group) != HF_OK))
        return group->refused;
    write->place = request->place;
    write->key = many->asked[number].key;
    write->key_len = (uint32_t)many->asked[number].key_len;
    write->now_ms = 0;
    write->blocks = request->blocks;
    hf__write_enter(write);
    if (HF_PLANTED(GROUP_RECORD_ONCE) && group->puts > 0)
        hf__record_clear(write->stripe);
    int result = hf__put_entered(write, &request->put, &request->version);
    hf__write_leave(write);
    group->puts++;
    group->bytes += request->put.content.len;
    if ((group->puts == HOLD_PUTS || group->bytes >= HOLD_BYTES) && !HF_PLANTED(GROUP_HOLDS_ON))
        let_go(group);
    return result;
}

/* Does the requests of the first one's stripe, and takes them out of the chain. */
static void put_group(struct many *many, uint8_t *link) {
    struct group group = { .stripe = many->requests[*link].place.stripe, .refused = HF_OK };
    group.write.store = many->store;
    group.write.region = many->store->region;
    group.write.stripe = hf__stripe_at(many->store->region, group.stripe);
    group.write.operation = HF_OP_PUT;
    while (*link != NOBODY) {
        struct request *request = &many->requests[*link];
        if (request->place.stripe == group.stripe) {
            request->result = put_one(many, &group, *link);
            *link = request->next;
        } else {
            link = &request->next;
        }
    }
    let_go(&group);
}

static void put_chunk(struct many *many) {
    uint8_t first[CHUNK], last[CHUNK];
    memset(first, NOBODY, sizeof first);
    prepare_chunk(many);
    for (uint32_t i = 0; i < many->count; i++) {
        if (many->requests[i].result != HF_OK)
            continue;
        uint32_t chain = many->requests[i].place.stripe % CHUNK;
        many->requests[i].next = NOBODY;
        if (first[chain] != NOBODY && HF_PLANTED(GROUP_UNORDERED)) {
            many->requests[i].next = first[chain];
            first[chain] = (uint8_t)i;
            continue;
        }
        *(first[chain] == NOBODY ? &first[chain] : &many->requests[last[chain]].next) = (uint8_t)i;
        last[chain] = (uint8_t)i;
    }
    for (uint32_t chain = 0; chain < CHUNK; chain++)
        while (first[chain] != NOBODY && !(HF_PLANTED(GROUP_GIVES_UP) && many->late[0]))
            put_group(many, &first[chain]);
    for (uint32_t i = 0; i < many->count; i++) {
        many->asked[i].result = many->requests[i].result;
        if (many->requests[i].result == HF_OK)
            many->asked[i].version = many->requests[i].version;
        if (many->requests[i].result < 0 && !many->failed)
            many->failed = &many->asked[i];
    }
}

/* ---- The call ------------------------------------------------------------------------------------------------------------ */

/* Says again what was said of the first request that failed: others may have failed after it. */
static int tell_failure(struct many *many) {
    struct hf__write write;
    int result = many->failed->result;
    return prepare(&write, many->store, many->failed, &many->requests[0].put) == result ? result : hf__result(result);
}

int hf_put_many(hf_store *store, struct hf_put_request *requests, size_t count) {
    struct many many;
    if (!store || (!requests && count > 0))
        return hf__fail(HF_ERR_ARGUMENT, "hf_put_many needs a store, and requests: one of them is NULL");
    many.store = store;
    many.failed = NULL;
    memset(many.late, 0, sizeof many.late);
    for (size_t done = 0; done < count; done += many.count) {
        many.asked = requests + done;
        many.count = count - done < CHUNK ? (uint32_t)(count - done) : CHUNK;
        put_chunk(&many);
    }
    return many.failed ? tell_failure(&many) : HF_OK;
}
