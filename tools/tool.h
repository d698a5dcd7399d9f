/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_TOOL_H
#define HOLDFAST_TOOL_H
/*
 * What the commands of `holdfast` share: the description of a command, its options, messages, opening a store. A command is one
 * `const struct command` that its file defines and main.c lists; everything that help prints stands in it and nowhere else.
 * Nothing here may know how a store is laid out: the tool uses holdfast.h and no internal header.
 *
 * How a command runs: main.c parses the options by the command's table into the variables the table points to, checks the number
 * of operands, and calls run(argc, argv) with the operands alone: argv[0] is the first of them (mostly STORE), argv[argc] is
 * NULL. What run returns is the exit code; main.c flushes standard output and turns a failed write into TOOL_FAILED.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <holdfast.h>

enum exit_code {
    TOOL_DONE = 0,
    TOOL_NO = 1,     /* not found, condition failed, exists already, damaged */
    TOOL_USAGE = 2,  /* the command line makes no sense                      */
    TOOL_FAILED = 3, /* anything else                                        */
};

/* ---- Commands: main.c ---------------------------------------------------------------------------------------------------- */

enum command_group {
    GROUP_STORE,
    GROUP_DATA,
    GROUP_CHANGE,
    GROUP_TIME,
    GROUP_LIST,
    GROUP_TRANSFER,
    GROUP_HEALTH,
    GROUP_TRIAL,
    GROUP_COUNT
};

/* What an option takes, and the type of the variable at `target`. The variable's initial value is the default. */
enum option_kind {
    OPTION_SWITCH,   /* nothing; bool, becomes true                                                 */
    OPTION_TEXT,     /* anything; const char *                                                      */
    OPTION_CHOICE,   /* one of the words in `argument`, as in "store|cache"; const char *           */
    OPTION_SIZE,     /* bytes with K, M, G or T; uint64_t, from low to high                         */
    OPTION_NUMBER,   /* decimal; uint64_t, from low to high                                         */
    OPTION_INTEGER,  /* decimal, may be negative; int64_t                                           */
    OPTION_OCTAL,    /* octal, as in 0600; uint64_t, from low to high                               */
    OPTION_DURATION, /* 1500ms, 1.5s, 10m, 2h, 1d, or 0; uint64_t of milliseconds, from low to high */
    OPTION_TTL,      /* the same, or "never", which is HF_TTL_NEVER; never TTL_UNSET              */
};

#define TTL_UNSET (UINT64_MAX - 1) /* the initial value of one that has no default */

struct option_spec {
    const char *name; /* "capacity" for --capacity; NULL ends a table */
    char letter;      /* 'q' for -q; 0: none                          */
    enum option_kind kind;
    const char *argument; /* "SIZE"; NULL for a switch */
    const char *help;     /* one line, small first letter, no full stop */
    void *target;
    uint64_t low;
    uint64_t high; /* 0: no bound */
};

struct command {
    const char *name;
    enum command_group group;
    const char *summary;  /* one line: small first letter, no full stop                   */
    const char *operands; /* "STORE KEY [VALUE]"                                          */
    const char *about;    /* lines that `COMMAND --help` prints below the usage, each ended by \n */
    const char *examples; /* lines, each ended by \n                                      */
    const struct option_spec *options; /* NULL: none but those of all commands              */
    int min_operands;
    int max_operands; /* -1: any number */
    bool writes;      /* the command takes locks, so it takes --timeout */
    int (*run)(int argc, char **argv);
};

extern const struct command command_create, command_info, command_ls, command_rm;
extern const struct command command_put, command_get, command_exists, command_take, command_del, command_memo;
extern const struct command command_incr, command_append, command_clear, command_ttl, command_touch, command_expire;
extern const struct command command_keys, command_count, command_watch;
extern const struct command command_dump, command_load, command_import, command_copy;
extern const struct command command_stats, command_top, command_locks, command_log, command_check, command_repair;
extern const struct command command_bench, command_replay, command_chaos;

/* ---- Options: options.c, numbers.c ---------------------------------------------------------------------------------------- */

/* Options that every command takes; set before run() is called. */
struct tool_settings {
    const struct command *command; /* the one that runs */
    bool quiet;                    /* --quiet, -q: no messages but usage errors, no progress bar */
    bool help;                     /* --help, -h                                                 */
    uint64_t timeout_ms;           /* --timeout; 0: the library's default                        */
};
extern struct tool_settings tool;

/* Parses argv[0..argc) for `tool.command`: sets the targets, leaves the operands in argv[0..*operands). False: told the user. */
bool parse_options(int argc, char **argv, int *operands);

/* The options that a command takes besides its own: --help, --quiet, and --timeout if it writes. Ends with a NULL name. */
const struct option_spec *common_options(const struct command *command);

