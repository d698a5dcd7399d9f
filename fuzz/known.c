/* SPDX-License-Identifier: MIT */
/* See known.h. */
#include "known.h"

#include <errno.h>
#include <stdio.h>

#define FAR_AWAY UINT64_C(4102444800000) /* the year 2100 */

enum { EXPIRED = 0x10, EXPIRES = 0x20, CONDITION = 6 }; /* in step.how: two flags, and where the condition stands */

/* ---- Looking -------------------------------------------------------------------------------------------------------------- */

static void set_from_meta(struct known *found, const struct hf_meta *meta) {
    found->present = true;
    found->expires = meta->expires_ms != 0;
    found->flags = meta->flags;
    found->len = meta->value_len;
    found->version = meta->version;
}

void known_read(hf_store *store, unsigned number, struct known *found) {
    char key[IMAGE_KEY_ROOM];
    struct hf_meta meta;
    size_t length = 0;
    *found = (struct known){.present = false};
    int rc = hf_get(store, key, image_key(number, key), found->value, sizeof found->value, &length, &meta);
    MUST(rc == HF_OK || rc == HF_NOTFOUND);
    if (rc == HF_OK)
        set_from_meta(found, &meta);
}

bool known_same(const struct known *a, const struct known *b) {
    if (!a->present || !b->present)
        return a->present == b->present;
    return a->expires == b->expires && a->flags == b->flags && a->len == b->len && a->version == b->version &&
           memcmp(a->value, b->value, a->len) == 0;
}

static bool is_key(const struct hf_item *item, unsigned number) {
    char key[IMAGE_KEY_ROOM];
    size_t key_len = image_key(number, key);
    return key_len == item->key_len && memcmp(key, item->key, key_len) == 0;
}

/* There must be such a number. */
static unsigned number_of(const struct hf_item *item) {
    unsigned number = 0;
    while (number < KNOWN_KEYS && !is_key(item, number))
        number++;
    MUST(number < KNOWN_KEYS);
    return number;
}

static void compare_by_get_many(const struct model *model, hf_store *store) {
    static struct known found[KNOWN_KEYS];
    struct hf_get_request requests[KNOWN_KEYS];
    struct hf_meta metas[KNOWN_KEYS];
    char keys[KNOWN_KEYS][IMAGE_KEY_ROOM];
    for (unsigned number = 0; number < KNOWN_KEYS; number++)
        requests[number] = (struct hf_get_request){.key = keys[number], .key_len = image_key(number, keys[number]),
            .buffer = found[number].value, .size = KNOWN_VALUE_MAX, .meta = &metas[number]};
    MUST(hf_get_many(store, requests, KNOWN_KEYS) == HF_OK);
    for (unsigned number = 0; number < KNOWN_KEYS; number++) {
        found[number].present = false;
        if (requests[number].result == HF_OK)
            set_from_meta(&found[number], &metas[number]);
        MUST(known_same(&found[number], &model->keys[number]));
    }
}

static void compare_by_scan(const struct model *model, hf_store *store) {
    struct hf_item item = HF_ITEM_INIT;
    bool seen[KNOWN_KEYS] = {false};
    uint64_t cursor = 0;
    int rc;
    while ((rc = hf_scan(store, &cursor, 0, &item)) == HF_OK) {
        struct known found = {.present = false};
        unsigned number = number_of(&item);
        MUST(!seen[number] && item.value_len <= sizeof found.value);
        seen[number] = true;
        set_from_meta(&found, &item.meta);
        memcpy(found.value, item.value, item.value_len);
        MUST(known_same(&found, &model->keys[number]));
    }
    MUST(rc == HF_END);
    hf_item_free(&item);
    for (unsigned number = 0; number < KNOWN_KEYS; number++)
        MUST(seen[number] == model->keys[number].present);
}

/* Mode cache: the key may have been evicted. */
static void notice(struct model *model, hf_store *store, unsigned number) {
    char key[IMAGE_KEY_ROOM];
    struct known *known = &model->keys[number];
    if (model->evicts && known->present)
        known->present = hf_exists(store, key, image_key(number, key), NULL) == HF_OK;
}

void known_compare(struct model *model, hf_store *store) {
    uint64_t count, present = 0;
    for (unsigned number = 0; number < KNOWN_KEYS; number++) {
        struct known found;
        notice(model, store, number);
        known_read(store, number, &found);
        MUST(known_same(&found, &model->keys[number]));
        present += found.present;
    }
    compare_by_get_many(model, store);
    compare_by_scan(model, store);
    MUST(hf_count(store, &count) == HF_OK && count >= present); /* expired entries count */
    MUST(hf_check(store, NULL, NULL) == HF_OK);
}

