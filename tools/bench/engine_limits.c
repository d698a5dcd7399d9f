/* SPDX-License-Identifier: MIT */
/*
 * The limits, as engines, so that they are measured by the same loop, with the same keys, as a store.
 *
 * Memory: a file of the same size in the same file system, of pages of the same size. A get hashes the key as the library does,
 * loads one word of a random line of the index, which names a random entry, compares the key there and copies the value: two
 * loads that depend on each other and miss the caches as a store's do, and the same further lines. No tag, no length, no check,
 * no second look.
 * Lock: each thread locks and unlocks a mutex of its own, of the kind that can survive its owner. Nothing: nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../../src/pages.h"
#include "engines.h"

/* An entry begins with as much as one of the library does, and lies as it does on multiples of a block. */
enum { LINE = 64, WORDS = LINE / 8, HEADER = 40, BLOCK = 32, PAGE = 4096 };

struct bench_limit_shape bench_limit_shape;

static int failed(const char *what) {
    return bench_explain("the limits: %s: %s", what, strerror(errno));
}

/* ---- A file and its mapping --------------------------------------------------------------------------------------------- */

struct mapped {
    void *base;
    size_t size;
};

static int map_file(const char *path, struct mapped *map) {
    struct stat status;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        return failed("cannot open their file");
    map->size = (size_t)status.st_size;
    map->base = hf__pages_map(fd, map->size, PROT_READ | PROT_WRITE);
    close(fd);
    return map->base == MAP_FAILED ? failed("cannot map their file") : BENCH_DONE;
}

static int make_file(const char *path, uint64_t size, struct mapped *map) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed("cannot make their file");
    if (size <= SIZE_MAX && hf__pages_fit(fd, (size_t)size))
        hf__pages_gather(fd, (size_t)size);
    int error = posix_fallocate(fd, 0, (off_t)size);
    close(fd);
    errno = error;
    return error != 0 ? failed("no room for their file") : map_file(path, map);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------------- */

/* Stands at the start of the file; the index follows after a page, and then the heap. */
struct memory_head {
    uint64_t lines, seed;
    uint32_t value_at, value_size;
};

/* Of one thread. */
struct memory {
    struct mapped map;
    const unsigned char *index, *heap;
    uint64_t lines, seed;
    uint32_t value_at, value_size;
    uint64_t same; /* what comes of the comparisons, so that they are made */
};

static void fill_memory(const struct mapped *map, const struct memory_head *head, uint64_t entry) {
    struct bench_random random = { head->seed };
    uint64_t *word = (uint64_t *)(void *)((unsigned char *)map->base + PAGE);
    uint64_t *heap = word + head->lines * WORDS;
    uint64_t room = bench_limit_shape.heap - entry;
    for (uint64_t i = 0; i < head->lines * WORDS; i++)
        word[i] = bench_below(&random, room / BLOCK) * BLOCK;
    for (uint64_t i = 0; i < bench_limit_shape.heap / 8; i++)
        heap[i] = bench_next(&random);
    memcpy(map->base, head, sizeof *head);
}

static int create_memory(const char *path, const struct bench_config *config) {
    struct memory_head head = { .lines = bench_limit_shape.lines, .value_size = config->value_size };
    struct mapped map;
    head.seed = bench_mix((uint64_t)getpid());
    head.value_at = HEADER + ((config->key_size + 7) & ~7u);
    uint64_t entry = (uint64_t)head.value_at + head.value_size;
    if (make_file(path, PAGE + head.lines * LINE + bench_limit_shape.heap, &map) != BENCH_DONE)
        return BENCH_FAILED;
    fill_memory(&map, &head, entry);
    munmap(map.base, map.size);
    return BENCH_DONE;
}

static int open_memory(const char *path, const struct bench_config *config, void **store) {
    struct memory *memory = calloc(1, sizeof *memory);
    (void)config;
    if (!memory || map_file(path, &memory->map) != BENCH_DONE) {
        free(memory);
        return BENCH_FAILED;
    }
    const struct memory_head *head = memory->map.base;
    memory->lines = head->lines;
    memory->seed = head->seed;
    memory->value_at = head->value_at;
    memory->value_size = head->value_size;
    memory->index = (const unsigned char *)memory->map.base + PAGE;
    memory->heap = memory->index + memory->lines * LINE;
    *store = memory;
    return BENCH_DONE;
}

static int open_thread(void *store, unsigned index, void **context) {
    struct memory *own = malloc(sizeof *own);
    (void)index;
    if (!own)
        return bench_explain("no memory");
    memcpy(own, store, sizeof *own);
    *context = own;
    return BENCH_DONE;
}

