/* SPDX-License-Identifier: MIT */
/*
 * `holdfast chaos` on the test build of the library, with one precaution taken out: a chaos run that cannot fail proves nothing.
 *
 *     chaos_planted BUG STORE [OPTION...]     BUG without its HF__BUG_, as in fault.h; NONE for the sound library
 */
#include "tool.h"

void test_plant(const char *name);

int main(int argc, char **argv) {
    int operands;
    tool.command = &command_chaos;
    if (argc < 3 || !parse_options(argc - 2, argv + 2, &operands) || operands != 1)
        return TOOL_USAGE;
    test_plant(argv[1]);
    argv[2 + operands] = NULL;
    int code = command_chaos.run(operands, argv + 2);
    int output = finish_output();
    return output == TOOL_DONE ? code : output;
}
