/* SPDX-License-Identifier: MIT */
/*
 * put, get, exists, take, del: whole entries. Reading commands open the store for reading only, so that they work for another
 * user and while a dead writer's stripe awaits repair.
 */
#include "operands.h"

#include <inttypes.h>

static struct {
    bool hex, json, meta, stale;
    bool if_absent, if_present;
    uint64_t ttl_ms, flags, version;
} wanted;

/* ---- put ------------------------------------------------------------------------------------------------------------------ */

static bool choose_condition(struct hf_put_options *options) {
    if (wanted.if_absent + wanted.if_present + (wanted.version != 0) > 1) {
        usage_error("only one of --if-absent, --if-present and --if-version makes sense");
        return false;
    }
    options->condition = wanted.if_absent ? HF_IF_ABSENT
        : wanted.if_present               ? HF_IF_PRESENT
        : wanted.version                  ? HF_IF_VERSION
                                          : HF_ALWAYS;
    return true;
}

static int put_value(hf_store *store, const char *path, const struct bytes *key, const struct bytes *value,
                     const struct hf_put_options *options) {
    uint64_t version;
    int result = hf_put(store, key->data, key->length, value->data, value->length, options, &version);
    if (result > 0)
        return complain_of_key(path, hf_result_text(result), key, wanted.hex);
    if (result == HF_OK && wanted.json)
        printf("{\"version\":%" PRIu64 "}\n", version);
    return report_result(path, result);
}

static int put(int argc, char **argv) {
    struct hf_put_options options = HF_PUT_INIT;
    options.ttl_ms = wanted.ttl_ms;
    options.flags = (uint32_t)wanted.flags;
    options.version = wanted.version;
    struct bytes key, value;
    if (!choose_condition(&options) || !key_operand(argv[1], wanted.hex, &key))
        return TOOL_USAGE;
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    struct buffer buffer = {NULL, 0, 0};
    int code = TOOL_FAILED;
    if (value_operand(argv[0], store, argc > 2 ? argv[2] : NULL, wanted.hex, &buffer, &value))
        code = put_value(store, argv[0], &key, &value, &options);
    free_buffer(&buffer);
    close_store(&store, argv[0]);
    return code;
}

#define HEX_OPTION {.name = "hex", .kind = OPTION_SWITCH, .target = &wanted.hex, .help = "keys and values are in hexadecimal"}
#define JSON_OPTION(what) {.name = "json", .kind = OPTION_SWITCH, .target = &wanted.json, .help = what}

static const struct option_spec put_options[] = {
    {.name = "ttl", .kind = OPTION_TTL, .argument = "T", .target = &wanted.ttl_ms,
     .help = "expires after T, as in 1500ms, 1.5s, 10m, 7d, or never (default 0: as the store was made)"},
    {.name = "flags", .kind = OPTION_NUMBER, .argument = "N", .target = &wanted.flags, .high = UINT32_MAX,
     .help = "a number to keep with the value"},
    {.name = "if-absent", .kind = OPTION_SWITCH, .target = &wanted.if_absent, .help = "only if there is no such key"},
    {.name = "if-present", .kind = OPTION_SWITCH, .target = &wanted.if_present, .help = "only if there is such a key"},
    {.name = "if-version", .kind = OPTION_NUMBER, .argument = "V", .target = &wanted.version, .low = 1,
     .help = "only if the entry has this version (see get --meta)"},
    HEX_OPTION,
    JSON_OPTION("print the new version as a JSON object"),
    {.name = NULL},
};

const struct command command_put = {
    .name = "put",
    .group = GROUP_DATA,
    .summary = "store a value",
    .operands = "STORE KEY [VALUE]",
    .about = "Stores VALUE, or standard input if VALUE is left out or '-', under KEY. Prints nothing.\n"
             "Exit code 1: the condition did not hold, and nothing was changed.\n",
    .examples = "holdfast put users.hf user:7 Ada\n"
                "holdfast put users.hf photo:7 < ada.jpg\n"
                "holdfast put /dev/shm/sessions 7f3a alive --ttl 30m\n"
                "holdfast put users.hf leader $$ --if-absent\n",
    .options = put_options,
    .min_operands = 2,
    .max_operands = 3,
    .writes = true,
    .run = put,
};

