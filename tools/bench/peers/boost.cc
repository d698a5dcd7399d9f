/* SPDX-License-Identifier: MIT */
/*
 * Boost.Interprocess 1.74. From its manual (boost.org/doc/libs/1_74_0/doc/html/interprocess.html):
 *   "Allocators, containers and memory allocation algorithms", "Boost unordered containers"   a boost::unordered_map in a
 *                      managed_mapped_file, with buckets for all entries from the start (twice as many, for chains half as
 *                      long, were no quicker) and the allocator of the file. Pools (node_allocator) save some bytes a node.
 *   "Containers of containers"   strings that take their memory from the file, for keys and values of any length, which is what
 *                      the other stores here offer.
 *   "Mutexes", "Sharable and Upgradable Mutexes"   beside the map a mutex that is held during every call: an interprocess_mutex
 *                      (a pthread_mutex_t), or an interprocess_sharable_mutex, which readers hold together. That one is made of
 *                      a mutex that is locked twice a call and two conditions: slower alone, quicker for readers who meet. Both
 *                      are measured, and of each column the quicker one is told. Neither is robust: when its holder is killed,
 *                      everybody else waits for ever.
 * All that twice, the second time with structures of one size, compiled in, as a program would have that knows all its data.
 * Several maps with a mutex each, by hash of the key, would be a store that somebody wrote on top of this one.
 */
#include <boost/container/string.hpp>
#include <boost/functional/hash.hpp>
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/managed_mapped_file.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/interprocess/sync/sharable_lock.hpp>
#include <boost/unordered_map.hpp>
#include <boost/version.hpp>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <string_view>
#include <utility>

#include "peers.h"

namespace ipc = boost::interprocess;

namespace {

using Manager = ipc::managed_mapped_file::segment_manager;
template <typename Item> using Allocator = ipc::allocator<Item, Manager>;

std::string_view text_of(const void *bytes, std::size_t length) {
    return std::string_view(static_cast<const char *>(bytes), length);
}

/* ---- Locks ----------------------------------------------------------------------------------------------------------------- */

struct Plain {
    using Mutex = ipc::interprocess_mutex;
    using ToRead = ipc::scoped_lock<Mutex>;
    static constexpr const char *told = "interprocess_mutex";
};

struct Sharable {
    using Mutex = ipc::interprocess_sharable_mutex;
    using ToRead = ipc::sharable_lock<Mutex>;
    static constexpr const char *told = "interprocess_sharable_mutex";
};

/* ---- Keys and values of any length ----------------------------------------------------------------------------------------- */

struct Strings {
    using Text = boost::container::basic_string<char, std::char_traits<char>, Allocator<char>>;
    struct Hash {
        std::size_t operator()(const Text &text) const {
            return boost::hash_range(text.begin(), text.end());
        }
        std::size_t operator()(std::string_view text) const {
            return boost::hash_range(text.begin(), text.end());
        }
    };
    struct Equal {
        bool operator()(const Text &a, const Text &b) const {
            return a == b;
        }
        bool operator()(std::string_view a, const Text &b) const {
            return a == std::string_view(b.data(), b.size());
        }
    };
    using Map = boost::unordered_map<Text, Text, Hash, Equal, Allocator<std::pair<const Text, Text>>>;
    static constexpr std::size_t overhead = 240; /* bytes: a node, two strings, and what the file's allocator adds to each */
    static constexpr const char *told = "keys and values are strings in the file";

    static bool fits(const struct bench_config *) {
        return true;
    }
    static Map::iterator find(Map &map, const void *key, std::size_t key_len) {
        return map.find(text_of(key, key_len), Hash(), Equal()); /* makes no string */
    }
    static std::string_view value_of(const Map::iterator &found) {
        return std::string_view(found->second.data(), found->second.size());
    }
    static void put(Map &map, const void *key, std::size_t key_len, std::string_view value) {
        auto found = find(map, key, key_len);
        if (found != map.end()) {
            found->second.assign(value.data(), value.size());
            return;
        }
        Allocator<char> allocator(map.get_allocator());
        map.emplace(Text(static_cast<const char *>(key), key_len, allocator), Text(value.data(), value.size(), allocator));
    }
};

/* ---- Of one size, known to the compiler ------------------------------------------------------------------------------------ */

struct Structures {
    struct Key {
        uint64_t word[2];
        bool operator==(const Key &other) const {
            return word[0] == other.word[0] && word[1] == other.word[1];
        }
    };
    struct Value {
        char bytes[100];
    };
    struct Hash {
        std::size_t operator()(const Key &key) const {
            std::size_t seed = 0;
            boost::hash_combine(seed, key.word[0]);
            boost::hash_combine(seed, key.word[1]);
            return seed;
        }
    };
    using Map = boost::unordered_map<Key, Value, Hash, std::equal_to<Key>, Allocator<std::pair<const Key, Value>>>;
    static constexpr std::size_t overhead = 80;
    static constexpr const char *told = "keys of 16 and values of 100 bytes, compiled in";

