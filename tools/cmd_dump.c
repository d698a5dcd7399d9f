/* SPDX-License-Identifier: MIT */
/*
 * dump: all entries as text on standard output. Entry by entry, without a lock: not a snapshot of one moment, which copy is.
 */
#include "formats.h"
#include "keylist.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *format, *reader;
    bool print, sort, versions;
} wanted = {.format = "jsonl", .reader = "lmdb"};

struct dump {
    hf_store *store;
    const char *path;
    bool as_db;
    uint64_t total;   /* entries expected, for the progress bar           */
    uint64_t entries; /* printed                                          */
    uint64_t lossy;   /* printed without their flags or expiry (format db) */
};

/* ---- The two formats ------------------------------------------------------------------------------------------------------ */

/* The size of LMDB's map is address space, not disk: four times the content pays for half-filled pages and for those that wait
 * to be used again. A power of two, so that it does not depend on how the entries lie in the store. */
static uint64_t choose_mapsize(uint64_t content) {
    uint64_t size = UINT64_C(1) << 26;
    while (size / 4 < content)
        size *= 2;
    return size;
}

static void print_start(const struct dump *dump, uint64_t content) {
    if (dump->as_db)
        dbtext_print_start(strcmp(wanted.reader, "lmdb") == 0 ? choose_mapsize(content) : 0, wanted.print);
    else
        jsonl_print_start();
}

/* False: standard output does not take any more. */
static bool print_one(struct dump *dump, const struct entry *entry) {
    if (dump->as_db) {
        dump->lossy += entry->flags != 0 || entry->expires_ms != 0;
        dbtext_print_entry(entry, wanted.print);
    } else {
        jsonl_print_entry(entry, wanted.versions);
    }
    progress_show(++dump->entries, dump->total);
    return !output_failed();
}

static void print_end(const struct dump *dump) {
    if (!dump->as_db)
        jsonl_print_end(dump->entries);
    else
        dbtext_print_end();
    if (dump->lossy)
        complain(dump->path, "note: format db has no place for flags and expiry; entries that had one: %" PRIu64, dump->lossy);
}

static struct entry make_entry(const void *key, size_t key_len, const void *value, const struct hf_meta *meta) {
    return (struct entry){.key = key, .key_len = key_len, .value = value, .value_len = meta->value_len,
                          .expires_ms = meta->expires_ms, .version = meta->version, .flags = meta->flags};
}

/* ---- The two orders ------------------------------------------------------------------------------------------------------- */

static int dump_unsorted(struct dump *dump) {
    struct hf_stats stats = HF_STATS_INIT;
    int result = hf_stats(dump->store, &stats);
    if (result != HF_OK)
        return report_result(dump->path, result);
    print_start(dump, stats.used_bytes);
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    while ((result = scan_next(dump->store, &cursor, 0, &item)) == HF_OK) {
        struct entry entry = make_entry(item.key, item.key_len, item.value, &item.meta);
        if (!print_one(dump, &entry))
            break;
    }
    hf_item_free(&item);
    if (result < 0)
        return report_result(dump->path, result);
    print_end(dump);
    return TOOL_DONE;
}

/* The value as it is now; HF_NOTFOUND: it has gone since the list of keys was made. */
static int dump_key(struct dump *dump, const void *key, size_t key_len, bool *more) {
    void *value = NULL;
    size_t length;
    struct hf_meta meta;
    unsigned attempts = 0;
    int result;
    do
        result = hf_get_dup(dump->store, key, key_len, &value, &length, &meta);
    while (busy_again(result, &attempts));
    if (result == HF_OK) {
        struct entry entry = make_entry(key, key_len, value, &meta);
        *more = print_one(dump, &entry);
        free(value);
    }
    return result < 0 ? report_result(dump->path, result) : TOOL_DONE;
}

static int dump_sorted(struct dump *dump) {
    struct keylist list = {.count = 0};
    int code = keylist_fill(&list, dump->store, dump->path) ? TOOL_DONE : TOOL_FAILED;
    if (code == TOOL_DONE)
        print_start(dump, list.content);
    bool more = true;
    for (size_t i = 0; code == TOOL_DONE && more && i < list.count; i++) {
        size_t length;
        const void *key = keylist_key(&list, i, &length);
        code = dump_key(dump, key, length, &more);
    }
    if (code == TOOL_DONE)
        print_end(dump);
    keylist_free(&list);
    return code;
}

/* ---- The command ---------------------------------------------------------------------------------------------------------- */

static int run_dump(int argc, char **argv) {
    (void)argc;
    struct dump dump = {.path = argv[0], .as_db = strcmp(wanted.format, "db") == 0};
    if (dump.as_db && wanted.versions)
        return usage_error("--versions goes only with --format jsonl");
    if (!dump.as_db && wanted.print)
        return usage_error("--print goes only with --format db");
    dump.store = open_store(argv[0], TO_READ);
    if (!dump.store)
        return TOOL_FAILED;
    int code = report_result(argv[0], hf_count(dump.store, &dump.total));
    if (!isatty(STDOUT_FILENO))
        progress_start("dump");
    if (code == TOOL_DONE)
        code = wanted.sort ? dump_sorted(&dump) : dump_unsorted(&dump);
    progress_end();
    close_store(&dump.store, argv[0]);
    return code;
}

static const struct option_spec dump_options[] = {
    {.name = "format", .kind = OPTION_CHOICE, .argument = "jsonl|db", .target = &wanted.format,
     .help = "JSON Lines (default), or the text of db_dump and mdb_dump"},
    {.name = "sort", .kind = OPTION_SWITCH, .target = &wanted.sort,
     .help = "in the order of the keys' bytes, so that equal stores give equal dumps"},
    {.name = "versions", .kind = OPTION_SWITCH, .target = &wanted.versions, .help = "jsonl: the entries' versions too"},
    {.name = "for", .kind = OPTION_CHOICE, .argument = "lmdb|bdb", .target = &wanted.reader,
     .help = "db: with the mapsize line that mdb_load needs (default) and db_load refuses, or without"},
    {.name = "print", .kind = OPTION_SWITCH, .target = &wanted.print,
     .help = "db: readable characters as they are (format=print)"},
    {.name = NULL},
};

const struct command command_dump = {
    .name = "dump",
    .group = GROUP_TRANSFER,
    .summary = "print all entries as text",
    .operands = "STORE",
    .about = "Prints all entries to standard output. JSON Lines keeps all of an entry but its version; format db has\n"
             "keys and values only. Others may write meanwhile; for one moment's state, copy first and dump the copy.\n",
    .examples = "holdfast dump users.hf > users.jsonl\n"
                "holdfast dump users.hf --format db | mdb_load users.lmdb\n"
                "holdfast dump users.hf --format db --for bdb | db_load users.db\n"
                "holdfast dump users.hf --sort | diff - before.jsonl\n",
    .options = dump_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_dump,
};
