/* SPDX-License-Identifier: MIT */
/*
 * copy: a snapshot of one moment, complete and on disk, in a new file.
 */
#include "tool.h"

static struct {
    bool replace;
    uint64_t file_mode;
} wanted;

static int copy(int argc, char **argv) {
    (void)argc;
    hf_store *store = open_store(argv[0], TO_WRITE);
    if (!store)
        return TOOL_FAILED;
    struct hf_copy_options options = HF_COPY_INIT;
    options.replace = wanted.replace;
    options.file_mode = (uint32_t)wanted.file_mode;
    options.progress = progress_callback;
    progress_start("copy");
    int result = hf_copy(store, argv[1], &options);
    progress_end();
    int code = TOOL_NO;
    if (result == HF_EXISTS)
        complain(argv[1], "exists already; --replace replaces it");
    else
        code = report_result(result == HF_ERR_SYSTEM ? argv[1] : argv[0], result); /* the system refuses the new file */
    close_store(&store, argv[0]);
    return code;
}

static const struct option_spec copy_options[] = {
    {.name = "replace", .kind = OPTION_SWITCH, .target = &wanted.replace, .help = "rename the copy over an existing NEW"},
    {.name = "file-mode", .kind = OPTION_OCTAL, .argument = "MODE", .target = &wanted.file_mode, .low = 0400, .high = 0777,
     .help = "permissions of the copy (default: those of STORE)"},
    {.name = NULL},
};

const struct command command_copy = {
    .name = "copy",
    .group = GROUP_TRANSFER,
    .summary = "make a consistent copy of a store while others work",
    .operands = "STORE NEW",
    .about = "Copies STORE, as it is at one moment, into the new file NEW: complete, written to disk, then put into place.\n"
             "Writers wait while it is copied into memory; readers go on. Exit code 1: NEW exists already.\n",
    .examples = "holdfast copy /dev/shm/sessions backup.hf\n"
                "holdfast copy users.hf backup.hf --replace\n",
    .options = copy_options,
    .min_operands = 2,
    .max_operands = 2,
    .writes = true,
    .run = copy,
};
