/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_CHAOS_H
#define HOLDFAST_CHAOS_H
/*
 * The rooms of `holdfast chaos`, in the order of the data flow. What is remembered of a run lies in anonymous memory shared by
 * all its processes and never in the store; nothing here knows how the store works inside.
 *
 * How a run is judged although its processes are killed: every call is written down before it is made (who, which key, which
 * write) and completed after it returned. Values tell which writes made them. At the end of a round nothing runs any more, and
 * for every key an order of its calls is sought that explains all results, in which each call takes effect once, at some moment
 * between its invocation and its return: a linearization. A call that was running when its process died may have taken effect
 * until the death was noticed, or never. If there is no such order, that is a violation.
 *
 *     process  one worker, killed and replaced at random, with threads that write or read
 *     place    what outlasts a worker: its number, and the slots of its threads
 *     slot     the log of one thread, carried on by the thread that follows it
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <holdfast.h>

#define CHAOS_WRITERS_MAX 64
#define CHAOS_READERS_MAX 64
#define CHAOS_PLACES_MAX (CHAOS_WRITERS_MAX + CHAOS_READERS_MAX)
#define CHAOS_THREADS_MAX 16
#define CHAOS_SLOTS_MAX 512
#define CHAOS_TEXTS 20     /* violations kept in words */
#define CHAOS_KEY_SIZE 320 /* bytes of the longest key name, NUL included */
#define CHAOS_HANG_NS (15 * UINT64_C(1000000000))
#define CHAOS_TTL_MS (UINT64_C(1000) * 60 * 60 * 24 * 30) /* far beyond the longest run: nothing may expire */
#define CHAOS_EXIT_CODE 113 /* of a worker that was told to call _exit in the middle of its work */
#define CHAOS_NICE 3        /* of the workers: they yield to the parent */
#define CHAOS_LATE_MS 300   /* the promise is that who waits looks every 250 ms */

/* What the workers do to the store; the names are those of the table, of --json and of --history. */
#define CHAOS_VERBS(X) \
    X(CHAOS_GET, "get") \
    X(CHAOS_SCAN, "scan") /* one key of a scan: what it held, or that it was not met */ \
    X(CHAOS_PUT, "put") \
    X(CHAOS_ADD, "add")         /* put if absent     */ \
    X(CHAOS_REPLACE, "replace") /* put if present    */ \
    X(CHAOS_CAS, "cas")         /* put if unchanged  */ \
    X(CHAOS_DELETE, "delete")   /* or, if a value is expected, delete if unchanged */ \
    X(CHAOS_TAKE, "take") \
    X(CHAOS_INCR, "incr") \
    X(CHAOS_APPEND, "append") \
    X(CHAOS_TOUCH, "touch") \
    X(CHAOS_FILL, "fill")       /* get or else fill; a read, as is the begin of a lease */ \
    X(CHAOS_PUBLISH, "publish") /* of what is computed where a fill found nothing: called when the computation begins */ \
    X(CHAOS_WAIT, "wait")       /* until the key has another version */

/* How a worker ends. */
#define CHAOS_DEATHS(X) \
    X(CHAOS_BY_KILL, "SIGKILL") \
    X(CHAOS_BY_SEGV, "SIGSEGV") \
    X(CHAOS_BY_ABRT, "SIGABRT") \
    X(CHAOS_BY_EXIT, "_exit")      /* called by a signal handler or another thread */ \
    X(CHAOS_BY_EXEC, "exec")       /* the same */ \
    X(CHAOS_BY_STOP, "stopped, then SIGKILL") \
    X(CHAOS_BY_SWEEP, "all at once")

#define CHAOS_NAMED_TEXT(name, text) text,
#define CHAOS_NAMED_ENUM(name, text) name,
enum chaos_verb { CHAOS_VERBS(CHAOS_NAMED_ENUM) CHAOS_VERB_COUNT };
enum chaos_death { CHAOS_DEATHS(CHAOS_NAMED_ENUM) CHAOS_DEATH_COUNT };
#undef CHAOS_NAMED_ENUM

