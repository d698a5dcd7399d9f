/* SPDX-License-Identifier: MIT */
/* Takes one precaution out of the test build of the library, by the name it has in fault.h: `--planted NO_VALIDATION`. */
#include "check.h"
#include "fault.h"

void test_plant(const char *name);

static const struct {
    const char *name;
    enum hf__bug bug;
} bugs[] = {
    {"NONE", HF__BUG_NONE},
#define BUG(name, text) {#name, HF__BUG_##name},
    HF__BUGS(BUG)
#undef BUG
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
