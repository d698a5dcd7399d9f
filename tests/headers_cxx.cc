// SPDX-License-Identifier: MIT
// The header from C++: it compiles, the initialisers fit, and the functions have C linkage.
#include <holdfast.h>

#include <cstring>

int main() {
    hf_options options = HF_OPTIONS_INIT;
    hf_put_options put = HF_PUT_INIT;
    hf_incr_options incr = HF_INCR_INIT;
    hf_copy_options copy = HF_COPY_INIT;
    hf_check_options check = HF_CHECK_INIT;
    struct hf_info info = HF_INFO_INIT; // as struct stat: the name is a function too
    struct hf_stats stats = HF_STATS_INIT;
    hf_item item = HF_ITEM_INIT;
    hf_store *store = nullptr;
    bool sizes = put.size == sizeof put && incr.size == sizeof incr && copy.size == sizeof copy && check.size == sizeof check &&
                 info.size == sizeof info && stats.size == sizeof stats;
    if (!sizes || std::strcmp(hf_version(), HF_VERSION) != 0 || hf_open_anonymous(&store, &options) != HF_OK)
        return 1;
    int result = hf_put(store, "k", 1, "v", 1, &put, nullptr);
    hf_get_request get{};
    hf_put_request one{};
    get.key = one.key = "k";
    get.key_len = one.key_len = 1;
    if (result == HF_OK)
        result = hf_put_many(store, &one, 1);
    if (result == HF_OK)
        result = hf_get_many(store, &get, 1);
    if (get.result != HF_OK || get.value_len != 0)
        return 1;
    hf_item_free(&item);
    return result == HF_OK && hf_close(&store) == HF_OK && store == nullptr ? 0 : 1;
}
