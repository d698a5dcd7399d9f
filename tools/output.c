/* SPDX-License-Identifier: MIT */
/*
 * Standard output and how things look to people. May not decide anything: it prints what it is given.
 */
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int write_error; /* the errno of the first failed write, while stdio still knows it */

/* A C library may write after every kilobyte; a report is written whole by whoever asks whether that failed. */
void begin_output(void) {
    static char buffer[64 * 1024];
    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
}

bool output_failed(void) {
    if (ferror(stdout) && write_error == 0)
        write_error = errno;
    return write_error != 0;
}

int finish_output(void) {
    bool failed = output_failed();
    if (fclose(stdout) != 0 && !failed) {
        failed = true;
        write_error = errno;
    }
    if (!failed)
        return TOOL_DONE;
    return write_error == EPIPE ? TOOL_FAILED : fail("standard output", "%s", strerror(write_error));
}

void print_bytes(const void *bytes, size_t length) {
    if (fwrite(bytes, 1, length, stdout) < length)
        output_failed();
}

void print_hex(const void *bytes, size_t length) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        putc_unlocked(digits[at[i] >> 4], stdout);
        putc_unlocked(digits[at[i] & 15], stdout);
    }
}

const char *show_bytes(const void *bytes, size_t length, struct shown *into) {
    const unsigned char *at = bytes;
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (used > 80) {
            strcpy(into->text + used, "...");
            return into->text;
        }
        if (at[i] >= ' ' && at[i] <= '~')
            into->text[used++] = (char)at[i];
        else
            used += (size_t)sprintf(into->text + used, "\\x%02x", at[i]);
    }
    into->text[used] = '\0';
    return into->text;
}

const char *show_size(uint64_t bytes, struct shown *into) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double size = (double)bytes;
    size_t unit = 0;
    while (size >= 1024) {
        size /= 1024;
        unit++;
    }
    snprintf(into->text, sizeof into->text, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
    return into->text;
}

const char *show_duration(uint64_t milliseconds, struct shown *into) {
    static const struct {
        uint64_t below, unit; /* milliseconds */
        char letter;
    } units[] = {{6000000, 60000, 'm'}, {360000000, 3600000, 'h'}, {UINT64_MAX, 86400000, 'd'}};
    size_t i = 0;
    if (milliseconds < 100000) {
        snprintf(into->text, sizeof into->text, "%.1fs", (double)(milliseconds / 100) / 10);
        return into->text;
    }
    while (milliseconds >= units[i].below && i < 2)
        i++;
    snprintf(into->text, sizeof into->text, "%" PRIu64 "%c", milliseconds / units[i].unit, units[i].letter);
    return into->text;
}

const char *show_time(uint64_t time_ms, struct shown *into) {
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char text[40];
    if (!gmtime_r(&seconds, &parts) || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(text, sizeof text, "%" PRIu64 " s after 1970", time_ms / 1000);
    snprintf(into->text, sizeof into->text, "%s.%03uZ", text, (unsigned)(time_ms % 1000));
    return into->text;
}
