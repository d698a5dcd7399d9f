/* SPDX-License-Identifier: MIT */
/* What a put and a delete want of a write: its options, its conditions, its end. */
#include "internal.h"

uint64_t hf__ttl_of(const struct hf__region *region, uint64_t ttl_ms) {
    if (ttl_ms == 0 && !HF_PLANTED(DEFAULT_TTL_IGNORED))
        return region->geometry.default_ttl_ms;
    return ttl_ms == HF_TTL_NEVER ? 0 : ttl_ms;
}

uint64_t hf__expiry_of(const struct hf__region *region, uint64_t ttl_ms) {
    ttl_ms = hf__ttl_of(region, ttl_ms);
    if (ttl_ms == 0 && !HF_PLANTED(TTL_ZERO))
        return 0;
    uint64_t now_ms = hf__now_ms();
    return ttl_ms < HF__EXPIRY_MAX - now_ms ? now_ms + ttl_ms : HF__EXPIRY_MAX;
}

/* Whether the condition holds for what was found. */
static int check_condition(const struct hf__write *write, const struct hf__put *put) {
    bool present = write->spot.word != 0;
    switch (put->condition) {
    case HF_IF_ABSENT: return present ? HF_EXISTS : HF_OK;
    case HF_IF_PRESENT: return present ? HF_OK : HF_NOTFOUND;
    case HF_IF_VERSION:
        if (!present)
            return HF_NOTFOUND;
        return write->spot.view.version == put->wanted || HF_PLANTED(VERSION_IGNORED) ? HF_OK : HF_CHANGED;
    default: return HF_OK;
    }
}

int hf__value_check(const struct hf_store *store, const void *value, size_t value_len) {
    if (!value && value_len > 0)
        return hf__fail(HF_ERR_ARGUMENT, "the value is NULL but %zu bytes long", value_len);
    if (value_len > store->region->geometry.max_value)
        return hf__fail(HF_ERR_TOOBIG, "the value has %zu bytes, this store takes at most %u: make one with a larger max_value",
                        value_len, store->region->geometry.max_value);
    return HF_OK;
}

static int check_put(const struct hf_store *store, const void *value, size_t value_len, const struct hf_put_options *theirs,
                     struct hf_put_options *options) {
    static const struct hf_put_options none = HF_PUT_INIT;
    if (!theirs)
        *options = none;
    else if (!hf__sized(options, sizeof *options, theirs) || options->condition > HF_IF_VERSION ||
             (options->ttl_ms && options->expires_ms))
        return hf__fail(HF_ERR_ARGUMENT, "the put options are not valid: start with HF_PUT_INIT");
    return hf__value_check(store, value, value_len);
}

int hf__put_prepare(struct hf__write *write, struct hf__put *put, struct hf_store *store, const void *key, size_t key_len,
                    const void *value, size_t value_len, const struct hf_put_options *theirs) {
    struct hf_put_options options;
    int result = hf__write_prepare(write, store, HF_OP_PUT, key, key_len);
    if (result == HF_OK)
        result = check_put(store, value, value_len, theirs, &options);
    if (result != HF_OK)
        return result;
    put->content = (struct hf__content){ .data = value, .len = (uint32_t)value_len, .flags = options.flags };
    put->content.body = hf__hash_body(write->place.hash, value, value_len);
    write->blocks = hf__blocks_for(write->key_len, put->content.len);
    put->ttl_ms = options.ttl_ms;
    put->expires_ms = options.expires_ms;
    put->condition = options.condition;
    put->content.plain = options.condition == HF_ALWAYS;
    put->wanted = options.version;
    return HF_OK;
}

int hf__put_entered(struct hf__write *write, struct hf__put *put, uint64_t *version) {
    if (put->expires_ms)
        put->content.expiry = put->expires_ms < HF__EXPIRY_MAX ? put->expires_ms : HF__EXPIRY_MAX;
    else
        put->content.expiry = hf__expiry_of(write->region, put->ttl_ms);
    if (put->content.plain)
        hf__write_ahead(write, &put->content);
    hf__write_find(write);
    int result = check_condition(write, put);
    return result == HF_OK ? hf__write_content(write, &put->content, version) : result;
}

int hf_put(hf_store *store, const void *key, size_t key_len, const void *value, size_t value_len,
           const struct hf_put_options *options, uint64_t *version) {
    struct hf__write write;
    struct hf__put put;
    uint64_t stored = 0;
    int result = hf__put_prepare(&write, &put, store, key, key_len, value, value_len, options);
    if (result == HF_OK)
        result = hf__write_lock(&write);
    if (result != HF_OK)
        return result;
    result = hf__write_end(&write, hf__put_entered(&write, &put, &stored));
    if (result == HF_OK && version)
        *version = stored;
    return result;
}

int hf_delete(hf_store *store, const void *key, size_t key_len, uint64_t version) {
    struct hf__write write;
    int result = hf__write_begin(&write, store, HF_OP_DELETE, key, key_len);
    if (result != HF_OK)
        return result;
    if (write.spot.word == 0 && HF_PLANTED(LOCK_KEPT))
        return HF_NOTFOUND;
    bool present = write.spot.word != 0;
    if (present && version != 0 && write.spot.view.version != version)
        return hf__write_end(&write, HF_CHANGED);
    hf__tomb(write.region, &write.place);
    if (present)
        hf__write_delete(&write);
    else
        result = HF_NOTFOUND;
    return hf__write_end(&write, result);
}
