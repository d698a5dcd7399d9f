/* SPDX-License-Identifier: MIT */
/*
 * Dumps as JSON Lines: keeps everything, bytes that are not UTF-8 too.
 *
 *     {"holdfast":1}
 *     {"key":"user:7","value":"Ada","flags":3,"expires_ms":1767225599000}
 *     {"end":1}
 *
 * `flags` and `expires_ms` are left out when 0. The last line holds the number of entries: a dump that was cut off between two
 * lines is noticed. Nothing depends on the store's order or history, so that a dump of a loaded dump is the same, sorted.
 * When reading, entries may stand without the first and the last line, and may have `ttl_ms` instead of `expires_ms`; `version`
 * is read over, for versions belong to one store. Everything else that is not as above is an error.
 */
#include "formats.h"
#include "json.h"

#include <inttypes.h>
#include <string.h>

enum { JSONL_VERSION = 1 };
#define EXPIRES_MAX ((UINT64_C(1) << 48) - 1) /* the last moment that an entry can hold, some 8,900 years after 1970 */

/* ---- Printing ------------------------------------------------------------------------------------------------------------- */

void jsonl_print_start(void) {
    printf("{\"holdfast\":%d}\n", JSONL_VERSION);
}

void jsonl_print_entry(const struct entry *entry, bool version) {
    fputs("{\"key\":", stdout);
    json_print_bytes(entry->key, entry->key_len);
    fputs(",\"value\":", stdout);
    json_print_bytes(entry->value, entry->value_len);
    if (entry->flags)
        printf(",\"flags\":%" PRIu32, entry->flags);
    if (entry->expires_ms)
        printf(",\"expires_ms\":%" PRIu64, entry->expires_ms);
    if (version)
        printf(",\"version\":%" PRIu64, entry->version);
    fputs("}\n", stdout);
}

void jsonl_print_end(uint64_t entries) {
    printf("{\"end\":%" PRIu64 "}\n", entries);
}

/* ---- Reading -------------------------------------------------------------------------------------------------------------- */

enum field { FIELD_KEY, FIELD_VALUE, FIELD_FLAGS, FIELD_EXPIRES, FIELD_TTL, FIELD_VERSION, FIELD_START, FIELD_END, FIELD_COUNT };

/* One line, read. */
struct record {
    bool has[FIELD_COUNT];
    unsigned count; /* of the fields it has */
    struct json_bytes key;
    struct json_bytes value;
    uint64_t numbers[FIELD_COUNT]; /* 0 if it has not */
};

/* FIELD_COUNT: no such field. */
static enum field find_field(const struct json_bytes *name) {
    static const char *const names[] = {"key", "value", "flags", "expires_ms", "ttl_ms", "version", "holdfast", "end"};
    enum field field = 0;
    while (field < FIELD_COUNT && !json_is(name, names[field]))
        field++;
    return field;
}

static bool read_field(struct json_reader *reader, enum field field, struct record *record) {
    record->has[field] = true;
    record->count++;
    if (field == FIELD_KEY)
        return json_read_bytes(reader, &record->key);
    if (field == FIELD_VALUE)
        return json_read_bytes(reader, &record->value);
    return json_read_number(reader, &record->numbers[field]);
}

static bool read_record(struct loader *loader, char *line, size_t length, struct record *record) {
    struct json_reader reader = json_open(line, length);
    struct json_bytes name;
    *record = (struct record){.count = 0};
    while (json_next(&reader, &name)) {
        enum field field = find_field(&name);
        if (field == FIELD_COUNT || record->has[field]) {
            struct shown shown;
            return loader_wrong(loader, "%s field '%s'", field == FIELD_COUNT ? "unknown" : "repeated",
                                show_bytes(name.data, name.length, &shown));
        }
        if (!read_field(&reader, field, record))
            break;
    }
    if (reader.error)
        return loader_wrong(loader, "byte %td: %s", reader.at - reader.start + 1, reader.error);
    return true;
}

static bool load_record(struct loader *loader, const struct record *record) {
    if (!record->has[FIELD_KEY] || !record->has[FIELD_VALUE])
        return loader_wrong(loader, "the entry has no %s", record->has[FIELD_KEY] ? "value" : "key");
    if (record->has[FIELD_START] || record->has[FIELD_END])
        return loader_wrong(loader, "an entry cannot have the field 'holdfast' or 'end'");
    if (record->numbers[FIELD_FLAGS] > UINT32_MAX)
        return loader_wrong(loader, "flags are at most %" PRIu32, UINT32_MAX);
    struct entry entry = {.key = record->key.data, .key_len = record->key.length,
                          .value = record->value.data, .value_len = record->value.length,
                          .flags = (uint32_t)record->numbers[FIELD_FLAGS], .expires_ms = record->numbers[FIELD_EXPIRES]};
    uint64_t ttl_ms = record->numbers[FIELD_TTL];
    entry.ttl_ms = record->has[FIELD_TTL] ? 0 : HF_TTL_NEVER;
    if (!record->has[FIELD_EXPIRES] && ttl_ms > 0 && __builtin_add_overflow(clock_ms(), ttl_ms, &entry.expires_ms))
        entry.expires_ms = UINT64_MAX;
    if (entry.expires_ms > EXPIRES_MAX)
        return loader_wrong(loader, "the entry expires later than a store can tell");
    return loader_put(loader, &entry);
}

/* Where we are: `inside` a dump that a first line began, and how many of its entries have come. */
struct frame {
    bool inside;
    uint64_t entries;
};

static bool start_dump(struct loader *loader, const struct record *record, struct frame *frame) {
    if (record->count != 1 || frame->inside)
        return loader_wrong(loader, "a dump begins with {\"holdfast\":%d} alone, after the end of the one before", JSONL_VERSION);
    if (record->numbers[FIELD_START] != JSONL_VERSION)
        return loader_wrong(loader, "the dump has version %" PRIu64 "; this program reads version %d",
                            record->numbers[FIELD_START], JSONL_VERSION);
    *frame = (struct frame){.inside = true};
    return true;
}

static bool end_dump(struct loader *loader, const struct record *record, struct frame *frame) {
    if (record->count != 1 || !frame->inside)
        return loader_wrong(loader, "the end of a dump that has not begun");
    if (record->numbers[FIELD_END] != frame->entries)
        return loader_wrong(loader, "the dump should have %" PRIu64 " entries but has %" PRIu64, record->numbers[FIELD_END],
                            frame->entries);
    frame->inside = false;
    return true;
}

static bool take_record(struct loader *loader, const struct record *record, struct frame *frame) {
    if (record->has[FIELD_KEY] || record->has[FIELD_VALUE]) {
        frame->entries++;
        return load_record(loader, record);
    }
    if (record->has[FIELD_START])
        return start_dump(loader, record, frame);
    if (record->has[FIELD_END])
        return end_dump(loader, record, frame);
    return loader_wrong(loader, "the entry has no key");
}

bool jsonl_load(struct loader *loader) {
    struct frame frame = {.inside = false};
    struct record record;
    char *line;
    size_t length;
    int more;
    while ((more = loader_line(loader, &line, &length)) > 0) {
        if (!read_record(loader, line, length, &record) || !take_record(loader, &record, &frame))
            return false;
    }
    if (more == 0 && frame.inside)
        return loader_wrong(loader, "the dump is cut off: its last line, {\"end\":%" PRIu64 "} or more, is missing",
                            frame.entries);
    return more == 0;
}