/* Microseconds, in buckets of 1/16 of a power of two. */
#define CHAOS_BUCKETS 480
struct chaos_histogram {
    atomic_uint_fast64_t buckets[CHAOS_BUCKETS];
    atomic_uint_fast64_t max;
};

/*
 * What a key held, as its bytes and flags tell. Every put and append of a key has an id of its own. Values are the bytes of a put
 * and, after appends, their tails; its flags name the put, each tail its append. Counters hold numbers that never come back.
 */
struct chaos_value {
    uint32_t base;   /* the put that made it; 0: an append or incr of an absent key did              */
    uint32_t last;   /* the newest write in it; a counter, whose increments have no mark: 1; 0: absent */
    uint32_t before; /* the write before that; 0: none                                                */
    uint32_t length; /* bytes                                                                         */
    int64_t number;  /* of a counter                                                                  */
};

enum chaos_op_flags {
    CHAOS_CRASHED = 1,    /* its process died before it returned     */
    CHAOS_AGAIN = 2,      /* the scan had met this key before         */
    CHAOS_IF_PRESENT = 4, /* the condition of an incr                 */
    CHAOS_NOTHING = 8,    /* what was computed: that there is nothing */
};

struct chaos_op {
    uint64_t invoked;              /* nanoseconds of CLOCK_MONOTONIC                                   */
    atomic_uint_fast64_t returned; /* 0: it runs. Crashed: when the death was noticed                  */
    uint64_t version;              /* that was returned; 0: none                                       */
    struct chaos_value value;      /* read, or expected; incr and append: number or length afterwards; a wait's number: the
                                    * version that it waits to go */
    uint32_t key;
    uint32_t id; /* of the write; 0: none */
    uint32_t process;
    int8_t result;
    uint8_t verb;
    uint8_t flags;
    uint8_t unused;
};

/* One thread at a time writes into a slot. */
struct chaos_slot {
    _Alignas(64) atomic_uint_fast64_t beat; /* grows with every call                                        */
    atomic_uint active;                     /* a thread is at work                                          */
    atomic_uint repairing;                  /* it repairs; only the test build of the library tells          */
    atomic_uint pid;                        /* of a forked child at work                                    */
    atomic_uint used;                       /* records of the log                                           */
    uint32_t size;                          /* records it has room for                                      */
    struct chaos_op *log;
    atomic_uint_fast64_t counts[CHAOS_VERB_COUNT];
    atomic_uint_fast64_t refused;  /* writes a full store refused                        */
    atomic_uint_fast64_t busies;   /* reads that found their entry changing all the time */
    atomic_uint_fast64_t timeouts; /* calls whose deadline passed                        */
    atomic_uint_fast64_t unstored; /* computed values that were not stored               */
    struct chaos_histogram writes, reads;
};

struct chaos_place {
    atomic_uint stops; /* how often its worker was stopped */
};

/* When the process was told to die. */
struct chaos_mark {
    atomic_uint pid;
    atomic_uint_fast64_t when;
};
#define CHAOS_MARKS 4096

struct chaos_violation_text {
    atomic_bool ready;
    char words[2000];
};

/* The shared memory of a run. The part before `stop` is constant once the workers start. */
struct chaos {
    uint64_t seed;
    uint64_t run; /* part of every key name */
    uint32_t keys, writers, readers, threads;
    uint32_t max_value;
    uint32_t timeout_ms; /* 0: the library's */
    unsigned skew;       /* enum chaos_skew  */
    bool cache;
    size_t bytes;
    uint32_t slot_count; /* the last one is the parent's own */
    struct chaos_slot *slots;
    atomic_uint *ids; /* by key: the newest id */

