/* SPDX-License-Identifier: MIT */
/*
 * load: entries out of text into a store. The formats read the text (jsonl.c, dbtext.c); this file opens, stores and counts.
 */
#include "formats.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *wanted_format = "jsonl";

/* ---- For the formats ------------------------------------------------------------------------------------------------------ */

bool loader_wrong(const struct loader *loader, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    complain(loader->store_path, "%s:%" PRIu64 ": %s", loader->file, loader->lines.number, text);
    return false;
}

int loader_line(struct loader *loader, char **line, size_t *length) {
    progress_show(loader->file_size ? loader->lines.bytes : loader->lines.number, loader->file_size);
    switch (next_line(&loader->lines, line, length)) {
    case LINE_OK:
        return 1;
    case LINE_END:
        return 0;
    case LINE_TOO_LONG:
        loader_wrong(loader, "the line is longer than %zu bytes: no entry of this store has so long a line", loader->lines.limit);
        return -1;
    case LINE_FAILED:
        break;
    }
    loader_wrong(loader, "%s", strerror(errno));
    return -1;
}

bool loader_put(struct loader *loader, const struct entry *entry) {
    if (entry->expires_ms && entry->expires_ms <= clock_ms()) {
        loader->expired++;
        return true;
    }
    struct hf_put_options options = HF_PUT_INIT;
    options.flags = entry->flags;
    options.expires_ms = entry->expires_ms;
    options.ttl_ms = entry->expires_ms ? 0 : entry->ttl_ms;
    int result = hf_put(loader->store, entry->key, entry->key_len, entry->value, entry->value_len, &options, NULL);
    if (result < 0)
        return loader_wrong(loader, "%s", hf_explain());
    loader->loaded++;
    return true;
}

/* ---- The command ---------------------------------------------------------------------------------------------------------- */

/* The longest line that can hold an entry: JSON with every byte as \u00XX. */
static size_t longest_line(uint64_t max_value) {
    return (size_t)(6 * (max_value + HF_KEY_MAX) + 4096);
}

static bool open_input(struct loader *loader, const char *file) {
    if (!file || strcmp(file, "-") == 0) {
        loader->file = "standard input";
        loader->lines.fd = STDIN_FILENO;
    } else {
        loader->file = file;
        loader->lines.fd = open(file, O_RDONLY | O_CLOEXEC);
    }
    struct stat status;
    if (loader->lines.fd < 0 || fstat(loader->lines.fd, &status) < 0) {
        complain(loader->file, "%s", strerror(errno));
        return false;
    }
    if (S_ISREG(status.st_mode))
        loader->file_size = (uint64_t)status.st_size;
    return true;
}

static int load_file(struct loader *loader) {
    struct hf_info info = HF_INFO_INIT;
    int result = hf_info(loader->store, &info);
    if (result != HF_OK)
        return report_result(loader->store_path, result);
    loader->lines.limit = longest_line(info.max_value);
    progress_start("load");
    bool complete = strcmp(wanted_format, "db") == 0 ? dbtext_load(loader) : jsonl_load(loader);
    progress_end();
    free_buffer(&loader->lines.buffer);
    char expired[64] = "";
    if (loader->expired)
        snprintf(expired, sizeof expired, ", left out %" PRIu64 " that had expired", loader->expired);
    complain(loader->store_path, "loaded %" PRIu64 " entries%s%s", loader->loaded, expired, complete ? "" : ", then stopped");
    return complete ? TOOL_DONE : TOOL_FAILED;
}

static int load(int argc, char **argv) {
    struct loader loader = {.store_path = argv[0]};
    loader.store = open_store(argv[0], TO_WRITE);
    if (!loader.store)
        return TOOL_FAILED;
    int code = open_input(&loader, argc > 1 ? argv[1] : NULL) ? load_file(&loader) : TOOL_FAILED;
    if (loader.lines.fd > STDIN_FILENO)
        close(loader.lines.fd);
    close_store(&loader.store, argv[0]);
    return code;
}

static const struct option_spec load_options[] = {
    {.name = "format", .kind = OPTION_CHOICE, .argument = "jsonl|db", .target = &wanted_format,
     .help = "JSON Lines (default), or the text of db_dump and mdb_dump"},
    {.name = NULL},
};

const struct command command_load = {
    .name = "load",
    .group = GROUP_TRANSFER,
    .summary = "store the entries of a dump",
    .operands = "STORE [FILE]",
    .about = "Stores the entries of FILE, or of standard input; entries with the same keys are replaced. Entries whose\n"
             "time is over are left out. Stops at the first line that is wrong, and names it; what came before stays.\n",
    .examples = "holdfast load users.hf users.jsonl\n"
                "echo '{\"key\":\"user:7\",\"value\":\"Ada\",\"ttl_ms\":60000}' | holdfast load users.hf\n"
                "mdb_dump users.lmdb | holdfast load users.hf --format db\n"
                "db_dump users.db | holdfast load users.hf --format db\n",
    .options = load_options,
    .min_operands = 1,
    .max_operands = 2,
    .writes = true,
    .run = load,
};
