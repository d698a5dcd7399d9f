/* SPDX-License-Identifier: MIT */
/*
 * ls and rm: the stores in a directory, and their end. As ipcs and ipcrm do for System V memory.
 */
#include "json.h"
#include "process.h"
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every store begins with these bytes, whole or damaged, of this version or another. */
static bool is_store(int fd) {
    char magic[8];
    return pread(fd, magic, sizeof magic, 0) == sizeof magic && memcmp(magic, "Holdfast", sizeof magic) == 0;
}

/* Not what a link points to, and nothing that could make us wait. */
static int open_entry(int directory, const char *name) {
    return openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* ---- ls ------------------------------------------------------------------------------------------------------------------- */

struct found {
    char *name;
    uint64_t size;
    int writer; /* as has_writer tells */
    int result; /* of hf_open; the rest is known if it is HF_OK */
    struct hf_info info;
    struct hf_stats stats;
    char why[160]; /* it could not be opened */
};

struct listing {
    struct found *stores;
    struct mapped *maps; /* of each */
    unsigned count;
    unsigned unreadable; /* files, which may be stores */
};

static bool ls_json;

static void look_into(int fd, struct found *found) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.flags = HF_RDONLY;
    hf_store *store = NULL;
    found->info = (struct hf_info)HF_INFO_INIT;
    found->stats = (struct hf_stats)HF_STATS_INIT;
    found->writer = has_writer(fd);
    found->result = hf_open_fd(&store, fd, &options);
    if (found->result == HF_OK)
        found->result = hf_info(store, &found->info);
    if (found->result == HF_OK)
        found->result = hf_stats(store, &found->stats);
    if (found->result != HF_OK)
        snprintf(found->why, sizeof found->why, "%s", hf_explain());
    hf_close(&store);
}

/* False: out of memory. */
static bool add_store(struct listing *listing, int fd, const char *name, const struct stat *file) {
    size_t count = listing->count + 1;
    struct found *stores = realloc(listing->stores, count * sizeof *stores);
    if (stores)
        listing->stores = stores;
    struct mapped *maps = stores ? realloc(listing->maps, count * sizeof *maps) : NULL;
    if (maps)
        listing->maps = maps;
    char *copy = maps ? strdup(name) : NULL;
    if (!copy)
        return false;
    struct found *found = &stores[listing->count];
    *found = (struct found){.name = copy, .size = (uint64_t)file->st_size};
    maps[listing->count++] = (struct mapped){.device = file->st_dev, .inode = file->st_ino};
    look_into(fd, found);
    return true;
}

static bool look_at_entry(struct listing *listing, int directory, const char *name) {
    struct stat file;
    if (fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(file.st_mode))
        return true;
    int fd = open_entry(directory, name);
    if (fd < 0) {
        listing->unreadable += errno == EACCES || errno == EPERM;
        return true;
    }
    bool good = fstat(fd, &file) != 0 || !is_store(fd) || add_store(listing, fd, name, &file);
    close(fd);
    return good;
}

