/* SPDX-License-Identifier: MIT */
/*
 * Berkeley DB for several processes that need no transactions. From the Programmer's Reference Guide of 5.3 (for later releases
 * at docs.oracle.com/database/bdb181/html/programmer_reference) and db.h:
 *   "Concurrent Data Store introduction"   DB_INIT_CDB and DB_INIT_MPOOL, "when there is no need for full recoverability or
 *                      transaction semantics": locks without deadlocks, no log, so that DB_TXN_NOSYNC has nothing to say. "At
 *                      any instant in time, there may be either multiple readers accessing data or a single writer": two that
 *                      put take turns, and who waits sleeps in the lock manager. That is how it is made, no setting's fault: with
 *                      mutex_set_tas_spins of 1, 1,000 and 10,000 it was the same (Debian's library has mutexes of pthreads).
 *   "Hash or Btree?"   little difference while all fits into the cache; benchmark both. The tree took a third longer for a get.
 *   "Selecting a page size"    the block size of the file system. Pages of 1 KiB took twice the time, of 8 KiB the same.
 *   "Selecting a cache size"   "more cache is better": twice the data, in one piece, shared (DB_PRIVATE is for one process).
 *   "Page fill factor", "Hash table size"   by their formula, and the number of entries told in advance.
 *   "Transactional Data Store"   DB_INIT_TXN locks pages in place of the whole, but writes a log: even with that in memory
 *                      (DB_LOG_IN_MEMORY, DB_TXN_NOSYNC) a put took twice as long, also of two processes at once.
 */
#include <db.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "peers.h"

enum { PAGE = 4096 };

struct bdb {
    DB_ENV *env;
    DB *db;
};

static int failed(const char *what, int rc) {
    return bench_explain("Berkeley DB: %s: %s", what, db_strerror(rc));
}

static DBT data_of(const void *bytes, size_t length) {
    DBT data;
    memset(&data, 0, sizeof data);
    data.data = (void *)(uintptr_t)bytes;
    data.size = (u_int32_t)length;
    return data;
}

static int start(struct bdb *bdb, const char *path, const struct bench_config *config) {
    uint64_t cache = peer_bytes(config) * 2 + (16u << 20);
    u_int32_t on_a_page = (PAGE - 32) / (config->key_size + config->value_size + 8);
    u_int32_t flags = DB_CREATE | DB_INIT_CDB | DB_INIT_MPOOL | (config->threads > 1 ? DB_THREAD : 0);
    int rc;
    if ((rc = db_env_create(&bdb->env, 0)))
        return failed("environment", rc);
    if ((rc = bdb->env->set_cachesize(bdb->env, (u_int32_t)(cache >> 30), (u_int32_t)(cache & ((1u << 30) - 1)), 1)) ||
        (rc = bdb->env->open(bdb->env, path, flags, 0600)) || (rc = db_create(&bdb->db, bdb->env, 0)))
        return failed(path, rc);
    if ((rc = bdb->db->set_pagesize(bdb->db, PAGE)) || (rc = bdb->db->set_h_ffactor(bdb->db, on_a_page ? on_a_page : 1)) ||
        (rc = bdb->db->set_h_nelem(bdb->db, (u_int32_t)config->entries)) ||
        (rc = bdb->db->open(bdb->db, NULL, "db", NULL, DB_HASH, DB_CREATE | (flags & DB_THREAD), 0600)))
        return failed("opening the database", rc);
    return BENCH_DONE;
}

static void bdb_close(void *store) {
    struct bdb *bdb = store;
    if (bdb->db)
        bdb->db->close(bdb->db, DB_NOSYNC);
    if (bdb->env)
        bdb->env->close(bdb->env, 0);
    free(bdb);
}

static int bdb_open(const char *path, const struct bench_config *config, void **store) {
    struct bdb *bdb = calloc(1, sizeof *bdb);
    if (!bdb)
        return bench_explain("Berkeley DB: out of memory");
    if (start(bdb, path, config) != BENCH_DONE) {
        bdb_close(bdb);
        return BENCH_FAILED;
    }
    *store = bdb;
    return BENCH_DONE;
}

static int bdb_create(const char *path, const struct bench_config *config) {
    void *store = NULL;
    if (mkdir(path, 0700) != 0)
        return bench_explain("Berkeley DB: %s: %m", path);
    if (bdb_open(path, config, &store) != BENCH_DONE)
        return BENCH_FAILED;
    bdb_close(store);
    return BENCH_DONE;
}

static int bdb_get(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    struct bdb *bdb = context;
    DBT wanted = data_of(key, key_len), found = data_of(buffer, 0);
    found.ulen = (u_int32_t)size;
    found.flags = DB_DBT_USERMEM;
    int rc = bdb->db->get(bdb->db, NULL, &wanted, &found, 0);
    if (rc && rc != DB_NOTFOUND)
        return failed("get", rc);
    *value_len = found.size;
    return rc ? BENCH_MISSING : BENCH_DONE;
}

static int bdb_put(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    struct bdb *bdb = context;
    DBT into = data_of(key, key_len), from = data_of(value, value_len);
    int rc = bdb->db->put(bdb->db, NULL, &into, &from, 0);
    return rc ? failed("put", rc) : BENCH_DONE;
}

static int bdb_erase(void *context, const void *key, size_t key_len) {
    struct bdb *bdb = context;
    DBT wanted = data_of(key, key_len);
    int rc = bdb->db->del(bdb->db, NULL, &wanted, 0);
    return !rc ? BENCH_DONE : rc == DB_NOTFOUND ? BENCH_MISSING : failed("delete", rc);
}

static void bdb_settings(const char *path, char *text, size_t size) {
    (void)path;
    snprintf(text, size, "Berkeley DB %d.%d.%d: DB_INIT_CDB, DB_INIT_MPOOL, DB_HASH, pages of %d bytes, fill factor and number "
             "of entries told, cache of twice the data", DB_VERSION_MAJOR, DB_VERSION_MINOR, DB_VERSION_PATCH, PAGE);
}

const struct bench_engine peer_bdb = {
    .name = "Berkeley DB",
    .about = "hash table in pages of a shared cache, one writer or many readers",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS,
    .create = bdb_create,
    .open = bdb_open,
    .put = bdb_put,
    .get = bdb_get,
    .erase = bdb_erase,
    .close = bdb_close,
    .settings = bdb_settings,
    .footprint = peer_footprint,
};
