/* SPDX-License-Identifier: MIT */
/*
 * Which peers were there when the program was built, in the order of the table: tools/bench/peers/meson.build tells by PEER_....
 */
#include <stddef.h>

#include "peers.h"

const struct bench_engine *const peers_built[] = {
#ifdef PEER_TKRZW
    &peer_tkrzw,
#endif
#ifdef PEER_BOOST
    &peer_boost,
    &peer_boost_sharable,
    &peer_boost_structures,
    &peer_boost_structures_sharable,
#endif
#ifdef PEER_TDB
    &peer_tdb,
#endif
#ifdef PEER_LMDB
    &peer_lmdb,
#endif
#ifdef PEER_BDB
    &peer_bdb,
#endif
#ifdef PEER_SQLITE
    &peer_sqlite,
#endif
#ifdef PEER_REDIS
    &peer_redis,
#endif
#ifdef PEER_MEMCACHED
    &peer_memcached,
#endif
    NULL,
};

const char *const peers_missing = PEERS_MISSING;
