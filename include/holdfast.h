/* SPDX-License-Identifier: MIT */
#ifndef HOLDFAST_H
#define HOLDFAST_H
/*
 * Holdfast: a key-value store that many processes share through one file, and that a killed process cannot hurt.
 *
 *     hf_store *store;
 *     struct hf_options options = HF_OPTIONS_INIT;
 *     options.flags = HF_CREATE;
 *     if (hf_open(&store, "/dev/shm/sessions", &options) < 0)
 *         errx(3, "%s", hf_explain());
 *     hf_put(store, "user:7", 6, "Ada", 3, NULL, NULL);
 *
 *     char name[64];
 *     size_t length;
 *     if (hf_get(store, "user:7", 6, name, sizeof name, &length, NULL) == HF_OK)
 *         printf("%.*s\n", (int)length, name);
 *     hf_close(&store);
 *
 * The file holds a hash table of fixed size, mapped into every process that opens it. Writers take one of a set of striped
 * robust mutexes; readers take no lock. A process killed in the middle of an update leaves the old value or the new one; the
 * next writer of that stripe repairs what the dead one left and goes on.
 *
 * A store keeps what it was given until it is told otherwise, or is a cache, which evicts entries when it is full. The sections
 * stand in the order of use: Results; Open, create, close; Read; Write; Fill (who computes a missing value); Wait (for a change);
 * Scan and count; Whole store (disk, snapshot, check, repair); Information (sizes, counters, locks, recoveries).
 *
 * Guarantees
 *
 *   A  Atomic. Whatever instruction a process is killed at, every key has its old value or its new value.
 *   B  Durable across process death. A write that returned success is seen by every later read in any process, and survives the
 *      death of any or all processes, until it is overwritten, deleted, expired or (cache mode) evicted.
 *   C  No hang. No death of any process, holding anything, blocks others for longer than the kernel takes to end that process (a
 *      core dump counts) plus the repair of one stripe. A stopped lock holder delays writers of its stripe only, and no longer
 *      than hf_options.timeout_ms. A dead filler is replaced by one who waits for its value, and a wake-up that a dead writer
 *      took along is made up for within 250 ms.
 *   D  Readers are free. hf_get takes no lock, never waits for a dead or stopped process, and returns a complete value.
 *   E  Read-only is really read-only. A handle opened with HF_RDONLY needs read permission only, writes nothing and takes no
 *      lock of any kind: it works for another user, on a read-only mount, and from another PID namespace.
 *   F  Machine crash. After power loss a value that is returned was really stored under that key (every entry carries a
 *      checksum); it may be missing, older, or one deleted since. hf_copy makes a snapshot that is complete and on disk.
 *   G  Hostile file. Whatever bytes the file holds, also while they change, a reader never reads out of bounds, never loops
 *      without bound and never crashes: it returns a typed error or a miss.
 *   H  Scan. A key present during the whole scan is returned exactly once.
 *   I  Capacity. A store created for N entries of up to B bytes each (the key, rounded up to a multiple of 8, and the value)
 *      accepts N such entries, with a probability of failure below 1e-9 for keys not chosen against the store's seed. In store
 *      mode replacing a value by one of the same size or smaller never fails for lack of room, and fragmentation alone never
 *      causes "full".
 *   J  Fork. Handles keep working in children after fork(), also when another thread held a lock at that moment.
 *
 * Caveats, each with its remedy
 *
 *   - Writers trust each other. A robust mutex keeps raw pointers of its owner inside the file, so whoever may write the file
 *     can make a writer store to an address of his choice. Remedy: keep the file mode at its default, 0600; give other users
 *     read permission only, and let them open it with HF_RDONLY.
 *   - A file truncated by others while it is mapped raises SIGBUS in every process that touches the lost part. Holdfast never
 *     shrinks a file. Remedy: replace a store by renaming another over it, never by truncating it.
 *   - Writers of one store live in one PID namespace: with equal thread ids in two namespaces the kernel can take a living lock
 *     owner for dead. hf_open refuses with HF_ERR_NAMESPACE. Remedy: share the PID namespace, or open with HF_RDONLY. A child
 *     forked into another PID namespace finds its handles read-only.
 *   - Writers of one store use one C library and one word size: glibc, musl, 32 and 64 bit lay mutexes out differently. hf_open
 *     refuses with HF_ERR_ABI. Remedy: hf_scan or `holdfast dump` with the old program, load with the new.
 *   - A file that was restored by writing over it in place, in the same boot, cannot be told from one that was not. Remedy:
 *     restore by rename, or run hf_repair.
 *   - Values survive the death of every process at once, but reach the disk when the kernel writes them: power loss can lose
 *     recent writes. Remedy: hf_sync, or hf_copy for a snapshot.
 *   - In tmpfs a new store asks the kernel (Linux 6.1 and later) for pages of 2 MiB, with which a get takes a fifth to a third
 *     less time, and making the store less, too. They take no more memory, but a process that has looked at a little of a store
 *     is said to have 2 MiB of it resident. Where there are none, and on other file systems, all works with small ones. Remedy,
 *     if they are not wanted: prctl(PR_SET_THP_DISABLE) in the process that makes the store.
 *   - Children made by clone() without the C library's fork() must not use a handle: their thread id is not known to it.
 *   - An expiry is a moment of CLOCK_REALTIME, fixed when the entry is written: a clock set forwards by an hour expires entries
 *     an hour early, one set back keeps them an hour longer, and shows again those that had expired since, unless they were
 *     removed. A clock before 1970 is taken for 1970. Deadlines, such as hf_options.timeout_ms, and leases do not depend on that
 *     clock. Remedy: let the clock be slewed, not set.
 *   - Nothing keeps an expired value for hf_get_stale: it goes when its room is needed. Remedy: put the new value straight over
 *     it, and make the store large enough that what expires is not missed.
 *   - A lease (hf_fill_begin) is no lock: if its holder dies, others wait until it ends. Remedy: hf_get_or_fill, whose filler is
 *     replaced at once, or a short lease_ms.
 *   - A lease ends at a moment of CLOCK_MONOTONIC, which differs between time namespaces (time_namespaces(7)): who lives in
 *     another takes a lease for longer or shorter than it is, and hf_locks tells him other times. Nothing stored depends on it,
 *     but a key may be computed twice, or waited for until the deadline. Remedy: processes that share leases share the time
 *     namespace, or use hf_get_or_fill, whose locks know no time.
 *   - More fills at once than a store has locks for (8 a stripe, but 16 to 256 in all, four of which a key may use) are done
 *     without sharing: a value may then be computed by several. It is never stored out of date.
 *   - Changes of one key that follow each other fast are one change to those who wait (hf_wait, hf_wait_any); the last state is
 *     never missed. Remedy: a key for each event, or hf_append.
 *   - A read-only handle is woken by nobody and looks every 20 ms; its reads are counted for itself alone. Remedy: a handle that
 *     may write.
 *   - What a killed process had counted but not handed in is lost: at most 255 hits and 255 misses of each of its threads (see
 *     hf_stats).
 *   - A process killed inside hf_incr, hf_append or hf_take cannot know whether its last call was applied. The recovery log
 *     (hf_recoveries, `holdfast log`) says which: kept-old or kept-new.
 *   - Network file systems do not keep a shared mapping coherent between machines, and FUSE may not. hf_open refuses them with
 *     HF_ERR_FILESYSTEM; and hugetlbfs, whose files cannot be written to. Remedy: a local file system or /dev/shm.
 *   - A user who can only read the file can still hold a lock on it (fcntl) and so delay the first writer's hf_open, which then
 *     fails with HF_ERR_TIMEOUT. Remedy: `lslocks` names the holder; a file mode of 0600 keeps strangers out.
 *
 * Threads and signals. A handle may be used by any number of threads at once; hf_close only when no other call on it is running.
 * A call made from a signal handler that interrupted a call of the same thread never hangs: reads work, and a write of the
 * stripe that the interrupted call holds returns HF_ERR_REENTERED. hf_open and hf_close, which allocate, are not for signal
 * handlers, and neither is fork() where it may interrupt these. A write from a handler that interrupted a write should be avoided
 * all the same: a process killed in the few instructions in which the C library was just taking a lock would leave that lock
 * held. No call changes the signal mask, installs a handler, starts a thread or makes a child.
 *
 * Results. 0 (HF_OK): done. Above 0: a defined answer, such as HF_NOTFOUND. Below 0: a failure, for which hf_explain() gives a
 * sentence with the reason and the remedy. Outputs are written only where a function says so.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HF_VERSION "0.1.0"

#if defined(__GNUC__)
#define HF_API __attribute__((visibility("default")))
#define HF_CHECKED __attribute__((visibility("default"), warn_unused_result))
#else
#define HF_API
#define HF_CHECKED
#endif

typedef struct hf_store hf_store;

/* ---- Results ------------------------------------------------------------------------------------------------------------ */

