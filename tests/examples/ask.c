/* SPDX-License-Identifier: MIT */
/*
 * A client of prefork.c, which needs no Holdfast: asks for each number and prints the answers. A connection that ends without an
 * answer was one to a worker that died: asks again.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int ask(const struct sockaddr_un *server, const char *number, char *answer, int size) {
    char line[64];
    int length = snprintf(line, sizeof line, "%.60s\n", number), connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (const struct sockaddr *)server, sizeof *server) < 0)
        return -1;
    FILE *stream = fdopen(connection, "r");
    int sent = send(connection, line, (size_t)length, MSG_NOSIGNAL) == length;
    int got = sent && fgets(answer, size, stream) && strchr(answer, '\n');
    fclose(stream);
    return got;
}

int main(int argc, char **argv) {
    struct sockaddr_un server = {.sun_family = AF_UNIX};
    char answer[2048];
    if (argc < 3 || strlen(argv[1]) >= sizeof server.sun_path) {
        fprintf(stderr, "usage: ask SOCKET NUMBER...\n");
        return 2;
    }
    strcpy(server.sun_path, argv[1]);
    for (int i = 2; i < argc; i++) {
        int got;
        while ((got = ask(&server, argv[i], answer, sizeof answer)) == 0)
            ;
        if (got < 0) {
            perror(argv[1]);
            return 1;
        }
        fputs(answer, stdout);
    }
    return 0;
}
