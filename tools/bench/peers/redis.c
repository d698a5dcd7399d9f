/* SPDX-License-Identifier: MIT */
/*
 * Redis as a cache on the same machine. From redis.conf of 7.0.15, which comes with it, and redis.io:
 *   redis.conf, NETWORK         unixsocket, and port 0; redis.io, "Redis benchmark": a Unix socket is quicker than TCP.
 *   redis.conf, SNAPSHOTTING    save "": no snapshots; APPEND ONLY MODE: appendonly no (the default).
 *   redis.conf, THREADED I/O    no io-threads (the default): "only in machines that have at least 4 or more cores" and where
 *                               an instance uses up its core, which two clients that wait for their answers do not bring about.
 *   all else as it is (hz, activerehashing: the table has its size before anything is measured; no limit of memory).
 * hiredis is the client. A get is one round trip: who needs the value before he can go on cannot pipeline. For several keys at
 * once there is a pipeline (redis.io, "Redis pipelining"); that is measured too, and told apart.
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

/* Copies out what a GET was answered with, and frees the answer. */
static int take_value(redisReply *reply, void *buffer, size_t size, size_t *value_len) {
    int rc = reply->type == REDIS_REPLY_STRING ? BENCH_DONE : BENCH_MISSING;
    if (rc == BENCH_DONE) {
        memcpy(buffer, reply->str, reply->len < size ? reply->len : size);
        *value_len = reply->len;
    }
    freeReplyObject(reply);
    return rc;
}

static int redis_get(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    redisReply *reply = command(context, "GET", key, key_len, NULL, 0);
    return reply ? take_value(reply, buffer, size, value_len) : BENCH_FAILED;
}

/* A pipeline: all commands are sent, then all answers read. */
static int redis_get_many(void *context, struct bench_item *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *words[] = { "GET", items[i].key };
        if (redisAppendCommandArgv(context, 2, words, (size_t[]){ 3, items[i].key_len }) != REDIS_OK)
            return failed(context, "pipeline");
    }
    for (size_t i = 0; i < count; i++) {
        redisReply *reply = NULL;
        if (redisGetReply(context, (void **)&reply) != REDIS_OK)
            return failed(context, "pipeline");
        items[i].result = take_value(reply, items[i].buffer, items[i].size, &items[i].value_len);
    }
    return BENCH_DONE;
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
    .get_many = redis_get_many,
    .erase = redis_erase,
    .thread_end = redis_end_thread,
    .close = free,
    .destroy = peer_server_end,
    .settings = redis_settings,
    .footprint = peer_server_memory,
};