#define HF_RESULTS(X) \
    X(HF_OK, 0, "done") \
    X(HF_NOTFOUND, 1, "no such key") \
    X(HF_EXISTS, 2, "the key or file exists already") \
    X(HF_CHANGED, 3, "the entry has another version than the one asked for") \
    X(HF_TRUNCATED, 4, "the value is longer than the buffer") \
    X(HF_END, 5, "the scan is complete") \
    X(HF_DAMAGED, 6, "the store violates its invariants: run hf_repair or 'holdfast repair'") \
    X(HF_STALE, 7, "the value has expired") \
    X(HF_UNCHANGED, 8, "nothing changed before the deadline") \
    X(HF_ERR_SYSTEM, -1, "a system call failed (see errno)") \
    X(HF_ERR_ARGUMENT, -2, "an argument is out of range") \
    X(HF_ERR_MEMORY, -3, "out of memory") \
    X(HF_ERR_FULL, -4, "the store is full: delete entries, or copy them into a larger store") \
    X(HF_ERR_TOOBIG, -5, "the key or value is larger than this store takes") \
    X(HF_ERR_READONLY, -6, "the handle is read-only") \
    X(HF_ERR_TIMEOUT, -7, "a lock was not free before the deadline: its holder is alive but stopped or busy") \
    X(HF_ERR_REENTERED, -8, "this thread is already inside a write of the same stripe (signal handler?)") \
    X(HF_ERR_BUSY, -9, "the entry kept changing while it was read, or the handle is in use: try again") \
    X(HF_ERR_FORMAT, -10, "not a Holdfast store, or one that is truncated or damaged") \
    X(HF_ERR_VERSION, -11, "the store was made by an incompatible version of Holdfast") \
    X(HF_ERR_ABI, -12, "the store was made by a program with another C library, word size or byte order") \
    X(HF_ERR_FILESYSTEM, -13, "the file system cannot hold a store") \
    X(HF_ERR_NAMESPACE, -14, "the store's writers live in another PID namespace") \
    X(HF_ERR_QUARANTINED, -15, "a stripe of the store could not be repaired: run hf_repair or 'holdfast repair'") \
    X(HF_ERR_NUMBER, -16, "the value is not a 64-bit decimal number, or the result would not be one")

enum hf_result {
#define HF_RESULT_ENUM(name, value, text) name = value,
    HF_RESULTS(HF_RESULT_ENUM)
#undef HF_RESULT_ENUM
};

/* The name of a result, such as "HF_ERR_FULL", and its sentence; "unknown" for a value that is none. Never NULL. Static. */
HF_API const char *hf_result_name(int result);
HF_API const char *hf_result_text(int result);

/* What went wrong in the last call of this thread that returned a failure (below 0): one sentence, without a newline, that names
 * the reason and the remedy. Empty before the first failure. It stays valid until the next failure in the same thread. */
HF_API const char *hf_explain(void);

/* The version of the library in use, such as "0.1.0"; HF_VERSION is that of the header. */
HF_API const char *hf_version(void);

/* ---- Open, create, close ------------------------------------------------------------------------------------------------ */

enum hf_open_flags {
    HF_CREATE = 1,    /* make the store if there is none                                                   */
    HF_EXCLUSIVE = 2, /* with HF_CREATE: HF_EXISTS if there is one already                                 */
    HF_RDONLY = 4,    /* guarantee E; not with HF_CREATE                                                   */
};

enum hf_mode {
    HF_MODE_STORE = 0, /* a full store refuses new entries with HF_ERR_FULL  */
    HF_MODE_CACHE = 1, /* a full store evicts entries that are seldom read   */
};

/*
 * Mode cache. A put never finds the store full: it removes expired entries that it meets, then evicts those that are read least,
 * until the new one fits; one of the largest size evicts no more than its room takes. (What depends on the old entry, as an incr,
 * an append, a touch or a put with a condition, never evicts that one, and so may return HF_ERR_FULL where hf_options.stripes
 * made stripes so small that the new value has no room beside the old one.) New entries begin in a small ring, an eighth of the
 * heap, and are evicted from it unless they are read at least twice before their turn comes; those, and keys that come back soon
 * after they were evicted, live in the rest, from which goes what was not read for long. A get costs one compare-and-swap more
 * than in mode store, and none once an entry is known as often read. A put looks at up to 32 entries to choose whom to evict, or
 * at as many as lie in the room it needs. What was counted to choose well may be lost or wrong, after a crash say: then the
 * choice is worse for a while, and nothing else.
 */

#define HF_FOREVER UINT32_MAX /* hf_options.timeout_ms: no deadline */
#define HF_TTL_NEVER UINT64_MAX /* a time to live: for ever, whatever the store's default is */
#define HF_KEY_MAX 4096       /* bytes of the longest key; the shortest has 1 */
#define HF_VALUE_MAX (1u << 30) /* bytes of the largest value any store can be made for */
#define HF_STRIPES_MAX 1024

/* One recovery, as told to hf_options.log and listed by hf_recoveries. */
struct hf_recovery {
    uint64_t sequence;     /* 1, 2, 3, ... over the life of the store                                                          */
    uint64_t time_ms;      /* when it ended, milliseconds since 1970                                                           */
    uint64_t key_hash;     /* the store's hash of the key in flight; 0: none                                                   */
    uint32_t stripe;       /* which stripe                                                                                     */
    uint32_t pid;          /* the process that died; 0: not known                                                              */
    uint32_t repairer;     /* the process that repaired                                                                        */
    uint32_t dropped;      /* entries dropped because they were not sound: 0 after any kill                                    */
    uint32_t microseconds; /* how long the repair took                                                                         */
    uint32_t cause;        /* enum hf_cause                                                                                    */
    uint32_t operation;    /* enum hf_operation: what the dead process was doing                                               */
    uint32_t step;         /* how far it had come; see hf_step_name                                                            */
    uint32_t verdict;      /* enum hf_verdict                                                                                  */
    uint32_t reserved;
};

