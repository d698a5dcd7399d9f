/* SPDX-License-Identifier: MIT */
/* Read many keys at once: what each will need is fetched before the first is read, so that the waits for memory overlap. */
#include "hash_key.h"
#include "read.h"

#define CHUNK 16u /* keys at once: processors have about so many lines under way */

/* Where a key is likely to be. Only what is fetched early depends on it: each is then read as by hf_get. */
struct aim {
    struct hf__place place;
    uint64_t word; /* of the first slot with the key's tag; 0: none */
};

static int take_aim(struct hf_store *store, const struct hf_get_request *request, struct aim *aim) {
    aim->place = (struct hf__place){ .hash = 0 };
    if (!request->buffer && request->size > 0)
        return hf__fail(HF_ERR_ARGUMENT, "the buffer is NULL but %zu bytes long", request->size);
    if (request->reserved != 0)
        return hf__fail(HF_ERR_ARGUMENT, "the reserved field of a request must be 0");
    int result = hf__key_check_here(store, request->key, request->key_len);
    if (result == HF_OK)
        aim->place = hf__locate(store->region, hf__hash_key_here(store->region, request->key, request->key_len));
    return result;
}

INLINE uint64_t likely_word(const struct hf__region *region, const struct hf__place *place) {
    const struct hf__bucket *bucket = hf__bucket_at(region, place->stripe, place->home);
    uint32_t matches = hf__tag_matches(bucket, place->tag);
    return matches ? hf__load(&bucket->slot[__builtin_ctz(matches)]) : 0;
}

INLINE void fetch_aimed(const struct hf__region *region, const struct aim *aim) {
    uint64_t block;
    if (hf__block_of(region, aim->place.stripe, aim->word, &block))
        hf__fetch_entry(hf__entry_at(region, block), hf__word_blocks(aim->word));
}

static int get_aimed(struct hf_store *store, struct hf_get_request *request, struct hf__place place) {
    return hf__count_read(store, hf__get_at(store, place, request->key, request->key_len, request->buffer, request->size,
                               &request->value_len, request->meta, false, NULL));
}

/* Loops that do one thing each: a line is under way only once its address is known, and a processor looks some hundred
 * instructions ahead. */
static void get_chunk(struct hf_store *store, struct hf_get_request *requests, size_t count) {
    struct aim aims[CHUNK];
    for (size_t i = 0; i < count; i++)
        requests[i].result = take_aim(store, &requests[i], &aims[i]);
    for (size_t i = 0; i < count; i++)
        hf__fetch(hf__bucket_at(store->region, aims[i].place.stripe, aims[i].place.home));
    for (size_t i = 0; i < count; i++)
        aims[i].word = likely_word(store->region, &aims[i].place);
    for (size_t i = 0; i < count; i++)
        fetch_aimed(store->region, &aims[i]);
    for (size_t i = 0; i < count; i++)
        if (requests[i].result == HF_OK && HF_PLANTED(AIM_TRUSTED) && aims[i].word == 0)
            requests[i].result = HF_NOTFOUND;
        else if (requests[i].result == HF_OK)
            requests[i].result = get_aimed(store, &requests[i], aims[i].place);
}

/* Says again what was said of the first request that failed: others may have failed after it. */
static int tell_failure(struct hf_store *store, const struct hf_get_request *failed) {
    struct aim aim;
    return take_aim(store, failed, &aim) == failed->result ? failed->result : hf__result(failed->result);
}

int hf_get_many(hf_store *store, struct hf_get_request *requests, size_t count) {
    const struct hf_get_request *failed = NULL;
    if (!store || (!requests && count > 0))
        return hf__fail(HF_ERR_ARGUMENT, "hf_get_many needs a store, and requests: one of them is NULL");
    for (size_t done = 0; done < count; done += CHUNK) {
        size_t chunk = count - done < CHUNK ? count - done : CHUNK;
        get_chunk(store, requests + done, chunk);
        for (size_t i = done; i < done + chunk && !failed; i++)
            if (requests[i].result < 0)
                failed = &requests[i];
    }
    return failed ? tell_failure(store, failed) : HF_OK;
}
