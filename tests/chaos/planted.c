/* SPDX-License-Identifier: MIT */
/*
 * `holdfast chaos` on the test build of the library, with one precaution taken out: a chaos run that cannot fail proves nothing.
 * Only this build also tells the run who is repairing, so that killed repairers can be counted.
 *
 *     chaos_planted BUG STORE [OPTION...]     BUG without its HF__BUG_, as in fault.h; NONE for the sound library
 */
#include <string.h>

#include "chaos.h"
#include "fault.h"
#include "tool.h"

void test_plant(const char *name);

static void see_repairs(const char *point) {
    if (!chaos_here || strncmp(point, "recover:", 8) != 0)
        return;
    bool over = strcmp(point, "recover:consistent") == 0;
    atomic_store(&chaos_here->chaos->sees_repairs, true);
    atomic_store(&chaos_here->slot->repairing, !over);
}

int main(int argc, char **argv) {
    int operands;
    tool.command = &command_chaos;
    if (argc < 3 || !parse_options(argc - 2, argv + 2, &operands) || operands != 1)
        return TOOL_USAGE;
    test_plant(argv[1]);
    hf__point_hook = see_repairs;
    argv[2 + operands] = NULL;
    int code = command_chaos.run(operands, argv + 2);
    int output = finish_output();
    return output == TOOL_DONE ? code : output;
}