#define HF_CAUSES(X) \
    X(HF_CAUSE_DEATH, 1, "owner-died")   /* a lock was taken over from a dead owner                    */ \
    X(HF_CAUSE_OPEN, 2, "first-open")    /* the first writer found an operation that was never ended   */ \
    X(HF_CAUSE_VERIFY, 3, "verify")      /* the first writer after a reboot, or of a copied file       */ \
    X(HF_CAUSE_REPAIR, 4, "repair")      /* hf_repair                                                  */

#define HF_OPERATIONS(X) \
    X(HF_OP_NONE, 0, "none") \
    X(HF_OP_PUT, 1, "put") \
    X(HF_OP_DELETE, 2, "delete") \
    X(HF_OP_TAKE, 3, "take") \
    X(HF_OP_INCR, 4, "incr") \
    X(HF_OP_APPEND, 5, "append") \
    X(HF_OP_TOUCH, 6, "touch") \
    X(HF_OP_CLEAR, 7, "clear") \
    X(HF_OP_REPAIR, 8, "repair") \
    X(HF_OP_EXPIRE, 9, "expire")

#define HF_VERDICTS(X) \
    X(HF_VERDICT_IDLE, 1, "idle")         /* no operation was in flight: nothing to decide, nothing to rebuild     */ \
    X(HF_VERDICT_OLD, 2, "kept-old")      /* the operation in flight did not happen                                */ \
    X(HF_VERDICT_NEW, 3, "kept-new")      /* the operation in flight happened                                      */ \
    X(HF_VERDICT_CHECKED, 4, "checked")   /* every entry of the stripe was verified                                */

#define HF_NAMED_ENUM(name, value, text) name = value,
enum hf_cause { HF_CAUSES(HF_NAMED_ENUM) };
enum hf_operation { HF_OPERATIONS(HF_NAMED_ENUM) };
enum hf_verdict { HF_VERDICTS(HF_NAMED_ENUM) };
#undef HF_NAMED_ENUM

/* The texts of the tables above, and of a step ("begin", "room", "filled", "published", ...); "unknown" for others. Static. */
HF_API const char *hf_cause_name(uint32_t cause);
HF_API const char *hf_operation_name(uint32_t operation);
HF_API const char *hf_step_name(uint32_t step);
HF_API const char *hf_verdict_name(uint32_t verdict);

/* Told about every recovery that a call on the handle performed, after that call has released its locks and before it returns.
 * It may use the handle. */
typedef void hf_log_fn(void *context, const struct hf_recovery *recovery);

/*
 * Zero means the default in every field, so that `struct hf_options o = HF_OPTIONS_INIT;` is complete. The fields from `mode` to
 * `file_mode`, max_key and default_ttl_ms speak when a store is made and are ignored when one is opened: hf_info tells what it
 * has.
 *
 * capacity    bytes of the file at most; up to 2 % less are used. 0: derived from entries and entry_size, or 64 MiB if entries
 *             is 0 too.
 * entries     how many entries the store promises to take (guarantee I). 0: as many as fit into the capacity.
 * entry_size  bytes of key (rounded up to a multiple of 8) and value of a typical entry, the B of guarantee I. 0: as large as
 *             capacity and entries allow if both are given, else 128.
 * max_value   bytes of the largest value, up to HF_VALUE_MAX. 0: capacity / 1024, but at least 4 KiB and entry_size and at most
 *             512 KiB. Every stripe has room for 12 of them with the longest key, or 4 if `stripes` is given (mode cache: 1).
 *             Tell it if yours are smaller: then there are more stripes, and writers meet less often.
 * max_key     bytes of the longest key that can be put, up to HF_KEY_MAX. 0: HF_KEY_MAX. Only small stores gain by less.
 * stripes     a power of two up to HF_STRIPES_MAX. 0: as many as leave each 1,024 expected entries and room for 12 of the
 *             largest, at most 256 (more if they would exceed 8 MiB each).
 * timeout_ms  the longest wait for one lock, milliseconds. 0: 10,000. HF_FOREVER: no deadline.
 * default_ttl_ms  the time to live, in milliseconds, up to 2^48 - 1, of entries written with a time to live of 0. 0 and
 *             HF_TTL_NEVER: for ever.
 */
struct hf_options {
    size_t size; /* sizeof(struct hf_options); HF_OPTIONS_INIT sets it */
    uint32_t flags;
    uint32_t mode; /* enum hf_mode */
    uint64_t capacity;
    uint64_t entries;
    uint32_t entry_size;
    uint32_t max_value;
    uint32_t stripes;
    uint32_t file_mode; /* permissions of a new file, before the umask. 0: 0600 */
    uint32_t timeout_ms;
    uint32_t max_key;
    hf_log_fn *log; /* NULL: none */
    void *log_context;
    uint64_t default_ttl_ms;
};
#define HF_OPTIONS_INIT { sizeof(struct hf_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0 }

/*
 * Opens the store at `path`, or makes it (HF_CREATE). `options` may be NULL: open for writing, no creation.
 *
 * A new file has all its blocks allocated and appears under its name only when it is complete and on disk: a creator killed, or a
 * machine stopped, at any moment leaves either a whole store or nothing. The first writer of a store (of this boot, of a copied
 * file, after all others have gone) makes its locks anew and repairs what dead processes left; after a reboot it verifies every
 * entry. Others join in constant time. Opening one file twice in a process shares one mapping.
 *
 * Results: HF_OK, *store is the handle, to be closed by hf_close. HF_EXISTS: HF_EXCLUSIVE and there is a file. HF_NOTFOUND: no
 * such file and no HF_CREATE. HF_ERR_ARGUMENT: an option is out of range or the sizes do not fit together. HF_ERR_SYSTEM: errno
 * tells (ENOSPC: not enough room for all blocks; nothing is left behind). A store that was made but could not be opened then
 * (EMFILE, say) stays, complete and empty. HF_ERR_FORMAT, _VERSION, _ABI, _FILESYSTEM, _NAMESPACE: the file was refused and not
 * touched. HF_ERR_TIMEOUT: another opener did not finish in time. HF_ERR_MEMORY.
 *
 * Kill: leaves nothing. Fork: waits until a running open of another thread has ended. Signals: interrupted calls are restarted.
 */
HF_CHECKED int hf_open(hf_store **store, const char *path, const struct hf_options *options);

/* As hf_open, for an open descriptor: a memfd, or one inherited. It may be closed afterwards. With HF_CREATE an empty file
 * becomes a new store, also one that a killed creator left half made; of several creators one makes it and the others wait.
 * Needs a descriptor open for reading, and for writing unless HF_RDONLY; then the file is also opened anew through
 * /proc/self/fd, for which the process needs the permission to read and write it. */
HF_CHECKED int hf_open_fd(hf_store **store, int fd, const struct hf_options *options);

/* Makes a store without a name, shared with the children forked after this call, gone when the last of them has ended. */
HF_CHECKED int hf_open_anonymous(hf_store **store, const struct hf_options *options);

