/* SPDX-License-Identifier: MIT */
/*
 * SQLite for several processes and data that need not survive power loss. From sqlite.org:
 *   wal.html           journal_mode=WAL: readers and the one writer do not block each other. Checkpoints at 1,000 pages (the
 *                      default).
 *   pragma.html        synchronous=OFF: nothing waits for the disk; what a process committed survives its death. mmap_size over
 *                      the whole file (mmap.html), so that pages are read where they are. The page cache has its usual size, as
 *                      what it holds is void when another process commits: one for the whole file made puts slower. Smaller
 *                      pages did, too. locking_mode=EXCLUSIVE would keep the other processes out; journal_mode=MEMORY or OFF
 *                      would leave a broken file when a process is killed. temp_store: there are no temporary tables.
 *   withoutrowid.html  WITHOUT ROWID: keys that are no integers, and rows smaller than a twentieth of a page of 4,096 bytes,
 *                      which is the default.
 *   threadsafe.html    a connection for each thread, with SQLITE_OPEN_NOMUTEX.
 *   c3ref/prepare      statements are prepared once, as SQLITE_PREPARE_PERSISTENT.
 * Every put is a transaction of its own, since others are to see it at once: several in one would be quicker, and something else.
 * REPLACE overwrites the row in place, as there is no other index.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"

enum { FLAGS = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX };

/* What a connection needs, which only a thread has; nothing is open before. */
struct place {
    const char *path;
    const struct bench_config *config;
};

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *get, *put, *erase;
};

static int failed(const struct sqlite *sqlite, const char *what) {
    return bench_explain("SQLite: %s: %s", what, sqlite3_errmsg(sqlite->db));
}

static int prepare(struct sqlite *sqlite, const char *text, sqlite3_stmt **statement) {
    return sqlite3_prepare_v3(sqlite->db, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
}

static int start(struct sqlite *sqlite, const char *path, const struct bench_config *config) {
    uint64_t bytes = peer_bytes(config) * 3 + (16u << 20);
    char text[400];
    if (sqlite3_open_v2(path, &sqlite->db, FLAGS, NULL) != SQLITE_OK)
        return failed(sqlite, path);
    sqlite3_busy_timeout(sqlite->db, 60000);
    snprintf(text, sizeof text, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA mmap_size=%llu;"
             "CREATE TABLE IF NOT EXISTS kv(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
             (unsigned long long)bytes);
    if (sqlite3_exec(sqlite->db, text, NULL, NULL, NULL) != SQLITE_OK)
        return failed(sqlite, "settings");
    if (prepare(sqlite, "SELECT value FROM kv WHERE key = ?1", &sqlite->get) != SQLITE_OK ||
        prepare(sqlite, "REPLACE INTO kv VALUES (?1, ?2)", &sqlite->put) != SQLITE_OK ||
        prepare(sqlite, "DELETE FROM kv WHERE key = ?1", &sqlite->erase) != SQLITE_OK)
        return failed(sqlite, "statements");
    return BENCH_DONE;
}

static void sqlite_end_thread(void *context) {
    struct sqlite *sqlite = context;
    sqlite3_finalize(sqlite->get);
    sqlite3_finalize(sqlite->put);
    sqlite3_finalize(sqlite->erase);
    sqlite3_close(sqlite->db);
    free(sqlite);
}

static int sqlite_begin_thread(void *store, unsigned index, void **context) {
    const struct place *place = store;
    struct sqlite *sqlite = calloc(1, sizeof *sqlite);
    (void)index;
    if (!sqlite)
        return bench_explain("SQLite: out of memory");
    if (start(sqlite, place->path, place->config) != BENCH_DONE) {
        sqlite_end_thread(sqlite);
        return BENCH_FAILED;
    }
    *context = sqlite;
    return BENCH_DONE;
}

static int sqlite_open(const char *path, const struct bench_config *config, void **store) {
    struct place *place = malloc(sizeof *place);
    if (!place)
        return bench_explain("SQLite: out of memory");
    *place = (struct place){ path, config };
    *store = place;
    return BENCH_DONE;
}

static int sqlite_create(const char *path, const struct bench_config *config) {
    struct place place = { path, config };
    void *context = NULL;
    if (sqlite_begin_thread(&place, 0, &context) != BENCH_DONE)
        return BENCH_FAILED;
    sqlite_end_thread(context);
    return BENCH_DONE;
}

static int sqlite_get(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    struct sqlite *sqlite = context;
    sqlite3_bind_blob(sqlite->get, 1, key, (int)key_len, SQLITE_STATIC);
    int rc = sqlite3_step(sqlite->get);
    if (rc == SQLITE_ROW) {
        size_t length = (size_t)sqlite3_column_bytes(sqlite->get, 0);
        memcpy(buffer, sqlite3_column_blob(sqlite->get, 0), length < size ? length : size);
        *value_len = length;
    }
    sqlite3_reset(sqlite->get);
    return rc == SQLITE_ROW ? BENCH_DONE : rc == SQLITE_DONE ? BENCH_MISSING : failed(sqlite, "get");
}

static int sqlite_put(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    struct sqlite *sqlite = context;
    sqlite3_bind_blob(sqlite->put, 1, key, (int)key_len, SQLITE_STATIC);
    sqlite3_bind_blob(sqlite->put, 2, value, (int)value_len, SQLITE_STATIC);
    int rc = sqlite3_step(sqlite->put);
    sqlite3_reset(sqlite->put);
    return rc == SQLITE_DONE ? BENCH_DONE : failed(sqlite, "put");
}

static int sqlite_erase(void *context, const void *key, size_t key_len) {
    struct sqlite *sqlite = context;
    sqlite3_bind_blob(sqlite->erase, 1, key, (int)key_len, SQLITE_STATIC);
    int rc = sqlite3_step(sqlite->erase);
    sqlite3_reset(sqlite->erase);
    if (rc != SQLITE_DONE)
        return failed(sqlite, "delete");
    return sqlite3_changes(sqlite->db) ? BENCH_DONE : BENCH_MISSING;
}

static void sqlite_settings(const char *path, char *text, size_t size) {
    (void)path;
    snprintf(text, size, "SQLite %s: journal_mode=WAL, synchronous=OFF, mmap_size over the whole file, WITHOUT ROWID"
             ", prepared statements, a transaction a put", sqlite3_libversion());
}

const struct bench_engine peer_sqlite = {
    .name = "SQLite",
    .about = "SQL on a B-tree with a write-ahead log, one writer at a time",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS,
    .create = sqlite_create,
    .open = sqlite_open,
    .thread = sqlite_begin_thread,
    .put = sqlite_put,
    .get = sqlite_get,
    .erase = sqlite_erase,
    .thread_end = sqlite_end_thread,
    .close = free,
    .settings = sqlite_settings,
    .footprint = peer_footprint,
};