/* ---- The verbs ------------------------------------------------------------------------------------------------------------ */

struct verb_call {
    hf_store *store;
    const struct step *step;
    struct model *model;
    struct known *known;
    char key[IMAGE_KEY_ROOM];
    size_t key_len;
};

/* Whether a write of `len` bytes was done; it may be refused for lack of room, but not in mode store if it takes no more. */
static bool done(const struct verb_call *call, int rc, size_t len) {
    bool no_more = call->known->present && len <= call->known->len;
    MUST(rc == HF_OK || (rc == HF_ERR_FULL && (call->model->evicts || !no_more)));
    return rc == HF_OK;
}

static void saw_version(const struct verb_call *call, uint64_t version) {
    MUST(version > call->known->version);
    call->known->version = version;
}

static size_t make_value(const struct step *step, unsigned char *value) {
    size_t len = step->size % (KNOWN_VALUE_MAX + 1);
    if (step->letter % 4 == 0)
        return (size_t)snprintf((char *)value, KNOWN_VALUE_MAX, "%d", (int)(int16_t)step->size);
    for (size_t i = 0; i < len; i++)
        value[i] = (unsigned char)(step->letter + i / 8);
    return len;
}

static int expected_of_put(const struct verb_call *call, const struct hf_put_options *options) {
    bool present = call->known->present;
    if (options->condition == HF_IF_ABSENT && present)
        return HF_EXISTS;
    if (options->condition >= HF_IF_PRESENT && !present)
        return HF_NOTFOUND;
    return options->condition == HF_IF_VERSION && options->version != call->known->version ? HF_CHANGED : HF_OK;
}

static void do_put(const struct verb_call *call) {
    struct hf_put_options options = HF_PUT_INIT;
    struct known put = {.present = true};
    uint64_t version = 0;
    put.len = (uint32_t)make_value(call->step, put.value);
    options.flags = put.flags = call->step->letter;
    options.condition = call->step->how >> CONDITION;
    options.version = call->known->version + call->step->letter % 2;
    bool expired = call->step->how & EXPIRED;
    put.expires = !expired && (call->step->how & EXPIRES);
    options.expires_ms = expired ? 1000 : put.expires ? FAR_AWAY : 0;
    int rc = hf_put(call->store, call->key, call->key_len, put.value, put.len, &options, &version);
    int expected = expected_of_put(call, &options);
    MUST(expected == HF_OK || rc == expected);
    if (expected != HF_OK || !done(call, rc, put.len))
        return;
    saw_version(call, version);
    put.present = !expired;
    put.version = version;
    *call->known = put;
}

/* So many keys from this one on, each with a value of the same length. */
static void do_put_many(const struct verb_call *call) {
    enum { MANY = 4 };
    struct hf_put_request requests[MANY];
    static struct known put[MANY];
    char keys[MANY][IMAGE_KEY_ROOM];
    unsigned first = (unsigned)(call->known - call->model->keys);
    for (unsigned i = 0; i < MANY; i++) {
        unsigned number = (first + i) % KNOWN_KEYS;
        notice(call->model, call->store, number);
        put[i] = (struct known){.present = true};
        put[i].len = (uint32_t)make_value(call->step, put[i].value);
        requests[i] = (struct hf_put_request){.key = keys[i], .key_len = image_key(number, keys[i]), .value = put[i].value,
                                              .value_len = put[i].len};
    }
    int rc = hf_put_many(call->store, requests, MANY);
    MUST(rc == HF_OK || rc == HF_ERR_FULL);
    for (unsigned i = 0; i < MANY; i++) {
        struct verb_call one = *call;
        one.known = &call->model->keys[(first + i) % KNOWN_KEYS];
        if (!done(&one, requests[i].result, put[i].len))
            continue;
        saw_version(&one, requests[i].version);
        put[i].version = requests[i].version;
        *one.known = put[i];
    }
}

static void do_delete(const struct verb_call *call) {
    uint64_t version = call->step->letter % 3 ? 0 : call->known->version + call->step->letter % 2;
    int expected = !call->known->present ? HF_NOTFOUND : version && version != call->known->version ? HF_CHANGED : HF_OK;
    MUST(hf_delete(call->store, call->key, call->key_len, version) == expected);
    call->known->present &= expected != HF_OK;
}