/* Closes the handle and sets *store to NULL; a NULL handle is closed already. The stored entries stay. HF_ERR_BUSY: a thread of
 * this process still holds a lock (it left a call by longjmp, or closes inside one): the handle is gone, the mapping stays until
 * the process ends, because unmapping a held lock would leave it held for ever. Fork: a child's close leaves its parent's handle
 * open. */
HF_API int hf_close(hf_store **store);

/* ---- Read --------------------------------------------------------------------------------------------------------------- */

struct hf_meta {
    uint64_t version;    /* grows with every change of the value; never used twice for one key. 0 is no version         */
    uint64_t ttl_ms;     /* milliseconds left to live, at least 1; 0: lives for ever, or (hf_get_stale) has expired     */
    uint64_t expires_ms; /* the same as a moment, milliseconds since 1970; 0: lives for ever                            */
    uint32_t flags;      /* the user's, as stored                                                                       */
    uint32_t value_len;  /* bytes                                                                                       */
};

/*
 * Copies the value of a key into `buffer` (`size` bytes; may be NULL if size is 0). Takes no lock, makes no system call and does
 * not allocate (but if an entry is rewritten during each of many attempts, a handle that may write reads it under its lock).
 *
 * key_len    1 to HF_KEY_MAX
 * value_len  may be NULL; the length of the whole value, on HF_OK and HF_TRUNCATED
 * meta       may be NULL; filled on HF_OK and HF_TRUNCATED
 *
 * Results: HF_OK. HF_NOTFOUND: no such key, or expired. HF_TRUNCATED: the first `size` bytes were copied. HF_ERR_BUSY (read-only
 * handles): the entry was rewritten again and again during the read. HF_ERR_TIMEOUT (others): the same, and the stripe's lock
 * was not free before the deadline either. HF_ERR_ARGUMENT. On all but HF_OK and HF_TRUNCATED the buffer's bytes are unspecified.
 * Kill, fork, signals: safe at any moment; nothing is held.
 */
HF_CHECKED int hf_get(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                      struct hf_meta *meta);

/* As hf_get, into fresh memory that the caller ends with free(). One NUL byte follows the value, not counted in *value_len.
 * HF_ERR_MEMORY: no memory. *value is NULL on any result other than HF_OK. */
HF_CHECKED int hf_get_dup(hf_store *store, const void *key, size_t key_len, void **value, size_t *value_len,
                          struct hf_meta *meta);

/* As hf_get, but a value that has expired and is still there is returned too, with HF_STALE in place of HF_OK: to be served while
 * somebody makes a new one. meta->expires_ms tells when it expired, and meta->ttl_ms is 0; so do they with HF_TRUNCATED (with
 * HF_OK, ttl_ms is above 0 wherever expires_ms is). HF_NOTFOUND: no such key, or expired and removed.
 *
 * Nothing keeps an expired value. It is removed by hf_expire, by the next write of its key that takes the lock (hf_put, _delete,
 * _incr, _append and _touch, also where their answer is HF_NOTFOUND), and when a write of another key needs room in its stripe:
 * in mode store with all that have expired there, in a cache before anything that has not. Reads never remove it, nor does
 * hf_take. So let who makes a new value put it straight over the old one: until then the others find the old one. */
HF_CHECKED int hf_get_stale(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                            struct hf_meta *meta);

/* One key of hf_get_many. Set the fields up to `meta`, and `reserved` to 0. */
struct hf_get_request {
    const void *key;
    size_t key_len;       /* 1 to HF_KEY_MAX                                                  */
    void *buffer;         /* for the value; may be NULL if size is 0                          */
    size_t size;          /* bytes of it                                                      */
    struct hf_meta *meta; /* may be NULL                                                      */
    size_t value_len;     /* out: as of hf_get                                                */
    int32_t result;       /* out: what hf_get would have returned                             */
    uint32_t reserved;    /* 0, or the result is HF_ERR_ARGUMENT                              */
};

/*
 * Gets `count` keys, each as hf_get does; a few at a time, so that the memory of all of these is fetched at once. Worth while
 * where the store is larger than the processor's cache: independent keys of such a store cost less than half.
 *
 * Every request gets its own result, and its outputs as hf_get's: `value_len`, `meta` and the buffer say something on HF_OK and
 * HF_TRUNCATED only. They are read one after the other, and may be of different moments: the whole is no snapshot. Keys may be
 * equal; buffers may not overlap.
 *
 * Returns HF_OK if no request failed: HF_NOTFOUND and HF_TRUNCATED are answers. Otherwise the result of the first one that did
 * (below 0), for which hf_explain speaks; the others were done all the same. HF_ERR_ARGUMENT also if the store is NULL, or
 * `requests` is and `count` is not 0: then no request was touched.
 * Kill, fork, threads, signals: as hf_get; requests that were not reached keep the result they had.
 */
HF_CHECKED int hf_get_many(hf_store *store, struct hf_get_request *requests, size_t count);

/* HF_OK if the key is there, HF_NOTFOUND if not; `meta` may be NULL: meta->ttl_ms is what it has left to live. Otherwise as
 * hf_get. */
HF_CHECKED int hf_exists(hf_store *store, const void *key, size_t key_len, struct hf_meta *meta);

/* ---- Write -------------------------------------------------------------------------------------------------------------- */
/*
 * Every write takes one stripe's lock, repairing the stripe first if its last owner died, and commits by one 8-byte store.
 * Common results: HF_ERR_READONLY; HF_ERR_TIMEOUT: the lock was not free before the deadline; HF_ERR_REENTERED: see "Threads and
 * signals"; HF_ERR_QUARANTINED; HF_ERR_ARGUMENT: key_len is not 1 to HF_KEY_MAX, or an option is out of range;
 * HF_ERR_TOOBIG: the key is longer than hf_info.max_key, or the value than hf_info.max_value; HF_ERR_FULL: no room (the old value
 * stays). On every result but HF_OK nothing was changed, except by those that change many entries: they say so.
 * Times to live are in milliseconds from the call on; 0 is the store's default (hf_info.default_ttl_ms), HF_TTL_NEVER for ever.
 * Moments after the year 10889 are that year.
 * Kill: old value or new value. Fork: a child never holds its parent's locks. The caller's memory is read before the lock is
 * taken, so a bad pointer faults outside of it; memory that changes during the call gives an entry whose checksum is wrong.
 */

enum hf_condition {
    HF_ALWAYS = 0,
    HF_IF_ABSENT = 1,  /* else HF_EXISTS   */
    HF_IF_PRESENT = 2, /* else HF_NOTFOUND */
    HF_IF_VERSION = 3, /* else HF_CHANGED, or HF_NOTFOUND if the key is absent */
};

struct hf_put_options {
    size_t size;         /* sizeof(struct hf_put_options); HF_PUT_INIT sets it                            */
    uint64_t ttl_ms;     /* milliseconds to live; 0: the store's default; HF_TTL_NEVER: for ever          */
    uint64_t version;    /* with HF_IF_VERSION                                                            */
    uint32_t flags;      /* the user's, stored with the value                                             */
    uint32_t condition;  /* enum hf_condition                                                             */
    uint64_t expires_ms; /* in place of ttl_ms, the moment: milliseconds since 1970                       */
};
#define HF_PUT_INIT { sizeof(struct hf_put_options), 0, 0, 0, 0, 0 }

