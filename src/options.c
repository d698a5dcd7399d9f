/* SPDX-License-Identifier: MIT */
/* Sized structs of the caller: a smaller (older) one is filled up with zeros, a larger (newer) one is taken if all that we do
 * not know of it is zero. */
#include "internal.h"

bool hf__sized(void *ours, size_t our_size, const void *theirs) {
    size_t their_size;
    memcpy(&their_size, theirs, sizeof their_size);
    const unsigned char *bytes = theirs;
    if (their_size < sizeof their_size || their_size > HF__PAGE)
        return false;
    for (size_t i = our_size; i < their_size; i++)
        if (bytes[i] != 0)
            return false;
    memset(ours, 0, our_size);
    memcpy(ours, theirs, their_size < our_size ? their_size : our_size);
    memcpy(ours, &our_size, sizeof our_size);
    return true;
}

static int flags_check(const struct hf_options *options) {
    uint32_t flags = options->flags;
    if (flags & ~(uint32_t)(HF_CREATE | HF_EXCLUSIVE | HF_RDONLY))
        return hf__fail(HF_ERR_ARGUMENT, "unknown flags 0x%x: use HF_CREATE, HF_EXCLUSIVE, HF_RDONLY", flags);
    if ((flags & HF_RDONLY) && (flags & (HF_CREATE | HF_EXCLUSIVE)))
        return hf__fail(HF_ERR_ARGUMENT, "a read-only handle cannot make a store: leave out HF_RDONLY or HF_CREATE");
    if ((flags & HF_EXCLUSIVE) && !(flags & HF_CREATE))
        return hf__fail(HF_ERR_ARGUMENT, "HF_EXCLUSIVE goes with HF_CREATE");
    return HF_OK;
}

static int ranges_check(const struct hf_options *options) {
    if (options->mode > HF_MODE_CACHE)
        return hf__fail(HF_ERR_ARGUMENT, "mode %u is none: use HF_MODE_STORE or HF_MODE_CACHE", options->mode);
    if (options->file_mode > 07777)
        return hf__fail(HF_ERR_ARGUMENT, "file mode 0%o is out of range: use 0 to 07777", options->file_mode);
    if (options->file_mode && (options->file_mode & 0600) != 0600)
        return hf__fail(HF_ERR_ARGUMENT, "file mode 0%o: the owner must be able to read and write", options->file_mode);
    if (options->capacity >> 47)
        return hf__fail(HF_ERR_ARGUMENT, "capacity is out of range: at most 2^47 - 1 bytes");
    if (options->entries >> 32)
        return hf__fail(HF_ERR_ARGUMENT, "entries is out of range: at most 2^32 - 1");
    if (options->max_value > HF_VALUE_MAX)
        return hf__fail(HF_ERR_ARGUMENT, "max_value is out of range: at most %u bytes", HF_VALUE_MAX);
    if (options->max_key > HF_KEY_MAX)
        return hf__fail(HF_ERR_ARGUMENT, "max_key is out of range: at most %d bytes", HF_KEY_MAX);
    if (options->entry_size > HF_VALUE_MAX)
        return hf__fail(HF_ERR_ARGUMENT, "entry_size is out of range: at most %u bytes", HF_VALUE_MAX);
    if (options->default_ttl_ms > HF__EXPIRY_MAX && options->default_ttl_ms != HF_TTL_NEVER)
        return hf__fail(HF_ERR_ARGUMENT, "default_ttl_ms is out of range: at most 2^48 - 1, or HF_TTL_NEVER");
    if (options->stripes > HF_STRIPES_MAX || (options->stripes & (options->stripes - 1)))
        return hf__fail(HF_ERR_ARGUMENT, "stripes must be a power of two up to %d, not %u", HF_STRIPES_MAX, options->stripes);
    return HF_OK;
}

int hf__options_check(struct hf_options *options, const struct hf_options *theirs) {
    static const struct hf_options none = HF_OPTIONS_INIT;
    if (!hf__sized(options, sizeof *options, theirs ? theirs : &none))
        return hf__fail(HF_ERR_ARGUMENT, "the options are not of a known size: start with HF_OPTIONS_INIT");
    int result = flags_check(options);
    if (result == HF_OK)
        result = ranges_check(options);
    if (options->timeout_ms == 0)
        options->timeout_ms = 10000;
    if (options->file_mode == 0)
        options->file_mode = 0600;
    return result;
}
