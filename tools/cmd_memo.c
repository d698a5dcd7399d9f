/* SPDX-License-Identifier: MIT */
/*
 * memo: runs a slow command once, and gives all who ask for it afterwards, or at the same time, what it printed. A cache must not
 * become the outage: where the store cannot be used, the command is run all the same.
 *
 * The value is a struct record, then what the command is known by (its arguments, ...), standard output, standard error. The key
 * has only a hash of the former, so a reader compares it.
 */
#include "memo.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "hf memo"
#define TOO_LARGE_MS 60000 /* so long is it remembered that the output of a command does not fit */

static struct {
    bool failures, cwd, refresh;
    uint64_t ttl_ms, stale_ms, wait_ms, capacity;
    const char *env, *key;
} wanted = {.wait_ms = HF_TTL_NEVER, .capacity = 64 << 20};

struct record {
    char magic[8];
    uint32_t code;
    uint32_t too_large; /* 1: there is no output here; run the command, and do not wait for others */
    uint32_t identity_len;
    uint32_t len[2];
    uint32_t reserved;
};

static struct {
    const char *path;
    hf_store *store;
    struct buffer identity;
    char key[HF_KEY_MAX + 1];
    size_t key_len;
    uint32_t max_value;
    bool ran, too_large;
    struct run run;
    struct buffer value; /* found, or made */
} memo;

/* ---- What a command is known by ------------------------------------------------------------------------------------------- */

static bool add(struct buffer *to, const char *data, size_t length) {
    if (!reserve_buffer(to, to->length + length))
        return false;
    memcpy(to->data + to->length, data, length);
    to->length += length;
    return true;
}

/* NAME=VALUE, or NAME if it is not set, for each of NAME,NAME,... */
static int add_environment(struct buffer *identity) {
    for (const char *at = wanted.env; *at;) {
        char name[256];
        size_t length = strcspn(at, ",");
        if (length == 0 || length >= sizeof name)
            return usage_error("--env takes names of variables with commas between them");
        memcpy(name, at, length);
        name[length] = '\0';
        const char *value = getenv(name);
        if (!add(identity, name, length) || (value && (!add(identity, "=", 1) || !add(identity, value, strlen(value)))) ||
            !add(identity, "", 1))
            return TOOL_FAILED;
        at += length + (at[length] == ',');
    }
    return TOOL_DONE;
}

/* TOOL_DONE; anything else: told. */
static int identify(char **command, struct buffer *identity) {
    if (wanted.key)
        return reserve_buffer(identity, 1) ? TOOL_DONE : TOOL_FAILED; /* nothing, but at an address */
    for (; *command; command++)
        if (!add(identity, *command, strlen(*command) + 1))
            return TOOL_FAILED;
    int code = !wanted.env ? TOOL_DONE : add(identity, "", 1) ? add_environment(identity) : TOOL_FAILED;
    if (code != TOOL_DONE)
        return code;
    char *cwd = wanted.cwd ? getcwd(NULL, 0) : NULL;
    bool done = !wanted.cwd || (cwd && add(identity, "", 1) && add(identity, cwd, strlen(cwd) + 1));
    free(cwd);
    return done ? TOOL_DONE : TOOL_FAILED;
}

/* "memo:HASH:NAME": the name is for people who list the keys. FNV-1a; equal hashes are told apart by `identity`. */
static void make_key(const char *name) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < memo.identity.length; i++)
        hash = (hash ^ memo.identity.data[i]) * 0x100000001b3;
    memo.key_len = (size_t)(wanted.key ? snprintf(memo.key, sizeof memo.key, "%s", wanted.key)
                                     : snprintf(memo.key, sizeof memo.key, "memo:%016" PRIx64 ":%.60s", hash, name));
}

/* ---- Records -------------------------------------------------------------------------------------------------------------- */

/* Copies the head of what was found; false if it is not a record of this command. */
static bool read_record(struct record *record) {
    const struct buffer *value = &memo.value;
    if (value->length < sizeof *record)
        return false;
    memcpy(record, value->data, sizeof *record);
    uint64_t length = sizeof *record + (uint64_t)record->identity_len + record->len[0] + record->len[1];
    return memcmp(record->magic, MAGIC, sizeof record->magic) == 0 && length == value->length &&
           record->identity_len == memo.identity.length &&
           memcmp(value->data + sizeof *record, memo.identity.data, record->identity_len) == 0;
}