/* Stores a value. `options` and `version` may be NULL; *version is the entry's new version, on HF_OK. An entry that has expired
 * counts as absent. */
HF_CHECKED int hf_put(hf_store *store, const void *key, size_t key_len, const void *value, size_t value_len,
                      const struct hf_put_options *options, uint64_t *version);

/* One value of hf_put_many. Set the fields up to `options`, and `reserved` to 0. */
struct hf_put_request {
    const void *key;
    size_t key_len;    /* 1 to HF_KEY_MAX                                   */
    const void *value; /* may be NULL if value_len is 0                     */
    size_t value_len;  /* bytes                                             */
    const struct hf_put_options *options; /* may be NULL                    */
    uint64_t version;  /* out: as of hf_put                                 */
    int32_t result;    /* out: what hf_put would have returned              */
    uint32_t reserved; /* 0, or the result is HF_ERR_ARGUMENT               */
};

/*
 * Stores `count` values, each as hf_put does, each with its own condition. Requests are taken 64 at a time, and those of one
 * stripe together under one taking of its lock, so that a call with many keys to a stripe costs less than as many puts.
 *
 * Each put is atomic; the call is not: others see some of the values before the rest, in an order that is not told. Only puts of
 * equal keys keep their order. One that fails keeps none of the others from being done.
 * A lock is let go of after 16 puts at the latest, and after the first that brings the bytes of values stored under it to 64 KiB,
 * so that nobody waits much longer for it than for single puts. hf_options.timeout_ms is waited for a stripe once: when it is
 * over, further requests of that stripe find it free or fail at once.
 *
 * Every request gets its own result, and `version` on HF_OK. Returns HF_OK if no request failed: HF_EXISTS, HF_NOTFOUND and
 * HF_CHANGED, of conditions, are answers. Otherwise the result of the first one that did (below 0), in the order of the requests,
 * for which hf_explain speaks. HF_ERR_ARGUMENT also if the store is NULL, or `requests` is and `count` is not 0: then no request
 * was touched.
 * Kill: each key has its old or its new value; at most one put was cut off in its middle, and the recovery log tells about it;
 * results not yet written say nothing. Fork, threads, signals, the caller's memory: as hf_put; results and versions are written
 * while no lock is held. It allocates nothing, and needs 10 KiB of stack.
 */
HF_CHECKED int hf_put_many(hf_store *store, struct hf_put_request *requests, size_t count);

/* Deletes a key; with a version other than 0 only if the entry has that version. HF_NOTFOUND, HF_CHANGED. */
HF_CHECKED int hf_delete(hf_store *store, const void *key, size_t key_len, uint64_t version);

/* Gets a value as hf_get does and deletes it: of several takers exactly one gets it. HF_TRUNCATED: the buffer is too small, the
 * entry stays. */
HF_CHECKED int hf_take(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                       struct hf_meta *meta);

struct hf_incr_options {
    size_t size;        /* sizeof(struct hf_incr_options); HF_INCR_INIT sets it                   */
    int64_t initial;    /* what an absent key counts from                                         */
    uint64_t ttl_ms;    /* of an entry that this call makes, as in put. An entry keeps its own.   */
    uint32_t condition; /* HF_ALWAYS or HF_IF_PRESENT                                             */
    uint32_t reserved;
};
#define HF_INCR_INIT { sizeof(struct hf_incr_options), 0, 0, 0, 0 }

/* Adds `by` (which may be negative) to a counter, kept as decimal text (at most 20 bytes), so that hf_get and hf_put read and
 * write it as well. `options` and `result` may be NULL; *result is the sum, on HF_OK. HF_ERR_NUMBER: the value is no 64-bit
 * decimal number, or the sum would not be one. */
HF_CHECKED int hf_incr(hf_store *store, const void *key, size_t key_len, int64_t by, const struct hf_incr_options *options,
                       int64_t *result);

/* Appends to a value, or makes it, with the store's default time to live. Keeps an entry's expiry and flags. *value_len (may be
 * NULL) is the new length, on HF_OK. */
HF_CHECKED int hf_append(hf_store *store, const void *key, size_t key_len, const void *tail, size_t tail_len,
                         size_t *value_len);

/* Gives an entry a new time to live (0: the store's default). Value, flags and version stay. HF_NOTFOUND. */
HF_CHECKED int hf_touch(hf_store *store, const void *key, size_t key_len, uint64_t ttl_ms);

/* Deletes every entry, each atomically, stripe after stripe. A clear that is killed, or fails with HF_ERR_TIMEOUT, say, has
 * deleted some. */
HF_CHECKED int hf_clear(hf_store *store);

/* Removes every entry that has expired by now, so that its room is free at once; without it that happens as room is needed. Looks
 * at every entry, some thousand at a time under a stripe's lock. *count (may be NULL) is how many it removed, on HF_OK; one that
 * is killed, or fails, has removed some. */
HF_CHECKED int hf_expire(hf_store *store, uint64_t *count);

/* ---- Fill ---------------------------------------------------------------------------------------------------------------- */
/*
 * Single flight: of all threads and processes that miss a key at the same time one computes its value, and the others wait for
 * it. When that one is killed, a waiter takes over at once. What was computed is stored unless a put or delete of the key came
 * after the computation began, for then it may be out of date: so delete (or put) a key after changing what its value is computed
 * from, and no process will bring the old value back. A delete counts also where there is no such key (HF_NOTFOUND).
 *
 * "Nothing" can be cached, too: an entry that says that its key is absent, with a time to live of its own. For every other call
 * such a key is absent; only fills know the difference, and do not compute it again. It takes room as any entry, and hf_count
 * counts it.
 *
 * Who fills a key is settled by robust mutexes of their own, one of which is held while a function computes: never a stripe's.
 */

/* What a computation gives. */
struct hf_fill {
    const void *value; /* stays valid until `done` was called                                                            */
    size_t value_len;
    uint64_t ttl_ms;   /* as of hf_put_options                                                                           */
    uint32_t flags;    /* the user's                                                                                     */
    uint32_t absent;   /* 1: there is nothing under this key: remember that for ttl_ms. value_len is 0                   */
    void (*done)(struct hf_fill *fill); /* NULL: nothing to do. Called once the value is copied, also if fn failed       */
};

/* Computes the value of a key into *fill, which is zeroed before. HF_OK, or anything else, which is what hf_get_or_fill then
 * returns. No stripe is locked: it may take its time, fork, and use the store, also to fill other keys; those that others are
 * just filling it then computes without sharing, for it must not wait. It must not fill its own key, close the handle, or leave
 * by longjmp or a C++ exception; it may be cancelled (pthread_cancel), which lets others fill the key, but then `done` is not
 * called. */
typedef int hf_fill_fn(void *context, const void *key, size_t key_len, struct hf_fill *fill);

enum hf_fill_flags {
    HF_FILL_NOWAIT = 1, /* if another fills the key: HF_ERR_TIMEOUT at once                                              */
    HF_FILL_STALE = 2,  /* if another fills the key and an expired value is there: that one at once, with HF_STALE       */
};