    atomic_bool stop;
    atomic_bool crowded; /* some log is nearly full: time to end the round */
    atomic_uint violations;
    struct chaos_violation_text texts[CHAOS_TEXTS];
    struct chaos_place places[CHAOS_PLACES_MAX];
    struct chaos_mark marks[CHAOS_MARKS];
    atomic_bool sees_repairs;              /* the test build tells who repairs                                     */
    atomic_uint_fast64_t opens;
    atomic_uint_fast64_t forks;            /* children that went on with their parent's handle ...                 */
    atomic_uint_fast64_t forks_killed;     /* ... and were killed by it                                            */
    atomic_uint_fast64_t verdicts[5];      /* by enum hf_verdict; told by the log callback                         */
    atomic_uint_fast64_t first_opens;      /* recoveries by a first writer, after all processes had been killed    */
    struct chaos_histogram recovery;       /* the repair alone                                                     */
    struct chaos_histogram next_writer;    /* from a death, or its own call if later, until the next writer is done */
    struct chaos_histogram overrun;        /* from the end of a deadline to the return of HF_ERR_TIMEOUT           */
    struct chaos_histogram sight;          /* from a call that knew of a change to the return of one that waited for it */
    atomic_uint_fast64_t late;             /* waits that saw a change CHAOS_LATE_MS after that, or later           */
    struct chaos_histogram hand_over;      /* of a bare robust mutex, from a kill until the waiter has it          */
    pthread_mutex_t control;
    atomic_uint control_state;
    atomic_uint_fast64_t control_killed;
};

enum chaos_skew { CHAOS_UNIFORM, CHAOS_ZIPF, CHAOS_MIXED };

/* What a thread needs to work on the store. */
struct chaos_worker {
    struct chaos *chaos;
    struct chaos_slot *slot;
    struct chaos_place *place; /* NULL: the parent */
    hf_store *store;
    uint64_t random;
    uint32_t deadline_ms; /* of its handle */
    bool zipf;
    struct chaos_op *op;     /* the record of the running call        */
    uint64_t ended;          /* when it returned                      */
    unsigned stops;          /* of the place, before it               */
    unsigned char *got;      /* a value as read; room for the largest */
    unsigned char *made;     /* a value as generated; the same        */
    unsigned char *scan_met; /* how often a scan has met each key     */
};

/* The worker of this thread; NULL: none. For callbacks. */
extern _Thread_local struct chaos_worker *chaos_here;

/* ---- chaos_value.c: key names and values -------------------------------------------------------------------------------- */
uint64_t chaos_mix(uint64_t a, uint64_t b);
uint64_t chaos_random(uint64_t *state);
uint64_t chaos_below(uint64_t *state, uint64_t bound);
bool chaos_is_counter(uint32_t key);
size_t chaos_key_name(const struct chaos *chaos, uint32_t key, char *name);
bool chaos_key_index(const struct chaos *chaos, const void *name, size_t length, uint32_t *key);
int64_t chaos_number(uint32_t key, uint32_t id);
int64_t chaos_increment(uint32_t key, uint32_t id);
uint32_t chaos_length(const struct chaos *chaos, uint32_t key, uint32_t id);
uint32_t chaos_tail_length(const struct chaos *chaos, uint32_t key, uint32_t id);
size_t chaos_bytes(const struct chaos *chaos, uint32_t key, uint32_t id, unsigned char *bytes);
size_t chaos_tail(const struct chaos *chaos, uint32_t key, uint32_t id, unsigned char *bytes);
bool chaos_recognise(const struct chaos *chaos, uint32_t key, const unsigned char *bytes, size_t length, uint32_t flags,
                     struct chaos_value *value, size_t *wrong_at);
void chaos_describe(char *text, size_t size, uint32_t key, const struct chaos_value *value);