    static bool fits(const struct bench_config *config) {
        return config->key_size == sizeof(Key) && config->value_size == sizeof(Value);
    }
    static Key key_of(const void *bytes) {
        Key key;
        std::memcpy(&key, bytes, sizeof key);
        return key;
    }
    static Map::iterator find(Map &map, const void *key, std::size_t) {
        return map.find(key_of(key));
    }
    static std::string_view value_of(const Map::iterator &found) {
        return std::string_view(found->second.bytes, sizeof found->second.bytes);
    }
    static void put(Map &map, const void *key, std::size_t, std::string_view value) {
        std::memcpy(map[key_of(key)].bytes, value.data(), sizeof(Value));
    }
};

/* ---- The engine of either -------------------------------------------------------------------------------------------------- */

template <typename Kind, typename Locks> struct Store {
    ipc::managed_mapped_file file;
    typename Kind::Map *map;
    typename Locks::Mutex *mutex;
};

/* Runs what may throw. */
template <typename Work> int guarded(const char *what, Work work) {
    try {
        return work();
    } catch (const std::exception &error) {
        return bench_explain("Boost.Interprocess: %s: %s", what, error.what());
    }
}

template <typename Kind, typename Locks> int create(const char *path, const struct bench_config *config) {
    using Map = typename Kind::Map;
    if (!Kind::fits(config))
        return bench_explain("Boost.Interprocess: compiled for entries of another size");
    return guarded(path, [=] {
        std::size_t bytes = config->entries * (config->key_size + config->value_size + Kind::overhead) + (16u << 20);
        ipc::managed_mapped_file file(ipc::create_only, path, bytes);
        file.construct<Map>("map")(config->entries, typename Map::hasher(), typename Map::key_equal(),
                                   typename Map::allocator_type(file.get_segment_manager()));
        file.construct<typename Locks::Mutex>("mutex")();
        return static_cast<int>(BENCH_DONE);
    });
}

template <typename Kind, typename Locks> int open_store(const char *path, const struct bench_config *, void **store) {
    return guarded(path, [=] {
        ipc::managed_mapped_file file(ipc::open_only, path);
        auto *map = file.find<typename Kind::Map>("map").first;
        auto *mutex = file.find<typename Locks::Mutex>("mutex").first;
        if (!map || !mutex)
            return bench_explain("Boost.Interprocess: %s holds no map", path);
        *store = new Store<Kind, Locks>{ std::move(file), map, mutex };
        return static_cast<int>(BENCH_DONE);
    });
}

template <typename Kind, typename Locks> void close_store(void *store) {
    delete static_cast<Store<Kind, Locks> *>(store);
}

template <typename Kind, typename Locks>
int get(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    auto *store = static_cast<Store<Kind, Locks> *>(context);
    typename Locks::ToRead lock(*store->mutex);
    auto found = Kind::find(*store->map, key, key_len);
    if (found == store->map->end())
        return BENCH_MISSING;
    std::string_view value = Kind::value_of(found);
    std::memcpy(buffer, value.data(), value.size() < size ? value.size() : size);
    *value_len = value.size();
    return BENCH_DONE;
}

template <typename Kind, typename Locks> int put(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    auto *store = static_cast<Store<Kind, Locks> *>(context);
    return guarded("put", [=] {
        ipc::scoped_lock<typename Locks::Mutex> lock(*store->mutex);
        Kind::put(*store->map, key, key_len, text_of(value, value_len));
        return static_cast<int>(BENCH_DONE);
    });
}

template <typename Kind, typename Locks> int erase(void *context, const void *key, size_t key_len) {
    auto *store = static_cast<Store<Kind, Locks> *>(context);
    ipc::scoped_lock<typename Locks::Mutex> lock(*store->mutex);
    auto found = Kind::find(*store->map, key, key_len);
    if (found == store->map->end())
        return BENCH_MISSING;
    store->map->erase(found);
    return BENCH_DONE;
}

template <typename Kind, typename Locks> void settings(const char *, char *text, size_t size) {
    std::snprintf(text, size, "Boost.Interprocess %d.%d.%d: unordered_map in a managed_mapped_file, buckets for all entries, %s, "
                  "one %s (not robust)",
                  BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100, Kind::told, Locks::told);
}

template <typename Kind, typename Locks> constexpr struct bench_engine engine(const char *name, const char *about) {
    struct bench_engine made = {};
    made.name = name;
    made.about = about;
    made.abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS;
    made.create = create<Kind, Locks>;
    made.open = open_store<Kind, Locks>;
    made.put = put<Kind, Locks>;
    made.get = get<Kind, Locks>;
    made.erase = erase<Kind, Locks>;
    made.close = close_store<Kind, Locks>;
    made.settings = settings<Kind, Locks>;
    made.footprint = peer_footprint;
    return made;
}

} // namespace

const struct bench_engine peer_boost =
    engine<Strings, Plain>("Boost.Interprocess", "unordered_map of strings in a mapped file, under one mutex, also for reads");
const struct bench_engine peer_boost_sharable =
    engine<Strings, Sharable>("Boost (sharable)", "one interprocess_sharable_mutex, which readers hold together");
const struct bench_engine peer_boost_structures =
    engine<Structures, Plain>("Boost (fixed size)", "the same with keys and values of one size that is compiled in");
const struct bench_engine peer_boost_structures_sharable =
    engine<Structures, Sharable>("Boost (sharable, fixed size)", "one interprocess_sharable_mutex, which readers hold together");
