/* SPDX-License-Identifier: MIT */
#ifndef HF_ATOMICS_H
#define HF_ATOMICS_H
/*
 * The only place that names a memory order. Shared memory that a reader may load while a writer stores to it goes through here.
 *
 * Bodies of entries are copied with memcpy: a torn copy is found out by the validation that follows it (read.h). That is a data
 * race in the letter of C11, so under ThreadSanitizer, which checks the letter, they are copied as relaxed atomic words.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hf__load(const uint64_t *at) {
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static inline uint32_t hf__load32(const uint32_t *at) {
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static inline uint64_t hf__observe(const uint64_t *at) {
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline uint32_t hf__observe32(const uint32_t *at) {
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline void hf__store(uint64_t *at, uint64_t value) {
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static inline void hf__store32(uint32_t *at, uint32_t value) {
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static inline void hf__publish(uint64_t *at, uint64_t value) {
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static inline void hf__publish32(uint32_t *at, uint32_t value) {
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static inline uint64_t hf__add(uint64_t *at, uint64_t value) {
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

/* Adds to a counter that only the holder of a lock changes, but anybody may load. */
static inline void hf__count(uint64_t *at, uint64_t by) {
    hf__store(at, hf__load(at) + by);
}

static inline void hf__count32(uint32_t *at, uint32_t by) {
    hf__store32(at, hf__load32(at) + by);
}

/* Stores `value` if *at still is `expected`; whether it did. */
static inline bool hf__swap_if(uint64_t *at, uint64_t expected, uint64_t value) {
    return __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static inline bool hf__swap_if32(uint32_t *at, uint32_t expected, uint32_t value) {
    return __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static inline uint32_t hf__add32(uint32_t *at, uint32_t value) {
    return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
}

/* Sets, or clears, bits; what is loaded afterwards is not older. */
static inline void hf__set_bits32(uint32_t *at, uint32_t bits) {
    __atomic_fetch_or(at, bits, __ATOMIC_SEQ_CST);
}

static inline void hf__clear_bits32(uint32_t *at, uint32_t bits) {
    __atomic_fetch_and(at, ~bits, __ATOMIC_SEQ_CST);
}

/* Takes a lock of this process that hf__publish32 of 0 gives back; false: it is taken. */
static inline bool hf__take32(uint32_t *lock) {
    return __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) == 0;
}

/* ThreadSanitizer does not model fences; under it the words that carry the protocol are ordered by themselves. */
#if defined(__SANITIZE_THREAD__)
#define HF__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HF__TSAN 1
#endif
#endif
#ifndef HF__TSAN
#define HF__TSAN 0
#endif

#if HF__TSAN
static inline void hf__fence_acquire(void) {
}
static inline void hf__fence_release(void) {
}
static inline void hf__fence_full(void) {
}
#define HF__BODY_LOAD __ATOMIC_ACQUIRE
#define HF__BODY_STORE __ATOMIC_RELEASE
#else
static inline void hf__fence_acquire(void) {
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}
static inline void hf__fence_release(void) {
    __atomic_thread_fence(__ATOMIC_RELEASE);
}
static inline void hf__fence_full(void) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#endif

/* Behind the release of a mutex: what is loaded from here on is not older than what was stored before. The release was an
 * exchange, which is such a fence already where exchanges are locked. */
static inline void hf__fence_released(void) {
#if defined(__x86_64__) || defined(__i386__)
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#else
    hf__fence_full();
#endif
}

/* Keeps the compiler from moving stores across: a killed process leaves its stores in the order of its instructions. */
static inline void hf__in_order(void) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Says to the processor that a loop waits for another one. */
static inline void hf__relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* For the compiler: the case to be fast in. */
#define hf__usual(condition) __builtin_expect(!!(condition), 1)

/* Starts to fetch the line at an address, whatever lies there. gcc takes a function that does nothing but prefetch for one
 * without effect, and drops its calls: the empty instruction tells it otherwise. */
static inline void hf__fetch(const void *at) {
    __builtin_prefetch(at);
    __asm__ volatile("");
}

/* ... and for who will write to it: a line that is fetched to be read, from a processor that has changed it, is asked for a
 * second time by the first store. gcc knows the instruction only on request. */
static inline void hf__fetch_own(const void *at) {
#ifdef __x86_64__
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)at));
#else
    __builtin_prefetch(at, 1);
    __asm__ volatile("");
#endif
}

/* From this size on memcpy may use non-temporal stores, which a release store does not order. */
#define HF__STREAMING (128u * 1024)

#if HF__TSAN
static inline void hf__copy_in(void *shared, const void *from, size_t size) {
    unsigned char *to = shared;
    const unsigned char *bytes = from;
    for (; size > 0 && (uintptr_t)to % 8 != 0; size--)
        __atomic_store_n(to++, *bytes++, HF__BODY_STORE);
    for (; size >= 8; size -= 8, to += 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        __atomic_store_n((uint64_t *)(void *)to, word, HF__BODY_STORE);
    }
    for (; size > 0; size--)
        __atomic_store_n(to++, *bytes++, HF__BODY_STORE);
}

static inline void hf__copy_out(void *to, const void *shared, size_t size) {
    unsigned char *bytes = to;
    const unsigned char *from = shared;
    for (; size >= 8; size -= 8, from += 8, bytes += 8) {
        uint64_t word = __atomic_load_n((const uint64_t *)(const void *)from, HF__BODY_LOAD);
        memcpy(bytes, &word, 8);
    }
    for (; size > 0; size--)
        *bytes++ = __atomic_load_n(from++, HF__BODY_LOAD);
}

static inline bool hf__same_bytes(const void *shared, const void *with, size_t size) {
    const unsigned char *a = shared, *b = with;
    for (; size >= 8; size -= 8, a += 8, b += 8) {
        uint64_t word = __atomic_load_n((const uint64_t *)(const void *)a, HF__BODY_LOAD);
        if (memcmp(&word, b, 8) != 0)
            return false;
    }
    for (; size > 0; size--)
        if (__atomic_load_n(a++, HF__BODY_LOAD) != *b++)
            return false;
    return true;
}
#else
static inline void hf__copy_in(void *shared, const void *from, size_t size) {
    if (size > 0)
        memcpy(shared, from, size);
    if (size >= HF__STREAMING)
        hf__fence_full();
}

static inline void hf__copy_out(void *to, const void *shared, size_t size) {
    if (hf__usual(size >= 64 && size <= 128)) {
        memcpy(to, shared, 64);
        memcpy((char *)to + size - 64, (const char *)shared + size - 64, 64);
    } else if (size > 0) {
        memcpy(to, shared, size);
    }
}

static inline uint64_t hf__bytes8(const void *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline bool hf__same_bytes(const void *shared, const void *with, size_t size) {
    const unsigned char *a = shared, *b = with;
    if (!hf__usual(size >= 8 && size <= 16))
        return memcmp(a, b, size) == 0;
    return ((hf__bytes8(a) ^ hf__bytes8(b)) | (hf__bytes8(a + size - 8) ^ hf__bytes8(b + size - 8))) == 0;
}
#endif

#endif
