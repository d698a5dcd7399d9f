/* SPDX-License-Identifier: MIT */
/*
 * incr, append, touch, clear: changes that read what is there and write it back in one step; ttl, which tells what touch sets.
 */
#include "operands.h"

#include <inttypes.h>

static struct {
    bool hex, if_present;
    int64_t initial;
    uint64_t ttl_ms;
    uint64_t new_ttl_ms; /* touch */
} wanted = {.new_ttl_ms = TTL_UNSET};

#define HEX_OPTION(what) {.name = "hex", .kind = OPTION_SWITCH, .target = &wanted.hex, .help = what}

/* Ends a command on one key: an answer is told with the key, a failure with its explanation. */
static int tell(const char *path, int result, const struct bytes *key) {
    return result > 0 ? complain_of_key(path, hf_result_text(result), key, wanted.hex) : report_result(path, result);
}

/* ---- incr ----------------------------------------------------------------------------------------------------------------- */

static int incr(int argc, char **argv) {
    int64_t by = 1;
    struct bytes key;
    if (argc > 2 && !parse_integer(argv[2], &by))
        return usage_error("BY '%s' is not a whole number of at most 64 bits", argv[2]);
    if (!key_operand(argv[1], wanted.hex, &key))
        return TOOL_USAGE;
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    struct hf_incr_options options = HF_INCR_INIT;
    options.initial = wanted.initial;
    options.ttl_ms = wanted.ttl_ms;
    options.condition = wanted.if_present ? HF_IF_PRESENT : HF_ALWAYS;
    int64_t sum;
    int result = hf_incr(store, key.data, key.length, by, &options, &sum);
    if (result == HF_OK)
        printf("%" PRId64 "\n", sum);
    int code = tell(argv[0], result, &key);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec incr_options[] = {
    {.name = "initial", .kind = OPTION_INTEGER, .argument = "N", .target = &wanted.initial,
     .help = "what an absent key counts from (default 0)"},
    {.name = "ttl", .kind = OPTION_TTL, .argument = "T", .target = &wanted.ttl_ms,
     .help = "a counter that is made now expires after T, or never (default 0: as the store was made)"},
    {.name = "if-present", .kind = OPTION_SWITCH, .target = &wanted.if_present, .help = "only if there is such a key"},
    HEX_OPTION("KEY is in hexadecimal"),
    {.name = NULL},
};

const struct command command_incr = {
    .name = "incr",
    .group = GROUP_CHANGE,
    .summary = "add to a counter, and print the sum",
    .operands = "STORE KEY [BY]",
    .about = "Adds BY (default 1; negative to count down) to the decimal number stored under KEY and prints the sum.\n"
             "A number is at most 64 bits with sign. No increment is lost, however many processes count at once.\n",
    .examples = "holdfast incr stats.hf visits\n"
                "holdfast incr stats.hf balance -5\n"
                "holdfast incr stats.hf \"hits:$(date +%F)\" --ttl 7d\n",
    .options = incr_options,
    .min_operands = 2,
    .max_operands = 3,
    .writes = true,
    .run = incr,
};

/* ---- append --------------------------------------------------------------------------------------------------------------- */

static int append(int argc, char **argv) {
    struct bytes key, tail;
    if (!key_operand(argv[1], wanted.hex, &key))
        return TOOL_USAGE;
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    struct buffer buffer = {NULL, 0, 0};
    int code = TOOL_FAILED;
    if (value_operand(argv[0], store, argc > 2 ? argv[2] : NULL, wanted.hex, &buffer, &tail))
        code = tell(argv[0], hf_append(store, key.data, key.length, tail.data, tail.length, NULL), &key);
    free_buffer(&buffer);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec append_options[] = {HEX_OPTION("KEY and TAIL are in hexadecimal"), {.name = NULL}};

const struct command command_append = {
    .name = "append",
    .group = GROUP_CHANGE,
    .summary = "add bytes to the end of a value",
    .operands = "STORE KEY [TAIL]",
    .about = "Adds TAIL, or standard input if TAIL is left out or '-', to the end of the value of KEY, or makes it.\n"
             "Expiry and flags stay.\n",
    .examples = "holdfast append jobs.hf log:1 \"started;\"\n"
                "date | holdfast append jobs.hf log:1\n",
    .options = append_options,
    .min_operands = 2,
    .max_operands = 3,
    .writes = true,
    .run = append,
};

/* ---- touch ---------------------------------------------------------------------------------------------------------------- */

static int touch(int argc, char **argv) {
    (void)argc;
    struct bytes key;
    if (wanted.new_ttl_ms == TTL_UNSET)
        return usage_error("--ttl is needed (never: the entry never expires)");
    if (!key_operand(argv[1], wanted.hex, &key))
        return TOOL_USAGE;
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    int code = tell(argv[0], hf_touch(store, key.data, key.length, wanted.new_ttl_ms), &key);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec touch_options[] = {
    {.name = "ttl", .kind = OPTION_TTL, .argument = "T", .target = &wanted.new_ttl_ms,
     .help = "from now on: as in 1500ms, 1.5s, 10m, 7d; or never; 0: as the store was made"},
    HEX_OPTION("KEY is in hexadecimal"),
    {.name = NULL},
};

const struct command command_touch = {
    .name = "touch",
    .group = GROUP_TIME,
    .summary = "give an entry a new time to live",
    .operands = "STORE KEY --ttl T",
    .about = "Sets when the entry of KEY expires. Value, flags and version stay.\n",
    .examples = "holdfast touch /dev/shm/sessions 7f3a --ttl 30m\n"
                "holdfast touch /dev/shm/sessions 7f3a --ttl never\n"
                "holdfast touch /dev/shm/sessions copy --ttl \"$(holdfast ttl /dev/shm/sessions 7f3a)\"\n",
    .options = touch_options,
    .min_operands = 2,
    .max_operands = 2,
    .writes = true,
    .run = touch,
};

/* ---- ttl ------------------------------------------------------------------------------------------------------------------ */

static int ttl(int argc, char **argv) {
    (void)argc;
    struct bytes key;
    struct hf_meta meta;
    unsigned attempts = 0;
    int result;
    if (!key_operand(argv[1], wanted.hex, &key))
        return TOOL_USAGE;
    hf_store *store = open_store(argv[0], TO_READ);
    if (!store)
        return TOOL_FAILED;
    do
        result = hf_exists(store, key.data, key.length, &meta);
    while (busy_again(result, &attempts));
    if (result == HF_OK && meta.expires_ms)
        printf("%" PRIu64 "ms\n", meta.ttl_ms);
    else if (result == HF_OK)
        puts("never");
    int code = tell(argv[0], result, &key);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec ttl_options[] = {HEX_OPTION("KEY is in hexadecimal"), {.name = NULL}};

const struct command command_ttl = {
    .name = "ttl",
    .group = GROUP_TIME,
    .summary = "print how long an entry has left to live",
    .operands = "STORE KEY",
    .about = "Prints how long the entry of KEY has left to live, in milliseconds as in 59999ms, or never: what the --ttl of\n"
             "other commands takes. Exit code 1: there is no such key, or it has expired.\n",
    .examples = "holdfast ttl /dev/shm/sessions 7f3a\n",
    .options = ttl_options,
    .min_operands = 2,
    .max_operands = 2,
    .run = ttl,
};

/* ---- clear ---------------------------------------------------------------------------------------------------------------- */

static int clear(int argc, char **argv) {
    (void)argc;
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    int code = report_result(argv[0], hf_clear(store));
    close_store(&store, argv[0]);
    return code;
}

const struct command command_clear = {
    .name = "clear",
    .group = GROUP_CHANGE,
    .summary = "delete every entry",
    .operands = "STORE",
    .about = "Deletes every entry, without asking. Each goes in one step; others may work meanwhile.\n",
    .examples = "holdfast clear /dev/shm/sessions\n",
    .min_operands = 1,
    .max_operands = 1,
    .writes = true,
    .run = clear,
};

/* ---- expire --------------------------------------------------------------------------------------------------------------- */

static int expire(int argc, char **argv) {
    (void)argc;
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    uint64_t count = 0;
    int result = hf_expire(store, &count);
    if (result == HF_OK)
        printf("%" PRIu64 "\n", count);
    int code = report_result(argv[0], result);
    close_store(&store, argv[0]);
    return code;
}

const struct command command_expire = {
    .name = "expire",
    .group = GROUP_TIME,
    .summary = "remove the entries that have expired",
    .operands = "STORE",
    .about = "Removes every entry whose time is over, and prints how many. Without it their room is reused as it is needed.\n",
    .examples = "holdfast expire /dev/shm/sessions\n",
    .min_operands = 1,
    .max_operands = 1,
    .writes = true,
    .run = expire,
};