static int get_memory(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    struct memory *memory = context;
    uint64_t hash = XXH3_64bits_withSeed(key, key_len, memory->seed), offset;
    uint64_t line = bench_scale(hash, memory->lines);
    memcpy(&offset, memory->index + line * LINE + hash % WORDS * 8, sizeof offset);
    const unsigned char *entry = memory->heap + offset;
    memory->same += memcmp(entry + HEADER, key, key_len) == 0;
    memcpy(buffer, entry + memory->value_at, size);
    *value_len = memory->value_size;
    return BENCH_DONE;
}

static void close_memory(void *store) {
    struct memory *memory = store;
    munmap(memory->map.base, memory->map.size);
    free(memory);
}

const struct bench_engine bench_memory_limit = {
    .name = "memory limit",
    .about = "the same hash, two dependent random lines and the same copy, on memory of the same size and kind",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS | BENCH_IS_LIMIT,
    .create = create_memory,
    .open = open_memory,
    .thread = open_thread,
    .get = get_memory,
    .thread_end = free,
    .close = close_memory,
};

/* ---- Lock --------------------------------------------------------------------------------------------------------------- */

/* On lines of its own. */
struct locked {
    pthread_mutex_t mutex __attribute__((aligned(128)));
    uint32_t taken;
};

static int create_lock(const char *path, const struct bench_config *config) {
    pthread_mutexattr_t kind;
    struct mapped map;
    (void)config;
    if (make_file(path, PAGE + BENCH_THREADS_MAX * sizeof(struct locked), &map) != BENCH_DONE)
        return BENCH_FAILED;
    struct locked *locks = (struct locked *)(void *)((unsigned char *)map.base + PAGE);
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    for (unsigned i = 0; i < BENCH_THREADS_MAX; i++)
        pthread_mutex_init(&locks[i].mutex, &kind);
    pthread_mutexattr_destroy(&kind);
    munmap(map.base, map.size);
    return BENCH_DONE;
}

static int open_lock(const char *path, const struct bench_config *config, void **store) {
    struct mapped *map = malloc(sizeof *map);
    (void)config;
    if (!map || map_file(path, map) != BENCH_DONE) {
        free(map);
        return BENCH_FAILED;
    }
    *store = map;
    return BENCH_DONE;
}

/* Threads of all processes take the mutexes by turns. */
static int lock_of_thread(void *store, unsigned index, void **context) {
    struct mapped *map = store;
    uint32_t *next = map->base;
    (void)index;
    *context = (unsigned char *)map->base + PAGE +
               __atomic_fetch_add(next, 1, __ATOMIC_RELAXED) % BENCH_THREADS_MAX * sizeof(struct locked);
    return BENCH_DONE;
}

static int put_lock(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    struct locked *locked = context;
    (void)key, (void)key_len, (void)value, (void)value_len;
    if (pthread_mutex_lock(&locked->mutex) != 0)
        return bench_explain("the limits: a lock cannot be had");
    locked->taken++;
    pthread_mutex_unlock(&locked->mutex);
    return BENCH_DONE;
}

static void close_lock(void *store) {
    struct mapped *map = store;
    munmap(map->base, map->size);
    free(map);
}

const struct bench_engine bench_lock_limit = {
    .name = "lock limit",
    .about = "an uncontended robust, process-shared, error-checking mutex: lock and unlock",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS | BENCH_IS_LIMIT,
    .create = create_lock,
    .open = open_lock,
    .thread = lock_of_thread,
    .put = put_lock,
    .close = close_lock,
};

/* ---- Nothing ------------------------------------------------------------------------------------------------------------ */

static int create_nothing(const char *path, const struct bench_config *config) {
    (void)path, (void)config;
    return BENCH_DONE;
}

static int open_nothing(const char *path, const struct bench_config *config, void **store) {
    (void)path, (void)config;
    *store = NULL;
    return BENCH_DONE;
}

static int put_nothing(void *context, const void *key, size_t key_len, const void *value, size_t value_len) {
    (void)context, (void)key, (void)key_len, (void)value, (void)value_len;
    return BENCH_DONE;
}

const struct bench_engine bench_no_work = {
    .name = "no work",
    .about = "the benchmark itself: keys, values, the loop",
    .abilities = BENCH_SEVERAL_PROCESSES | BENCH_SEVERAL_THREADS | BENCH_IS_LIMIT,
    .create = create_nothing,
    .open = open_nothing,
    .put = put_nothing,
};