/* ---- get ------------------------------------------------------------------------------------------------------------------ */

static void print_found(const char *path, const struct bytes *key, const struct bytes *value, const struct hf_meta *meta,
                        enum print_style style, bool newline) {
    print_entry(key, value, meta, style);
    if (newline && style == PRINT_RAW)
        putchar('\n');
    if (is_stale(meta))
        complain_of_key(path, hf_result_text(HF_STALE), key, wanted.hex);
}

/* One KEY; `newline`: the value is one of several, so it is ended by a newline. */
static int get_one(hf_store *store, const char *path, char *text, enum print_style style, bool newline) {
    struct bytes key;
    if (!key_operand(text, wanted.hex, &key))
        return TOOL_USAGE;
    read_verb *verb = wanted.stale ? hf_get_stale : hf_get;
    bool meta_only = style == PRINT_META || style == PRINT_JSON_META;
    struct buffer buffer = {NULL, 0, 0};
    struct hf_meta meta;
    unsigned attempts = 0;
    int result;
    do
        result = meta_only ? verb(store, key.data, key.length, NULL, 0, NULL, &meta)
                           : fetch_value(verb, store, key.data, key.length, &buffer, &meta);
    while (busy_again(result, &attempts));
    int code = TOOL_DONE;
    if (result == HF_OK || result == HF_STALE || (meta_only && result == HF_TRUNCATED))
        print_found(path, &key, &(struct bytes){.data = buffer.data, .length = buffer.length}, &meta, style, newline);
    else if (result == HF_TRUNCATED)
        code = TOOL_FAILED;
    else
        code = result == HF_NOTFOUND ? complain_of_key(path, hf_result_text(result), &key, wanted.hex)
                                     : report_result(path, result);
    free_buffer(&buffer);
    return code;
}

static int get(int argc, char **argv) {
    enum print_style style = choose_style(wanted.json, wanted.meta, wanted.hex);
    hf_store *store = open_store(argv[0], TO_READ);
    if (!store)
        return TOOL_FAILED;
    int worst = TOOL_DONE;
    for (int i = 1; i < argc && worst < TOOL_USAGE && !output_failed(); i++) {
        int code = get_one(store, argv[0], argv[i], style, argc > 2);
        worst = code > worst ? code : worst;
    }
    close_store(&store, argv[0]);
    return worst;
}

#define META_OPTION \
    {.name = "meta", .kind = OPTION_SWITCH, .target = &wanted.meta, \
     .help = "print version, flags, time to live and length instead of the value"}

static const struct option_spec get_options[] = {
    HEX_OPTION,
    JSON_OPTION("print one JSON object on a line for each key"),
    META_OPTION,
    {.name = "stale", .kind = OPTION_SWITCH, .target = &wanted.stale,
     .help = "also values that have expired and are still there; a message says so of each"},
    {.name = NULL},
};

const struct command command_get = {
    .name = "get",
    .group = GROUP_DATA,
    .summary = "print values",
    .operands = "STORE KEY...",
    .about = "Prints the value of KEY, byte for byte and with nothing added. The values of several KEYs are\n"
             "each followed by a newline. Exit code 1: a key is not there; the others are printed.\n",
    .examples = "holdfast get users.hf user:7\n"
                "holdfast get users.hf photo:7 > ada.jpg\n"
                "holdfast get users.hf user:7 user:8 --json\n"
                "holdfast get /dev/shm/pages front --stale --quiet\n"
                "holdfast get --hex users.hf 0001ff\n",
    .options = get_options,
    .min_operands = 2,
    .max_operands = -1,
    .run = get,
};

/* ---- exists --------------------------------------------------------------------------------------------------------------- */

