/* SPDX-License-Identifier: MIT */
/*
 * memcached on the same machine. From its manual page (1.6.18) and libmemcached's (1.1.4):
 *   memcached(1)   -s: a Unix socket, without network or UDP. -m: memory for everything, so that nothing is evicted. -t: as
 *                  many threads as cores ("typically not useful to set this higher"). -L: large pages, which "could reduce the
 *                  number of TLB misses and improve the performance". -o hashpower: the hash table has its size from the start
 *                  (it grows by itself otherwise). The rest as it is.
 *   memcached_behavior_set(3)   libmemcached with its defaults: the text protocol (BINARY_PROTOCOL takes a round trip as well);
 *                  NO_BLOCK is only about closing ("I/O is always handled asynchronously"); BUFFER_REQUESTS and NOREPLY would
 *                  put without an answer; SUPPORT_CAS, which costs, is off; TCP_NODELAY is not for Unix sockets.
 * A get is one round trip. For several keys at once there is memcached_mget; that is measured too, and told apart.
 */
#include <libmemcached/memcached.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peers.h"

static int failed(memcached_st *client, const char *what) {
    return bench_explain("memcached: %s: %s", what, memcached_last_error_message(client));
}

/* The server wants to be told who it is when that is root. */
static const char *user_name(void) {
    const struct passwd *user = getpwuid(getuid());
    return user ? user->pw_name : "root";
}

/* log2 of the buckets: as many as entries, within what it takes (12 to 32). */
static unsigned hash_power(uint64_t entries) {
    unsigned power = 16;
    while (power < 31 && (UINT64_C(1) << power) < entries)
        power++;
    return power;
}

static int server_create(const char *path, const struct bench_config *config) {
    char megabytes[32], threads[32], options[64];
    /* An item has 48 to 56 bytes of its own, and its slab class is up to a quarter larger. */
    uint64_t bytes = (peer_bytes(config) + config->entries * 80) * 3 / 2;
    snprintf(megabytes, sizeof megabytes, "%llu", (unsigned long long)(bytes >> 20) + 128);
    snprintf(threads, sizeof threads, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    snprintf(options, sizeof options, "hashpower=%u", hash_power(config->entries));
    const char *argv[] = { "memcached", "-s", "socket", "-a",    "0700",     "-m", megabytes,
                           "-t",        threads, "-o", options, "-L", "-u", user_name(), NULL };
    return peer_server_start(path, argv);
}

/* The socket's name: each thread connects to it. */
static int socket_open(const char *path, const struct bench_config *config, void **store) {
    char socket[PEER_SOCKET_MAX];
    (void)config;
    peer_server_socket(path, socket);
    *store = strdup(socket);
    return *store ? BENCH_DONE : bench_explain("memcached: out of memory");
}

static int client_begin(void *store, unsigned index, void **context) {
    memcached_st *client = memcached_create(NULL);
    (void)index;
    if (!client)
        return bench_explain("memcached: out of memory");
    if (memcached_failed(memcached_server_add_unix_socket(client, store))) {
        failed(client, store);
        memcached_free(client);
        return BENCH_FAILED;
    }
    *context = client;
    return BENCH_DONE;
}

static void client_end(void *context) {
    memcached_free(context);
}

static int client_get(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    memcached_return_t rc;
    uint32_t flags;
    char *value = memcached_get(context, key, key_len, value_len, &flags, &rc);
    if (value) {
        memcpy(buffer, value, *value_len < size ? *value_len : size);
        free(value);
    }
    return rc == MEMCACHED_SUCCESS ? BENCH_DONE : rc == MEMCACHED_NOTFOUND ? BENCH_MISSING : failed(context, "get");
}

/* Where the value of a key goes that the server tells of: it tells only of those that it found, in order. */
static struct bench_item *item_of(struct bench_item *items, size_t count, const char *key, size_t key_len) {
    for (size_t i = 0; i < count; i++) {
        if (items[i].result == BENCH_MISSING && items[i].key_len == key_len && memcmp(items[i].key, key, key_len) == 0)
            return &items[i];
    }
    return NULL;
}

static int client_get_many(void *context, struct bench_item *items, size_t count) {
    const char *keys[BENCH_BATCH_MAX];
    size_t lengths[BENCH_BATCH_MAX];
    memcached_return_t rc;
    for (size_t i = 0; i < count; i++) {
        keys[i] = items[i].key;
        lengths[i] = items[i].key_len;
        items[i].result = BENCH_MISSING;
    }
    if (memcached_failed(memcached_mget(context, keys, lengths, count)))
        return failed(context, "mget");
    for (memcached_result_st *found; (found = memcached_fetch_result(context, NULL, &rc)); memcached_result_free(found)) {
        size_t length = memcached_result_length(found);
        struct bench_item *item = item_of(items, count, memcached_result_key_value(found), memcached_result_key_length(found));
        if (!item)
            return bench_explain("memcached: mget: a key that was not asked for");
        memcpy(item->buffer, memcached_result_value(found), length < item->size ? length : item->size);
        item->value_len = length;
        item->result = BENCH_DONE;
    }
    return rc == MEMCACHED_END || rc == MEMCACHED_NOTFOUND ? BENCH_DONE : failed(context, "mget");
}

static int client_put(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    memcached_return_t rc = memcached_set(context, key, key_len, value, value_len, 0, 0);
    return rc == MEMCACHED_SUCCESS ? BENCH_DONE : failed(context, "set");
}

static int client_erase(void *context, const void *key, size_t key_len) {
    memcached_return_t rc = memcached_delete(context, key, key_len, 0);
    return rc == MEMCACHED_SUCCESS ? BENCH_DONE : rc == MEMCACHED_NOTFOUND ? BENCH_MISSING : failed(context, "delete");
}

static void server_settings(const char *path, char *text, size_t size) {
    char version[100];
    (void)path;
    peer_program_version("memcached --version", "memcached %99[0-9.]", version);
    snprintf(text, size, "memcached %s, libmemcached %s: a Unix socket, -m for everything, -t %ld, -L, -o hashpower for the "
             "entries, a round trip an operation", version, memcached_lib_version(), sysconf(_SC_NPROCESSORS_ONLN));
}

const struct bench_engine peer_memcached = {
    .name = "memcached",
    .about = "a server with threads, over a Unix socket",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS,
    .create = server_create,
    .open = socket_open,
    .thread = client_begin,
    .put = client_put,
    .get = client_get,
    .get_many = client_get_many,
    .erase = client_erase,
    .thread_end = client_end,
    .close = free,
    .destroy = peer_server_end,
    .settings = server_settings,
    .footprint = peer_server_memory,
};