static void do_take(const struct verb_call *call) {
    struct known taken = {.present = false};
    struct hf_meta meta;
    size_t length = 0, room = call->step->letter % 4 ? sizeof taken.value : call->step->size % sizeof taken.value;
    int expected = !call->known->present ? HF_NOTFOUND : call->known->len > room ? HF_TRUNCATED : HF_OK;
    MUST(hf_take(call->store, call->key, call->key_len, taken.value, room, &length, &meta) == expected);
    if (expected != HF_OK)
        return;
    set_from_meta(&taken, &meta);
    MUST(known_same(&taken, call->known));
    call->known->present = false;
}

/* The decimal number a value is, as hf_incr takes it. */
static bool is_number(const struct known *known, int64_t *number) {
    char text[24] = {0}, *end;
    if (known->len == 0 || known->len > 20)
        return false;
    memcpy(text, known->value, known->len);
    errno = 0;
    *number = strtoll(text, &end, 10);
    bool minus = text[0] == '-';
    return errno == 0 && end == text + known->len && minus + strspn(text + minus, "0123456789") == known->len;
}

static void refresh_version(const struct verb_call *call) {
    struct hf_meta meta;
    MUST(hf_exists(call->store, call->key, call->key_len, &meta) == HF_OK);
    saw_version(call, meta.version);
}

static void do_incr(const struct verb_call *call) {
    int64_t old = 0, by = (int16_t)call->step->size, sum = 0, result = 0;
    if (call->step->how & EXPIRES)
        by = by < 0 ? INT64_MIN : INT64_MAX;
    bool fits = (!call->known->present || is_number(call->known, &old)) && !__builtin_add_overflow(old, by, &sum);
    int rc = hf_incr(call->store, call->key, call->key_len, by, NULL, &result);
    if (!fits) {
        MUST(rc == HF_ERR_NUMBER);
        return;
    }
    struct known counted = {.present = true, .version = call->known->version};
    if (call->known->present) {
        counted.flags = call->known->flags;
        counted.expires = call->known->expires;
    }
    counted.len = (uint32_t)snprintf((char *)counted.value, sizeof counted.value, "%lld", (long long)sum);
    if (!done(call, rc, counted.len))
        return;
    MUST(result == sum);
    *call->known = counted;
    refresh_version(call);
}

static void do_append(const struct verb_call *call) {
    unsigned char tail[KNOWN_VALUE_MAX];
    struct known *known = call->known;
    size_t length = make_value(call->step, tail) % 200, old = known->present ? known->len : 0, whole = 0;
    int rc = hf_append(call->store, call->key, call->key_len, tail, length, &whole);
    if (old + length > KNOWN_VALUE_MAX) {
        MUST(rc == HF_ERR_TOOBIG);
        return;
    }
    if (!done(call, rc, old + length))
        return;
    MUST(whole == old + length);
    if (!known->present)
        *known = (struct known){.present = true, .version = known->version};
    memcpy(known->value + old, tail, length);
    known->len = (uint32_t)whole;
    refresh_version(call);
}

static void do_touch(const struct verb_call *call) {
    uint64_t ttl = call->step->how & EXPIRES ? FAR_AWAY : 0;
    int rc = hf_touch(call->store, call->key, call->key_len, ttl);
    if (!call->known->present)
        MUST(rc == HF_NOTFOUND);
    else if (done(call, rc, call->known->len))
        call->known->expires = ttl != 0;
}

static void do_clear(const struct verb_call *call) {
    for (unsigned number = 0; number < KNOWN_KEYS; number++)
        call->model->keys[number].present = false;
    MUST(hf_clear(call->store) == HF_OK);
}

static void do_repair(const struct verb_call *call) {
    struct hf_report report;
    MUST(hf_repair(call->store, &report) == HF_OK && report.dropped == 0);
}

void known_apply(struct model *model, hf_store *store, const struct step *step) {
    static void (*const verbs[VERBS])(const struct verb_call *call) = {
        do_put, do_put_many, do_delete, do_take, do_incr, do_append, do_touch, do_clear, do_repair,
    };
    unsigned number = step->key % KNOWN_KEYS;
    struct verb_call call = {.store = store, .step = step, .model = model, .known = &model->keys[number]};
    call.key_len = image_key(number, call.key);
    notice(model, store, number);
    verbs[step->verb % VERBS](&call);
}