struct hf_fill_options {
    size_t size;       /* sizeof(struct hf_fill_options); HF_FILL_INIT sets it                                           */
    uint32_t wait_ms;  /* the longest wait for another's fill. 0: hf_options.timeout_ms; HF_FOREVER: no deadline         */
    uint32_t lease_ms; /* hf_fill_begin: after so long others may fill the key. 0: 10,000                                */
    uint32_t early;    /* hf_get_or_fill: eagerness to fill anew before the value expires, percent, up to 100,000. 0: no */
    uint32_t flags;    /* enum hf_fill_flags                                                                             */
};
#define HF_FILL_INIT { sizeof(struct hf_fill_options), 0, 0, 0, 0 }

/*
 * Gets a value as hf_get does, or computes and stores it. `options` may be NULL; buffer, value_len and meta as of hf_get.
 *
 * early: a value that is about to expire is computed anew while it is still there, by a caller whom chance picks: with the
 * remaining time r and the duration d of the last fill, if r <= -ln(random) * d * early / 100. With 100 most values are renewed
 * by one caller shortly before they expire, and nobody waits. The others get the old value meanwhile; so does that caller if fn
 * fails.
 *
 * Results: HF_OK, HF_TRUNCATED as hf_get; meta->version 0: the value was computed but not stored, because a put or delete came
 * after the computation began, or there was no room. HF_STALE: as hf_get_stale, with HF_FILL_STALE. HF_NOTFOUND: fn said that
 * there is nothing, now (*meta tells as with HF_OK) or earlier. HF_ERR_TIMEOUT: another fills the key and was not done before
 * the deadline; or a lock, as of every write. HF_ERR_REENTERED: fn, or a signal handler that interrupted the fill, asked for the
 * key that is just filled. HF_ERR_READONLY: the value is not there, and this handle cannot store one. HF_ERR_TOOBIG,
 * HF_ERR_ARGUMENT: also if what fn gave cannot be a value. What fn returned, if not HF_OK: nothing is stored, and the next
 * waiter tries, so that what fails is asked by one at a time. Where two values in a row were computed but could not be stored,
 * those who wait compute without sharing.
 *
 * Kill: a filler that dies is replaced by a waiter at once; should that waiter die at the very moment when it is woken, by
 * another within 100 ms. A filler that is stopped delays the waiters until their deadline. Fork: a child that returns from fn
 * stores its value, but has no lock to give back. Threads: each call is a filler or waiter of its own. Signals: a handler that
 * asks for the key of the fill it interrupted gets HF_ERR_REENTERED, or waits for itself until the deadline. Cost of a hit: that
 * of hf_get.
 */
HF_CHECKED int hf_get_or_fill(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                              struct hf_meta *meta, hf_fill_fn *fn, void *context, const struct hf_fill_options *options);

/* The right to fill a key, for those who cannot use a function. Plain numbers: it may be copied, and handed to another thread or
 * process that has the store open. */
struct hf_lease {
    uint64_t key_hash;
    uint64_t horizon;
    uint64_t number;
    uint32_t lock;
    uint32_t reserved;
};

/* HF_OK: the caller is to compute the value, then hf_fill_publish or hf_fill_cancel it. HF_EXISTS: the value is there, get it;
 * HF_STALE (only with HF_FILL_STALE): another computes it, and an expired one is there: hf_get_stale;
 * HF_NOTFOUND: it is known that there is none. Else as hf_get_or_fill: waits while another fills the key, with a function or a
 * lease. A lease holds no lock: if its holder dies, others wait until it ends. If all fill locks of the key are taken by other
 * keys, the lease is not known to others, who may then get one, too. */
HF_CHECKED int hf_fill_begin(hf_store *store, const void *key, size_t key_len, const struct hf_fill_options *options,
                             struct hf_lease *lease);

/* Stores what was computed, and ends the lease. fill->done is not called. HF_CHANGED: a put or delete of the key came after
 * hf_fill_begin, or another's fill after the lease had ended, or a clear or a repair: nothing is stored. So it is if that is not
 * known any more: the lock of a lease that has ended may be another's, and then a stripe remembers its last 31 deletes only, and
 * that some entry was evicted, but not which. Else as hf_put; the lease has ended in any case, unless the arguments are refused.
 * `version` may be NULL. */
HF_CHECKED int hf_fill_publish(hf_store *store, const void *key, size_t key_len, const struct hf_fill *fill,
                               const struct hf_lease *lease, uint64_t *version);

/* Ends a lease: who waits for the key may fill it. */
HF_CHECKED int hf_fill_cancel(hf_store *store, const struct hf_lease *lease);

/* ---- Wait ---------------------------------------------------------------------------------------------------------------- */
/*
 * Who waits sleeps, and is woken by the writer. A writer killed between its commit and the waking takes the wake-up along; so
 * nobody sleeps longer than 250 ms without looking again. A read-only handle is woken by nobody and looks every 20 ms. Signals do
 * not end a wait. Kill, fork: a waiter leaves nothing behind but one needless wake-up. timeout_ms: milliseconds, 0: look once;
 * HF_FOREVER: no deadline.
 */

/* Waits until a key has another version than `seen` (0: is absent). HF_OK: it has; *meta (may be NULL) describes the entry, its
 * version is 0 if the key is absent: deleted, expired, evicted or never there. HF_UNCHANGED: the deadline has passed. Versions in
 * between may have come and gone: what is seen is the last one. Else as hf_get. */
HF_CHECKED int hf_wait(hf_store *store, const void *key, size_t key_len, uint64_t seen, uint32_t timeout_ms,
                       struct hf_meta *meta);

/* Where changes were seen. Start with HF_WATCH_INIT; hf_watch_free. One watch for one thread and store. */
struct hf_watch {
    uint64_t from; /* changes lie between these cursors of hf_scan, ... */
    uint64_t to;   /* ... the end not included                          */
    void *memory;
    uint32_t next;
    uint32_t reserved;
};
#define HF_WATCH_INIT { 0, 0, NULL, 0, 0 }

/* Waits until something in the store has changed that this watch has not seen, and tells where: HF_OK, and some key between the
 * cursors from and to was put, deleted, evicted or touched. Call again for further places. A new watch is told of every place
 * where there ever was an entry. Compare what hf_scan finds there with what it found before: changes of one key that follow
 * each other fast are one change, and the last state is never missed. That an entry expires is no change: look at
 * meta.expires_ms. HF_UNCHANGED: the deadline has passed. HF_ERR_MEMORY. While somebody watches with a handle that can write, a
 * write costs a system call more. */
HF_CHECKED int hf_wait_any(hf_store *store, struct hf_watch *watch, uint32_t timeout_ms);

/* Ends the watch's memory and makes it new. */
HF_API void hf_watch_free(struct hf_watch *watch);

/* ---- Scan and count ----------------------------------------------------------------------------------------------------- */

/* One entry, in memory that belongs to the item and is reused by the next hf_scan. Start with HF_ITEM_INIT; hf_item_free. */
struct hf_item {
    const void *key;
    const void *value; /* NULL with HF_SCAN_KEYS */
    size_t key_len;
    size_t value_len; /* 0 with HF_SCAN_KEYS; meta.value_len tells always */
    struct hf_meta meta;
    void *memory;
    size_t memory_size;
};
#define HF_ITEM_INIT { NULL, NULL, 0, 0, { 0, 0, 0, 0, 0 }, NULL, 0 }

enum hf_scan_flags { HF_SCAN_KEYS = 1 /* do not copy values */ };

