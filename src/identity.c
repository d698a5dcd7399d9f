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

/* A clock that stands before 1970, or after the last moment that an entry can name, stands at that end: what lives until the last
 * moment never expires. */
uint64_t hf__now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    HF_CLOCK(&now);
    if (now.tv_sec < 0 && !HF_PLANTED(CLOCK_UNBOUNDED))
        return 0;
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return now_ms < HF__EXPIRY_MAX || HF_PLANTED(CLOCK_UNBOUNDED) ? now_ms : HF__EXPIRY_MAX - 1;
}

uint64_t hf__monotonic_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

bool hf__random(uint64_t *value) {
    ssize_t length;
    do
        length = getrandom(value, sizeof *value, 0);
    while (length < 0 && errno == EINTR);
    return length == sizeof *value;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char boot_file[] = "/proc/sys/kernel/random/boot_id", space_file[] = "/proc/self/ns/pid";

static int cannot_read(const char *file) {
    if (errno == ENOENT)
        return hf__fail(HF_ERR_SYSTEM, "%s is missing: mount /proc, or open the store read-only", file);
    return hf__fail_errno(file);
}

/* 32 hexadecimal digits with dashes between them. */
static int boot_id(uint64_t id[2]) {
    char text[64];
    int fd = hf__file_open(boot_file, O_RDONLY | O_CLOEXEC, 0);
    ssize_t length = fd < 0 ? -1 : hf__file_read(fd, text, sizeof text);
    int result = length < 0 ? cannot_read(boot_file) : HF_OK;
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
    return result == HF_OK && digits < 32 ? hf__fail(HF_ERR_SYSTEM, "%s holds no boot id", boot_file) : result;
}

/* Nanoseconds since 1970; 0 where the kernel, the file system or the C library does not tell. */
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
    int result = boot_id(identity->boot_id);
    if (result != HF_OK)
        return result;
    if (stat(space_file, &space) != 0)
        return cannot_read(space_file);
    identity->namespace_device = space.st_dev;
    identity->namespace_inode = space.st_ino;
    return HF_OK;
}

/* A birth that is not known (0) tells nothing: one writer may be kept from asking for it (seccomp) and another not. */
bool hf__identity_matches(const struct hf__identity *identity, const struct hf__live *live) {
    uint64_t birth = hf__load(&live->birth);
    return hf__load(&live->boot_id[0]) == identity->boot_id[0] && hf__load(&live->boot_id[1]) == identity->boot_id[1] &&
           hf__load(&live->device) == identity->device && hf__load(&live->inode) == identity->inode &&
           (birth == identity->birth || birth == 0 || identity->birth == 0);
}
