/* SPDX-License-Identifier: MIT */
/* The calls of syscalls.c that are about a whole store: its disk, its copies, its health. Knows the public header only. */
#include "syscalls.h"

#include <fcntl.h>
#include <unistd.h>

int sync_it(struct stage *stage) {
    return hf_sync(stage->store);
}

int copy(struct stage *stage) {
    return hf_copy(stage->store, stage->made, NULL);
}

bool before_replace(struct stage *stage) {
    static const char text[] = "here before";
    int fd = open(stage->made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, text, sizeof text) == sizeof text;
    return fd >= 0 && close(fd) == 0 && written;
}

int copy_over(struct stage *stage) {
    struct hf_copy_options options = HF_COPY_INIT;
    options.replace = 1;
    return hf_copy(stage->store, stage->made, &options);
}

int check(struct stage *stage) {
    struct hf_report report = {.entries = 0};
    int result = hf_check(stage->store, NULL, &report);
    EXPECT(stage, result != HF_OK || report.entries == 11);
    return result;
}

int repair(struct stage *stage) {
    struct hf_report report = {.entries = 0};
    int result = hf_repair(stage->store, &report);
    EXPECT(stage, result != HF_OK || (report.entries == 11 && report.dropped == 0));
    return result;
}

int info(struct stage *stage) {
    struct hf_info about = HF_INFO_INIT;
    int result = hf_info(stage->store, &about);
    EXPECT(stage, result != HF_OK || (about.max_value == 4096 && !about.detached));
    return result;
}

/* A copy that loses its name while it is open. */
bool before_detached(struct stage *stage) {
    return open_rw(stage) == HF_OK && hf_copy(stage->store, stage->made, NULL) == HF_OK && hf_close(&stage->store) == HF_OK &&
           open_with(&stage->store, stage->made, 0) == HF_OK && unlink(stage->made) == 0;
}

int info_of_detached(struct stage *stage) {
    struct hf_info about = HF_INFO_INIT;
    int result = hf_info(stage->store, &about);
    EXPECT(stage, result != HF_OK || about.detached);
    return result;
}

int stats(struct stage *stage) {
    struct hf_stats counters = HF_STATS_INIT;
    int result = hf_stats(stage->store, &counters);
    EXPECT(stage, result != HF_OK || counters.entries == 11);
    return result;
}

int recoveries(struct stage *stage) {
    size_t number;
    struct hf_recovery recovery;
    return hf_recoveries(stage->store, &recovery, 1, &number);
}

int locks(struct stage *stage) {
    size_t number = 99;
    struct hf_lock lock;
    int result = hf_locks(stage->store, &lock, 1, &number);
    EXPECT(stage, result != HF_OK || number == 0);
    return result;
}
