/* SPDX-License-Identifier: MIT */
/*
 * keys and count: what is in a store, without the values. Both only read.
 */
#include "json.h"
#include "keylist.h"
#include "operands.h"

#include <inttypes.h>
#include <string.h>

/* ---- keys ----------------------------------------------------------------------------------------------------------------- */

static struct {
    const char *prefix;
    bool json, hex, nul, sort;
} wanted = {.prefix = ""};

static void print_key(const void *key, size_t length, const struct hf_meta *meta) {
    if (wanted.json) {
        fputs("{\"key\":", stdout);
        json_print_bytes(key, length);
        print_meta_json(meta);
        fputs("}\n", stdout);
        return;
    }
    if (wanted.hex)
        print_hex(key, length);
    else
        print_bytes(key, length);
    putchar(wanted.nul ? '\0' : '\n');
}

static bool has_prefix(const void *key, size_t length, const struct bytes *prefix) {
    return length >= prefix->length && memcmp(key, prefix->data, prefix->length) == 0;
}

static int list_keys(hf_store *store, const char *path, const struct bytes *prefix) {
    struct hf_item item = HF_ITEM_INIT;
    uint64_t cursor = 0;
    int result;
    while ((result = scan_next(store, &cursor, HF_SCAN_KEYS, &item)) == HF_OK && !output_failed()) {
        if (has_prefix(item.key, item.key_len, prefix))
            print_key(item.key, item.key_len, &item.meta);
    }
    hf_item_free(&item);
    return result < 0 ? report_result(path, result) : TOOL_DONE;
}

/* A key that has gone since the list was made is left out. */
static int list_sorted(hf_store *store, const char *path, const struct bytes *prefix) {
    struct keylist list = {.count = 0};
    int code = keylist_fill(&list, store, path) ? TOOL_DONE : TOOL_FAILED;
    for (size_t i = 0; code == TOOL_DONE && i < list.count && !output_failed(); i++) {
        size_t length;
        const void *key = keylist_key(&list, i, &length);
        if (!has_prefix(key, length, prefix))
            continue;
        struct hf_meta meta;
        unsigned attempts = 0;
        int result;
        do
            result = hf_exists(store, key, length, &meta);
        while (busy_again(result, &attempts));
        if (result == HF_OK)
            print_key(key, length, &meta);
        else if (result < 0)
            code = report_result(path, result);
    }
    keylist_free(&list);
    return code;
}

static int keys(int argc, char **argv) {
    (void)argc;
    if (wanted.json && (wanted.hex || wanted.nul))
        return usage_error("--json goes with neither --hex nor --nul");
    struct bytes prefix;
    char text[2 * HF_KEY_MAX + 1]; /* key_operand decodes in place */
    if (strlen(wanted.prefix) >= sizeof text)
        return usage_error("--prefix is longer than any key");
    if (!key_operand(strcpy(text, wanted.prefix), wanted.hex, &prefix))
        return TOOL_USAGE;
    hf_store *store = open_store(argv[0], TO_READ);
    if (!store)
        return TOOL_FAILED;
    int code = wanted.sort ? list_sorted(store, argv[0], &prefix) : list_keys(store, argv[0], &prefix);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec keys_options[] = {
    {.name = "prefix", .kind = OPTION_TEXT, .argument = "P", .target = &wanted.prefix,
     .help = "only keys that begin with P (every key is looked at)"},
    {.name = "sort", .kind = OPTION_SWITCH, .target = &wanted.sort,
     .help = "in the order of their bytes (needs memory for all keys)"},
    {.name = "nul", .letter = '0', .kind = OPTION_SWITCH, .target = &wanted.nul,
     .help = "end each key with a NUL byte, not a newline (for xargs -0)"},
    {.name = "hex", .kind = OPTION_SWITCH, .target = &wanted.hex, .help = "print keys, and take P, in hexadecimal"},
    {.name = "json", .kind = OPTION_SWITCH, .target = &wanted.json,
     .help = "print a JSON object on a line for each key, with version, flags, time to live and length"},
    {.name = NULL},
};

const struct command command_keys = {
    .name = "keys",
    .group = GROUP_LIST,
    .summary = "print all keys",
    .operands = "STORE",
    .about = "Prints the keys, one on a line, in no order. A key that is there all the while is printed exactly once.\n",
    .examples = "holdfast keys users.hf --prefix user:\n"
                "holdfast keys users.hf -0 | xargs -0 holdfast get users.hf --meta --\n"
                "holdfast keys users.hf --json | jq -r 'select(.ttl_ms > 0) | .key'\n",
    .options = keys_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = keys,
};

/* ---- count ---------------------------------------------------------------------------------------------------------------- */

static int count(int argc, char **argv) {
    (void)argc;
    hf_store *store = open_store(argv[0], TO_READ);
    if (!store)
        return TOOL_FAILED;
    uint64_t entries;
    int result = hf_count(store, &entries);
    if (result == HF_OK)
        printf("%" PRIu64 "\n", entries);
    int code = report_result(argv[0], result);
    close_store(&store, argv[0]);
    return code;
}

const struct command command_count = {
    .name = "count",
    .group = GROUP_LIST,
    .summary = "print the number of entries",
    .operands = "STORE",
    .about = "Prints the number of entries. Expired entries count until their room is used again, and so do those by which a\n"
             "program remembers that there is no value.\n",
    .examples = "holdfast count users.hf\n",
    .min_operands = 1,
    .max_operands = 1,
    .run = count,
};
