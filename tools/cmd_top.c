/* SPDX-License-Identifier: MIT */
/*
 * top: a store as it lives, drawn anew every second. Reads through a read-only handle, so that nobody notices.
 */
#include "process.h"
#include "screen.h"
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { COLUMNS_MOST = 1000, HEAT_ROWS = 8, LOCKS_SHOWN = 3, COUNTER_WIDTH = 39 };

static struct {
    uint64_t interval_ms;
    bool once;
} wanted = {.interval_ms = 1000};

struct moment {
    double seconds; /* CLOCK_MONOTONIC */
    struct hf_stats stats;
};

struct top {
    const char *path;
    hf_store *store;
    struct hf_info info;
    struct moment now, before;
    struct mapped maps;
    bool utf8;
    unsigned char *fill; /* of each stripe, percent */
};

/* ---- Looking -------------------------------------------------------------------------------------------------------------- */

static int look_at_stripes(struct top *top) {
    for (uint32_t stripe = 0; stripe < top->info.stripes; stripe++) {
        struct hf_stats stats = HF_STATS_INIT;
        int result = hf_stats_stripe(top->store, stripe, &stats);
        if (result != HF_OK)
            return result;
        uint64_t all = stats.used_bytes + stats.free_bytes, used = stats.used_bytes < all ? stats.used_bytes : all;
        top->fill[stripe] = (unsigned char)(all ? used * 100 / all : 0);
    }
    return HF_OK;
}

static int look(struct top *top) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    top->before = top->now;
    top->now = (struct moment){.seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9, .stats = HF_STATS_INIT};
    int result = hf_stats(top->store, &top->now.stats);
    if (result == HF_OK)
        result = hf_info(top->store, &top->info);
    if (result == HF_OK)
        result = look_at_stripes(top);
    top->maps.writers = top->maps.readers = 0;
    look_for_maps(&top->maps, 1);
    return result;
}

static bool open_top(struct top *top, const char *path) {
    struct stat file;
    top->path = path;
    top->store = open_store(path, TO_READ);
    if (!top->store)
        return false;
    top->info = (struct hf_info)HF_INFO_INIT;
    bool known = stat(path, &file) == 0 && hf_info(top->store, &top->info) == HF_OK;
    top->maps = (struct mapped){.device = file.st_dev, .inode = file.st_ino};
    top->fill = known ? calloc(top->info.stripes, 1) : NULL;
    if (!top->fill)
        fail(path, "%s", known ? "out of memory" : strerror(errno));
    return top->fill != NULL;
}

/* ---- A frame -------------------------------------------------------------------------------------------------------------- */

struct frame {
    unsigned columns, rows, used;
    bool codes; /* to a terminal: lines overwrite what was there */
};

static void end_line(struct frame *frame) {
    if (frame->codes)
        fputs("\033[K", stdout);
    if (++frame->used < frame->rows)
        fputs(frame->codes ? "\r\n" : "\n", stdout);
}

/* One line of ASCII, cut off at the edge; nothing below the last row. */
__attribute__((format(printf, 2, 3))) static void line(struct frame *frame, const char *format, ...) {
    char text[COLUMNS_MOST];
    va_list arguments;
    if (frame->used >= frame->rows)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("%.*s", (int)frame->columns, text);
    end_line(frame);
}

static void show_head(const struct top *top, struct frame *frame) {
    struct shown path, size;
    line(frame, "holdfast top  %s%s", show_bytes(top->path, strlen(top->path), &path),
         top->info.detached ? "  (deleted or replaced: this is the old one)" : "");
    line(frame, "%s of %s, %" PRIu32 " stripes; processes seen: %u writers, %u readers",
         top->info.mode == HF_MODE_CACHE ? "cache" : "store", show_size(top->info.file_size, &size), top->info.stripes,
         top->maps.writers, top->maps.readers);
}

static void show_fill(const struct top *top, struct frame *frame) {
    enum { BAR = 30 };
    const struct hf_stats *stats = &top->now.stats;
    struct shown used, all;
    uint64_t bytes = stats->used_bytes + stats->free_bytes;
    double share = bytes ? (double)stats->used_bytes / (double)bytes : 0;
    int marks = share < 1 ? (int)(share * BAR) : BAR;
    line(frame, "entries %" PRIu64 "   heap %s of %s  %5.1f %%  [%.*s%*s]", stats->entries, show_size(stats->used_bytes, &used),
         show_size(bytes, &all), 100 * share, marks, "##############################", BAR - marks, "");
}