static bool write_record(bool too_large) {
    struct record record = {.magic = MAGIC, .code = (uint32_t)memo.run.code, .too_large = too_large};
    struct buffer *value = &memo.value;
    record.identity_len = (uint32_t)memo.identity.length;
    for (int i = 0; i < 2; i++)
        record.len[i] = too_large ? 0 : (uint32_t)memo.run.output[i].length;
    value->length = 0;
    return reserve_buffer(value, sizeof record + record.identity_len + record.len[0] + record.len[1]) &&
           add(value, (const char *)&record, sizeof record) &&
           add(value, (const char *)memo.identity.data, record.identity_len) &&
           add(value, (const char *)memo.run.output[0].data, record.len[0]) &&
           add(value, (const char *)memo.run.output[1].data, record.len[1]);
}

static int output_gone(const char *which) {
    return errno == EPIPE ? 128 + SIGPIPE : fail(which, "%s", strerror(errno));
}

/* Prints both outputs; the exit code. */
static int print(const unsigned char *const data[2], const size_t length[2], int code) {
    if (!write_all(STDOUT_FILENO, data[0], length[0]))
        return output_gone("standard output");
    if (!write_all(STDERR_FILENO, data[1], length[1]))
        return output_gone("standard error");
    return code;
}

static int replay(const struct record *record) {
    const unsigned char *output = memo.value.data + sizeof *record + record->identity_len;
    return print((const unsigned char *[2]){output, output + record->len[0]}, (size_t[2]){record->len[0], record->len[1]},
                 (int)record->code);
}

/* ---- Running -------------------------------------------------------------------------------------------------------------- */

/* Nothing of the store is held any more when the command takes over. */
static int run_unkept(void) {
    if (memo.store)
        close_store(&memo.store, memo.path);
    return become_command(memo.run.command);
}

/* What is to be stored, if anything: HF_OK. */
static int make(void *context, const void *key, size_t key_len, struct hf_fill *fill) {
    (void)context, (void)key, (void)key_len;
    memo.ran = true;
    run_command(&memo.run);
    if (!memo.run.done || memo.run.code >= 126 || (memo.run.code != 0 && !wanted.failures))
        return HF_NOTFOUND;
    memo.too_large = !memo.run.whole;
    if (!write_record(memo.too_large))
        return HF_NOTFOUND;
    *fill = (struct hf_fill){.value = memo.value.data, .value_len = memo.value.length, .ttl_ms = wanted.ttl_ms};
    if (memo.too_large)
        fill->ttl_ms = TOO_LARGE_MS;
    return HF_OK;
}

/* After make. All that may wait for a reader comes here, where no others wait any more: messages too. */
static int finish(void) {
    const struct run *run = &memo.run;
    const unsigned char *rest[2];
    size_t length[2];
    for (int i = 0; i < 2; i++) {
        rest[i] = run->output[i].data + run->passed[i];
        length[i] = run->output[i].length - run->passed[i];
    }
    int code = print(rest, length, run->code);
    if (memo.too_large)
        complain(memo.path, "not kept: the output is larger than %" PRIu64 " bytes; values of this store have at most %" PRIu32,
                 run->limit, memo.max_value);
    return code;
}

/* Run, whatever is there, and store. */
static int run_anew(void) {
    struct hf_fill fill = {.value = NULL};
    struct hf_put_options options = HF_PUT_INIT;
    if (make(NULL, NULL, 0, &fill) == HF_OK) {
        options.ttl_ms = fill.ttl_ms;
        report_result(memo.path, hf_put(memo.store, memo.key, memo.key_len, fill.value, fill.value_len, &options, NULL));
    }
    return finish();
}

static bool take_stale;

/* hf_get_or_fill where hf_get could be. What was run here is printed from there, and is not asked for again. */
static int get_or_run(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                      struct hf_meta *meta) {
    struct hf_fill_options options = HF_FILL_INIT;
    options.flags = take_stale ? HF_FILL_STALE : 0;
    options.wait_ms = wanted.wait_ms < HF_FOREVER ? (uint32_t)wanted.wait_ms : HF_FOREVER;
    int result = hf_get_or_fill(store, key, key_len, buffer, size, value_len, meta, make, NULL, &options);
    if (memo.ran && (result == HF_OK || result == HF_TRUNCATED) && meta->version == 0)
        complain(memo.path, "not kept: there is no room, or the key was written meanwhile");
    return memo.ran ? HF_OK : result;
}

static int recall_or_run(void) {
    struct hf_meta meta;
    struct record record;
    take_stale = wanted.stale_ms != 0;
    int result = fetch_value(get_or_run, memo.store, memo.key, memo.key_len, &memo.value, &meta);
    if (result == HF_STALE && clock_ms() - meta.expires_ms > wanted.stale_ms) {
        take_stale = false;
        result = fetch_value(get_or_run, memo.store, memo.key, memo.key_len, &memo.value, &meta);
    }
    if (memo.ran)
        return finish();
    if (result < 0)
        report_result(memo.path, result);
    else if ((result == HF_OK || result == HF_STALE) && !read_record(&record))
        complain(memo.path, "not used: under the key '%s' is something else", memo.key);
    else if ((result == HF_OK || result == HF_STALE) && !record.too_large)
        return replay(&record);
    return run_unkept();
}

