/* SPDX-License-Identifier: MIT */
/*
 * import: a tree of files into a store, relative path to contents. Several processes can share one tree: --part I/N takes the
 * paths whose hash belongs to part I, so that they need not talk to each other and a tree that changes meanwhile confuses nobody.
 */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *wanted_part;

struct import {
    hf_store *store;
    const char *store_path;
    const char *top;
    uint64_t part, parts; /* the paths with hash % parts == part */
    uint64_t total;       /* files of this part; 0: not counted  */
    uint64_t files, bytes, failed;
    uint64_t max_value;
    struct stat store_file;
    struct buffer buffer;
};

/* ---- Which files ---------------------------------------------------------------------------------------------------------- */

/* FNV-1a, folded: even for paths that differ in their last character only. */
static uint64_t hash_path(const char *path) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static bool is_ours(const struct import *import, const char *path) {
    return hash_path(path) % import->parts == import->part;
}

/* "2/4" is part 1 of 4. */
static bool parse_part(const char *text, struct import *import) {
    char first[21];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : 0;
    if (!slash || length >= sizeof first)
        return false;
    memcpy(first, text, length);
    first[length] = '\0';
    if (!parse_number(first, &import->part) || !parse_number(slash + 1, &import->parts))
        return false;
    return import->part >= 1 && import->part-- <= import->parts;
}

/* ---- One file ------------------------------------------------------------------------------------------------------------- */

static bool cannot(struct import *import, const char *path, const char *why) {
    complain(import->top, "%s: not imported: %s", path, why);
    import->failed++;
    return true;
}

static bool is_the_store(const struct import *import, const struct stat *status) {
    return status->st_dev == import->store_file.st_dev && status->st_ino == import->store_file.st_ino;
}

/* What the library refuses because of this one file is told and counted; what it would refuse for all of them ends the import. */
static bool store_file(struct import *import, const char *path) {
    int result = hf_put(import->store, path, strlen(path), import->buffer.data, import->buffer.length, NULL, NULL);
    if (result == HF_OK) {
        import->files++;
        import->bytes += import->buffer.length;
        progress_show(import->files + import->failed, import->total);
        return true;
    }
    cannot(import, path, hf_explain());
    return result == HF_ERR_TOOBIG || result == HF_ERR_ARGUMENT;
}

static bool import_open_file(struct import *import, int fd, const char *path) {
    struct stat status;
    if (fstat(fd, &status) < 0)
        return cannot(import, path, strerror(errno));
    if (!S_ISREG(status.st_mode) || is_the_store(import, &status))
        return true;
    if (!read_all(fd, (size_t)import->max_value + 1, &import->buffer))
        return cannot(import, path, strerror(errno));
    return store_file(import, path);
}

static bool import_file(void *context, int directory, const char *name, const char *path) {
    struct import *import = context;
    if (!is_ours(import, path))
        return true;
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP || cannot(import, path, strerror(errno)); /* gone, or a link by now */
    bool more = import_open_file(import, fd, path);
    close(fd);
    return more;
}

static bool count_file(void *context, int directory, const char *name, const char *path) {
    struct import *import = context;
    (void)directory;
    (void)name;
    import->total += is_ours(import, path);
    return true;
}

/* ---- The command ---------------------------------------------------------------------------------------------------------- */

static void tell_summary(const struct import *import, const struct walk *walk) {
    struct shown shown;
    char more[128] = "";
    if (walk->skipped)
        snprintf(more, sizeof more, "; skipped %" PRIu64 " links and special files", walk->skipped);
    if (import->failed + walk->failed)
        snprintf(more + strlen(more), sizeof more - strlen(more), "; %" PRIu64 " could not be imported",
                 import->failed + walk->failed);
    complain(import->store_path, "imported %" PRIu64 " files, %s%s", import->files, show_size(import->bytes, &shown), more);
}

static int import_tree(struct import *import) {
    struct hf_info info = HF_INFO_INIT;
    int result = hf_info(import->store, &info);
    if (result != HF_OK)
        return report_result(import->store_path, result);
    import->max_value = info.max_value;
    static struct walk walk;
    walk.top = import->top;
    walk.context = import;
    if (progress_wanted()) {
        walk.visit = count_file;
        walk.silent = true;
        walk_files(&walk);
    }
    walk.visit = import_file;
    walk.silent = false;
    walk.skipped = walk.failed = 0;
    progress_start("import");
    bool complete = walk_files(&walk);
    progress_end();
    tell_summary(import, &walk);
    free_buffer(&import->buffer);
    return complete && import->failed + walk.failed == 0 ? TOOL_DONE : TOOL_FAILED;
}

static int run_import(int argc, char **argv) {
    (void)argc;
    struct import import = {.store_path = argv[0], .top = argv[1], .part = 0, .parts = 1};
    if (wanted_part && !parse_part(wanted_part, &import))
        return usage_error("--part '%s' is not I/N with I from 1 to N, as in 2/4", wanted_part);
    import.store = open_store(argv[0], TO_WRITE);
    if (!import.store)
        return TOOL_FAILED;
    int code = stat(argv[0], &import.store_file) < 0 ? fail(argv[0], "%s", strerror(errno)) : import_tree(&import);
    close_store(&import.store, argv[0]);
    return code;
}

static const struct option_spec import_options[] = {
    {.name = "part", .kind = OPTION_TEXT, .argument = "I/N", .target = &wanted_part,
     .help = "only the I-th of N parts of the tree, for N processes at once"},
    {.name = NULL},
};

const struct command command_import = {
    .name = "import",
    .group = GROUP_TRANSFER,
    .summary = "store every file below a directory",
    .operands = "STORE DIR",
    .about = "Stores the contents of every regular file below DIR under its path relative to DIR. Symbolic links and special\n"
             "files are skipped. A file that cannot be read, or is too large for the store, is named on standard error and\n"
             "left out; the exit code is then 3.\n",
    .examples = "holdfast import site.hf /var/www/html\n"
                "for i in 1 2 3 4; do holdfast import site.hf /var/www/html --part $i/4 & done; wait\n"
                "holdfast get site.hf css/main.css\n",
    .options = import_options,
    .min_operands = 2,
    .max_operands = 2,
    .writes = true,
    .run = run_import,
};