static double rate(const struct top *top, uint64_t now, uint64_t before) {
    double seconds = top->now.seconds - top->before.seconds;
    return seconds > 0 && now > before ? (double)(now - before) / seconds : 0;
}

static void show_counters(const struct top *top, struct frame *frame) {
    char row[COLUMNS_MOST] = "";
    size_t most = frame->columns / COUNTER_WIDTH, length = 0, cells = 0;
    most = most < 1 ? 1 : most > 4 ? 4 : most;
#define SHOW(name, text) \
    length += (size_t)snprintf(row + length, sizeof row - length, "%-15s %8.0f/s %11" PRIu64 "  ", #name, \
                               rate(top, top->now.stats.name, top->before.stats.name), top->now.stats.name); \
    if (++cells == most) { \
        line(frame, "%s", row); \
        length = cells = 0; \
    }
    HF_COUNTERS(SHOW)
#undef SHOW
    if (cells > 0)
        line(frame, "%s", row);
}

static void show_hit_ratio(const struct top *top, struct frame *frame) {
    const struct hf_stats *now = &top->now.stats, *before = &top->before.stats;
    char recent[32] = "-", ever[32] = "-";
    uint64_t hits = now->hits - before->hits, reads = hits + now->misses - before->misses;
    if (reads > 0)
        snprintf(recent, sizeof recent, "%.1f %%", 100 * (double)hits / (double)reads);
    if (now->hits + now->misses > 0)
        snprintf(ever, sizeof ever, "%.1f %%", 100 * (double)now->hits / (double)(now->hits + now->misses));
    line(frame, "hit ratio %s now, %s ever", recent, ever);
}

/* A cell stands for one stripe, or for the fullest of as many as it takes. */
static void show_heat(const struct top *top, struct frame *frame) {
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const letters[] = {".", "1", "2", "3", "4", "5", "6", "7", "8"};
    uint32_t stripes = top->info.stripes, width = frame->columns > 2 ? frame->columns - 2 : 1;
    uint32_t each = (stripes + width * HEAT_ROWS - 1) / (width * HEAT_ROWS);
    line(frame, "fill of the stripes, %" PRIu32 " a cell%s", each, top->utf8 ? "" : ", in eighths");
    for (uint32_t stripe = 0; stripe < stripes && frame->used < frame->rows; end_line(frame)) {
        fputs(top->utf8 ? "▕" : "|", stdout);
        for (uint32_t cell = 0; cell < width && stripe < stripes; cell++) {
            unsigned most = 0;
            for (uint32_t i = 0; i < each && stripe < stripes; i++, stripe++)
                most = top->fill[stripe] > most ? top->fill[stripe] : most;
            fputs((top->utf8 ? blocks : letters)[(most * 8 + 50) / 100], stdout);
        }
        fputs(top->utf8 ? "▏" : "|", stdout);
    }
}

static void show_lock(const struct hf_lock *lock, struct frame *frame) {
    struct thread_look owner = {.state = "dead", .name = "?"};
    struct shown held;
    bool lease = lock->kind == HF_LOCK_LEASE;
    uint32_t id = lease ? lock->pid : lock->thread;
    if (lock->state == HF_LOCK_HELD && !lock->foreign)
        look_at_thread(id, &owner);
    if (lock->kind == HF_LOCK_STRIPE)
        line(frame, "  %" PRIu32 ": thread %" PRIu32 " (%s, %s) in %s%s", lock->number, id, owner.name, owner.state,
             hf_operation_name(lock->operation), lock->waited ? "; others wait" : "");
    else
        line(frame, "  %" PRIu32 ": %s %" PRIu32 " (%s, %s) computes a value, for %s%s", lock->stripe,
             lease ? "by a lease, process" : "thread", id, owner.name, owner.state, show_duration(lock->held_ms, &held),
             lock->waited ? "; others wait" : "");
}