/* ---- chaos_record.c: what is remembered of a run ------------------------------------------------------------------------ */
struct chaos *chaos_new(uint32_t keys, uint32_t writers, uint32_t readers, uint32_t threads);
void chaos_free(struct chaos *chaos);
void chaos_violation(struct chaos *chaos, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct chaos_slot *chaos_slot_of(struct chaos *chaos, unsigned place, unsigned thread);
uint32_t chaos_room(const struct chaos_slot *slot);
void chaos_begin(struct chaos_worker *worker, const struct chaos_op *op);
int chaos_returned(struct chaos_worker *worker, int result);
void chaos_end(struct chaos_worker *worker);
void chaos_note(struct chaos_worker *worker, const struct chaos_op *op);
const struct chaos_op *chaos_running_write(const struct chaos_slot *slot);
void chaos_bury(struct chaos_slot *slot);
void chaos_mark(struct chaos *chaos, int pid);

/* ---- chaos_tally.c: times and counts ------------------------------------------------------------------------------------ */
uint64_t chaos_now(void);
void chaos_count(struct chaos_histogram *histogram, uint64_t microseconds);
void chaos_merge(struct chaos_histogram *into, const struct chaos_histogram *from);
uint64_t chaos_quantile(const struct chaos_histogram *histogram, unsigned per_mille);
uint64_t chaos_total(const struct chaos_histogram *histogram);
unsigned chaos_octaves(const struct chaos_histogram *histogram, uint64_t counts[65]);
void chaos_log(void *chaos, const struct hf_recovery *recovery);

/* ---- chaos_worker.c, chaos_mortal.c: a worker process, and how it dies -------------------------------------------------- */
bool chaos_worker_init(struct chaos_worker *worker, struct chaos *chaos, unsigned slot, hf_store *store, uint64_t random);
void chaos_worker_end(struct chaos_worker *worker);
void chaos_process(struct chaos *chaos, hf_store *store, const char *path, unsigned place, unsigned start, uint64_t random);
bool chaos_mortal(unsigned start);
int chaos_send(int pid, enum chaos_death death);
const char *chaos_death_name(unsigned death);
bool chaos_is_death(enum chaos_death death, int status);

/* ---- chaos_reader.c, chaos_writer.c: what the threads do; they return when chaos->stop is set, or after so many calls --- */
uint32_t chaos_pick(struct chaos_worker *worker);
int chaos_read(struct chaos_worker *worker, uint32_t key, struct chaos_value *value, struct hf_meta *meta);
bool chaos_judge_bytes(struct chaos_worker *worker, uint32_t key, const unsigned char *bytes, size_t length,
                       const struct hf_meta *meta, struct chaos_value *value);
bool chaos_expected_failure(struct chaos_worker *worker, int result);
uint64_t chaos_scan(struct chaos_worker *worker);
bool chaos_wait_for_room(struct chaos_worker *worker, uint32_t records);
void chaos_reader(struct chaos_worker *worker, uint64_t calls);
void chaos_writer(struct chaos_worker *worker, uint64_t calls);

/* A call to be made. */
struct chaos_call {
    struct chaos_op op;
    char name[CHAOS_KEY_SIZE];
    size_t name_length;
};
void chaos_prepare(const struct chaos_worker *worker, struct chaos_call *call, uint32_t key, enum chaos_verb verb, bool makes);
void chaos_finish(struct chaos_worker *worker, int result);

/* ---- chaos_filler.c: what a writer does to a key that is missing -------------------------------------------------------- */
void chaos_get_or_fill(struct chaos_worker *worker, uint32_t key);
void chaos_lease(struct chaos_worker *worker, uint32_t key);

/* ---- chaos_model.c: what each call does to a key, and what it must return ----------------------------------------------- */
struct chaos_state {
    struct chaos_value value;
    uint64_t version; /* of the value, or a bound: it is not smaller, and that of the next value is greater */
    uint64_t exact;   /* 1: it is the version */
    uint64_t newest;  /* when of all puts and deletes that took effect the latest was called */
};
enum chaos_effect { CHAOS_ILLEGAL, CHAOS_SEES, CHAOS_CHANGES };
enum chaos_effect chaos_apply(const struct chaos *chaos, const struct chaos_op *op, struct chaos_state *state);
const char *chaos_verb_name(unsigned verb);
bool chaos_evict(struct chaos_state *state);
void chaos_describe_op(const struct chaos *chaos, char *text, size_t size, const struct chaos_op *op);

/* ---- chaos_judge.c, chaos_search.c: is there an order that explains everything? ----------------------------------------- */
struct chaos_judge;
struct chaos_judge *chaos_judge_new(struct chaos *chaos);
void chaos_judge_free(struct chaos_judge *judge);
bool chaos_judge_round(struct chaos_judge *judge);
uint64_t chaos_judge_calls(const struct chaos_judge *judge);
uint64_t chaos_judge_undecided(const struct chaos_judge *judge);

struct chaos_search;
enum chaos_finding { CHAOS_EXPLAINED, CHAOS_IMPOSSIBLE, CHAOS_UNDECIDED, CHAOS_NO_MEMORY };
struct chaos_search *chaos_search_new(const struct chaos *chaos);
void chaos_search_free(struct chaos_search *search);
enum chaos_finding chaos_search_key(struct chaos_search *search, struct chaos_op **by_start, struct chaos_op **by_end,
                                    size_t count, struct chaos_state *state, const struct chaos_op **culprit);

/* ---- chaos_history.c: for outside checkers ------------------------------------------------------------------------------ */
bool chaos_history_write(FILE *file, const struct chaos *chaos, uint64_t round);

/* ---- chaos_killer.c, chaos_watch.c, chaos_round.c: the parent ----------------------------------------------------------- */
struct chaos_child {
    int pid;              /* 0: none                                                 */
    bool condemned;       /* told to die ...                                         */
    bool swept;           /* ... and then killed with all others                     */
    enum chaos_death way; /* ... in this way                                         */
    unsigned starts;
    uint64_t stopped;     /* since when; 0: it is not                                */
    uint64_t until;       /* when it may go on, or is killed                         */
    uint64_t reads;       /* gets of all readers when it was stopped                 */
    uint64_t timeouts;    /* of all slots when it was stopped                        */
};

struct chaos_run {
    struct chaos *chaos;
    struct chaos_judge *judge;
    hf_store *store;
    const char *path;
    FILE *history; /* NULL: none */
    int control;   /* the process that measures the kernel alone; 0: none */
    uint64_t seconds;
    uint64_t random;
    bool own; /* the store was made for the run */
    struct chaos_child children[CHAOS_PLACES_MAX];
    uint64_t beats[CHAOS_SLOTS_MAX]; /* the last one seen of each slot ... */
    uint64_t since[CHAOS_SLOTS_MAX]; /* ... and when it first was          */
    uint64_t deaths[CHAOS_DEATH_COUNT];
    uint64_t writers_killed, readers_killed;
    uint64_t in_flight;   /* writes that were running when their process died       */
    uint64_t repairers;   /* killed while they repaired (test build)                */
    uint64_t repeated;    /* repairs in the store's log that another repeated        */
    uint64_t log_read;    /* newest sequence read of the store's log                 */
    uint64_t stops;       /* processes stopped ...                                  */
    uint64_t holders;     /* ... of which some held a lock: deadlines passed meanwhile */
    uint64_t stop_reads;  /* gets done meanwhile                                    */
    uint64_t rounds, sweeps;
    uint64_t took_ms;
    bool interrupted;
    struct hf_stats stats; /* what the store itself counted during the run */
};

bool chaos_run(struct chaos_run *run);
bool chaos_reopen(struct chaos_run *run);
void chaos_guard(const char *what);
void chaos_watch(struct chaos_run *run, uint64_t now);
bool chaos_stalled(const struct chaos_run *run, unsigned place, uint64_t now, uint64_t nanoseconds);
bool chaos_writes_now(const struct chaos *chaos, unsigned place);
void chaos_stop(struct chaos_run *run, unsigned place, uint64_t now);
void chaos_continue(struct chaos_run *run, uint64_t now, bool all);
void chaos_read_log(struct chaos_run *run);
int chaos_control(struct chaos_run *run);
bool chaos_control_init(struct chaos *chaos);
bool chaos_end_round(struct chaos_run *run);
void chaos_final(struct chaos_run *run);

/* ---- chaos_table.c, chaos_report.c -------------------------------------------------------------------------------------- */
struct chaos_sums {
    uint64_t verbs[CHAOS_VERB_COUNT];
    uint64_t refused, busies, timeouts, unstored, killed;
    struct chaos_histogram writes, reads;
};
void chaos_add_up(const struct chaos_run *run, struct chaos_sums *sums);
unsigned chaos_texts(const struct chaos *chaos);
const char *chaos_text(const struct chaos *chaos, unsigned index);
void chaos_print_table(const struct chaos_run *run);
void chaos_print_json(const struct chaos_run *run);

#endif
