/* SPDX-License-Identifier: MIT */
/* Takes one precaution out of the test build of the library, by the name it has in fault.h: `--planted NO_VALIDATION`. */
#include "check.h"
#include "fault.h"

void test_plant(const char *name);

#define BUG(name) {#name, HF__BUG_##name}
static const struct {
    const char *name;
    enum hf__bug bug;
} bugs[] = {
    BUG(NONE),          BUG(NO_SLOT_RELOAD),    BUG(STAMP_FIRST),    BUG(NO_VALIDATION), BUG(NO_ACQUIRE_FENCE),
    BUG(NO_RELEASE_FENCE), BUG(NO_OWN_RELOAD),  BUG(STAMP_KEPT),     BUG(COUNTER_LATE),  BUG(OVERFLOW_LATE),
    BUG(OVERFLOW_EARLY), BUG(OVERFLOW_ZEROED),  BUG(PUBLISH_FIRST),  BUG(FREE_FIRST),    BUG(NO_FREE),
    BUG(NO_RECOVERY),   BUG(CONSISTENT_FIRST),  BUG(RECORD_LATE),    BUG(PENDING_KEPT),  BUG(UNMAP_HELD),
    BUG(STALE_MUTEXES), BUG(IDENTITY_FIRST),    BUG(NO_RANGE_CHECK), BUG(EXPIRY_IGNORED),
};

void test_plant(const char *name) {
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        if (strcmp(name, bugs[i].name) == 0) {
            hf__planted = bugs[i].bug;
            return;
        }
    }
    fprintf(stderr, "no bug is called %s: see src/fault.h\n", name);
    exit(2);
}
