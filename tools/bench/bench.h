/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_BENCH_H
#define HOLDFAST_BENCH_H
/*
 * The core of every benchmark here: what an engine must offer to be measured, which operations are made on it, and how they are
 * timed. `holdfast bench` measures this library and the limits of the machine with it, tools/bench-peers other stores. Nothing
 * in the core knows any engine, and no engine knows what is measured: all of them get the same keys and values in the same order.
 *
 * The flow: a team of processes with threads is forked; each process opens every store of the team once; then the parent gives
 * orders (struct bench_work), one after the other, and the threads carry each out together. So orders on different stores can
 * alternate (A/B/A/B) in processes that are warm, and what the machine does meanwhile falls on all of them alike.
 *
 *     bench_scratch_make(&scratch, NULL);                            a directory, removed also when interrupted
 *     engine->create(path, &config);                                 once for each store
 *     team = bench_team_start(stores, count, processes, threads, seed);
 *     bench_team_run(team, &order, &result);                         as often as wanted
 *     bench_team_end(&team);
 *     engine->destroy(path);
 *
 * How it is timed. Keys are drawn before and outside of the time that counts, a chunk of BENCH_CHUNK at once (chase: inside,
 * since each depends on the value before). A thread reads the clock twice a chunk: time and throughput come from that. Of each
 * BENCH_SAMPLE operations one, at a random place, is timed for itself: the histogram comes from those, so that the clock, some
 * 25 ns a reading and a pipeline that runs dry, adds less than 1 % to the throughput.
 *
 * For C and C++.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BENCH_CHUNK = 256,
    BENCH_SAMPLE = 128,
    BENCH_KEY_MIN = 8,
    BENCH_KEY_MAX = 256,
    BENCH_VALUE_MIN = 8,
    BENCH_VALUE_MAX = 65536,
    BENCH_BATCH_MAX = 256,
    BENCH_STORES_MAX = 16,
    BENCH_THREADS_MAX = 256, /* of a team, over all its processes */
};

/* ---- Engines ------------------------------------------------------------------------------------------------------------ */

/* What a store is made for. */
struct bench_config {
    uint64_t entries;   /* that it must be able to hold, all told     */
    uint32_t key_size;  /* bytes of every key: printable ASCII        */
    uint32_t value_size;
    uint32_t processes; /* that will work on it at the same time, ... */
    uint32_t threads;   /* ... with so many threads each              */
};

/* One of several reads that are made at once. */
struct bench_item {
    const void *key;
    void *buffer; /* of the value's size */
    uint32_t key_len;
    uint32_t size;
    size_t value_len; /* out */
    int result;       /* out: enum bench_answer */
};

enum bench_answer {
    BENCH_DONE = 0,
    BENCH_MISSING = 1, /* get, erase: no such key                  */
    BENCH_FAILED = -1, /* bench_explain was called with the reason */
};

enum bench_ability {
    BENCH_SEVERAL_PROCESSES = 1, /* may write at the same time                                          */
    BENCH_SEVERAL_THREADS = 2,   /* of one process may work at the same time                            */
    BENCH_IS_LIMIT = 4,          /* no store, but what the machine could do: values are not verified    */
};

/*
 * A store to be measured. All functions return enum bench_answer unless told otherwise; a NULL one is not offered
 * (get_many is then made of gets; the others make an order that needs them fail).
 */
struct bench_engine {
    const char *name;
    const char *about;  /* one line: version, and what it is */
    unsigned abilities; /* enum bench_ability */

    /* Makes a new, empty store at `path`, a name in a scratch directory that does not exist yet: a file, a directory, or what a
     * server is started with. Once, in the parent, before anybody opens it. */
    int (*create)(const char *path, const struct bench_config *config);

    /* In every process. *store is handed to `thread` and `close`. */
    int (*open)(const char *path, const struct bench_config *config, void **store);

    /* In every thread: what it works with, handed to all calls below. NULL: the store itself. */
    int (*thread)(void *store, unsigned index, void **context);

    int (*put)(void *context, const void *key, size_t key_len, const void *value, size_t value_len); /* insert or replace */
    int (*get)(void *context, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len); /* copies out */
    int (*get_many)(void *context, struct bench_item *items, size_t count);
    int (*erase)(void *context, const void *key, size_t key_len);