/* Copies the next entry into *item. *cursor starts at 0 and may be kept, also across processes, and resumed; it costs nothing to
 * abandon. Guarantee H; entries put or deleted during the scan may or may not be seen; the order is that of the hash table.
 * Results: HF_OK; HF_END: no more; HF_ERR_BUSY, HF_ERR_TIMEOUT as hf_get (the cursor stays at that entry: try again, or add 1 to
 * skip it); HF_ERR_MEMORY. Takes no lock. */
HF_CHECKED int hf_scan(hf_store *store, uint64_t *cursor, uint32_t flags, struct hf_item *item);

/* Ends the item's memory and makes it new. */
HF_API void hf_item_free(struct hf_item *item);

/* The number of entries, in time proportional to the stripes. Entries that have expired count until their room is reused.
 * Takes no lock: what others write during the call may be counted or not. */
HF_CHECKED int hf_count(hf_store *store, uint64_t *count);

/* ---- Whole store -------------------------------------------------------------------------------------------------------- */

/* Called during long work with how much of `total` is done. No lock is held. */
typedef void hf_progress_fn(void *context, uint64_t done, uint64_t total);

/* Writes what the kernel holds of the store to its disk and waits for it (msync). */
HF_CHECKED int hf_sync(hf_store *store);

struct hf_copy_options {
    size_t size;        /* sizeof(struct hf_copy_options); HF_COPY_INIT sets it */
    uint32_t replace;   /* 1: rename over an existing file                      */
    uint32_t file_mode; /* 0: that of the store                                 */
    hf_progress_fn *progress;
    void *context;
};
#define HF_COPY_INIT { sizeof(struct hf_copy_options), 0, 0, NULL, NULL }

/* Makes a snapshot of the whole store, as it was at one moment, in a new file at `path`: complete, fsynced, then linked or
 * renamed into place; killed at any moment it leaves nothing under that name. All stripes are locked while the store is copied
 * into memory, of which it needs as much as the store is large; readers go on. `options` may be NULL.
 * Results: HF_OK; HF_EXISTS: there is such a file (replace is 0); HF_ERR_READONLY: needs a handle that can lock;
 * HF_ERR_MEMORY; HF_ERR_TIMEOUT; HF_ERR_SYSTEM. */
HF_CHECKED int hf_copy(hf_store *store, const char *path, const struct hf_copy_options *options);

/* The invariants that hf_check tests. */
#define HF_INVARIANTS(X) \
    X(HF_I1_RANGE, 1, "the slot's blocks lie in the heap of its stripe") \
    X(HF_I2_SLOT, 2, "the entry names the slot that names it") \
    X(HF_I3_LENGTH, 3, "key and value have valid lengths that fill the slot's blocks") \
    X(HF_I4_HASH, 4, "the key hashes to this stripe, bucket chain and tag") \
    X(HF_I5_CHECKSUM, 5, "the checksum fits") \
    X(HF_I6_OVERLAP, 6, "no two entries share a block") \
    X(HF_I7_UNIQUE, 7, "no key stands in two slots") \
    X(HF_I8_USED, 8, "the used map marks the blocks of entries and no others") \
    X(HF_I9_FIRST, 9, "the first-block map marks the first blocks of entries and no others") \
    X(HF_I10_OVERFLOW, 10, "a bucket's overflow count is the number of entries that passed over it") \
    X(HF_I11_COUNTERS, 11, "the stripe's counters are those of its entries") \
    X(HF_I12_STAMP, 12, "every stamp and version is below the stripe's next one") \
    X(HF_I13_RESERVE, 13, "the reserve is a free run, as large as the largest entry (store mode)") \
    X(HF_I14_IDLE, 14, "no operation is in flight in a stripe whose lock is held by the checker") \
    X(HF_I15_SUPERBLOCK, 15, "the superblock in the file is the one that was opened") \
    X(HF_I16_QUARANTINE, 16, "the stripe is not in quarantine")

#define HF_INVARIANT_ENUM(name, value, text) name = value,
enum hf_invariant { HF_INVARIANTS(HF_INVARIANT_ENUM) };
#undef HF_INVARIANT_ENUM

/* The sentence of an invariant; "unknown" for other values. Static. */
HF_API const char *hf_invariant_text(uint32_t invariant);

struct hf_violation {
    uint32_t invariant; /* enum hf_invariant                                    */
    uint32_t stripe;
    uint64_t position;  /* the slot, bucket or block it is about, in the store  */
};

/* hf_check calls this while it holds no lock; at most 64 violations of a stripe are told one by one, all are counted. */
typedef void hf_violation_fn(void *context, const struct hf_violation *violation);

struct hf_check_options {
    size_t size; /* sizeof(struct hf_check_options); HF_CHECK_INIT sets it */
    hf_violation_fn *violation;
    hf_progress_fn *progress;
    void *context;
};
#define HF_CHECK_INIT { sizeof(struct hf_check_options), NULL, NULL, NULL }

struct hf_report {
    uint64_t entries;    /* sound entries that were seen                    */
    uint64_t violations; /* hf_check                                        */
    uint64_t dropped;    /* hf_repair: entries that were not sound          */
    uint64_t bytes;      /* of keys and values of the sound entries         */
};

/* Tests every invariant of every stripe, one stripe at a time under its lock; changes nothing (but taking the lock of a stripe
 * whose owner died repairs it, as every write does). A read-only handle cannot lock and tests what a reader relies on: I1 to I5
 * of every entry and I15. `options` and `report` may be NULL.
 * Results: HF_OK: sound. HF_DAMAGED: not. HF_ERR_TIMEOUT, HF_ERR_BUSY. */
HF_CHECKED int hf_check(hf_store *store, const struct hf_check_options *options, struct hf_report *report);

/* Verifies every entry with its checksum, drops those that are not sound, rebuilds everything that is derived, ends a
 * quarantine. Stripe after stripe under its lock; safe while others work. Each stripe is written into the recovery log. */
HF_CHECKED int hf_repair(hf_store *store, struct hf_report *report);

/* ---- Information -------------------------------------------------------------------------------------------------------- */

struct hf_info {
    size_t size;           /* sizeof(struct hf_info); HF_INFO_INIT sets it               */
    uint64_t store_id;     /* random, of this store                                      */
    uint64_t created_ms;   /* milliseconds since 1970                                    */
    uint64_t file_size;    /* bytes                                                      */
    uint64_t entries;      /* the promise of guarantee I: so many entries ...            */
    uint32_t entry_size;   /* ... of up to so many bytes of key (in eights) and value    */
    uint32_t max_value;    /* bytes                                                      */
    uint32_t mode;         /* enum hf_mode                                               */
    uint32_t stripes;
    uint32_t format;       /* version of the file format                                 */
    uint32_t block_size;   /* bytes                                                      */
    uint64_t blocks;       /* of the heap                                                */
    uint64_t buckets;      /* of the index, 7 slots each                                 */
    uint32_t readonly;     /* 1: this handle                                             */
    uint32_t detached;     /* 1: the file was deleted or replaced under its name         */
    uint32_t unverified;   /* 1: no writer is known to have verified the image since a machine crash */
    uint32_t unfinished;   /* stripes whose last writer left an operation unfinished, or is inside one now */
    char libc[16];         /* "glibc" or "musl": the C library of its writers            */
    uint64_t default_ttl_ms; /* the time to live of entries written with 0; 0: for ever  */
    uint32_t max_key;      /* bytes of the longest key                                   */
    uint32_t small_bytes;  /* mode cache: of each stripe's heap, the small ring          */
};
#define HF_INFO_INIT { sizeof(struct hf_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { 0 }, 0, 0, 0 }

