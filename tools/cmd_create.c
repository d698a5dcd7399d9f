/* SPDX-License-Identifier: MIT */
/*
 * create and info: what a store is made of. Sizes are checked here against the bounds that hold for every store; whether they fit
 * together is the library's to say.
 */
#include "large.h"
#include "tool.h"

#include <inttypes.h>
#include <string.h>

/* ---- create --------------------------------------------------------------------------------------------------------------- */

static struct {
    uint64_t capacity, entries, entry_size, max_value, max_key, stripes, file_mode, ttl_ms;
    const char *mode;
} wanted = {.file_mode = 0600, .mode = "store"};

static int create(int argc, char **argv) {
    (void)argc;
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = HF_CREATE | HF_EXCLUSIVE;
    options.mode = strcmp(wanted.mode, "cache") == 0 ? HF_MODE_CACHE : HF_MODE_STORE;
    options.capacity = wanted.capacity;
    options.entries = wanted.entries;
    options.entry_size = (uint32_t)wanted.entry_size;
    options.max_value = (uint32_t)wanted.max_value;
    options.max_key = (uint32_t)wanted.max_key;
    options.stripes = (uint32_t)wanted.stripes;
    options.file_mode = (uint32_t)wanted.file_mode;
    options.default_ttl_ms = wanted.ttl_ms;
    hf_store *store = NULL;
    int result = try_open_store(&store, argv[0], &options);
    if (result == HF_EXISTS) {
        complain(argv[0], "exists already; remove it first, or choose another name");
        return TOOL_NO;
    }
    if (result != HF_OK)
        return report_result(argv[0], result);
    close_store(&store, argv[0]);
    return TOOL_DONE;
}

static const struct option_spec create_options[] = {
    {.name = "capacity", .kind = OPTION_SIZE, .argument = "SIZE", .target = &wanted.capacity, .low = 1,
     .help = "bytes of the file (default 64M, or what --entries needs)"},
    {.name = "entries", .kind = OPTION_NUMBER, .argument = "N", .target = &wanted.entries, .low = 1,
     .help = "how many entries the store promises to take"},
    {.name = "entry-size", .kind = OPTION_SIZE, .argument = "SIZE", .target = &wanted.entry_size, .low = 1, .high = UINT32_MAX,
     .help = "bytes of key and value of those entries (default 128)"},
    {.name = "max-value", .kind = OPTION_SIZE, .argument = "SIZE", .target = &wanted.max_value, .low = 1, .high = HF_VALUE_MAX,
     .help = "bytes of the largest value (default capacity / 1024)"},
    {.name = "max-key", .kind = OPTION_SIZE, .argument = "SIZE", .target = &wanted.max_key, .low = 1, .high = HF_KEY_MAX,
     .help = "bytes of the longest key (default 4K)"},
    {.name = "stripes", .kind = OPTION_NUMBER, .argument = "N", .target = &wanted.stripes, .low = 1, .high = HF_STRIPES_MAX,
     .help = "locks, so writers at once: a power of two"},
    {.name = "mode", .kind = OPTION_CHOICE, .argument = "store|cache", .target = &wanted.mode,
     .help = "when full: refuse new entries, or evict old ones"},
    {.name = "ttl", .kind = OPTION_TTL, .argument = "T", .target = &wanted.ttl_ms,
     .help = "entries expire after T unless their writer says otherwise (default never)"},
    {.name = "file-mode", .kind = OPTION_OCTAL, .argument = "MODE", .target = &wanted.file_mode, .low = 0400, .high = 0777,
     .help = "permissions of the file, before the umask (default 0600)"},
    {.name = NULL},
};

const struct command command_create = {
    .name = "create",
    .group = GROUP_STORE,
    .summary = "make a new store",
    .operands = "STORE",
    .about = "Makes a store in a new file. Its size never changes, and all its room is allocated now.\n"
             "SIZE takes K, M, G and T, powers of 1024.\n",
    .examples = "holdfast create /dev/shm/sessions\n"
                "holdfast create users.hf --entries 1000000 --entry-size 200\n"
                "holdfast create thumbs.hf --capacity 2G --max-value 1M --mode cache --ttl 1h\n",
    .options = create_options,
    .min_operands = 1,
    .max_operands = 1,
    .writes = true,
    .run = create,
};

