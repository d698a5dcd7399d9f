/* SPDX-License-Identifier: MIT */
/*
 * LMDB for data that fits into memory and need not survive power loss. From lmdb.h of 0.9.24:
 *   mdb_env_open    MDB_WRITEMAP: "fewer mallocs", "may be slightly faster for DBs that fit entirely in RAM". MDB_NOSYNC: a
 *                   commit flushes nothing; MDB_MAPASYNC would start a flush at each. MDB_NOTLS: a read transaction that is
 *                   reset keeps its place in the table of readers. Of the rest, MDB_NORDAHEAD is for data larger than memory,
 *                   MDB_NOMEMINIT is "not needed with MDB_WRITEMAP", and MDB_NOLOCK leaves all locking to the caller.
 *   mdb_txn_reset   keep the read transaction of a thread and renew it for every get: "saves some allocation". One that is
 *                   held longer does not see what others put, and keeps old pages from being used again ("Avoid long-lived
 *                   transactions").
 *   mdb_put         MDB_RESERVE saves a copy only "if the data is being generated later": here it is at hand.
 * Every put is a transaction of its own, since others are to see it at once: several in one would be quicker, and something else.
 */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peers.h"

enum { LMDB_FLAGS = MDB_NOSUBDIR | MDB_WRITEMAP | MDB_NOSYNC | MDB_NOTLS };

struct lmdb {
    MDB_env *env;
    MDB_dbi dbi;
};

struct lmdb_thread {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reader; /* between gets: reset */
};

static int failed(const char *what, int rc) {
    return bench_explain("LMDB: %s: %s", what, mdb_strerror(rc));
}

static int start(struct lmdb *lmdb, const char *path, const struct bench_config *config) {
    /* Pages of a tree are half to quite full; and a commit writes copies of pages, while readers keep old ones. */
    size_t map = peer_bytes(config) * 3 + (64u << 20);
    MDB_txn *txn;
    int rc;
    if ((rc = mdb_env_set_mapsize(lmdb->env, map)) || (rc = mdb_env_set_maxreaders(lmdb->env, BENCH_THREADS_MAX)) ||
        (rc = mdb_env_open(lmdb->env, path, LMDB_FLAGS, 0600)) || (rc = mdb_txn_begin(lmdb->env, NULL, 0, &txn)))
        return failed(path, rc);
    if ((rc = mdb_dbi_open(txn, NULL, 0, &lmdb->dbi))) {
        mdb_txn_abort(txn);
        return failed("opening the database", rc);
    }
    return (rc = mdb_txn_commit(txn)) ? failed("first commit", rc) : BENCH_DONE;
}

static int lmdb_open(const char *path, const struct bench_config *config, void **store) {
    struct lmdb *lmdb = calloc(1, sizeof *lmdb);
    if (!lmdb)
        return bench_explain("LMDB: out of memory");
    int rc = mdb_env_create(&lmdb->env);
    if (rc) {
        free(lmdb);
        return failed("environment", rc);
    }
    if (start(lmdb, path, config) != BENCH_DONE) {
        mdb_env_close(lmdb->env);
        free(lmdb);
        return BENCH_FAILED;
    }
    *store = lmdb;
    return BENCH_DONE;
}

static void lmdb_close(void *store) {
    struct lmdb *lmdb = store;
    mdb_env_close(lmdb->env);
    free(lmdb);
}

static int lmdb_create(const char *path, const struct bench_config *config) {
    void *store = NULL;
    if (lmdb_open(path, config, &store) != BENCH_DONE)
        return BENCH_FAILED;
    lmdb_close(store);
    return BENCH_DONE;
}

static int lmdb_begin_thread(void *store, unsigned index, void **context) {
    struct lmdb *lmdb = store;
    struct lmdb_thread *thread = malloc(sizeof *thread);
    (void)index;
    if (!thread)
        return bench_explain("LMDB: out of memory");
    *thread = (struct lmdb_thread){ .env = lmdb->env, .dbi = lmdb->dbi };
    int rc = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &thread->reader);
    if (rc) {
        free(thread);
        return failed("read transaction", rc);
    }
    mdb_txn_reset(thread->reader);
    *context = thread;
    return BENCH_DONE;
}

static void lmdb_end_thread(void *context) {
    struct lmdb_thread *thread = context;
    mdb_txn_abort(thread->reader);
    free(thread);
}

static int lmdb_get(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    struct lmdb_thread *thread = context;
    MDB_val wanted = { key_len, (void *)(uintptr_t)key }, found;
    int rc = mdb_txn_renew(thread->reader);
    if (rc)
        return failed("renew", rc);
    rc = mdb_get(thread->reader, thread->dbi, &wanted, &found);
    if (!rc) {
        memcpy(buffer, found.mv_data, found.mv_size < size ? found.mv_size : size);
        *value_len = found.mv_size;
    }
    mdb_txn_reset(thread->reader);
    return !rc ? BENCH_DONE : rc == MDB_NOTFOUND ? BENCH_MISSING : failed("get", rc);
}

static int lmdb_put(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    struct lmdb_thread *thread = context;
    MDB_val into = { key_len, (void *)(uintptr_t)key }, from = { value_len, (void *)(uintptr_t)value };
    MDB_txn *txn;
    int rc = mdb_txn_begin(thread->env, NULL, 0, &txn);
    if (rc)
        return failed("write transaction", rc);
    if ((rc = mdb_put(txn, thread->dbi, &into, &from, 0))) {
        mdb_txn_abort(txn);
        return failed("put", rc);
    }
    return (rc = mdb_txn_commit(txn)) ? failed("commit", rc) : BENCH_DONE;
}

static int lmdb_erase(void *context, const void *key, size_t key_len) {
    struct lmdb_thread *thread = context;
    MDB_val wanted = { key_len, (void *)(uintptr_t)key };
    MDB_txn *txn;
    int rc = mdb_txn_begin(thread->env, NULL, 0, &txn);
    if (rc)
        return failed("write transaction", rc);
    if ((rc = mdb_del(txn, thread->dbi, &wanted, NULL))) {
        mdb_txn_abort(txn);
        return rc == MDB_NOTFOUND ? BENCH_MISSING : failed("delete", rc);
    }
    return (rc = mdb_txn_commit(txn)) ? failed("commit", rc) : BENCH_DONE;
}

static void lmdb_settings(const char *path, char *text, size_t size) {
    (void)path;
    snprintf(text, size, "LMDB %d.%d.%d: MDB_WRITEMAP, MDB_NOSYNC, MDB_NOTLS; one read transaction a thread, renewed "
             "for each get; a write transaction a put", MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
}

const struct bench_engine peer_lmdb = {
    .name = "LMDB",
    .about = "B+ tree in a mapped file, one writer at a time",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS,
    .create = lmdb_create,
    .open = lmdb_open,
    .thread = lmdb_begin_thread,
    .put = lmdb_put,
    .get = lmdb_get,
    .erase = lmdb_erase,
    .thread_end = lmdb_end_thread,
    .close = lmdb_close,
    .settings = lmdb_settings,
    .footprint = peer_footprint,
};
