/* SPDX-License-Identifier: MIT */
/*
 * The command line tool: finds the command, lets options.c read its options, runs it, ends standard output. May not know what any
 * command does: all it knows stands in the commands' descriptions.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct command *const commands[] = {
    &command_create, &command_info,   &command_ls,     &command_rm,                                      /* store    */
    &command_put,    &command_get,    &command_exists, &command_take,  &command_del,    &command_memo,   /* data     */
    &command_incr,   &command_append, &command_clear,                                                    /* change   */
    &command_ttl,    &command_touch,  &command_expire,                                                   /* time     */
    &command_keys,   &command_count,  &command_watch,                                                    /* list     */
    &command_dump,   &command_load,   &command_import, &command_copy,                                    /* transfer */
    &command_stats,  &command_top,    &command_locks,  &command_log,   &command_check,  &command_repair, /* health   */
    &command_bench,  &command_replay, &command_chaos,                                                    /* trial    */
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

/* ---- Help ----------------------------------------------------------------------------------------------------------------- */

static void print_overview(FILE *to) {
    static const char *const titles[GROUP_COUNT] = {
        [GROUP_STORE] = "Make and remove stores",
        [GROUP_DATA] = "Store and fetch",
        [GROUP_CHANGE] = "Change in place",
        [GROUP_TIME] = "Times to live",
        [GROUP_LIST] = "List and watch",
        [GROUP_TRANSFER] = "Move data in and out",
        [GROUP_HEALTH] = "Health",
        [GROUP_TRIAL] = "Measure and try out",
    };
    fputs("usage: holdfast COMMAND STORE [OPERAND...] [OPTION...]\n\n"
          "A key-value store that many processes share through one file, and that a killed process cannot hurt.\n",
          to);
    for (int group = 0; group < GROUP_COUNT; group++) {
        fprintf(to, "\n%s:\n", titles[group]);
        for (size_t i = 0; i < COMMANDS; i++) {
            if ((int)commands[i]->group == group)
                fprintf(to, "  %-8s  %s\n", commands[i]->name, commands[i]->summary);
        }
    }
    fputs("\n'holdfast COMMAND --help' explains a command, with examples; 'man holdfast' tells everything.\n"
          "Exit codes: 0 done, 1 no (not found, condition failed, exists, damaged), 2 usage, 3 anything else.\n",
          to);
}

enum { OPTION_COLUMN = 26 }; /* the widest option whose help stands on the same line */

static void print_options(const struct option_spec *option) {
    for (; option && option->name; option++) {
        char left[64];
        char letter[8] = "";
        if (option->letter)
            snprintf(letter, sizeof letter, "-%c, ", option->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
                 option->argument ? option->argument : "");
        if (strlen(left) <= OPTION_COLUMN)
            printf("  %-*s  %s\n", OPTION_COLUMN, left, option->help);
        else
            printf("  %s\n  %*s  %s\n", left, OPTION_COLUMN, "", option->help);
    }
}

/* Every line of a text, moved in by two. */
static void print_indented(const char *text) {
    while (*text) {
        size_t length = strcspn(text, "\n");
        printf("  %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

static int print_help(const struct command *command) {
    const char *rest = strstr(command->operands, " -- "); /* after which there are no options */
    int length = rest ? (int)(rest - command->operands) : (int)strlen(command->operands);
    printf("usage: holdfast %s %.*s [OPTION...]%s\n\n%s\nOptions:\n", command->name, length, command->operands,
           rest ? rest : "", command->about);
    print_options(command->options);
    print_options(common_options(command));
    fputs("\nExamples:\n", stdout);
    print_indented(command->examples);
    return TOOL_DONE;
}

/* ---- Running -------------------------------------------------------------------------------------------------------------- */

static bool check_operands(const struct command *command, int operands) {
    bool few = operands < command->min_operands;
    bool many = command->max_operands >= 0 && operands > command->max_operands;
    if (few || many)
        usage_error("too %s operands: takes %s", few ? "few" : "many", command->operands);
    return !few && !many;
}

static int run_command(const struct command *command, int argc, char **argv) {
    tool.command = command;
    int operands;
    if (!parse_options(argc, argv, &operands))
        return TOOL_USAGE;
    if (tool.help)
        return print_help(command);
    if (!check_operands(command, operands))
        return TOOL_USAGE;
    argv[operands] = NULL;
    return command->run(operands, argv);
}

static int run_help(int argc, char **argv) {
    if (argc == 0) {
        print_overview(stdout);
        return TOOL_DONE;
    }
    tool.command = find_command(argv[0]);
    return tool.command ? print_help(tool.command) : usage_error("unknown command '%s'", argv[0]);
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        print_overview(stderr);
        return TOOL_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        printf("holdfast %s\n", hf_version());
        return TOOL_DONE;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return run_help(argc - 2, argv + 2);
    const struct command *command = find_command(name);
    return command ? run_command(command, argc - 2, argv + 2) : usage_error("unknown command '%s'", name);
}

/* A store must never be opened as descriptor 0, 1 or 2: what is meant for a closed standard output would be written into it. The
 * wrong direction makes a use fail as it would have failed without. */
static void fill_standard_descriptors(void) {
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            exit(fail("/dev/null", "%s", strerror(errno)));
    }
}

int main(int argc, char **argv) {
    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    begin_output();
    int code = dispatch(argc, argv);
    int output = finish_output();
    return output == TOOL_DONE ? code : output;
}
