/* SPDX-License-Identifier: MIT */
/*
 * The command line against the tables of options. getopt_long was rejected: it knows neither types nor ranges, and it takes the
 * -5 of `incr STORE KEY -5` for an option.
 *
 * Rules: --name VALUE or --name=VALUE; -x for the few that have a letter; options and operands in any order; "--" ends the
 * options; "-" is an operand, and so is what begins with - and a digit (unless it is an option's letter).
 */
#include "tool.h"

#include <inttypes.h>
#include <string.h>

struct tool_settings tool;

static const struct option_spec writer_options[] = {
    {.name = "timeout", .kind = OPTION_DURATION, .argument = "T", .target = &tool.timeout_ms, .low = 1, .high = UINT32_MAX,
     .help = "longest wait for a lock (default 10s)"},
    {.name = "quiet", .letter = 'q', .kind = OPTION_SWITCH, .target = &tool.quiet,
     .help = "no messages, no progress bar: only the exit code tells"},
    {.name = "help", .letter = 'h', .kind = OPTION_SWITCH, .target = &tool.help, .help = "print this help"},
    {.name = NULL},
};

const struct option_spec *common_options(const struct command *command) {
    return command->writes ? writer_options : writer_options + 1;
}

/* ---- Finding an option ---------------------------------------------------------------------------------------------------- */

static const struct option_spec *find_in(const struct option_spec *table, const char *name, size_t length, char letter) {
    for (; table && table->name; table++) {
        if (letter ? table->letter == letter : strlen(table->name) == length && strncmp(table->name, name, length) == 0)
            return table;
    }
    return NULL;
}

/* By its letter, or by its name if letter is 0. */
static const struct option_spec *find_option(const char *name, size_t length, char letter) {
    const struct option_spec *option = find_in(tool.command->options, name, length, letter);
    return option ? option : find_in(common_options(tool.command), name, length, letter);
}

static bool is_operand(const char *argument) {
    if (argument[0] != '-' || argument[1] == '\0')
        return true;
    return argument[1] >= '0' && argument[1] <= '9' && !(argument[2] == '\0' && find_option(NULL, 0, argument[1]));
}

/* ---- Values --------------------------------------------------------------------------------------------------------------- */

static bool is_choice(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (length > 0 && !strchr(word, '|') && strncmp(at, word, length) == 0 && (at[length] == '|' || at[length] == '\0'))
            return true;
    }
    return false;
}

static const char *kind_text(enum option_kind kind) {
    switch (kind) {
    case OPTION_SIZE:
        return "a size such as 4096, 64K, 16M or 1G";
    case OPTION_DURATION:
        return "a time such as 500ms, 1.5s, 10m, 2h, 7d, or 0";
    case OPTION_TTL:
        return "a time such as 500ms, 1.5s, 10m, 2h, 7d, or never";
    case OPTION_OCTAL:
        return "an octal number such as 0600";
    case OPTION_INTEGER:
        return "a whole number of at most 64 bits";
    case OPTION_NUMBER:
        return "a whole number without sign";
    case OPTION_CHOICE:
    case OPTION_TEXT:
    case OPTION_SWITCH:
        break;
    }
    return "known";
}

static bool check_range(const struct option_spec *option, const char *text, uint64_t value) {
    if (value >= option->low && (option->high == 0 || value <= option->high))
        return true;
    const char *unit = option->kind == OPTION_DURATION ? " ms" : "";
    if (option->kind == OPTION_OCTAL)
        usage_error("--%s '%s' is out of range: from 0%" PRIo64 " to 0%" PRIo64, option->name, text, option->low, option->high);
    else if (option->high == 0)
        usage_error("--%s '%s' is out of range: at least %" PRIu64 "%s", option->name, text, option->low, unit);
    else
        usage_error("--%s '%s' is out of range: from %" PRIu64 "%s to %" PRIu64 "%s", option->name, text, option->low, unit,
                    option->high, unit);
    return false;
}

static bool parse_ttl(const char *text, uint64_t *milliseconds) {
    *milliseconds = HF_TTL_NEVER;
    return strcmp(text, "never") == 0 || (parse_duration(text, milliseconds) && *milliseconds < TTL_UNSET);
}

static bool set_number(const struct option_spec *option, const char *text) {
    uint64_t value = 0;
    bool parsed = option->kind == OPTION_SIZE ? parse_size(text, &value)
        : option->kind == OPTION_DURATION     ? parse_duration(text, &value)
        : option->kind == OPTION_TTL          ? parse_ttl(text, &value)
        : option->kind == OPTION_OCTAL        ? parse_octal(text, &value)
                                              : parse_number(text, &value);
    if (!parsed) {
        usage_error("--%s '%s' is not %s", option->name, text, kind_text(option->kind));
        return false;
    }
    if (!check_range(option, text, value))
        return false;
    *(uint64_t *)option->target = value;
    return true;
}

static bool set_option(const struct option_spec *option, const char *text) {
    switch (option->kind) {
    case OPTION_SWITCH:
        *(bool *)option->target = true;
        return true;
    case OPTION_CHOICE:
        if (!is_choice(option->argument, text)) {
            usage_error("--%s '%s' is not one of %s", option->name, text, option->argument);
            return false;
        }
        *(const char **)option->target = text;
        return true;
    case OPTION_TEXT:
        *(const char **)option->target = text;
        return true;
    case OPTION_INTEGER:
        if (!parse_integer(text, option->target)) {
            usage_error("--%s '%s' is not %s", option->name, text, kind_text(option->kind));
            return false;
        }
        return true;
    case OPTION_SIZE:
    case OPTION_NUMBER:
    case OPTION_OCTAL:
    case OPTION_DURATION:
    case OPTION_TTL:
        return set_number(option, text);
    }
    return false;
}

/* ---- The command line ----------------------------------------------------------------------------------------------------- */

/* argv[*at] is an option; *at moves on to its value if that stands apart. */
static bool take_option(int argc, char **argv, int *at) {
    const char *argument = argv[*at];
    bool is_long = argument[1] == '-';
    const char *name = argument + 1 + is_long;
    size_t length = strcspn(name, "=");
    const struct option_spec *option = is_long ? find_option(name, length, 0) : name[1] ? NULL : find_option(NULL, 0, name[0]);
    if (!option) {
        usage_error("unknown option '%s' (write -- before a key or value that begins with -)", argument);
        return false;
    }
    const char *value = is_long && name[length] == '=' ? name + length + 1 : NULL;
    if (option->kind == OPTION_SWITCH && value) {
        usage_error("--%s takes no value", option->name);
        return false;
    }
    if (option->kind != OPTION_SWITCH && !value) {
        if (*at + 1 >= argc) {
            usage_error("--%s needs a value: %s", option->name, option->argument);
            return false;
        }
        value = argv[++*at];
    }
    return set_option(option, value);
}

bool parse_options(int argc, char **argv, int *operands) {
    *operands = 0;
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0)
            ended = true;
        else if (ended || is_operand(argv[i]))
            argv[(*operands)++] = argv[i];
        else if (!take_option(argc, argv, &i))
            return false;
    }
    return true;
}
