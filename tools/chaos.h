/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_CHAOS_H
#define HOLDFAST_CHAOS_H
/*
 * The rooms of `holdfast chaos`, in the order of the data flow. The oracle lies in anonymous memory shared by all processes of a
 * run and never in the store; nothing here knows how the store works inside.
 *
 * How the oracle stays exact although its writers are killed: every key belongs to one writer slot, so its history is a sequence
 * of states. Before a call the owner stores the state that the call will make (intent), after the return the same word as
 * acknowledged. When an owner was killed, the process that follows it finds the key either in the acknowledged state or in the
 * intended one, and says so to the oracle. Anything else, seen by anybody at any time, is a violation.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast.h>

#define CHAOS_WRITERS_MAX 64
#define CHAOS_READERS_MAX 64
#define CHAOS_SLOTS_MAX (CHAOS_WRITERS_MAX + CHAOS_READERS_MAX + 1) /* the last one is the parent's own */
#define CHAOS_SHARED 4                                              /* counters that every writer increments */
#define CHAOS_TEXTS 20                                              /* violations kept in words */
#define CHAOS_KEY_SIZE 320                                          /* bytes of the longest key name, NUL included */
#define CHAOS_VALUE_LIMIT (1u << 20)                                /* values are no larger, whatever the store takes */
#define CHAOS_HANG_NS (15 * UINT64_C(1000000000))
#define CHAOS_TTL_MS (UINT64_C(1000) * 60 * 60 * 24 * 30) /* far beyond the longest run: nothing may expire */

/* What the workers do to the store; the names are those of the table and of --json. */
#define CHAOS_ACTS(X) \
    X(CHAOS_OPEN, "open") \
    X(CHAOS_PUT, "put") \
    X(CHAOS_REPLACE, "replace") \
    X(CHAOS_DELETE, "delete") \
    X(CHAOS_TAKE, "take") \
    X(CHAOS_INCR, "incr") \
    X(CHAOS_APPEND, "append") \
    X(CHAOS_TOUCH, "touch") \
    X(CHAOS_GET, "get") \
    X(CHAOS_SCAN, "scan")

enum chaos_act {
#define CHAOS_ACT_ENUM(name, text) name,
    CHAOS_ACTS(CHAOS_ACT_ENUM)
#undef CHAOS_ACT_ENUM
    CHAOS_ACT_COUNT
};

enum chaos_phase { CHAOS_STARTING, CHAOS_SETTLING, CHAOS_WORKING };

/* Microseconds, in buckets of 1/16 of a power of two. */
#define CHAOS_BUCKETS 480
struct chaos_histogram {
    atomic_uint_fast64_t buckets[CHAOS_BUCKETS];
    atomic_uint_fast64_t max;
};

/*
 * A state of a key: sequence (32 bits) | steps (16) | kind (8), so that later states compare greater. The sequence names the call
 * that made the value, the steps count the appends or increments since. Bytes, length and flags of a value follow from it.
 */
typedef uint64_t chaos_state;
enum chaos_kind {
    CHAOS_ABSENT,
    CHAOS_BY_PUT,    /* made by a put: has flags that depend on the sequence */
    CHAOS_BY_CHANGE, /* made by an append or increment of an absent key: flags 0 */
};

struct chaos_key {
    _Atomic chaos_state acked;
    _Atomic chaos_state intent;
    atomic_uint_fast64_t gone;        /* sequence of the newest call that was to remove the key  */
    atomic_uint_fast64_t gone_before; /* the same before the call in flight, should it not happen */
    atomic_uint_fast64_t version;     /* some version the entry has had; later ones are greater   */
    atomic_uint_fast64_t last;        /* newest sequence used                                     */
};

/* One process at a time writes into a slot. */
struct chaos_slot {
    _Alignas(64) atomic_uint_fast64_t beat; /* grows with every call                  */
    atomic_uint act;                        /* enum chaos_act: the latest call ...    */
    atomic_uint key;                        /* ... and its key                        */
    atomic_uint busy;                       /* the key being changed, plus 1          */
    atomic_uint phase;                      /* enum chaos_phase                       */
    atomic_uint_fast64_t shared[CHAOS_SHARED]; /* acknowledged increments * 2 + 1 in flight */
    atomic_uint_fast64_t counts[CHAOS_ACT_COUNT];
    atomic_uint_fast64_t refused; /* writes a full store refused                       */
    atomic_uint_fast64_t busies;  /* reads that found their entry changing all the time */
    struct chaos_histogram writes, reads;
};

