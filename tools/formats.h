/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_FORMATS_H
#define HOLDFAST_FORMATS_H
/*
 * Entries as text, in both directions: JSON Lines (jsonl.c) and the flat text of db_dump and mdb_dump (dbtext.c). A format prints
 * to standard output and reads from a `struct loader`; it knows nothing of files, stores or progress.
 */
#include "tool.h"

struct entry {
    const void *key;
    const void *value;
    size_t key_len;
    size_t value_len;
    uint64_t expires_ms; /* 0: never                                                                        */
    uint64_t ttl_ms;     /* reading, if expires_ms is 0: HF_TTL_NEVER, or 0 for the default of the new store */
    uint64_t version;
    uint32_t flags;
};

/* ---- Printing ------------------------------------------------------------------------------------------------------------- */

void jsonl_print_start(void);
void jsonl_print_entry(const struct entry *entry, bool version);
void jsonl_print_end(uint64_t entries);

/* mapsize 0: leave that line out. `print`: readable characters as they are (format=print). */
void dbtext_print_start(uint64_t mapsize, bool print);
void dbtext_print_entry(const struct entry *entry, bool print);
void dbtext_print_end(void);

/* ---- Reading: lines.c ----------------------------------------------------------------------------------------------------- */

enum line_result { LINE_OK, LINE_END, LINE_TOO_LONG, LINE_FAILED /* errno */ };

/* Lines of any bytes but newlines, of bounded length. Start with { .fd = ..., .limit = ... }; free_buffer(&lines.buffer). */
struct lines {
    int fd;
    size_t limit; /* bytes of the longest line */
    struct buffer buffer;
    size_t start;    /* of what is not used yet, in the buffer */
    uint64_t number; /* of the line that was read last         */
    uint64_t bytes;  /* of the lines read so far               */
    bool ended;
};

/* The next line without its newline; valid, and free to be changed, until the next call. A last line may lack its newline. */
enum line_result next_line(struct lines *lines, char **line, size_t *length);

/* ---- Loading: cmd_load.c -------------------------------------------------------------------------------------------------- */

struct loader {
    struct lines lines;
    hf_store *store;
    const char *store_path;
    const char *file; /* its name, for messages */
    uint64_t file_size; /* 0: not known */
    uint64_t loaded;
    uint64_t expired; /* entries left out because their time was over */
};

/* The next line: 1, 0 at the end of the file, -1 after an error that was told. */
int loader_line(struct loader *loader, char **line, size_t *length);

/* Stores an entry. False: it could not, and the user was told. */
bool loader_put(struct loader *loader, const struct entry *entry);

/* "FILE:LINE: TEXT". Returns false. */
bool loader_wrong(const struct loader *loader, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Each reads the whole file; false after an error that was told. */
bool jsonl_load(struct loader *loader);
bool dbtext_load(struct loader *loader);

#endif