static int exists(int argc, char **argv) {
    hf_store *store = open_store(argv[0], TO_READ);
    if (!store)
        return TOOL_FAILED;
    int code = TOOL_DONE;
    for (int i = 1; i < argc && code == TOOL_DONE; i++) {
        struct bytes key;
        if (!key_operand(argv[i], wanted.hex, &key)) {
            code = TOOL_USAGE;
            break;
        }
        unsigned attempts = 0;
        int result;
        do
            result = hf_exists(store, key.data, key.length, NULL);
        while (busy_again(result, &attempts));
        code = result == HF_NOTFOUND ? TOOL_NO : report_result(argv[0], result);
    }
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec exists_options[] = {HEX_OPTION, {.name = NULL}};

const struct command command_exists = {
    .name = "exists",
    .group = GROUP_DATA,
    .summary = "tell by the exit code whether all keys are there",
    .operands = "STORE KEY...",
    .about = "Prints nothing. Exit code 0: all KEYs are there; 1: one is not.\n",
    .examples = "if holdfast exists users.hf user:7; then echo known; fi\n",
    .options = exists_options,
    .min_operands = 2,
    .max_operands = -1,
    .run = exists,
};

/* ---- take ----------------------------------------------------------------------------------------------------------------- */

static int take(int argc, char **argv) {
    (void)argc;
    struct bytes key;
    if (!key_operand(argv[1], wanted.hex, &key))
        return TOOL_USAGE;
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    struct buffer buffer = {NULL, 0, 0};
    struct hf_meta meta;
    int result = fetch_value(hf_take, store, key.data, key.length, &buffer, &meta);
    int code = TOOL_FAILED;
    if (result == HF_NOTFOUND)
        code = complain_of_key(argv[0], hf_result_text(result), &key, wanted.hex);
    else if (result != HF_TRUNCATED)
        code = report_result(argv[0], result);
    if (result == HF_OK) {
        struct bytes value = {.data = buffer.data, .length = buffer.length};
        print_entry(&key, &value, &meta, choose_style(wanted.json, false, wanted.hex));
    }
    free_buffer(&buffer);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec take_options[] = {
    HEX_OPTION,
    JSON_OPTION("print one JSON object"),
    {.name = NULL},
};

const struct command command_take = {
    .name = "take",
    .group = GROUP_DATA,
    .summary = "print a value and delete it, in one step",
    .operands = "STORE KEY",
    .about = "Prints the value of KEY as get does and deletes it: of several takers exactly one gets it.\n"
             "It is deleted first: if standard output cannot be written, it is lost.\n",
    .examples = "holdfast take jobs.hf job:1 > work\n",
    .options = take_options,
    .min_operands = 2,
    .max_operands = 2,
    .writes = true,
    .run = take,
};

/* ---- del ------------------------------------------------------------------------------------------------------------------ */

static int del(int argc, char **argv) {
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    int worst = TOOL_DONE;
    for (int i = 1; i < argc && worst < TOOL_USAGE; i++) {
        struct bytes key;
        int code = TOOL_USAGE;
        if (key_operand(argv[i], wanted.hex, &key)) {
            int result = hf_delete(store, key.data, key.length, wanted.version);
            code = result > 0 ? complain_of_key(argv[0], hf_result_text(result), &key, wanted.hex)
                              : report_result(argv[0], result);
        }
        worst = code > worst ? code : worst;
    }
    close_store(&store, argv[0]);
    return worst;
}

static const struct option_spec del_options[] = {
    {.name = "if-version", .kind = OPTION_NUMBER, .argument = "V", .target = &wanted.version, .low = 1,
     .help = "only if the entry has this version (see get --meta)"},
    HEX_OPTION,
    {.name = NULL},
};

const struct command command_del = {
    .name = "del",
    .group = GROUP_DATA,
    .summary = "delete keys",
    .operands = "STORE KEY...",
    .about = "Deletes the KEYs. Exit code 1: one was not there, or had another version; the others are deleted.\n",
    .examples = "holdfast del users.hf user:7 user:8\n"
                "holdfast keys users.hf --prefix tmp: -0 | xargs -0 holdfast del users.hf --\n",
    .options = del_options,
    .min_operands = 2,
    .max_operands = -1,
    .writes = true,
    .run = del,
};
