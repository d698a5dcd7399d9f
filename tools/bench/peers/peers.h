/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_PEERS_H
#define HOLDFAST_BENCH_PEERS_H
/*
 * What a user would pick instead of this library, as engines of the benchmark core (tools/bench/bench.h). Each file configures
 * one of them as its own documentation says for this use: a cache or table that several processes of one machine share, that
 * lives in memory (tmpfs), and that need not survive power loss. The file's first comment says where the documentation says so.
 * An engine knows its peer and nothing else: neither this library nor what is measured.
 *
 * For C and C++.
 */
#include "../bench.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Those that were found when the program was configured, in the order of the table; ended by NULL: list.c. */
extern const struct bench_engine *const peers_built[];
extern const char *const peers_missing; /* names of the others, "A, B"; empty: none */

extern const struct bench_engine peer_tkrzw, peer_boost, peer_boost_sharable, peer_boost_structures,
    peer_boost_structures_sharable, peer_tdb, peer_lmdb, peer_bdb, peer_sqlite, peer_redis, peer_memcached;

/* ---- support.c ------------------------------------------------------------------------------------------------------------- */

/* Bytes of the keys and values that a store is made for, without anything that a peer adds. */
uint64_t peer_bytes(const struct bench_config *config);

/* Disk blocks of the file or directory at `path` and of all whose names begin like it, in bytes. */
uint64_t peer_footprint(const char *path);

/* ---- server.c -------------------------------------------------------------------------------------------------------------- */

enum { PEER_SOCKET_MAX = 108 }; /* bytes of a socket's name */

/* Makes the directory `path`, starts a program in it, and waits until it listens on its socket, "socket" in that directory. The
 * program dies with this process, whatever kills that. What it prints goes to the file "log" beside the socket. */
int peer_server_start(const char *path, const char *const *argv);
void peer_server_socket(const char *path, char socket[PEER_SOCKET_MAX]);
uint64_t peer_server_memory(const char *path); /* resident bytes; 0: unknown */
void peer_server_end(const char *path);

/* What a format for sscanf with one %[..] of at most 99 bytes finds in the first line that a shell command prints; or "?". */
void peer_program_version(const char *command, const char *format, char version[100]);

#ifdef __cplusplus
}
#endif
#endif
