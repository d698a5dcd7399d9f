/* SPDX-License-Identifier: MIT */
/* The terminal of screen.h: signals are let in only while it waits, so that none comes between two steps. */
#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const int caught_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
enum { SIGNALS = sizeof caught_signals / sizeof *caught_signals };

static struct {
    struct termios was;
    sigset_t open; /* the signal mask as it was */
    int ended_by;  /* 0: no signal              */
} screen;
static volatile sig_atomic_t caught;

static void note_signal(int number) {
    caught = number;
}

static void say(const char *codes) {
    fputs(codes, stdout);
    fflush(stdout);
}

/* Keys come one by one and unseen; those that make signals still do. */
static void take_terminal(void) {
    struct termios raw = screen.was;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    say("\033[?1049h\033[?25l\033[2J");
}

static void give_terminal(void) {
    say("\033[?25h\033[?1049l");
    tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.was);
}

bool screen_begin(void) {
    const char *terminal = getenv("TERM");
    if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &screen.was) != 0 || !terminal || strcmp(terminal, "dumb") == 0)
        return false;
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int i = 0; i < SIGNALS; i++)
        sigaddset(&blocked, caught_signals[i]);
    sigprocmask(SIG_BLOCK, &blocked, &screen.open);
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction action = {.sa_handler = note_signal};
        sigaction(caught_signals[i], &action, NULL);
        sigdelset(&screen.open, caught_signals[i]);
    }
    take_terminal();
    return true;
}

void screen_end(void) {
    give_terminal();
    if (!screen.ended_by)
        return;
    signal(screen.ended_by, SIG_DFL);
    raise(screen.ended_by);
    sigprocmask(SIG_SETMASK, &screen.open, NULL);
}

/* As the shell expects of Control-Z: stopped by the signal itself, with the terminal as it was. */
static void stop(void) {
    give_terminal();
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    sigprocmask(SIG_BLOCK, &only, NULL);
    signal(SIGTSTP, note_signal);
    take_terminal();
}

static enum screen_event take_signal(void) {
    int number = caught;
    caught = 0;
    if (number == SIGTSTP)
        stop();
    if (number == SIGTSTP || number == SIGWINCH)
        return SCREEN_RESIZED;
    screen.ended_by = number;
    return SCREEN_END;
}

enum screen_event screen_wait(uint64_t milliseconds, char *key) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    struct timespec time = {.tv_sec = (time_t)(milliseconds / 1000), .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    int ready = ppoll(&input, 1, &time, &screen.open);
    if (caught)
        return take_signal();
    if (ready == 0)
        return SCREEN_TIME;
    return ready > 0 && read(STDIN_FILENO, key, 1) == 1 ? SCREEN_KEY : SCREEN_END;
}

void screen_size(unsigned *columns, unsigned *rows) {
    struct winsize size;
    *columns = 80;
    *rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
    }
}
