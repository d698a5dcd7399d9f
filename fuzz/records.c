/* SPDX-License-Identifier: MIT */
/* See records.h. Changes are made to whole records, or to one field of one: a byte, or a number of two or four. */
#include "records.h"

struct records records_of(const uint8_t *data, size_t size) {
    struct records records = {.count = size > RECORDS_HEAD ? (size - RECORDS_HEAD) / RECORD_SIZE : 0};
    if (size > 0)
        memcpy(records.head, data, size < RECORDS_HEAD ? size : RECORDS_HEAD);
    if (records.count > 0)
        records.first = data + RECORDS_HEAD;
    return records;
}

/* Small numbers, powers of two and their neighbours, anything. */
static uint32_t any_number(uint64_t *random) {
    uint32_t power = 1u << fuzz_below(random, 32);
    switch (fuzz_below(random, 4)) {
    case 0: return (uint32_t)fuzz_below(random, 64);
    case 1: return (uint32_t)fuzz_below(random, 1024);
    case 2: return power + (uint32_t)fuzz_below(random, 3) - 1;
    default: return (uint32_t)fuzz_random(random);
    }
}

static void new_record(uint8_t *record, uint64_t *random) {
    uint32_t number = any_number(random);
    uint16_t index = (uint16_t)any_number(random);
    record[0] = (uint8_t)fuzz_random(random);
    record[1] = (uint8_t)fuzz_random(random);
    memcpy(record + 2, &index, sizeof index);
    memcpy(record + 4, &number, sizeof number);
}

static void change_field(uint8_t *record, uint64_t *random) {
    uint32_t number = any_number(random);
    switch (fuzz_below(random, 6)) {
    case 0: record[0] = (uint8_t)number; break;
    case 1: record[1] = (uint8_t)number; break;
    case 2: memcpy(record + 2, &number, 2); break;
    case 3: memcpy(record + 4, &number, 4); break;
    case 4: record[fuzz_below(random, RECORD_SIZE)] = (uint8_t)number; break;
    default: record[fuzz_below(random, RECORD_SIZE)] += (uint8_t)(fuzz_below(random, 2) ? 1 : -1);
    }
}

/* Makes room for a record at `at`; the rest moves up. */
static void insert(uint8_t *first, size_t count, size_t at) {
    memmove(first + (at + 1) * RECORD_SIZE, first + at * RECORD_SIZE, (count - at) * RECORD_SIZE);
}

size_t records_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random) {
    uint8_t saved[RECORD_SIZE], *first = data + RECORDS_HEAD;
    if (max < RECORDS_HEAD)
        return size;
    if (size < RECORDS_HEAD)
        memset(data + size, 0, RECORDS_HEAD - size);
    size_t count = records_of(data, size).count, room = (max - RECORDS_HEAD) / RECORD_SIZE;
    size_t at = count > 0 ? fuzz_below(random, count) : 0, other = count > 0 ? fuzz_below(random, count) : 0;
    switch (count == 0 ? 0 : fuzz_below(random, 9)) {
    case 0: case 1:
        if (count < room) {
            insert(first, count++, at);
            new_record(first + at * RECORD_SIZE, random);
        }
        break;
    case 2:
        if (count < room) {
            memcpy(saved, first + other * RECORD_SIZE, sizeof saved);
            insert(first, count++, at);
            memcpy(first + at * RECORD_SIZE, saved, sizeof saved);
        }
        break;
    case 3:
        memmove(first + at * RECORD_SIZE, first + (at + 1) * RECORD_SIZE, (count - at - 1) * RECORD_SIZE);
        count--;
        break;
    case 4:
        memcpy(saved, first + at * RECORD_SIZE, sizeof saved);
        memcpy(first + at * RECORD_SIZE, first + other * RECORD_SIZE, RECORD_SIZE);
        memcpy(first + other * RECORD_SIZE, saved, sizeof saved);
        break;
    case 5:
        data[fuzz_below(random, RECORDS_HEAD)] = (uint8_t)fuzz_random(random);
        break;
    default:
        change_field(first + at * RECORD_SIZE, random);
    }
    return RECORDS_HEAD + count * RECORD_SIZE;
}
