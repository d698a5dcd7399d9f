/* SPDX-License-Identifier: MIT */
/*
 * Bytes as a command line: a command, then its arguments, one on a line. The tool's own parsers read them; commands that touch
 * nothing but STORE are run, on a store in memory that takes the place of their first operand, and must return one of the
 * documented exit codes. The sizes of `create` must lead to a layout that fits together, or be refused. Numbers are parsed by the
 * C library, too. `chaos`, which starts processes, is left out.
 */
#include "image.h"
#include "loading.h"
#include "words.h"

#include <errno.h>
#include <unistd.h>

enum { ARGUMENTS_MOST = 64 };

/* RUN: it touches nothing but STORE. RUN_ALONE: not if it is given another file, so it is not given one. */
enum how_far { PARSED, RUN, RUN_ALONE };

static const struct {
    const struct command *command;
    enum how_far how_far;
} commands[] = {
    {&command_create, PARSED}, {&command_info, RUN}, {&command_put, RUN}, {&command_get, RUN},
    {&command_exists, RUN}, {&command_take, RUN}, {&command_del, RUN}, {&command_incr, RUN},
    {&command_append, RUN}, {&command_touch, RUN}, {&command_clear, RUN}, {&command_keys, RUN},
    {&command_count, RUN}, {&command_dump, RUN}, {&command_load, RUN_ALONE}, {&command_import, PARSED},
    {&command_copy, PARSED}, {&command_stats, RUN_ALONE}, {&command_log, RUN}, {&command_check, RUN},
    {&command_repair, RUN}, {&command_locks, RUN}, {&command_ls, PARSED}, {&command_rm, PARSED},
    {&command_top, PARSED},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* ---- The variables that options set: each input begins with their defaults ------------------------------------------------ */

enum { TARGETS_MOST = 64 };

static struct {
    void *target;
    size_t size;
    unsigned char bytes[8];
} defaults[TARGETS_MOST];
static size_t default_count;

static size_t size_of(const struct option_spec *option) {
    if (option->kind == OPTION_SWITCH)
        return sizeof(bool);
    return option->kind == OPTION_TEXT || option->kind == OPTION_CHOICE ? sizeof(const char *) : sizeof(uint64_t);
}

static void remember_defaults(void) {
    for (size_t i = 0; i < COMMANDS; i++) {
        for (const struct option_spec *option = commands[i].command->options; option && option->name; option++) {
            MUST(default_count < TARGETS_MOST);
            defaults[default_count].target = option->target;
            defaults[default_count].size = size_of(option);
            memcpy(defaults[default_count].bytes, option->target, size_of(option));
            default_count++;
        }
    }
}

static void restore_defaults(void) {
    if (default_count == 0)
        remember_defaults();
    for (size_t i = 0; i < default_count; i++)
        memcpy(defaults[i].target, defaults[i].bytes, defaults[i].size);
    tool = (struct tool_settings){.command = NULL};
}

/* ---- Numbers -------------------------------------------------------------------------------------------------------------- */

static void parse_as_number(const char *text) {
    char *end;
    uint64_t number;
    int64_t integer;
    errno = 0;
    if (parse_number(text, &number))
        MUST(number == strtoull(text, &end, 10) && *end == '\0' && errno == 0);
    if (parse_octal(text, &number))
        MUST(number == strtoull(text, &end, 8) && *end == '\0' && errno == 0);
    if (parse_integer(text, &integer))
        MUST(integer == strtoll(text, &end, 10) && *end == '\0' && errno == 0);
    if (parse_size(text, &number)) {
        static const char suffixes[] = "kmgt";
        uint64_t base = strtoull(text, &end, 10);
        const char *suffix = *end ? strchr(suffixes, *end | 0x20) : NULL;
        MUST(errno == 0 && (*end == '\0' || (suffix && end[1] == '\0')));
        MUST(number >> (suffix ? 10 * (suffix - suffixes + 1) : 0) == base);
    }
    if (parse_duration(text, &number))
        MUST(strspn(text, "0123456789.mshdw") == strlen(text));
}

static const void *wished(const char *name) {
    const struct option_spec *option = command_create.options;
    while (strcmp(option->name, name) != 0)
        option++;
    return option->target;
}

static uint64_t wish(const char *name) {
    return *(const uint64_t *)wished(name);
}

static void lay_out(void) {
    struct hf_options options = HF_OPTIONS_INIT, checked;
    struct hf__geometry geometry;
    options.flags = HF_CREATE | HF_EXCLUSIVE;
    options.mode = strcmp(*(const char *const *)wished("mode"), "cache") == 0 ? HF_MODE_CACHE : HF_MODE_STORE;
    options.capacity = wish("capacity");
    options.entries = wish("entries");
    options.entry_size = (uint32_t)wish("entry-size");
    options.max_value = (uint32_t)wish("max-value");
    options.max_key = (uint32_t)wish("max-key");
    options.stripes = (uint32_t)wish("stripes");
    options.file_mode = (uint32_t)wish("file-mode");
    options.default_ttl_ms = wish("ttl");
    int rc = hf__options_check(&checked, &options);
    if (rc == HF_OK)
        rc = hf__geometry_make(&geometry, &checked);
    MUST(rc == HF_OK || (rc == HF_ERR_ARGUMENT && hf_explain()[0] != '\0'));
    if (rc != HF_OK)
        return;
    MUST(hf__geometry_check(&geometry) == HF_OK && geometry.mode == options.mode);
    MUST(geometry.entries >= 1 && geometry.entries >= options.entries);
    MUST(!options.capacity || geometry.file_size <= options.capacity);
    MUST(!options.stripes || geometry.stripes == options.stripes);
    MUST(!options.max_value || geometry.max_value == options.max_value);
    MUST(geometry.default_ttl_ms == options.default_ttl_ms || options.default_ttl_ms == HF_TTL_NEVER);
    MUST(!options.entry_size || geometry.entry_size == options.entry_size);
}

/* ---- The command line ----------------------------------------------------------------------------------------------------- */

static void run(size_t number, int argc, char **argv) {
    char path[32];
    const struct image *image = image_of(IMAGE_STORE);
    int fd = image_file(image->bytes, image->size);
    image_identify(fd, IMAGE_FITTING);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    argv[0] = path;
    argc = commands[number].how_far == RUN_ALONE ? 1 : argc;
    argv[argc] = NULL;
    int code = commands[number].command->run(argc, argv);
    MUST(code == TOOL_DONE || code == TOOL_NO || code == TOOL_USAGE || code == TOOL_FAILED);
    close(fd);
    close(loading_printed());
}

static void read_arguments(size_t number, int argc, char **argv) {
    const struct command *command = commands[number].command;
    int operands = -1;
    tool.command = command;
    for (int i = 0; i < argc; i++)
        parse_as_number(argv[i]);
    if (!parse_options(argc, argv, &operands))
        return;
    MUST(operands >= 0 && operands <= argc);
    bool fits = operands >= command->min_operands && (command->max_operands < 0 || operands <= command->max_operands);
    if (command == &command_create)
        lay_out();
    if (fits && !tool.help && commands[number].how_far != PARSED)
        run(number, operands, argv);
}

/* Lines become arguments, in place. */
static int split(char *text, char *argv[ARGUMENTS_MOST + 1]) {
    int count = 0;
    for (char *line = strtok(text, "\n"); line && count < ARGUMENTS_MOST; line = strtok(NULL, "\n"))
        argv[count++] = line;
    argv[count] = NULL;
    return count;
}

void fuzz_one(const uint8_t *data, size_t size) {
    char *argv[ARGUMENTS_MOST + 1], *text = calloc(1, size + 1);
    MUST(text);
    if (size > 0)
        memcpy(text, data, size);
    loading_prepare();
    restore_defaults();
    int argc = split(text, argv);
    for (size_t i = 0; argc > 0 && i < COMMANDS; i++)
        if (strcmp(commands[i].command->name, argv[0]) == 0)
            read_arguments(i, argc - 1, argv + 1);
    free(text);
}

size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, uint64_t *random) {
    static const char *const words[] = {
        "create\n", "info\n", "put\n", "get\n", "exists\n", "take\n", "del\n", "incr\n", "append\n", "touch\n", "clear\n",
        "keys\n", "count\n", "dump\n", "load\n", "import\n", "copy\n", "stats\n", "log\n", "check\n", "repair\n", "store\n",
        "key-1\n", "key-2\n", "--\n", "-\n", "-5\n", "-q\n", "-h\n", "-0\n", "--json\n", "--hex\n", "--meta\n", "--ttl\n",
        "--flags\n", "--if-absent\n", "--if-present\n", "--if-version\n", "--initial\n", "--prefix\n", "--sort\n", "--nul\n",
        "--format\n", "db\n", "jsonl\n", "--print\n", "--versions\n", "--for\n", "bdb\n", "--part\n", "1/2\n", "--replace\n",
        "--read-only\n", "--capacity\n", "--entries\n", "--entry-size\n", "--max-value\n", "--stripes\n", "--mode\n", "cache\n",
        "--file-mode\n", "0600\n", "--timeout=5s\n", "=", "64K\n", "16M\n", "1T\n", "1.5s\n", "10ms\n", "2h\n", "7d\n",
        "18446744073709551615\n", "9223372036854775807\n", "-9223372036854775808\n", "4294967296\n", "00ff\n", "\n",
        "locks\n", "ls\n", "rm\n", "top\n", "--prometheus\n", "--once\n", "--interval\n", "--force\n", NULL,
    };
    return words_mutate(data, size, max, random, words);
}
