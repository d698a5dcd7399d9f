/* SPDX-License-Identifier: MIT */
/* The header alone, in pedantic C11 without the GNU extensions: it must bring all it needs, and every initialiser must fit. */
#include <holdfast.h>

int main(void) {
    const struct hf_options options = HF_OPTIONS_INIT;
    const struct hf_put_options put = HF_PUT_INIT;
    const struct hf_incr_options incr = HF_INCR_INIT;
    const struct hf_copy_options copy = HF_COPY_INIT;
    const struct hf_check_options check = HF_CHECK_INIT;
    const struct hf_info info = HF_INFO_INIT;
    const struct hf_stats stats = HF_STATS_INIT;
    const struct hf_item item = HF_ITEM_INIT;
    const struct hf_lock lock = {HF_LOCK_STRIPE, 0, HF_LOCK_HELD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    if (lock.kind != HF_LOCK_STRIPE)
        return 1;
    return !(options.size == sizeof options && put.size == sizeof put && incr.size == sizeof incr && copy.size == sizeof copy &&
             check.size == sizeof check && info.size == sizeof info && stats.size == sizeof stats && item.memory == NULL &&
             HF_OK == 0 && HF_NOTFOUND > 0 && HF_ERR_SYSTEM < 0);
}