    void (*thread_end)(void *context); /* may be NULL */
    void (*close)(void *store);

    /* In the parent, when all have closed: ends servers. The files go with the scratch directory. May be NULL. */
    void (*destroy)(const char *path);

    /* The settings that matter, as text of one or a few lines, into `text`: after create, in the parent. May be NULL. */
    void (*settings)(const char *path, char *text, size_t size);

    /* Bytes that the store takes for what it holds: of its files (blocks allocated) or of its server. May be NULL. */
    uint64_t (*footprint)(const char *path);
};

/* The reason of a failure, for BENCH_FAILED: kept for this thread. Returns BENCH_FAILED. */
int bench_explain(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *bench_reason(void);

/* ---- Draws: draw.c ------------------------------------------------------------------------------------------------------ */

struct bench_random {
    uint64_t state;
};
uint64_t bench_mix(uint64_t number); /* a permutation of all 64 bits */

/* From all 64 bits to 0 to bound - 1: the upper half of the product. 32-bit compilers have no type for the whole. */
static inline uint64_t bench_scale(uint64_t number, uint64_t bound) {
#ifdef __SIZEOF_INT128__
    return (uint64_t)((unsigned __int128)number * bound >> 64);
#else
    uint64_t low = (number & UINT32_MAX) * (bound & UINT32_MAX);
    uint64_t one = (number >> 32) * (bound & UINT32_MAX) + (low >> 32);
    uint64_t other = (number & UINT32_MAX) * (bound >> 32) + (one & UINT32_MAX);
    return (number >> 32) * (bound >> 32) + (one >> 32) + (other >> 32);
#endif
}

uint64_t bench_next(struct bench_random *random);
uint64_t bench_below(struct bench_random *random, uint64_t bound); /* even over 0 to bound - 1 */
double bench_fraction(struct bench_random *random);                /* 0 <= x < 1 */

enum bench_distribution {
    BENCH_UNIFORM, /* every entry as often as every other                                                */
    BENCH_ZIPFIAN, /* the k-th most wanted entry in proportion to 1 / k^0.99, the wanted ones all over   */
    BENCH_LATEST,  /* the same, the youngest entry being the most wanted                                 */
};

/* Ranks 1 to n in proportion to 1 / rank^exponent, exactly, by rejection from an integral: set up in no time for any n. */
struct bench_zipf {
    uint64_t n;
    double exponent, first, last, sure;
};
struct bench_zipf bench_zipf_over(uint64_t n, double exponent);
uint64_t bench_zipf_draw(const struct bench_zipf *zipf, struct bench_random *random); /* 1 to n */

/* The number of an entry, of `entries` that there are. */
struct bench_draw {
    enum bench_distribution distribution;
    uint64_t entries, stride;
    struct bench_zipf zipf;
};
struct bench_draw bench_draw_over(enum bench_distribution distribution, uint64_t entries);
uint64_t bench_draw(const struct bench_draw *draw, struct bench_random *random);

/* Added to a number, that of an entry that no store holds: to measure a miss. */
#define BENCH_ABSENT (UINT64_C(1) << 31)

/* The key of an entry: letters that look random, so that neighbours in number are none in order; a different key for every
 * number below 2^32 (key_size 8) to 2^64 (key_size 16 and more; longer keys begin with letters that are the same for all). */
void bench_key(char *key, uint32_t key_size, uint64_t number);

/* ---- Histogram: histogram.c --------------------------------------------------------------------------------------------- */

/* Counts of nanoseconds in buckets that are at most 1/256 of their value wide; exact below 512. */
enum { BENCH_STEPS_LOG = 8, BENCH_POWERS = 36, BENCH_BUCKETS = (BENCH_POWERS - BENCH_STEPS_LOG + 1) << BENCH_STEPS_LOG };
struct bench_histogram {
    uint64_t count, sum, max;
    uint64_t bucket[BENCH_BUCKETS]; /* the last also takes all that is longer than a minute */
};
void bench_note(struct bench_histogram *histogram, uint64_t ns);
void bench_merge(struct bench_histogram *into, const struct bench_histogram *from);

/* The smallest noted time that at least `share` of all are not longer than, rounded up by at most 1/256; 0 of none. */
uint64_t bench_quantile(const struct bench_histogram *histogram, double share);

/* The middle one, or the mean of the two in the middle; sorts the values. */
double bench_median(double *values, size_t count);

/* ---- Teams: team.c, worker.c -------------------------------------------------------------------------------------------- */

/* Of 100 operations so many of each kind. Puts replace entries that are there; inserts add new ones. */
struct bench_mix {
    unsigned get, put, insert, modify /* get, then put */, erase;
};

enum bench_kind {
    BENCH_MIXED,    /* by the mix, the keys drawn                                                          */
    BENCH_CHASE,    /* gets, each key depends on the value before: the time is that of one get alone       */
    BENCH_GET_MANY, /* gets of `batch` at once; an operation is one key, a time that of a batch            */
    BENCH_LOAD,     /* puts of all entries, each once, shared out over the threads                         */
    BENCH_ERASE,    /* erases of all entries, each once, shared out over the threads                       */
    BENCH_VISIT,    /* gets of all entries by every process, in the order of their numbers: a warm-up       */
};

struct bench_work {
    uint32_t store; /* which of the team's */
    enum bench_kind kind;
    struct bench_mix mix;
    enum bench_distribution distribution;
    uint64_t entries;    /* 0 to entries - 1 are there, or to be loaded or erased                             */
    uint64_t first;      /* added to all numbers                                                              */
    uint64_t room;       /* inserts that may be made; with the last of them the work ends                     */
    uint64_t operations; /* of all threads together; 0: until the time is over                                */
    uint64_t ns;         /* time; 0: until the operations are done                                            */
    uint64_t warm_up;    /* operations of each thread, before, that are not counted                           */
    uint32_t processes;  /* of the team that take part; 0: all                                                */
    uint32_t batch;      /* BENCH_GET_MANY                                                                    */
    uint32_t sample;     /* one of so many operations is timed for itself; 0: BENCH_SAMPLE                    */
};

/* Large: some 120 KiB. */
struct bench_result {
    uint64_t operations;
    uint64_t hits, misses, wrong; /* of gets; wrong: the value was another key's */
    uint64_t inserted;            /* new entries, from number `entries` on */
    uint32_t threads;             /* that took part */
    double per_second;            /* the sum over the threads of operations / time */
    double ns;                    /* of an operation, as one thread sees it: threads * 1e9 / per_second              */
    double typical_ns;            /* the same of the median chunk: what a busy machine takes away is not in it       */
    struct bench_histogram times; /* of the sampled operations                                                       */
    struct bench_histogram chunks; /* of whole chunks, BENCH_CHUNK operations (many: as many batches as fit into it) */
};

struct bench_store {
    const struct bench_engine *engine;
    const char *path;
    struct bench_config config;
};

struct bench_team;

/* Forks the processes, which open all stores. NULL: bench_reason() tells. */
struct bench_team *bench_team_start(const struct bench_store *stores, unsigned count, unsigned processes, unsigned threads,
                                    uint64_t seed);

/* Carries out one order. BENCH_FAILED: an operation failed, a process died or the benchmark was interrupted; bench_reason()
 * tells. The team is then good for nothing but its end. */
int bench_team_run(struct bench_team *team, const struct bench_work *work, struct bench_result *result);
void bench_team_end(struct bench_team **team);

/* The process id of a member of the team, for those who want to do something to it. */
int bench_team_process(const struct bench_team *team, unsigned index);

/* ---- Scratch directories and interruptions: scratch.c ------------------------------------------------------------------- */

/* A new directory in `parent` (NULL: /dev/shm), and SIGINT, SIGTERM and SIGHUP only note that they came: a team's run then ends
 * with BENCH_FAILED and bench_interrupted() is the signal, so that the caller cleans up, and bench_die() ends him by it. */
struct bench_scratch {
    char path[200];
};
int bench_scratch_make(struct bench_scratch *scratch, const char *parent);
void bench_scratch_remove(struct bench_scratch *scratch); /* with everything in it */
int bench_interrupted(void);
void bench_die(void); /* by the signal that interrupted, if there was one */

uint64_t bench_now(void); /* nanoseconds, CLOCK_MONOTONIC */

#ifdef __cplusplus
}
#endif
#endif
