/* SPDX-License-Identifier: MIT */
/*
 * What the tool says on standard error, and how a result of the library becomes an exit code. The only file that writes messages,
 * so that all of them begin alike, hide the progress bar first and keep still with --quiet.
 */
#include "tool.h"

#include <stdarg.h>

static void print_message(const char *subject, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

static void print_message(const char *subject, const char *format, va_list arguments) {
    progress_hide();
    flockfile(stderr);
    fputs("holdfast: ", stderr);
    if (subject)
        fprintf(stderr, "%s: ", subject);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    funlockfile(stderr);
}

void complain(const char *subject, const char *format, ...) {
    if (tool.quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    print_message(subject, format, arguments);
    va_end(arguments);
}

int fail(const char *subject, const char *format, ...) {
    if (!tool.quiet) {
        va_list arguments;
        va_start(arguments, format);
        print_message(subject, format, arguments);
        va_end(arguments);
    }
    return TOOL_FAILED;
}

int report_result(const char *subject, int result) {
    if (result == HF_OK)
        return TOOL_DONE;
    complain(subject, "%s", result < 0 ? hf_explain() : hf_result_text(result));
    return result < 0 ? TOOL_FAILED : TOOL_NO;
}

int usage_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[512];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *command = tool.command ? tool.command->name : NULL;
    fprintf(stderr, "holdfast: %s%s%s; see 'holdfast %s%s--help'\n", command ? command : "", command ? ": " : "", text,
            command ? command : "", command ? " " : "");
    return TOOL_USAGE;
}
