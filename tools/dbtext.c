/* SPDX-License-Identifier: MIT */
/*
 * The flat text of Berkeley DB's db_dump and LMDB's mdb_dump, so that their load tools read our dumps and we read theirs:
 *
 *     VERSION=3
 *     format=bytevalue
 *     type=btree
 *     HEADER=END
 *      757365723a37          key and value on lines of their own, each behind one space,
 *      416461                in hexadecimal, or (format=print) with \xx for what is not printable
 *     DATA=END
 *
 * It has no place for flags and expiry. mdb_load sizes its map by a line that db_load refuses (mapsize), so the caller chooses.
 */
#include "formats.h"

#include <inttypes.h>
#include <string.h>

/* ---- Printing ------------------------------------------------------------------------------------------------------------- */

void dbtext_print_start(uint64_t mapsize, bool print) {
    printf("VERSION=3\nformat=%s\ntype=btree\n", print ? "print" : "bytevalue");
    if (mapsize)
        printf("mapsize=%" PRIu64 "\n", mapsize);
    fputs("HEADER=END\n", stdout);
}

/* A backslash as \5c, not doubled: mdb_load before 0.9.25 loses doubled ones. */
static void print_readable(const unsigned char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] >= ' ' && bytes[i] <= '~' && bytes[i] != '\\')
            putc_unlocked(bytes[i], stdout);
        else
            printf("\\%02x", bytes[i]);
    }
}

static void print_line(const void *bytes, size_t length, bool print) {
    putchar(' ');
    if (print)
        print_readable(bytes, length);
    else
        print_hex(bytes, length);
    putchar('\n');
}

void dbtext_print_entry(const struct entry *entry, bool print) {
    print_line(entry->key, entry->key_len, print);
    print_line(entry->value, entry->value_len, print);
}

void dbtext_print_end(void) {
    puts("DATA=END");
}

/* ---- Reading the header --------------------------------------------------------------------------------------------------- */

static bool line_is(const char *line, size_t length, const char *text) {
    return length == strlen(text) && memcmp(line, text, length) == 0;
}

static bool line_begins(const char *line, size_t length, const char *text) {
    return length >= strlen(text) && memcmp(line, text, strlen(text)) == 0;
}

/* One line of the header, which is not its last. Lines with a name that means nothing to us are read over. */
static bool read_header_line(struct loader *loader, const char *line, size_t length, bool *print) {
    struct shown shown;
    if (line_is(line, length, "format=bytevalue") || line_is(line, length, "format=print")) {
        *print = line_is(line, length, "format=print");
        return true;
    }
    if (line_begins(line, length, "format="))
        return loader_wrong(loader, "unknown '%s': bytevalue or print is expected", show_bytes(line, length, &shown));
    if (line_is(line, length, "keys=0") ||
        (line_begins(line, length, "type=") && !line_is(line, length, "type=btree") && !line_is(line, length, "type=hash")))
        return loader_wrong(loader, "'%s': only databases with keys can be loaded (type btree or hash)",
                            show_bytes(line, length, &shown));
    if (!memchr(line, '=', length))
        return loader_wrong(loader, "'%s' is no line of a header (NAME=VALUE)", show_bytes(line, length, &shown));
    return true;
}

static bool read_header(struct loader *loader, bool *print) {
    char *line;
    size_t length;
    int more = loader_line(loader, &line, &length);
    if (more > 0 && !line_is(line, length, "VERSION=3"))
        return loader_wrong(loader, "not a database dump: its first line must be VERSION=3");
    while (more > 0 && (more = loader_line(loader, &line, &length)) > 0) {
        if (line_is(line, length, "HEADER=END"))
            return true;
        if (!read_header_line(loader, line, length, print))
            return false;
    }
    return more == 0 && loader_wrong(loader, "the file ends before HEADER=END");
}

/* ---- Reading the pairs ---------------------------------------------------------------------------------------------------- */

/* The text of format=print, in place. SIZE_MAX: a backslash is followed by neither another nor two hexadecimal digits. */
static size_t decode_readable(const char *text, size_t length, unsigned char *bytes) {
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\\') {
            bytes[used++] = (unsigned char)text[i];
        } else if (i + 1 < length && text[i + 1] == '\\') {
            bytes[used++] = '\\';
            i++;
        } else if (i + 2 < length && parse_hex(text + i + 1, 2, &bytes[used])) {
            used++;
            i += 2;
        } else {
            return SIZE_MAX;
        }
    }
    return used;
}

/* A line of data becomes its bytes, in place. */
static bool decode_line(struct loader *loader, char **line, size_t *length, bool print) {
    if (*length == 0 || **line != ' ')
        return loader_wrong(loader, "a line of data begins with a space; the end is DATA=END");
    char *text = *line + 1;
    size_t size = *length - 1;
    unsigned char *bytes = (unsigned char *)text;
    if (print)
        *length = decode_readable(text, size, bytes);
    else
        *length = parse_hex(text, size, bytes) ? size / 2 : SIZE_MAX;
    *line = text;
    if (*length == SIZE_MAX)
        return loader_wrong(loader, "%s", print ? "a backslash must be followed by a backslash or two hexadecimal digits"
                                                : "not hexadecimal, or half a byte");
    return true;
}

/* The key before this one: a database with several values for a key has them one after the other. */
struct last_key {
    unsigned char bytes[HF_KEY_MAX];
    size_t length;
};

static bool keep_key(struct loader *loader, struct last_key *last, const char *key, size_t length) {
    if (length > HF_KEY_MAX)
        return loader_wrong(loader, "the key has %zu bytes; a store takes %d", length, HF_KEY_MAX);
    if (length > 0 && length == last->length && memcmp(last->bytes, key, length) == 0)
        return loader_wrong(loader, "the key comes twice: a store keeps one value for each key");
    memcpy(last->bytes, key, length);
    last->length = length;
    return true;
}

static bool read_pair(struct loader *loader, char *line, size_t length, bool print, struct last_key *last) {
    if (!decode_line(loader, &line, &length, print) || !keep_key(loader, last, line, length))
        return false;
    int more = loader_line(loader, &line, &length);
    if (more == 0 || (more > 0 && line_is(line, length, "DATA=END")))
        return loader_wrong(loader, "the last key has no value");
    if (more < 0 || !decode_line(loader, &line, &length, print))
        return false;
    struct entry entry = {.key = last->bytes, .key_len = last->length, .value = line, .value_len = length};
    return loader_put(loader, &entry);
}

static bool read_end(struct loader *loader) {
    char *line;
    size_t length;
    int more = loader_line(loader, &line, &length);
    if (more > 0)
        return loader_wrong(loader, "%s", line_begins(line, length, "VERSION=")
                                ? "the file holds several databases: dump and load them one by one (db_dump -s, mdb_dump -s)"
                                : "more text after DATA=END");
    return more == 0;
}

bool dbtext_load(struct loader *loader) {
    bool print = false;
    struct last_key last;
    last.length = 0;
    char *line;
    size_t length;
    if (!read_header(loader, &print))
        return false;
    int more;
    while ((more = loader_line(loader, &line, &length)) > 0) {
        if (line_is(line, length, "DATA=END"))
            return read_end(loader);
        if (!read_pair(loader, line, length, print, &last))
            return false;
    }
    return more == 0 && loader_wrong(loader, "the dump is cut off: DATA=END is missing");
}
