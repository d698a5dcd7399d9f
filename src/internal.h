/* SPDX-License-Identifier: MIT */
#ifndef HF_INTERNAL_H
#define HF_INTERNAL_H
/*
 * The floor plan: what each room offers the others, in the order of the data flow. README.md beside this file draws it.
 */
#include "hash.h"

#include <errno.h>
#include <sys/types.h>

struct hf_store {
    struct hf__region *region;
    uint32_t timeout_ms;
    hf_log_fn *log;
    void *log_context;
};

/* error.c: remembers a sentence for hf_explain, keeps errno. The results stand here, so that compilers and checkers see them. */
void hf__say(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define hf__fail(result, ...) (hf__say(__VA_ARGS__), (int)(result))
static inline int hf__fail_errno(const char *what) {
    hf__say("%s: %m", what); /* %m, because strerror may answer from memory that threads share */
    return errno == ENOMEM ? HF_ERR_MEMORY : HF_ERR_SYSTEM;
}
/* ... the sentence of hf_result_text, for the failures of get and put; answers (0 and above) pass through. */
static inline int hf__result(int result) {
    if (result < 0)
        hf__say("%s", hf_result_text(result));
    return result;
}

/* options.c: copies a sized struct of the caller into ours, zero-filled; false if a byte we do not know is set. */
bool hf__sized(void *ours, size_t our_size, const void *theirs);
int hf__options_check(struct hf_options *options, const struct hf_options *theirs);

/* geometry.c */
int hf__geometry_make(struct hf__geometry *geometry, const struct hf_options *options);
int hf__geometry_check(const struct hf__geometry *geometry);
void hf__geometry_parts(struct hf__geometry *geometry); /* from counts to offsets and file size */

/* superblock.c */
int hf__superblock_make(struct hf__superblock *superblock, const struct hf__geometry *geometry);
int hf__superblock_check(const struct hf__superblock *superblock, uint64_t file_size, bool *readonly);
bool hf__superblock_ours(const struct hf__superblock *superblock); /* its writers use our C library and word size */
int hf__superblock_renew(struct hf__superblock *superblock); /* a new store id and time */

/* file.c: a file that appears under its name only when it is complete. */
struct hf__new_file {
    int fd;
    char *path;
    char *temporary; /* NULL: it has no name at all yet */
};
int hf__file_begin(struct hf__new_file *file, const char *path, uint32_t mode);
int hf__file_allocate(int fd, uint64_t size);
int hf__file_allocate_new(int fd, uint64_t size); /* in large pages where they can be had; nobody else has the file */
int hf__file_commit(struct hf__new_file *file, bool replace);
void hf__file_abandon(struct hf__new_file *file);
int hf__file_system_check(int fd);
int hf__file_mode(int fd, uint32_t *mode); /* permissions */
/* As open, pread from the start, msync, and fsync, begun anew when a signal interrupts them. */
int hf__file_open(const char *path, int flags, uint32_t mode);
ssize_t hf__file_read(int fd, void *buffer, size_t size);
int hf__file_sync(void *address, size_t size);
int hf__file_fsync(int fd);

/* create.c */
int hf__format(int fd, const struct hf__geometry *geometry);
int hf__create(const char *path, const struct hf_options *options);
int hf__create_in(int fd, const struct hf_options *options); /* unless somebody else has made it */

/* identity.c: who and where we are. */
struct hf__identity {
    uint64_t boot_id[2];
    uint64_t device, inode, birth;
    uint64_t namespace_device, namespace_inode;
};
int hf__identity_of(int fd, struct hf__identity *identity);
bool hf__identity_matches(const struct hf__identity *identity, const struct hf__live *live);
uint64_t hf__now_ms(void); /* CLOCK_REALTIME, below HF__EXPIRY_MAX */
uint64_t hf__monotonic_us(void);
bool hf__random(uint64_t *value); /* false, with errno: the kernel gives none */
extern uint32_t hf__pid; /* of this process, also after a fork */

/* attach.c: the election of the first writer. */
int hf__attach(struct hf__region *region, uint32_t timeout_ms);
int hf__file_lock(int fd, short type); /* 0, or errno */
void hf__pause(void);                  /* between two attempts */

/* lock.c: the only door to a stripe. */
struct hf__hold {
    struct hf_store *store;
    uint32_t stripe;
    bool recovered;
    uint32_t wake; /* hf__release: who waits for what was changed */
    struct hf_recovery recovery;
};
void hf__lock_init(struct hf__stripe *stripe);
int hf__lock(struct hf_store *store, uint32_t stripe, uint32_t timeout_ms, struct hf__hold *hold);
int hf__lock_any(struct hf_store *store, uint32_t stripe, uint32_t timeout_ms, struct hf__hold *hold); /* quarantined, too */
void hf__release(struct hf__hold *hold);
void hf__tell(const struct hf__hold *hold); /* waiters and the log, when nothing is held any more */
void hf__unlock(struct hf__hold *hold);     /* both */
bool hf__locks_held(const struct hf__region *region);
/* Robust mutexes of other kinds, one at a time. */
void hf__robust_init(pthread_mutex_t *mutex);
int hf__robust_try(pthread_mutex_t *mutex); /* as pthread_mutex_trylock */
uint32_t *hf__robust_word(pthread_mutex_t *mutex); /* as the kernel reads it: futex(2) */
bool hf__robust_held(uint32_t word);               /* by a living thread, for all that is known */
bool hf__robust_orphaned(pthread_mutex_t *mutex);
#define HF__FUTEX_WAITS 0x80000000u
#define HF__FUTEX_DIED 0x40000000u
#define HF__FUTEX_THREAD 0x3fffffffu

/* wait.c: who waits for changes. A key has one of 31 bits; bit 0 is the whole store. */
#define HF__EVERY_KEY UINT32_MAX
static inline uint32_t hf__bit_of(uint64_t key_hash) {
    return 2u << ((key_hash & 0xffff) * 31 >> 16);
}
/* Under the lock, after the commit: keys with these bits have another version, or are no more. */
static inline void hf__changed(const struct hf__region *region, uint32_t stripe, uint32_t bits) {
    struct hf__stripe *header = hf__stripe_at(region, stripe);
    if (!HF_PLANTED(CHANGE_UNCOUNTED))
        hf__publish32(&header->change, hf__load32(&header->change) + 1);
    region->held[stripe] |= bits;
}
void hf__wake(const struct hf__region *region, uint32_t stripe, uint32_t bits);
/* Until the word is not `seen`, somebody wakes one of the bits, or a moment of hf__monotonic_us; or less long. */
void hf__sleep_on(uint32_t *word, uint32_t seen, uint32_t bits, uint64_t until_us);
void hf__wake_all(uint32_t *word, uint32_t bits);
uint64_t hf__deadline(uint32_t timeout_ms); /* as a moment of hf__monotonic_us */

/* guard.c: may a value be stored that was computed from what was known when the stripe's stamps stood at `horizon`? */
void hf__tomb(const struct hf__region *region, const struct hf__place *place); /* a delete is about to be committed */
void hf__note_drop(const struct hf__region *region, const struct hf__place *place, uint64_t version); /* ... a drop */
void hf__tomb_all(const struct hf__region *region, uint32_t stripe);
uint64_t hf__horizon(const struct hf__region *region, uint32_t stripe);

/* fill_lock.c: one filler a key. */
struct hf__claim {
    struct hf_store *store;
    struct hf__place place;
    struct hf__fill *fill; /* NULL: all four locks of this key are taken by other keys: compute without sharing */
    uint64_t horizon;
    uint32_t pid; /* who claimed: a forked child did not */
};
void hf__fill_init(struct hf__fill *fill);
int hf__fill_claim(struct hf_store *store, const struct hf__place *place, struct hf__claim *claim); /* HF_ERR_BUSY: another has */
bool hf__fill_is_own(const struct hf__claim *claim); /* of this thread, when it was busy */
void hf__fill_wait(const struct hf__claim *claim, uint64_t until_us);
void hf__fill_release(struct hf__claim *claim);
void hf__fill_unstored(struct hf__fill *fill); /* NULL: no lock, and nobody waits */
/* Under the stripe's lock: a write of this version or stamp goes, of which guard.c has to know. */
void hf__fill_overtake(const struct hf__region *region, const struct hf__place *place, uint64_t version);
/* ... Is the claim of that horizon still the key's latest? Then *overtaken says all about it. */
bool hf__fill_known(const struct hf__region *region, const struct hf__place *place, uint64_t horizon, bool *overtaken);
struct hf__fill *hf__fill_of(const struct hf__region *region, uint64_t key_hash); /* the first of its four */
bool hf__fill_leased(struct hf__fill *fill, uint64_t now_us);
uint64_t hf__fill_lease(struct hf__claim *claim, uint32_t lease_ms); /* in place of the lock */
void hf__fill_lease_end(struct hf__fill *fill, uint64_t lease);

/* recover.c */
enum hf__recover_how { HF__RECOVER_DERIVED, HF__RECOVER_VERIFY };
uint32_t hf__recover(const struct hf__region *region, uint32_t stripe, enum hf__recover_how how); /* entries dropped */
void hf__recover_logged(const struct hf__region *region, uint32_t stripe, enum hf_cause cause, struct hf_recovery *recovery);

/* ring.c */
void hf__ring_append(const struct hf__region *region, struct hf_recovery *recovery);

/* maps.c: the block maps of a locked stripe. Blocks count within the stripe. */
#define HF__NONE UINT32_MAX
/* An entry of so many blocks has gone, and one of `left` taken its place. */
static inline void hf__loosen(struct hf__stripe *header, const struct hf__region *region, uint32_t blocks, uint32_t left) {
    if (!region->evicts && blocks >= header->largest && left < blocks && !HF_PLANTED(LARGEST_STAYS))
        header->loose = 1;
}
uint32_t hf__next_used(const struct hf__region *region, uint32_t stripe, uint32_t from, uint32_t limit);
uint32_t hf__next_free(const struct hf__region *region, uint32_t stripe, uint32_t from, uint32_t limit);
uint32_t hf__next_entry(const struct hf__region *region, uint32_t stripe, uint32_t from, uint32_t limit);
uint32_t hf__previous_entry(const struct hf__region *region, uint32_t stripe, uint32_t before);
struct hf__range {
    uint32_t at, len;
};
uint32_t hf__find_hole(const struct hf__region *region, uint32_t stripe, uint32_t blocks, uint32_t words, struct hf__range avoid);
uint32_t hf__small_hole(const struct hf__region *region, uint32_t stripe, uint32_t blocks, uint32_t words,
                        struct hf__range avoid);
/* The hole that was left last, if it lies in a part of the heap and is as long as wanted: its lines are still in the processor's
 * cache. No reader pays for it: who is reading what was there has to read again anyway. Shorter entries do not get it: the rests
 * would be of use to none. HF__NONE. */
uint32_t hf__last_hole(const struct hf__region *region, uint32_t stripe, uint32_t blocks, struct hf__range part,
                       struct hf__range avoid);
void hf__leave_hole(const struct hf__region *region, uint32_t stripe, const struct hf__view *view); /* where that entry was */
void hf__fetch_room(const struct hf__region *region, uint32_t stripe, uint32_t blocks); /* starts to fetch one; no lock needed */
struct hf__range hf__longest_hole(const struct hf__region *region, uint32_t stripe);
void hf__mark(const struct hf__region *region, uint32_t stripe, uint32_t at, uint32_t blocks);
void hf__unmark(const struct hf__region *region, uint32_t stripe, uint32_t at, uint32_t blocks);
bool hf__claim(const struct hf__region *region, uint32_t stripe, uint32_t at, uint32_t blocks);
bool hf__all_free(const struct hf__region *region, uint32_t stripe, uint32_t at, uint32_t blocks);

/* record.c: what the holder of a lock is doing. */
void hf__record_set(struct hf__stripe *stripe, enum hf_operation operation, uint64_t key_hash);
void hf__record_clear(struct hf__stripe *stripe);
static inline void hf__step(struct hf__stripe *stripe, enum hf__step step) {
    hf__in_order();
    hf__store32(&stripe->record.step, step);
    hf__in_order();
    HF_POINT(hf_step_name(step));
}

/* Starts to fetch what a write will touch first: a write that waits for one line after the other takes twice as long. Of the
 * header the lines that every write changes. */
static inline void hf__fetch_place(const struct hf__region *region, const struct hf__place *place) {
    const char *header = (const char *)hf__stripe_at(region, place->stripe);
    hf__fetch_own(header);
    hf__fetch_own(header + offsetof(struct hf__stripe, record));
    hf__fetch(hf__bucket_at(region, place->stripe, place->home));
}

/* table.c: find, publish and empty slots of a locked stripe. */
struct hf__spot {
    uint32_t slot;   /* of the store; HF__NO_SLOT: the key is absent and there is no free slot */
    uint32_t passed; /* full buckets between its home and its slot                             */
    uint64_t word;   /* 0: the key is absent                                                   */
    uint64_t *at;    /* where the word stands; hf__find tells it                               */
    struct hf__view view;
};
void hf__find(const struct hf__region *region, const struct hf__place *place, const void *key, size_t key_len,
              struct hf__spot *spot);
/* The entry that most likely has the key: of the home bucket the first with its tag. False: there is none. */
struct hf__likely {
    uint32_t slot; /* of the store */
    uint32_t at;   /* its first block, within the stripe */
    uint32_t blocks;
};
bool hf__likely(const struct hf__region *region, const struct hf__place *place, struct hf__likely *likely);
void hf__fetch_likely(const struct hf__region *region, uint32_t stripe, const struct hf__likely *likely); /* to replace it */
void hf__pass(const struct hf__region *region, const struct hf__place *place, uint32_t passed);
void hf__unpass(const struct hf__region *region, const struct hf__place *place, uint32_t passed);
/* As a delete's commit (HF__STEP_PUBLISHED), or to make room (HF__STEP_DROP). */
void hf__unlink(const struct hf__region *region, const struct hf__place *place, const struct hf__spot *spot,
                enum hf__step emptied);
/* What a slot of the stripe, or the word that was loaded from it, holds: an entry which names the slot, and whose key belongs
 * there; else false. */
bool hf__spot_of_slot(const struct hf__region *region, uint32_t stripe, uint32_t slot, struct hf__spot *spot,
                      struct hf__place *place);
bool hf__spot_of_word(const struct hf__region *region, uint32_t stripe, uint32_t bucket, uint32_t slot, uint64_t word,
                      struct hf__spot *spot, struct hf__place *place);
bool hf__spot_of_block(const struct hf__region *region, uint32_t stripe, uint32_t at, struct hf__spot *spot,
                       struct hf__place *place);

/* entry.c: writing entries into free blocks of a locked stripe. */
uint64_t hf__next_stamp(struct hf__stripe *stripe);
void hf__move(const struct hf__region *region, uint32_t stripe, const struct hf__spot *spot, uint32_t to);

/* room.c: free blocks for a new entry, by the rules of the store's mode. `own` is the slot of the entry it will replace. */
struct hf__need {
    uint32_t blocks;
    uint32_t replaces; /* blocks of the entry that goes; 0: none */
    uint32_t own;      /* its slot, or HF__NO_SLOT               */
    bool stays;        /* it may not be evicted for the new one  */
    const struct hf__place *place;
    uint64_t *now_ms; /* 0: not asked yet, as hf__expired takes it */
};
uint32_t hf__room(const struct hf__region *region, uint32_t stripe, const struct hf__need *need); /* HF__NONE: full */
/* ... for one that replaces an entry of as many blocks, the first of which is `old`: where nothing has to make room. */
uint32_t hf__room_at_hand(const struct hf__region *region, uint32_t stripe, uint32_t blocks, uint32_t old);
bool hf__room_slot(const struct hf__region *region, const struct hf__place *place, uint64_t *now_ms); /* empties one */
uint32_t hf__expire(const struct hf__region *region, uint32_t stripe, uint32_t own, uint64_t *now_ms);
bool hf__due(const struct hf__stripe *header, uint64_t *now_ms); /* may anybody have expired? */
uint32_t hf__expire_slots(const struct hf__region *region, uint32_t stripe, struct hf__range slots, uint32_t own,
                          uint64_t *now_ms, uint64_t *next);

/* compact.c (mode store), small.c (mode cache) */
uint32_t hf__compact_room(const struct hf__region *region, uint32_t stripe, const struct hf__need *need);
uint32_t hf__evict_room(const struct hf__region *region, uint32_t stripe, const struct hf__need *need);
struct hf__range hf__ring_next(const struct hf__region *region, uint32_t stripe); /* the hole before the hand: its turn is next */

/* evict.c: the main region. A hole that is found quickly, or blocks that are made free; HF__NONE. */
uint32_t hf__main_hole(const struct hf__region *region, uint32_t stripe, uint32_t blocks);
uint32_t hf__main_room(const struct hf__region *region, uint32_t stripe, const struct hf__need *need, uint32_t blocks);
void hf__evict_slot(const struct hf__region *region, const struct hf__place *place);
void hf__chill(const struct hf__region *region, uint32_t slot); /* no heat */

/* ghost.c: whether a key left the small ring not long ago. */
void hf__ghost_put(const struct hf__region *region, const struct hf__place *place);
bool hf__ghost_take(const struct hf__region *region, const struct hf__place *place); /* ... and forgets it */

/* write.c: a write from lock to unlock. */
struct hf__write {
    struct hf_store *store;
    struct hf__region *region;
    struct hf__stripe *stripe;
    struct hf__place place;
    const void *key;
    uint32_t key_len;
    uint32_t blocks; /* that a put's entry will have; 0: not known */
    uint64_t now_ms; /* 0: not asked yet */
    enum hf_operation operation;
    struct hf__hold hold;
    struct hf__spot spot; /* word 0: the key is absent, or has expired and was removed */
    struct {
        uint32_t at; /* within the stripe; HF__NONE: there is none */
        uint32_t blocks;
        struct hf__entry header;
    } draft; /* an entry that is written, and not published yet */
};
struct hf__content {
    const void *data;
    uint32_t len;
    bool keep;        /* the value is the old value, then data */
    uint32_t body;    /* its hash, unless keep                 */
    uint64_t version; /* 0: a new one                          */
    uint64_t expiry;
    uint32_t flags;
    bool absent; /* says that there is nothing under the key */
    bool plain;  /* stored whatever was there: if nothing else makes room, the old entry is evicted first. What depends on
                  * the old entry may not do that: a reader would find the key absent between two values of it         */
};
int hf__value_check(const struct hf_store *store, const void *value, size_t value_len);
int hf__write_prepare(struct hf__write *write, struct hf_store *store, enum hf_operation operation, const void *key,
                      size_t key_len); /* checks and locates */
int hf__write_lock(struct hf__write *write);  /* locks and enters */
void hf__write_find(struct hf__write *write); /* tells the spot   */
/* ... all of them. */
int hf__write_begin(struct hf__write *write, struct hf_store *store, enum hf_operation operation, const void *key,
                    size_t key_len);
/* Before the find: writes the content where it will most likely be wanted, if it is. It may not depend on what it replaces. */
void hf__write_ahead(struct hf__write *write, const struct hf__content *content);
int hf__write_content(struct hf__write *write, const struct hf__content *content, uint64_t *version); /* ... and publishes it */
void hf__write_delete(struct hf__write *write);
int hf__write_end(struct hf__write *write, int result);
/* What lock and end do with the lock held: for several writes under one lock. */
void hf__write_enter(struct hf__write *write);
void hf__write_leave(struct hf__write *write);
uint64_t hf__ttl_of(const struct hf__region *region, uint64_t ttl_ms); /* 0: for ever, and no longer the store's default */
uint64_t hf__expiry_of(const struct hf__region *region, uint64_t ttl_ms); /* the moment of a user's ttl_ms */

int hf__guard(const struct hf__write *write, uint64_t horizon); /* guard.c: HF_OK, or HF_CHANGED */

/* put.c: a put, ready but for the lock; and, entered, what it does. */
struct hf__put {
    struct hf__content content;
    uint64_t ttl_ms;
    uint64_t expires_ms; /* 0: ttl_ms tells */
    uint64_t wanted; /* version, with HF_IF_VERSION */
    uint32_t condition;
};
int hf__put_prepare(struct hf__write *write, struct hf__put *put, struct hf_store *store, const void *key, size_t key_len,
                    const void *value, size_t value_len, const struct hf_put_options *options);
int hf__put_entered(struct hf__write *write, struct hf__put *put, uint64_t *version);

/* read.c */
bool hf__expired(uint64_t expiry, uint64_t *now_ms); /* asks the clock if *now_ms is 0 and it matters */
int hf__key_check(const struct hf_store *store, const void *key, size_t key_len);
void hf__meta_of(const struct hf__view *view, uint64_t now_ms, struct hf_meta *meta);
/* As hf_get, which counts what it returns: HF_OK and HF_TRUNCATED as a hit, HF_NOTFOUND as a miss. */
int hf__get(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len, struct hf_meta *meta);
/* ... HF_NOTFOUND and *absent: an entry says so. */
int hf__get_known(hf_store *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len,
                  struct hf_meta *meta, bool *absent);
int hf__counted(const hf_store *store, int result);
/* Calls attempt until it returns something else than HF_ERR_BUSY: lock-free at first, then between slices under the lock. */
typedef int hf__attempt_fn(struct hf_store *store, void *context);
int hf__read_stable(struct hf_store *store, uint32_t stripe, hf__attempt_fn *attempt, void *context);

#ifdef HF_TEST
/* An anonymous store of one stripe with exactly so many buckets and blocks. */
int hf__open_tiny(hf_store **store, uint32_t buckets, uint32_t blocks, uint32_t mode);
#endif

#endif