struct chaos_violation_text {
    atomic_bool ready;
    char words[400];
};

/* The shared memory of a run. The part before `stop` is constant once the workers start. */
struct chaos {
    uint64_t seed;
    uint64_t run; /* part of every key name */
    uint32_t keys, writers, readers;
    uint32_t max_value;
    uint32_t timeout_ms;
    bool cache;
    size_t bytes;
    struct chaos_slot *slots;
    struct chaos_key *records;

    atomic_bool stop;
    atomic_uint violations;
    struct chaos_violation_text texts[CHAOS_TEXTS];
    atomic_uint_fast64_t maybe[CHAOS_SHARED]; /* increments in flight when their writer was killed */
    atomic_uint_fast64_t verdicts[5]; /* by enum hf_verdict; told by the log callback                      */
    atomic_uint_fast64_t first_opens; /* recoveries by a first writer, after all processes had been killed */
    struct chaos_histogram recovery;
};

/* What a process needs to work on the store. */
struct chaos_worker {
    struct chaos *chaos;
    struct chaos_slot *slot;
    hf_store *store;
    uint64_t random;
    unsigned char *got;     /* a value as read; room for the largest          */
    unsigned char *made;    /* a value as generated; room for the largest     */
    chaos_state *seen;      /* readers: the newest state seen of each key     */
    chaos_state *scan_base; /* readers: acknowledged states when a scan began */
    unsigned *scan_seen;    /* readers: how often a scan returned each key    */
};

/* One read of one key and what the oracle said around it. */
struct chaos_view {
    uint32_t key;
    chaos_state low;   /* acknowledged before the read    */
    uint64_t version;  /* the same, as a version          */
    chaos_state high;  /* intended after the read         */
    uint64_t gone;     /* removal intended until then     */
    chaos_state found; /* what was read                   */
};

enum chaos_answer { CHAOS_FOUND, CHAOS_MISSED, CHAOS_UNREAD, CHAOS_WRONG };

/* ---- chaos_value.c: states, key names and values --------------------------------------------------------------------- */
uint64_t chaos_mix(uint64_t a, uint64_t b);
uint64_t chaos_random(uint64_t *state);
uint64_t chaos_below(uint64_t *state, uint64_t bound);
bool chaos_is_counter(uint32_t key);
size_t chaos_key_name(const struct chaos *chaos, uint32_t key, char *name);
size_t chaos_shared_name(const struct chaos *chaos, unsigned counter, char *name);
bool chaos_key_index(const struct chaos *chaos, const void *name, size_t length, uint32_t *key);
chaos_state chaos_make(uint64_t sequence, unsigned steps, enum chaos_kind kind);
uint64_t chaos_sequence(chaos_state state);
unsigned chaos_steps(chaos_state state);
enum chaos_kind chaos_kind_of(chaos_state state);
uint32_t chaos_flags(const struct chaos *chaos, uint32_t key, chaos_state state);
int64_t chaos_number(uint32_t key, chaos_state state);
int64_t chaos_increment(uint32_t key, chaos_state state);
size_t chaos_length(const struct chaos *chaos, uint32_t key, chaos_state state);
size_t chaos_bytes(const struct chaos *chaos, uint32_t key, chaos_state state, unsigned char *bytes);
size_t chaos_tail(const struct chaos *chaos, uint32_t key, chaos_state state, unsigned char *bytes);
bool chaos_recognise(const struct chaos *chaos, struct chaos_view *view, const unsigned char *bytes, size_t length,
                     uint32_t flags, unsigned char *scratch);
bool chaos_not_before(const struct chaos_view *view);
bool chaos_not_after(const struct chaos_view *view);
size_t chaos_wrong_at(const struct chaos *chaos, uint32_t key, const unsigned char *bytes, size_t length,
                      unsigned char *scratch);
void chaos_describe(char *text, size_t size, uint32_t key, chaos_state state);