static void show_locks(const struct top *top, struct frame *frame) {
    struct hf_lock locks[LOCKS_SHOWN];
    size_t count = 0;
    if (hf_locks(top->store, locks, LOCKS_SHOWN, &count) != HF_OK) {
        line(frame, "locks: %s", hf_explain());
        return;
    }
    line(frame, "locks held or left at this moment: %zu%s", count, count > LOCKS_SHOWN ? " ('holdfast locks' lists them)" : "");
    for (size_t i = 0; i < count && i < LOCKS_SHOWN; i++)
        show_lock(&locks[i], frame);
}

static void show_last_recovery(const struct top *top, struct frame *frame) {
    struct hf_recovery last;
    struct shown time;
    size_t count;
    char text[256];
    if (hf_recoveries(top->store, &last, 1, &count) != HF_OK || count == 0) {
        line(frame, "no recovery yet");
        return;
    }
    show_recovery(&last, text, sizeof text);
    line(frame, "last recovery %s: %s", show_time(last.time_ms, &time), text);
}

static void show_frame(const struct top *top, struct frame *frame) {
    show_head(top, frame);
    show_fill(top, frame);
    show_hit_ratio(top, frame);
    line(frame, "%s", "");
    show_counters(top, frame);
    line(frame, "%s", "");
    show_heat(top, frame);
    show_locks(top, frame);
    show_last_recovery(top, frame);
}

/* ---- The command ---------------------------------------------------------------------------------------------------------- */

static void draw(const struct top *top) {
    struct frame frame = {.codes = true};
    screen_size(&frame.columns, &frame.rows);
    fputs("\033[H", stdout);
    show_frame(top, &frame);
    fputs("\033[J", stdout);
    fflush(stdout);
}

/* Until q, a signal, or a terminal that has gone. */
static int run_screen(struct top *top) {
    char key = '\0';
    int result = look(top);
    while (result == HF_OK) {
        draw(top);
        enum screen_event event = output_failed() ? SCREEN_END : screen_wait(wanted.interval_ms, &key);
        if (event == SCREEN_END || (event == SCREEN_KEY && (key == 'q' || key == 'Q')))
            break;
        if (event == SCREEN_TIME)
            result = look(top);
    }
    screen_end();
    return report_result(top->path, result);
}

static int run_once(struct top *top) {
    struct frame frame = {.rows = UINT32_MAX};
    unsigned rows;
    screen_size(&frame.columns, &rows);
    int result = look(top);
    nanosleep(&(struct timespec){.tv_sec = (time_t)(wanted.interval_ms / 1000),
                                 .tv_nsec = (long)(wanted.interval_ms % 1000) * 1000000}, NULL);
    if (result == HF_OK)
        result = look(top);
    if (result == HF_OK)
        show_frame(top, &frame);
    return report_result(top->path, result);
}

static int run_top(int argc, char **argv) {
    struct top top = {.store = NULL};
    (void)argc;
    setlocale(LC_CTYPE, "");
    top.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    int code = TOOL_FAILED;
    if (!open_top(&top, argv[0]))
        close_store(&top.store, argv[0]);
    else if (wanted.once)
        code = run_once(&top);
    else if (screen_begin())
        code = run_screen(&top);
    else
        code = usage_error("needs a terminal; --once prints to anything");
    free(top.fill);
    close_store(&top.store, argv[0]);
    return code;
}

static const struct option_spec top_options[] = {
    {.name = "interval", .kind = OPTION_DURATION, .argument = "T", .target = &wanted.interval_ms, .low = 50, .high = 3600000,
     .help = "time between two frames (default 1s)"},
    {.name = "once", .kind = OPTION_SWITCH, .target = &wanted.once, .help = "print one frame, without control codes"},
    {.name = NULL},
};

const struct command command_top = {
    .name = "top",
    .group = GROUP_HEALTH,
    .summary = "watch a store live",
    .operands = "STORE",
    .about = "Shows how often everything that is counted happens, the hit ratio, how full the heap and each stripe are, who is\n"
             "attached, which locks are held, and the last recovery; drawn anew every second, as large as the terminal is.\n"
             "q quits. Only reads, so nobody notices. --once measures for one interval and prints the rates.\n",
    .examples = "holdfast top /dev/shm/sessions\n"
                "holdfast top /dev/shm/sessions --once --interval 5s\n",
    .options = top_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_top,
};
