/* SPDX-License-Identifier: MIT */
/* Who and where we are: the boot, the file, the PID namespace, the time. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint32_t hf__pid;

uint64_t hf__now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t hf__monotonic_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t hf__random(void) {
    uint64_t value = 0;
    while (getrandom(&value, sizeof value, 0) != sizeof value)
        ;
    return value;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 32 hexadecimal digits with dashes between them. */
static bool boot_id(uint64_t id[2]) {
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    unsigned digits = 0;
    id[0] = id[1] = 0;
    for (ssize_t i = 0; i < length && digits < 32; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            continue;
        id[digits / 16] = id[digits / 16] << 4 | (uint64_t)digit;
        digits++;
    }
    return digits == 32;
}

/* Nanoseconds since 1970; 0 where the file system or the C library does not tell. */
static uint64_t birth_of(int fd) {
#ifdef STATX_BTIME
    struct statx file;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &file) == 0 && (file.stx_mask & STATX_BTIME))
        return (uint64_t)file.stx_btime.tv_sec * 1000000000 + file.stx_btime.tv_nsec;
#else
    (void)fd;
#endif
    return 0;
}

int hf__identity_of(int fd, struct hf__identity *identity) {
    struct stat file, space;
    memset(identity, 0, sizeof *identity);
    if (fstat(fd, &file) != 0)
        return hf__fail_errno("fstat");
    identity->device = file.st_dev;
    identity->inode = file.st_ino;
    identity->birth = birth_of(fd);
    if (!boot_id(identity->boot_id) || stat("/proc/self/ns/pid", &space) != 0)
        return hf__fail(HF_ERR_SYSTEM, "the boot id or PID namespace cannot be read: mount /proc, or open read-only");
    identity->namespace_device = space.st_dev;
    identity->namespace_inode = space.st_ino;
    return HF_OK;
}

bool hf__identity_matches(const struct hf__identity *identity, const struct hf__live *live) {
    return hf__load(&live->boot_id[0]) == identity->boot_id[0] && hf__load(&live->boot_id[1]) == identity->boot_id[1] &&
           hf__load(&live->device) == identity->device && hf__load(&live->inode) == identity->inode &&
           hf__load(&live->birth) == identity->birth;
}