/* What the store is. Reads a few words; takes no lock. (C++ has a function and a struct of this name, as of hf_stats: write
 * `struct hf_info`.) */
HF_CHECKED int hf_info(hf_store *store, struct hf_info *info);

/*
 * Counters of a store, over all processes that ever used it. They are kept in the file, copied by hf_copy, and never fall.
 *
 * Writes, evictions, recoveries and the like are counted under the stripes' locks by who did the work: exact except for what
 * a killed process was doing.
 *
 * Reads are counted without a lock, and a read writes no memory that two threads share: a thread keeps what it counts to itself,
 * and hands it in after 1 to 256 hits, or misses, so many that this happens about once a second or more often. It also does when
 * it ends, calls hf_stats or exit(), and when the last handle of the store in its process is closed. So of each thread at
 * most 255 hits and 255 misses are missing in what other processes see, and are lost if its process is killed, calls _exit or
 * execve, or calls exit() in another thread. A forked child does not hand in what its parent has counted. (Of the sixteenth and
 * further stores that a process has open at the same time every read is handed in at once.)
 *
 * A read-only handle writes nothing, so others never see its reads; its own hf_stats adds them.
 */
#define HF_GAUGES(X) \
    X(entries, "entries in the store, expired ones included until their room is reused") \
    X(used_bytes, "bytes of the heap in use") \
    X(free_bytes, "bytes of the heap that are free")

#define HF_COUNTERS(X) \
    X(hits, "reads that found a value: get, exists and take") \
    X(misses, "reads that found none") \
    X(stale_hits, "reads that returned an expired value on request") \
    X(fills, "values computed by hf_get_or_fill, and leases given by hf_fill_begin") \
    X(fill_waits, "calls of these that waited for another's value") \
    X(puts, "values stored, by put, incr, append and touch") \
    X(deletes, "entries deleted, by delete, take and clear") \
    X(evictions, "entries evicted to make room (cache mode)") \
    X(evictions_small, "of them, new entries that were hardly read") \
    X(evictions_slot, "of them, entries evicted because the index had no slot for a key") \
    X(expirations, "expired entries whose room was reused") \
    X(moves, "entries moved to make room") \
    X(promotions, "of them, new entries that were read and so stay longer (cache mode)") \
    X(refusals, "writes refused because the stripe was full") \
    X(recoveries, "recoveries of a stripe") \
    X(dropped, "entries dropped by recoveries") \
    X(contended, "locks that had to be waited for") \
    X(read_retries, "reads begun anew because the entry changed meanwhile")

#define HF_STATS(X) HF_GAUGES(X) HF_COUNTERS(X)

struct hf_stats {
    size_t size; /* sizeof(struct hf_stats); HF_STATS_INIT sets it */
#define HF_STATS_FIELD(name, text) uint64_t name;
    HF_STATS(HF_STATS_FIELD)
#undef HF_STATS_FIELD
};
#define HF_STATS_ZERO(name, text) , 0
#define HF_STATS_INIT { sizeof(struct hf_stats) HF_STATS(HF_STATS_ZERO) }

/* Sums the counters of all stripes and what was counted without a lock; takes no lock, so sums taken while others write may be a
 * moment apart. First hands in what the calling thread has counted. */
HF_CHECKED int hf_stats(hf_store *store, struct hf_stats *stats);

/* The same of one stripe, from 0 to hf_info.stripes - 1: what is counted without a lock belongs to none and is 0 here. Makes no
 * system call. HF_ERR_ARGUMENT: there is no such stripe. */
HF_CHECKED int hf_stats_stripe(hf_store *store, uint32_t stripe, struct hf_stats *stats);

#define HF_LOCK_KINDS(X) \
    X(HF_LOCK_STRIPE, 1, "stripe") /* of a write                                                             */ \
    X(HF_LOCK_FILL, 2, "fill")     /* of a function that computes a value (hf_get_or_fill)                   */ \
    X(HF_LOCK_LEASE, 3, "lease")   /* of one who computes without holding a lock (hf_fill_begin)             */

#define HF_LOCK_STATES(X) \
    X(HF_LOCK_HELD, 1, "held")             /* by `thread`, which may be running, stopped or, for a moment, dead           */ \
    X(HF_LOCK_LEFT, 2, "left")             /* its owner died: who locks next repairs, or computes                         */ \
    X(HF_LOCK_UNFINISHED, 3, "unfinished") /* free, but an operation was never ended: the first writer repairs            */

#define HF_NAMED_ENUM(name, value, text) name = value,
enum hf_lock_kind { HF_LOCK_KINDS(HF_NAMED_ENUM) };
enum hf_lock_state { HF_LOCK_STATES(HF_NAMED_ENUM) };
#undef HF_NAMED_ENUM

struct hf_lock {
    uint32_t kind;      /* enum hf_lock_kind                                                         */
    uint32_t number;    /* which of its kind                                                         */
    uint32_t state;     /* enum hf_lock_state                                                        */
    uint32_t thread;    /* HF_LOCK_HELD: the thread's id, as gettid() tells it to itself; else, and of a lease, 0 */
    uint32_t pid;       /* the process that began the operation in flight, or the fill; 0: none is   */
    uint32_t operation; /* enum hf_operation                                                         */
    uint32_t step;      /* how far it has come; see hf_step_name                                     */
    uint32_t waited;    /* 1: somebody sleeps until it is free. Of a lease it is not known: 0        */
    uint64_t key_hash;  /* the store's hash of the key in flight, or filled; 0: none                 */
    uint32_t foreign;   /* 1: the ids are not known to be those of the caller's PID namespace        */
    uint32_t stripe;    /* the one that is locked, or that of the key                                */
    uint64_t held_ms;   /* a fill or lease: for how long. Of a stripe it is not known: 0             */
    uint64_t left_ms;   /* a lease: until it ends; else 0                                            */
};

/* Who holds which lock at this moment, or left it: those of stripes first, then those of fills, by number. Copies at most `size`
 * of them; *count is how many there are (mostly 0, unless values are computed: a write holds its lock for less than a
 * microsecond). Since when a stripe is locked is not known, for writers would pay for it. A value that is computed without
 * sharing (see hf_get_or_fill, hf_fill_begin) has no lock. What was left by a filler that died stays until a fill takes that
 * lock, and is in nobody's way. A lease is its holder's, dead or alive, until it ends. Reads some words of each lock and takes
 * none, so it never waits, works with a read-only handle, and what it tells of one lock may be a moment apart. HF_ERR_ABI: only
 * programs with the writers' C library and word size can read their locks. */
HF_CHECKED int hf_locks(hf_store *store, struct hf_lock *locks, size_t size, size_t *count);

/* Copies the latest recoveries, oldest first, at most `size` of them; the store keeps the last 256. *count is their number. */
HF_CHECKED int hf_recoveries(hf_store *store, struct hf_recovery *recoveries, size_t size, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
