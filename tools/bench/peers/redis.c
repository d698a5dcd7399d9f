/* SPDX-License-Identifier: MIT */
/*
 * Redis, as redis.conf and redis.io say for a cache on the same machine: a Unix socket (unixsocket; port 0), no snapshots (save
 * ""), no log (appendonly no), no io-threads (redis.conf: not worth it below four cores), hiredis as the client. A get is one
 * round trip: who needs the value before he can go on cannot pipeline.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"

static int failed(redisContext *redis, const char *what) {
    return bench_explain("Redis: %s: %s", what, redis->err ? redis->errstr : "unexpected answer");
}

static int redis_create(const char *path, const struct bench_config *config) {
    static const char *const argv[] = { "redis-server", "--port", "0", "--unixsocket", "socket", "--unixsocketperm", "700",
                                        "--save", "", "--appendonly", "no", "--daemonize", "no", NULL };
    (void)config;
    return peer_server_start(path, argv);
}

/* The socket's name: each thread connects to it. */
static int redis_open(const char *path, const struct bench_config *config, void **store) {
    char socket[PEER_SOCKET_MAX];
    (void)config;
    peer_server_socket(path, socket);
    *store = strdup(socket);
    return *store ? BENCH_DONE : bench_explain("Redis: out of memory");
}

static int redis_begin_thread(void *store, unsigned index, void **context) {
    (void)index;
    redisContext *redis = redisConnectUnix(store);
    if (!redis || redis->err) {
        int rc = bench_explain("Redis: %s: %s", (const char *)store, redis ? redis->errstr : "out of memory");
        redisFree(redis);
        return rc;
    }
    *context = redis;
    return BENCH_DONE;
}

static void redis_end_thread(void *context) {
    redisFree(context);
}

/* One command of a word, a key and perhaps a value. NULL: failed, explained. */
static redisReply *command(redisContext *redis, const char *word, const void *key, size_t key_len, const void *value,
                           size_t value_len) {
    const char *words[] = { word, key, value };
    size_t lengths[] = { strlen(word), key_len, value_len };
    redisReply *reply = redisCommandArgv(redis, value ? 3 : 2, words, lengths);
    if (!reply) {
        failed(redis, word);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        bench_explain("Redis: %s: %s", word, reply->str);
        freeReplyObject(reply);
        reply = NULL;
    }
    return reply;
}

static int redis_get(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    redisReply *reply = command(context, "GET", key, key_len, NULL, 0);
    if (!reply)
        return BENCH_FAILED;
    int rc = reply->type == REDIS_REPLY_STRING ? BENCH_DONE : BENCH_MISSING;
    if (rc == BENCH_DONE) {
        memcpy(buffer, reply->str, reply->len < size ? reply->len : size);
        *value_len = reply->len;
    }
    freeReplyObject(reply);
    return rc;
}

static int redis_put(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    redisReply *reply = command(context, "SET", key, key_len, value, value_len);
    if (!reply)
        return BENCH_FAILED;
    freeReplyObject(reply);
    return BENCH_DONE;
}

static int redis_erase(void *context, const void *key, size_t key_len) {
    redisReply *reply = command(context, "DEL", key, key_len, NULL, 0);
    if (!reply)
        return BENCH_FAILED;
    int rc = reply->integer == 1 ? BENCH_DONE : BENCH_MISSING;
    freeReplyObject(reply);
    return rc;
}

static void redis_settings(const char *path, char *text, size_t size) {
    char version[100];
    (void)path;
    peer_program_version("redis-server --version", "v=%99[0-9.]", version);
    snprintf(text, size, "Redis %s, hiredis %d.%d.%d: a Unix socket, save \"\", appendonly no, a round trip an operation",
             version, HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
}

const struct bench_engine peer_redis = {
    .name = "Redis",
    .about = "a server with one thread for commands, over a Unix socket",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS,
    .create = redis_create,
    .open = redis_open,
    .thread = redis_begin_thread,
    .put = redis_put,
    .get = redis_get,
    .erase = redis_erase,
    .thread_end = redis_end_thread,
    .close = free,
    .destroy = peer_server_end,
    .settings = redis_settings,
    .footprint = peer_server_memory,
};
