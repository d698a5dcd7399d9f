/* SPDX-License-Identifier: MIT */
/*
 * Boost.Interprocess, as its manual shows it: a boost::unordered_map in a managed_mapped_file, and beside it an interprocess_mutex
 * that is held during every call. The mutex is not robust: when its holder is killed, everybody else waits for ever. Keys and
 * values are structures of fixed size, as a program that knows its data would have them: no string is made for a lookup.
 */
#include <boost/functional/hash.hpp>
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/managed_mapped_file.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/unordered_map.hpp>
#include <boost/version.hpp>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>

#include "peers.h"

namespace ipc = boost::interprocess;

namespace {

constexpr std::size_t KEY_SIZE = 16, VALUE_SIZE = 100;

struct Key {
    uint64_t word[2];
    bool operator==(const Key &other) const {
        return word[0] == other.word[0] && word[1] == other.word[1];
    }
};

struct Value {
    char bytes[VALUE_SIZE];
};

struct Hash {
    std::size_t operator()(const Key &key) const {
        std::size_t seed = 0;
        boost::hash_combine(seed, key.word[0]);
        boost::hash_combine(seed, key.word[1]);
        return seed;
    }
};

using Manager = ipc::managed_mapped_file::segment_manager;
using Allocator = ipc::allocator<std::pair<const Key, Value>, Manager>;
using Map = boost::unordered_map<Key, Value, Hash, std::equal_to<Key>, Allocator>;
using Lock = ipc::scoped_lock<ipc::interprocess_mutex>;

struct Store {
    ipc::managed_mapped_file file;
    Map *map;
    ipc::interprocess_mutex *mutex;
};

Key key_of(const void *bytes) {
    Key key;
    std::memcpy(&key, bytes, sizeof key);
    return key;
}

/* Runs what may throw. */
template <typename Work> int guarded(const char *what, Work work) {
    try {
        return work();
    } catch (const std::exception &error) {
        return bench_explain("Boost.Interprocess: %s: %s", what, error.what());
    }
}

int create(const char *path, const struct bench_config *config) {
    if (config->key_size != KEY_SIZE || config->value_size != VALUE_SIZE)
        return bench_explain("Boost.Interprocess: built for keys of %zu and values of %zu bytes", KEY_SIZE, VALUE_SIZE);
    return guarded(path, [=] {
        /* A node has two pointers more, a piece of memory 16 bytes, a bucket 8; the buckets are a prime number of them. */
        std::size_t bytes = config->entries * (sizeof(Key) + sizeof(Value) + 80) + (16u << 20);
        ipc::managed_mapped_file file(ipc::create_only, path, bytes);
        file.construct<Map>("map")(config->entries, Hash(), std::equal_to<Key>(), Allocator(file.get_segment_manager()));
        file.construct<ipc::interprocess_mutex>("mutex")();
        return static_cast<int>(BENCH_DONE);
    });
}

int open_store(const char *path, const struct bench_config *, void **store) {
    return guarded(path, [=] {
        ipc::managed_mapped_file file(ipc::open_only, path);
        Map *map = file.find<Map>("map").first;
        ipc::interprocess_mutex *mutex = file.find<ipc::interprocess_mutex>("mutex").first;
        if (!map || !mutex)
            return bench_explain("Boost.Interprocess: %s holds no map", path);
        *store = new Store{ std::move(file), map, mutex };
        return static_cast<int>(BENCH_DONE);
    });
}

void close_store(void *store) {
    delete static_cast<Store *>(store);
}

int get(void *context, const void *key, size_t, void *buffer, size_t size, size_t *value_len) {
    Store *store = static_cast<Store *>(context);
    Lock lock(*store->mutex);
    auto found = store->map->find(key_of(key));
    if (found == store->map->end())
        return BENCH_MISSING;
    std::memcpy(buffer, &found->second, size < VALUE_SIZE ? size : VALUE_SIZE);
    *value_len = VALUE_SIZE;
    return BENCH_DONE;
}

int put(void *context, const void *key, size_t, const void *value, size_t value_len) {
    Store *store = static_cast<Store *>(context);
    if (value_len != VALUE_SIZE)
        return bench_explain("Boost.Interprocess: values have %zu bytes", VALUE_SIZE);
    return guarded("put", [=] {
        Lock lock(*store->mutex);
        std::memcpy(&(*store->map)[key_of(key)], value, VALUE_SIZE);
        return static_cast<int>(BENCH_DONE);
    });
}

int erase(void *context, const void *key, size_t) {
    Store *store = static_cast<Store *>(context);
    Lock lock(*store->mutex);
    return store->map->erase(key_of(key)) == 1 ? BENCH_DONE : BENCH_MISSING;
}

void settings(const char *, char *text, size_t size) {
    std::snprintf(text, size, "Boost.Interprocess %d.%d.%d: unordered_map in a managed_mapped_file, buckets for all entries, keys and "
                  "values of fixed size, one interprocess_mutex (not robust)",
                  BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100);
}

} // namespace

const struct bench_engine peer_boost = {
    .name = "Boost.Interprocess",
    .about = "unordered_map in a mapped file under one mutex, also for reads",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS,
    .create = create,
    .open = open_store,
    .put = put,
    .get = get,
    .erase = erase,
    .close = close_store,
    .settings = settings,
    .footprint = peer_footprint,
};