/* ---- The command ---------------------------------------------------------------------------------------------------------- */

/* Opens the store, or makes one; false: told. */
static bool open_or_make(void) {
    struct hf_options options = HF_OPTIONS_INIT;
    struct hf_info info = HF_INFO_INIT;
    options.flags = HF_CREATE;
    options.mode = HF_MODE_CACHE;
    options.capacity = wanted.capacity;
    options.max_value = (uint32_t)(wanted.capacity / 64 < HF_VALUE_MAX ? wanted.capacity / 64 : HF_VALUE_MAX);
    int result = try_open_store(&memo.store, memo.path, &options);
    if (result == HF_OK)
        result = hf_info(memo.store, &info);
    if (result != HF_OK)
        return report_result(memo.path, result) == TOOL_DONE;
    uint64_t overhead = sizeof(struct record) + memo.identity.length;
    memo.max_value = info.max_value;
    memo.run.limit = info.max_value > overhead ? info.max_value - overhead : 0;
    return info.max_value >= overhead && prepare_run(&memo.run);
}

static int run_memo(int argc, char **argv) {
    (void)argc;
    memo.path = argv[0];
    memo.run.command = argv + 1;
    if (wanted.key && (!*wanted.key || strlen(wanted.key) > HF_KEY_MAX))
        return usage_error("--key takes 1 to %d bytes", HF_KEY_MAX);
    int code = identify(argv + 1, &memo.identity);
    if (code != TOOL_DONE)
        return code;
    make_key(argv[1]);
    code = !open_or_make() ? run_unkept() : wanted.refresh ? run_anew() : recall_or_run();
    if (memo.store)
        close_store(&memo.store, memo.path);
    free_buffer(&memo.identity);
    free_buffer(&memo.run.output[0]);
    free_buffer(&memo.run.output[1]);
    free_buffer(&memo.value);
    return code;
}

static const struct option_spec memo_options[] = {
    {.name = "ttl", .kind = OPTION_TTL, .argument = "T", .target = &wanted.ttl_ms,
     .help = "keep it for T, as in 1500ms, 10m, 1h, or never let it expire (default 0: as the store was made)"},
    {.name = "stale", .kind = OPTION_TTL, .argument = "T", .target = &wanted.stale_ms,
     .help = "while another runs it anew, print what expired at most T ago"},
    {.name = "wait", .kind = OPTION_TTL, .argument = "T", .target = &wanted.wait_ms, .low = 1,
     .help = "the longest wait for another that runs it; then run it as well (default never)"},
    {.name = "failures", .kind = OPTION_SWITCH, .target = &wanted.failures, .help = "keep it also if its exit code is not 0"},
    {.name = "cwd", .kind = OPTION_SWITCH, .target = &wanted.cwd, .help = "the working directory makes a difference"},
    {.name = "env", .kind = OPTION_TEXT, .argument = "NAME,...", .target = &wanted.env,
     .help = "these variables of the environment make a difference"},
    {.name = "key", .kind = OPTION_TEXT, .argument = "KEY", .target = &wanted.key,
     .help = "keep it under KEY, whatever the command"},
    {.name = "refresh", .kind = OPTION_SWITCH, .target = &wanted.refresh, .help = "run it, and keep the new output"},
    {.name = "capacity", .kind = OPTION_SIZE, .argument = "SIZE", .target = &wanted.capacity, .low = 1 << 20,
     .help = "bytes of a store that is made (default 64M)"},
    {.name = NULL},
};

const struct command command_memo = {
    .name = "memo",
    .group = GROUP_DATA,
    .summary = "run a slow command once, and print again what it printed",
    .operands = "STORE -- COMMAND [ARGUMENT...]",
    .about = "Runs COMMAND and keeps its output and exit code; the same command, from any shell, then prints the same at once.\n"
             "If several ask at the same time, one runs it and the others wait; if that one is killed, the next takes over.\n"
             "A command is the same if its arguments are. Its input makes no difference, nor do directory and environment,\n"
             "unless --cwd or --env say so. Output that does not fit into a value of the store, and a command that fails,\n"
             "are not kept. A store that is not there is made, as a cache. The exit code is that of COMMAND.\n",
    .examples = "holdfast memo /dev/shm/memo --ttl 1h -- curl -fsS https://example.org/rates.json\n"
                "holdfast memo /dev/shm/memo --ttl 10m --cwd -- du -sh .\n"
                "holdfast memo /dev/shm/memo --key \"$(sha256sum <paper.tex)\" -- pdflatex -halt-on-error paper.tex\n",
    .options = memo_options,
    .min_operands = 2,
    .max_operands = -1,
    .writes = true,
    .run = run_memo,
};
