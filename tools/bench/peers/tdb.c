/* SPDX-License-Identifier: MIT */
/*
 * TDB for state that processes share and that need not outlive them, as Samba uses it for its own ("volatile" databases). From
 * tdb.h of 1.4.8, and lib/tdb of Samba's source:
 *   tdb_open           TDB_MUTEX_LOCKING: "optimized locking using robust mutexes", one a chain, in place of file locks; only
 *                      with TDB_CLEAR_IF_FIRST (the file is emptied by who opens it when nobody else has it open), and after
 *                      tdb_runtime_check_for_robust_mutexes(); docs/mutex.txt says why. TDB_INCOMPATIBLE_HASH: "better hashing".
 *                      TDB_VOLATILE: a list of free records a chain. TDB_NOSYNC only says that transactions, which are not
 *                      used here, need not wait for a disk. TDB_NOLOCK is for a file that nobody shares.
 *   hash_size          as many chains as entries: by default there are 131, and a chain is searched from its beginning.
 *   tdb_parse_record   "a fast tdb_fetch alternative": hands out the record in place and allocates nothing. It locks the chain,
 *                      like every call.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <tdb.h>

#include "peers.h"

enum { TDB_FLAGS = TDB_MUTEX_LOCKING | TDB_CLEAR_IF_FIRST | TDB_INCOMPATIBLE_HASH | TDB_NOSYNC | TDB_VOLATILE };

struct copy {
    void *buffer;
    size_t size, length;
};

static TDB_DATA data_of(const void *bytes, size_t length) {
    return (TDB_DATA){ .dptr = (unsigned char *)(uintptr_t)bytes, .dsize = length };
}

static int failed(struct tdb_context *tdb, const char *what) {
    return bench_explain("TDB: %s: %s", what, tdb_errorstr(tdb));
}

/* The file itself is made by the first who opens it. tdb.h wants this asked before mutexes are asked for; the answer is kept
 * for the children too. */
static int tdb_create(const char *path, const struct bench_config *config) {
    (void)path, (void)config;
    return tdb_runtime_check_for_robust_mutexes() ? BENCH_DONE : bench_explain("TDB: no robust mutexes here");
}

static int tdb_begin(const char *path, const struct bench_config *config, void **store) {
    int chains = config->entries < (1u << 30) ? (int)config->entries : 1 << 30;
    *store = tdb_open(path, chains, TDB_FLAGS, O_RDWR | O_CREAT, 0600);
    return *store ? BENCH_DONE : bench_explain("TDB: %s: %m", path);
}

static int copy_out(TDB_DATA key, TDB_DATA data, void *private_data) {
    struct copy *copy = private_data;
    (void)key;
    memcpy(copy->buffer, data.dptr, data.dsize < copy->size ? data.dsize : copy->size);
    copy->length = data.dsize;
    return 0;
}

static int tdb_get(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    struct copy copy = { buffer, size, 0 };
    if (tdb_parse_record(context, data_of(key, key_len), copy_out, &copy) != 0)
        return tdb_error(context) == TDB_ERR_NOEXIST ? BENCH_MISSING : failed(context, "get");
    *value_len = copy.length;
    return BENCH_DONE;
}

static int tdb_put(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    if (tdb_store(context, data_of(key, key_len), data_of(value, value_len), TDB_REPLACE) != 0)
        return failed(context, "put");
    return BENCH_DONE;
}

static int tdb_erase(void *context, const void *key, size_t key_len) {
    if (tdb_delete(context, data_of(key, key_len)) != 0)
        return tdb_error(context) == TDB_ERR_NOEXIST ? BENCH_MISSING : failed(context, "delete");
    return BENCH_DONE;
}

static void tdb_end(void *store) {
    tdb_close(store);
}

static void tdb_settings(const char *path, char *text, size_t size) {
    (void)path;
    snprintf(text, size, "TDB %s: TDB_MUTEX_LOCKING, TDB_CLEAR_IF_FIRST, TDB_INCOMPATIBLE_HASH, TDB_NOSYNC, TDB_VOLATILE; a "
             "chain an entry; tdb_parse_record", PEER_TDB_VERSION);
}

const struct bench_engine peer_tdb = {
    .name = "TDB",
    .about = "hash table in a mapped file, a robust mutex a chain, also for reads",
    .abilities = BENCH_SEVERAL_PROCESSES,
    .create = tdb_create,
    .open = tdb_begin,
    .put = tdb_put,
    .get = tdb_get,
    .erase = tdb_erase,
    .close = tdb_end,
    .settings = tdb_settings,
    .footprint = peer_footprint,
};