/* Each takes the whole text or nothing: false for garbage, a sign where none may be, and overflow. */
bool parse_number(const char *text, uint64_t *value);
bool parse_integer(const char *text, int64_t *value);
bool parse_octal(const char *text, uint64_t *value);
bool parse_size(const char *text, uint64_t *bytes);
bool parse_duration(const char *text, uint64_t *milliseconds); /* a fraction of a millisecond is rounded up */

/* Two digits a byte into `bytes`, which has room for length / 2. False: odd, or not hexadecimal. bytes may be text itself. */
bool parse_hex(const char *text, size_t length, unsigned char *bytes);

/* ---- Messages: messages.c ------------------------------------------------------------------------------------------------- */

/* "holdfast: SUBJECT: TEXT" on standard error; subject is the store or file it is about, NULL: none. Silent with --quiet. */
void complain(const char *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As complain, and returns TOOL_FAILED. */
int fail(const char *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says what a library call that returned `result` says: hf_explain() for a failure, the text of an answer otherwise. Returns
 * the exit code that belongs to it: TOOL_DONE for HF_OK (and no message), TOOL_NO for answers, TOOL_FAILED. */
int report_result(const char *subject, int result);

/* "holdfast: COMMAND: TEXT; see 'holdfast COMMAND --help'", also with --quiet. Returns TOOL_USAGE. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- Output: output.c ----------------------------------------------------------------------------------------------------- */

/* Before anything is printed. */
void begin_output(void);

/* True once a write to standard output has failed: time to stop producing more. To be asked right after printing, while errno
 * still tells why. */
bool output_failed(void);

/* Ends standard output. TOOL_DONE, or TOOL_FAILED after a message (none if the reader of a pipe has gone). */
int finish_output(void);

void print_bytes(const void *bytes, size_t length); /* to standard output, as they are */
void print_hex(const void *bytes, size_t length);

/* A key for people: bytes that are not printable ASCII become \xNN; cut off with "..." after some 80. Never fails. */
struct shown { char text[100]; };
const char *show_bytes(const void *bytes, size_t length, struct shown *into);

/* "1.5 MiB" */
const char *show_size(uint64_t bytes, struct shown *into);

/* "1.5s", "42m", "17h" or "3d": for tables */
const char *show_duration(uint64_t milliseconds, struct shown *into);

/* "2026-01-31 23:59:59.123Z" */
const char *show_time(uint64_t time_ms, struct shown *into);

/* ---- Progress: progress.c ------------------------------------------------------------------------------------------------- */

/* A bar on standard error, drawn only if that is a terminal and --quiet is not given. Total 0: a count without a bar. */
void progress_start(const char *what);
void progress_show(uint64_t done, uint64_t total);
void progress_end(void);   /* takes the bar away                                  */
void progress_hide(void);  /* for a message: the bar is drawn anew at the next show */
bool progress_wanted(void);

/* An hf_progress_fn that calls progress_show. */
void progress_callback(void *context, uint64_t done, uint64_t total);

/* ---- Stores: stores.c ----------------------------------------------------------------------------------------------------- */

enum access { TO_READ, TO_WRITE };

/* Opens a store that exists; on failure tells the user and returns NULL (the exit code is then TOOL_FAILED). A recovery that a
 * call on the handle performs is told on standard error when the store is closed. */
hf_store *open_store(const char *path, enum access access);
void close_store(hf_store **store, const char *path);

/* hf_open with the --timeout and the recovery messages of open_store, for those who handle the result themselves. */
int try_open_store(hf_store **store, const char *path, struct hf_options *options);
void tell_open_failure(const char *path, int result);

/* One recovery as a sentence: "stripe 3: process 4711 died in put at publish: kept-new (12 us)". */
void show_recovery(const struct hf_recovery *recovery, char *text, size_t size);

/* For `do result = hf_get(...); while (busy_again(result, &attempts));`: true, after a short sleep, while the result is
 * HF_ERR_BUSY and some seconds have not passed. Start with 0 attempts. */
bool busy_again(int result, unsigned *attempts);

/* Now, in milliseconds since 1970. */
uint64_t clock_ms(void);

/* hf_scan, tried again while the entry keeps changing. */
int scan_next(hf_store *store, uint64_t *cursor, uint32_t flags, struct hf_item *item);

/* Room for bytes that grows and is used again. Start with { NULL, 0, 0 }; free_buffer. */
struct buffer {
    unsigned char *data;
    size_t length;
    size_t size;
};
bool reserve_buffer(struct buffer *buffer, size_t size); /* false: out of memory, told to the user */
void free_buffer(struct buffer *buffer);

/* hf_get, hf_get_stale or hf_take with a buffer that grows until the value fits. HF_TRUNCATED: out of memory, and told. */
typedef int read_verb(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                      struct hf_meta *meta);
int fetch_value(read_verb *verb, hf_store *store, const void *key, size_t key_len, struct buffer *buffer, struct hf_meta *meta);

/* Reads a descriptor to its end, at most `limit` bytes (more are left unread). False, with errno: a read failed, or no memory. */
bool read_all(int fd, size_t limit, struct buffer *buffer);

#endif