/* ---- info ----------------------------------------------------------------------------------------------------------------- */

static bool info_json;

static const char *mode_name(uint32_t mode) {
    return mode == HF_MODE_CACHE ? "cache" : "store";
}

static void print_info_json(const struct hf_info *info, uint64_t large) {
    printf("{\"store_id\":\"%016" PRIx64 "\",\"created_ms\":%" PRIu64 ",\"mode\":\"%s\",\"file_size\":%" PRIu64
           ",\"large_pages\":%" PRIu64 ",\"entries\":%" PRIu64 ",\"entry_size\":%" PRIu32
           ",\"max_value\":%" PRIu32 ",\"max_key\":%" PRIu32 ",\"stripes\":%" PRIu32
           ",\"format\":%" PRIu32 ",\"block_size\":%" PRIu32 ",\"blocks\":%" PRIu64 ",\"buckets\":%" PRIu64
           ",\"default_ttl_ms\":%" PRIu64 ",\"libc\":\"%.16s\",\"detached\":%s,\"unverified\":%s,\"unfinished\":%" PRIu32 "}\n",
           info->store_id, info->created_ms, mode_name(info->mode), info->file_size, large, info->entries, info->entry_size,
           info->max_value, info->max_key, info->stripes, info->format, info->block_size, info->blocks, info->buckets,
           info->default_ttl_ms, info->libc, info->detached ? "true" : "false", info->unverified ? "true" : "false",
           info->unfinished);
}

static void print_default_ttl(uint64_t ttl_ms) {
    if (ttl_ms)
        printf("entries expire    after %" PRIu64 " ms, unless their writer says otherwise\n", ttl_ms);
    else
        printf("entries expire    only if their writer says so\n");
}

static void print_info_text(const struct hf_info *info, uint64_t large) {
    struct shown shown;
    printf("store id          %016" PRIx64 "\n", info->store_id);
    printf("created           %s\n", show_time(info->created_ms, &shown));
    printf("mode              %s\n", mode_name(info->mode));
    printf("file size         %s\n", show_size(info->file_size, &shown));
    printf("in large pages    %s\n", show_size(large, &shown));
    printf("promised entries  %" PRIu64 " of up to %" PRIu32 " bytes\n", info->entries, info->entry_size);
    printf("largest value     %s\n", show_size(info->max_value, &shown));
    printf("longest key       %s\n", show_size(info->max_key, &shown));
    printf("stripes           %" PRIu32 "\n", info->stripes);
    print_default_ttl(info->default_ttl_ms);
    printf("heap              %" PRIu64 " blocks of %" PRIu32 " bytes\n", info->blocks, info->block_size);
    printf("index             %" PRIu64 " buckets\n", info->buckets);
    printf("format            %" PRIu32 ", writers use %.16s\n", info->format, info->libc);
    printf("verified          %s\n",
           info->unverified ? "no: no writer is known to have opened the store since the machine started" : "yes");
    printf("unfinished        %" PRIu32 " stripes\n", info->unfinished);
}

static int info(int argc, char **argv) {
    (void)argc;
    hf_store *store = open_store(argv[0], TO_READ);
    if (!store)
        return TOOL_FAILED;
    struct hf_info about = HF_INFO_INIT;
    int result = hf_info(store, &about);
    if (result == HF_OK && info_json)
        print_info_json(&about, large_pages_of(argv[0]));
    else if (result == HF_OK)
        print_info_text(&about, large_pages_of(argv[0]));
    int code = report_result(argv[0], result);
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec info_options[] = {
    {.name = "json", .kind = OPTION_SWITCH, .target = &info_json, .help = "print one JSON object"},
    {.name = NULL},
};

const struct command command_info = {
    .name = "info",
    .group = GROUP_STORE,
    .summary = "print what a store was made for",
    .operands = "STORE",
    .about = "Prints the sizes a store was made with, and its state. Needs only read permission.\n"
             "'holdfast stats' prints what is in it.\n",
    .examples = "holdfast info /dev/shm/sessions\n"
                "holdfast info /dev/shm/sessions --json | jq .max_value\n",
    .options = info_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = info,
};