/* ---- chaos_oracle.c: what everybody may see ---------------------------------------------------------------------------- */
struct chaos *chaos_new(uint32_t keys, uint32_t writers, uint32_t readers);
void chaos_free(struct chaos *chaos);
void chaos_violation(struct chaos *chaos, const char *format, ...) __attribute__((format(printf, 2, 3)));
void chaos_look_before(const struct chaos *chaos, uint32_t key, struct chaos_view *view);
void chaos_look_after(const struct chaos *chaos, struct chaos_view *view);
bool chaos_judge_found(struct chaos *chaos, const struct chaos_view *view, const struct hf_meta *meta);
bool chaos_judge_missed(struct chaos *chaos, const struct chaos_view *view);
void chaos_intend(struct chaos_key *record, chaos_state after);
void chaos_settle(struct chaos *chaos, uint32_t key, chaos_state found);
uint64_t chaos_shared_acked(const struct chaos *chaos, unsigned counter);
uint64_t chaos_shared_most(const struct chaos *chaos, unsigned counter);
void chaos_shared_bury(struct chaos *chaos, struct chaos_slot *slot);

/* ---- chaos_tally.c: times and counts ------------------------------------------------------------------------------------ */
uint64_t chaos_now(void);
void chaos_record(struct chaos_histogram *histogram, uint64_t microseconds);
void chaos_merge(struct chaos_histogram *into, const struct chaos_histogram *from);
uint64_t chaos_quantile(const struct chaos_histogram *histogram, unsigned per_mille);
void chaos_log(void *chaos, const struct hf_recovery *recovery);
const char *chaos_act_name(unsigned act);

/* ---- chaos_worker.c: what writers, readers and the judge share ------------------------------------------------------- */
bool chaos_worker_init(struct chaos_worker *worker, struct chaos *chaos, unsigned slot, hf_store *store, uint64_t random);
void chaos_worker_end(struct chaos_worker *worker);
bool chaos_worker_open(struct chaos_worker *worker, const char *path, uint32_t flags, unsigned start);
uint64_t chaos_begin(struct chaos_worker *worker, enum chaos_act act, uint32_t key);
void chaos_end(struct chaos_worker *worker, enum chaos_act act, uint64_t began);
enum chaos_answer chaos_read(struct chaos_worker *worker, uint32_t key, struct chaos_view *view, struct hf_meta *meta);
enum chaos_answer chaos_read_shared(struct chaos_worker *worker, unsigned counter);

/* ---- chaos_writer.c, chaos_reader.c: the workers; they return when chaos->stop is set ---------------------------------- */
void chaos_writer(struct chaos_worker *worker, unsigned index);
void chaos_reader(struct chaos_worker *worker);
uint32_t chaos_scan(struct chaos_worker *worker);

/* ---- chaos_killer.c: the parent ------------------------------------------------------------------------------------------ */
struct chaos_child {
    int pid;         /* 0: none                     */
    bool condemned;  /* SIGKILL was sent            */
    unsigned starts;
    uint64_t beat;   /* the last one seen ...       */
    uint64_t since;  /* ... and when it first was   */
};

struct chaos_run {
    struct chaos *chaos;
    hf_store *store;
    const char *path;
    uint64_t seconds;
    uint64_t random;
    struct chaos_child children[CHAOS_SLOTS_MAX];
    uint64_t kills;          /* of writers ...                                                  */
    uint64_t early_kills;    /* ... before their first call                                     */
    uint64_t settling_kills; /* ... while they looked after what their predecessor left         */
    uint64_t reader_kills;
    uint64_t sweeps; /* all processes killed at once, and the store opened by a first writer again */
    uint64_t took_ms;
    bool interrupted;
    struct hf_stats stats; /* what the store itself counted during the run */
};

bool chaos_run(struct chaos_run *run);
bool chaos_reopen(struct chaos_run *run);
void chaos_guard(const char *what);

/* ---- chaos_final.c: the verification at the end ------------------------------------------------------------------------- */
void chaos_final(struct chaos_run *run, bool own);

/* ---- chaos_table.c ------------------------------------------------------------------------------------------------------- */
void chaos_print_table(const struct chaos_run *run);
void chaos_print_json(const struct chaos_run *run);

#endif
