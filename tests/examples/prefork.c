/* SPDX-License-Identifier: MIT */
/*
 * A pre-fork server whose workers share a cache.
 *
 *     ./prefork /tmp/prefork.sock /dev/shm/prefork.hf 4 &
 *     ./ask /tmp/prefork.sock 1001 1001 600851475143
 *
 * A client sends a number and gets its prime factors, which are worth caching. The store is opened once, before fork: the handle
 * works in every worker. A worker may be killed at any instruction, also while it computes or stores, and is replaced: no
 * other worker waits for it longer than the repair of one stripe takes, who waited for its answer computes it instead, and no
 * cached answer is lost or torn.
 */
#include <errno.h>
#include <holdfast.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static hf_store *store;
static bool computed; /* by this worker, for the request at hand */

static void die(const char *what, const char *why) {
    fprintf(stderr, "prefork: %s: %s\n", what, why);
    exit(1);
}

static size_t factorize(unsigned long long number, char *text, size_t size) {
    size_t length = 0;
    for (unsigned long long factor = 2; number > 1 && length + 24 < size; factor++) {
        if (factor * factor > number)
            factor = number;
        for (; number % factor == 0; number /= factor)
            length += (size_t)sprintf(text + length, " %llu", factor);
    }
    return length;
}

/* Computes what is missing: in one worker at a time, while the others that are asked for the same number wait for its answer. */
static int compute(void *context, const void *key, size_t key_len, struct hf_fill *fill) {
    static char factors[1024];
    (void)key, (void)key_len;
    fill->value = factors;
    fill->value_len = factorize(*(unsigned long long *)context, factors, sizeof factors);
    fill->ttl_ms = 3600 * 1000;
    computed = true;
    return HF_OK;
}

/* A cache that fails is no reason not to answer: say why, and go on. */
static void answer(FILE *client, unsigned long long number) {
    char key[32], factors[1024];
    size_t key_len = (size_t)snprintf(key, sizeof key, "factors:%llu", number), length = 0;
    computed = false;
    if (hf_get_or_fill(store, key, key_len, factors, sizeof factors, &length, NULL, compute, &number, NULL) < 0) {
        fprintf(stderr, "prefork: %s\n", hf_explain());
        length = factorize(number, factors, sizeof factors);
    }
    const char *counter = computed ? "misses" : "hits"; /* no increment is lost, however many workers count */
    if (hf_incr(store, counter, strlen(counter), 1, NULL, NULL) < 0)
        fprintf(stderr, "prefork: %s\n", hf_explain());
    fprintf(client, "%llu:%.*s\n", number, (int)length, factors);
}

static void work(int listener) {
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* no worker outlives its server */
    for (;;) {
        char line[64];
        int connection = accept(listener, NULL, NULL);
        FILE *client = connection < 0 ? NULL : fdopen(connection, "r+");
        if (client && fgets(line, sizeof line, client))
            answer(client, strtoull(line, NULL, 10));
        if (client)
            fclose(client);
    }
}

static void start_worker(int listener) {
    pid_t child = fork();
    if (child < 0)
        die("fork", strerror(errno));
    if (child == 0)
        work(listener);
    printf("worker %d\n", (int)child);
    fflush(stdout);
}

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct hf_options options = HF_OPTIONS_INIT;
    if (argc != 4 || strlen(argv[1]) >= sizeof address.sun_path)
        die("usage", "prefork SOCKET STORE WORKERS");
    options.flags = HF_CREATE; /* the server that comes first makes it; later ones find the answers of earlier ones */
    options.mode = HF_MODE_CACHE;
    if (hf_open(&store, argv[2], &options) < 0)
        die(argv[2], hf_explain());
    strcpy(address.sun_path, argv[1]);
    signal(SIGPIPE, SIG_IGN); /* clients may go away */
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0)
        die(argv[1], strerror(errno));
    for (int i = 0; i < atoi(argv[3]); i++)
        start_worker(listener);
    while (wait(NULL) > 0) /* a worker has died, of whatever: there is nothing to clean up in the store */
        start_worker(listener);
    return 0;
}
