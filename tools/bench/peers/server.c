/* SPDX-License-Identifier: MIT */
/*
 * Servers that are measured: started in a directory of their own, ended by their process id, and never left behind. Only the
 * process that started one may end it or ask for its memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peers.h"

enum { SERVERS_MAX = 8, START_SECONDS = 20, END_SECONDS = 20 };

static struct server {
    char path[PEER_SOCKET_MAX];
    pid_t pid; /* 0: a free place */
} servers[SERVERS_MAX];

static struct server *server_at(const char *path) {
    for (size_t i = 0; i < SERVERS_MAX; i++) {
        if (path ? servers[i].pid > 0 && strcmp(servers[i].path, path) == 0 : servers[i].pid == 0)
            return &servers[i];
    }
    return NULL;
}

void peer_server_socket(const char *path, char socket[PEER_SOCKET_MAX]) {
    snprintf(socket, PEER_SOCKET_MAX, "%.*s/socket", PEER_SOCKET_MAX - 8, path);
}

static void rest(void) {
    nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
}

/* In the child: becomes the server. */
static void become(const char *path, const char *const *argv, pid_t parent) {
    int log;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || chdir(path) != 0 || (log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600)) < 0)
        _exit(126);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    setpgid(0, 0); /* what the terminal interrupts ends the benchmark, which ends the server when nobody asks it any more */
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int listens(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    peer_server_socket(path, address.sun_path);
    int answer = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return answer;
}

static int await(struct server *server, const char *name) {
    for (int i = 0; i < START_SECONDS * 100; i++) {
        if (listens(server->path))
            return BENCH_DONE;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
            server->pid = 0;
            return bench_explain("%s ended at once: see %s/log", name, server->path);
        }
        rest();
    }
    peer_server_end(server->path);
    return bench_explain("%s does not listen on %s/socket", name, server->path);
}

int peer_server_start(const char *path, const char *const *argv) {
    struct server *server = server_at(NULL);
    pid_t parent = getpid();
    if (!server || strlen(path) + sizeof "/socket" > PEER_SOCKET_MAX)
        return bench_explain("%s: too many servers, or too long a name for a socket: %s", argv[0], path);
    if (mkdir(path, 0700) != 0)
        return bench_explain("%s: %s: %s", argv[0], path, strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return bench_explain("%s: cannot fork: %s", argv[0], strerror(errno));
    if (pid == 0)
        become(path, argv, parent);
    snprintf(server->path, sizeof server->path, "%s", path);
    server->pid = pid;
    return await(server, argv[0]);
}

uint64_t peer_server_memory(const char *path) {
    const struct server *server = server_at(path);
    char name[64], line[200];
    unsigned long long kib = 0;
    FILE *status;
    snprintf(name, sizeof name, "/proc/%d/status", server ? server->pid : 0);
    if (!(status = fopen(name, "r")))
        return 0;
    while (fgets(line, sizeof line, status) && sscanf(line, "VmRSS: %llu kB", &kib) != 1)
        continue;
    fclose(status);
    return kib << 10;
}

void peer_server_end(const char *path) {
    struct server *server = server_at(path);
    if (!server)
        return;
    kill(server->pid, SIGTERM);
    for (int i = 0; i < END_SECONDS * 100 && waitpid(server->pid, NULL, WNOHANG) == 0; i++)
        rest();
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void peer_program_version(const char *command, const char *format, char version[100]) {
    char line[500] = "";
    FILE *output = popen(command, "r");
    snprintf(version, 100, "?");
    if (!output)
        return;
    if (fgets(line, sizeof line, output)) {
        for (const char *at = line; *at && sscanf(at, format, version) != 1; at++)
            continue;
    }
    pclose(output);
}
