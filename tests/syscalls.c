/* SPDX-License-Identifier: MIT */
/*
 * One call of the library between two marks, for syscalls.py, which lets a system call or an allocation between them fail.
 *
 *     syscalls --list                          the names of the calls
 *     syscalls CALL DIRECTORY SCRATCH [once]   makes the call on DIRECTORY/store
 *
 * The call is made on SCRATCH/store first, so that what is done once in a process is not counted; `once`: and again afterwards if
 * it failed, when it must succeed. Prints one line with tabs between: the result, its number, errno, the explanation, by how much
 * the descriptors, the mapped bytes and the allocated bytes of the process have grown once everything was closed, and what was
 * wrong with the answer ("-": nothing). Exit status 4: the stage could not be set.
 *
 * A mark is a prctl that names the thread: strace shows it, and nobody makes it fail.
 */
#include "syscalls.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the module that makes allocations fail, if it is loaded: from now on the nth fails; 0: none. */
__attribute__((weak)) void allocation_fails(unsigned nth);

struct burden {
    long descriptors, mapped, allocated;
};

static long count_descriptors(void) {
    DIR *stream = opendir("/proc/self/fd");
    long entries = 0;
    while (stream && readdir(stream))
        entries++;
    if (stream)
        closedir(stream);
    return entries;
}

/* Without the heap, which grows and stays, and the stack. */
static long count_mapped(void) {
    char line[512];
    long bytes = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && !strstr(line, "[heap]") && !strstr(line, "[stack]"))
            bytes += (long)(to - from);
    }
    if (maps)
        fclose(maps);
    return bytes;
}

static struct burden weigh(void) {
    struct burden burden = {count_descriptors(), count_mapped(), 0};
    struct mallinfo2 heap = mallinfo2();
    burden.allocated = (long)(heap.uordblks + heap.hblkhd);
    return burden;
}

static void mark(const char *name, unsigned allocation) {
    prctl(PR_SET_NAME, name);
    if (allocation_fails)
        allocation_fails(allocation);
}

static int failing_allocation(void) {
    const char *nth = getenv("HOLDFAST_FAILING_ALLOCATION");
    return nth ? atoi(nth) : 0;
}

static bool set_stage(struct stage *stage, const struct call *call, const char *directory, bool rehearsal) {
    struct hf_options options = HF_OPTIONS_INIT;
    options.timeout_ms = 2000;
    options.flags = call->opened == READER ? HF_RDONLY : 0;
    *stage = (struct stage){.fd = -1, .item = HF_ITEM_INIT, .rehearsal = rehearsal};
    snprintf(stage->path, sizeof stage->path, "%s/store", directory);
    snprintf(stage->made, sizeof stage->made, "%s/made", directory);
    if (call->opened != CLOSED && hf_open(&stage->store, stage->path, &options) != HF_OK)
        return false;
    return !call->before || call->before(stage);
}

static void clear_stage(struct stage *stage, const struct call *call) {
    if (call->after)
        call->after(stage);
    if (hf_close(&stage->store) != HF_OK || hf_close(&stage->second) != HF_OK)
        stage->wrong = "the store closes";
}

static int rehearse(const struct call *call, const char *scratch, const char **wrong) {
    struct stage stage;
    char made[200];
    snprintf(made, sizeof made, "%s/made", scratch);
    unlink(made);
    if (!set_stage(&stage, call, scratch, true))
        exit(4);
    int result = call->act(&stage);
    clear_stage(&stage, call);
    *wrong = stage.wrong;
    return result;
}

static int perform(const struct call *call, const char *directory, const char *scratch, bool once) {
    struct stage stage;
    char explained[600];
    const char *wrong;
    rehearse(call, scratch, &wrong);
    struct burden before = weigh();
    if (!set_stage(&stage, call, directory, false))
        return 4;
    mark("act:begin", (unsigned)failing_allocation());
    int result = call->act(&stage), error = errno;
    mark("act:end", 0);
    snprintf(explained, sizeof explained, "%s", result < 0 ? hf_explain() : "");
    clear_stage(&stage, call);
    struct burden after = weigh();
    wrong = stage.wrong;
    if (result < 0 && once && rehearse(call, scratch, &wrong) < 0)
        wrong = "it works afterwards";
    printf("%s\t%d\t%d\t%s\t%ld\t%ld\t%ld\t%s\n", hf_result_name(result), result, error, explained,
           after.descriptors - before.descriptors, after.mapped - before.mapped, after.allocated - before.allocated,
           wrong ? wrong : "-");
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (unsigned i = 0; i < call_count; i++)
            puts(calls[i].name);
        return 0;
    }
    if (allocation_fails)
        allocation_fails(0);
    for (unsigned i = 0; argc >= 4 && i < call_count; i++) {
        if (strcmp(argv[1], calls[i].name) == 0)
            return perform(&calls[i], argv[2], argv[3], argc > 4);
    }
    fputs("usage: syscalls --list | CALL DIRECTORY SCRATCH [once]\n", stderr);
    return 2;
}