static int fill_listing(struct listing *listing, const char *path) {
    struct dirent **entries;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int count = directory < 0 ? -1 : scandir(path, &entries, NULL, alphasort);
    int code = count < 0 ? fail(path, "%s", strerror(errno)) : TOOL_DONE;
    for (int i = 0; i < count; i++) {
        if (code == TOOL_DONE && !look_at_entry(listing, directory, entries[i]->d_name))
            code = fail(path, "out of memory");
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (directory >= 0)
        close(directory);
    return code;
}

static double used_share(const struct found *found) {
    uint64_t all = found->stats.used_bytes + found->stats.free_bytes;
    return all ? (double)found->stats.used_bytes / (double)all : 0;
}

/* Who cannot be seen may be attached all the same. */
static const char *state_of(const struct found *found) {
    if (found->result != HF_OK)
        return found->why;
    if (found->info.unverified)
        return "no writer since the machine started";
    return found->writer == 1 ? "in use" : found->writer == 0 ? "idle" : "";
}

static const char *mode_of(const struct found *found) {
    return found->result != HF_OK ? "?" : found->info.mode == HF_MODE_CACHE ? "cache" : "store";
}

static void print_found_json(const struct found *found, const struct mapped *maps) {
    fputs("{\"name\":", stdout);
    json_print_bytes(found->name, strlen(found->name));
    printf(",\"file_size\":%" PRIu64 ",\"mode\":\"%s\"", found->size, mode_of(found));
    if (found->result == HF_OK)
        printf(",\"entries\":%" PRIu64 ",\"used\":%.4f", found->stats.entries, used_share(found));
    printf(",\"writer_attached\":%s,\"writers_seen\":%u,\"readers_seen\":%u,\"state\":",
           found->writer < 0 ? "null" : found->writer ? "true" : "false", maps->writers, maps->readers);
    json_print_bytes(state_of(found), strlen(state_of(found)));
    puts("}");
}

static void print_found_row(const struct found *found, const struct mapped *maps, int width) {
    struct shown name, size;
    printf("%-*s  %-5s  %10s  ", width, show_bytes(found->name, strlen(found->name), &name), mode_of(found),
           show_size(found->size, &size));
    if (found->result == HF_OK)
        printf("%12" PRIu64 "  %4.0f %%  ", found->stats.entries, 100 * used_share(found));
    else
        printf("%12s  %6s  ", "?", "?");
    printf("%7u  %7u  %s\n", maps->writers, maps->readers, state_of(found));
}

static void print_listing(const struct listing *listing) {
    int width = 4;
    for (unsigned i = 0; i < listing->count; i++) {
        struct shown name;
        int length = (int)strlen(show_bytes(listing->stores[i].name, strlen(listing->stores[i].name), &name));
        width = length > width ? length : width;
    }
    if (!ls_json && listing->count > 0)
        printf("%-*s  %-5s  %10s  %12s  %6s  %7s  %7s  %s\n", width, "name", "mode", "size", "entries", "used", "writers",
               "readers", "state");
    for (unsigned i = 0; i < listing->count; i++) {
        if (ls_json)
            print_found_json(&listing->stores[i], &listing->maps[i]);
        else
            print_found_row(&listing->stores[i], &listing->maps[i], width);
    }
}

static int run_ls(int argc, char **argv) {
    const char *path = argc > 0 ? argv[0] : "/dev/shm";
    struct listing listing = {.count = 0};
    int code = fill_listing(&listing, path);
    if (listing.count > 0)
        look_for_maps(listing.maps, listing.count);
    if (code == TOOL_DONE)
        print_listing(&listing);
    if (code == TOOL_DONE && listing.unreadable > 0)
        complain(path, "%u files may not be read: stores among them are not listed", listing.unreadable);
    for (unsigned i = 0; i < listing.count; i++)
        free(listing.stores[i].name);
    free(listing.stores);
    free(listing.maps);
    return code;
}

static const struct option_spec ls_options[] = {
    {.name = "json", .kind = OPTION_SWITCH, .target = &ls_json, .help = "print one JSON object on a line for each store"},
    {.name = NULL},
};

const struct command command_ls = {
    .name = "ls",
    .group = GROUP_STORE,
    .summary = "list the stores in a directory",
    .operands = "[DIR]",
    .about = "Lists the stores in DIR, by default /dev/shm: size, entries, share of the heap in use, and how many processes are\n"
             "seen to have each mapped for writing, or only for reading. Looks into every file there that may be read.\n"
             "'in use': a writer is attached, of whatever user.\n",
    .examples = "holdfast ls\n"
                "holdfast ls /var/cache/app --json | jq -r 'select(.writer_attached == false) | .name'\n",
    .options = ls_options,
    .min_operands = 0,
    .max_operands = 1,
    .run = run_ls,
};

/* ---- rm ------------------------------------------------------------------------------------------------------------------- */

static bool rm_force;

static void tell_users(const char *path, int writer, const struct stat *file) {
    struct mapped maps = {.device = file->st_dev, .inode = file->st_ino};
    look_for_maps(&maps, 1);
    if (maps.writers + maps.readers > 0)
        complain(path, "removed; %u writers and %u readers still use it, and share it until they close it", maps.writers,
                 maps.readers);
    else if (writer == 1)
        complain(path, "removed; somebody who cannot be seen here still writes to it, until he closes it");
}

/* The name may have been given to another file meanwhile. */
static bool still_named(const char *path, const struct stat *file) {
    struct stat now;
    return lstat(path, &now) == 0 && now.st_dev == file->st_dev && now.st_ino == file->st_ino;
}

static int remove_open(const char *path, int fd) {
    struct stat file;
    if (fstat(fd, &file) != 0)
        return fail(path, "%s", strerror(errno));
    if (!S_ISREG(file.st_mode) || (!rm_force && !is_store(fd)))
        return fail(path, "not a Holdfast store: not removed");
    int writer = has_writer(fd);
    if (!still_named(path, &file))
        return fail(path, "was replaced meanwhile: not removed");
    if (unlink(path) != 0)
        return fail(path, "%s", strerror(errno));
    tell_users(path, writer, &file);
    return TOOL_DONE;
}

static int remove_store(const char *path) {
    int fd = open_entry(AT_FDCWD, path);
    if (fd >= 0) {
        int code = remove_open(path, fd);
        close(fd);
        return code;
    }
    if (errno == ENOENT) {
        complain(path, "no such store");
        return TOOL_NO;
    }
    if (errno == ELOOP)
        return fail(path, "a symbolic link: name the store that it points to");
    if (errno != EACCES || !rm_force)
        return fail(path, "%s%s", strerror(errno), errno == EACCES ? ", so it cannot be seen to be a store (--force)" : "");
    return unlink(path) == 0 ? TOOL_DONE : fail(path, "%s", strerror(errno));
}

static int run_rm(int argc, char **argv) {
    int worst = TOOL_DONE;
    for (int i = 0; i < argc; i++) {
        int code = remove_store(argv[i]);
        worst = code > worst ? code : worst;
    }
    return worst;
}

static const struct option_spec rm_options[] = {
    {.name = "force", .letter = 'f', .kind = OPTION_SWITCH, .target = &rm_force,
     .help = "also a file that is not, or cannot be, seen to be a store"},
    {.name = NULL},
};

const struct command command_rm = {
    .name = "rm",
    .group = GROUP_STORE,
    .summary = "remove stores",
    .operands = "STORE...",
    .about = "Removes the names of stores. Processes that have one open go on with it, and share it, until they close it; they\n"
             "are counted in a message. A file that is no store is not removed, nor is a symbolic link.\n"
             "Exit code 1: there is no such file; the others are removed.\n",
    .examples = "holdfast rm /dev/shm/sessions\n"
                "holdfast ls --json | jq -r 'select(.state == \"idle\") | .name' | sed 's|^|/dev/shm/|' | xargs holdfast rm\n",
    .options = rm_options,
    .min_operands = 1,
    .max_operands = -1,
    .run = run_rm,
};
