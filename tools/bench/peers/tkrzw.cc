/* SPDX-License-Identifier: MIT */
/*
 * Tkrzw's HashDBM for a table that is often changed and fits into memory. From its headers, version 1.0.25:
 *   tkrzw_dbm_hash.h, TuningParameters   updates in place (the default); no CRC of records (the default); num_buckets: "for good
 *                      performance, the number of buckets should be larger than the number of records": twice as many;
 *                      min_read_size: a record that is no larger is read at once; offset_width and align_pow as they are (4
 *                      bytes and 8): records of this size fill two lines of the cache, and the file may grow to 32 GiB.
 *   tkrzw_file_mmap.h  MemoryMapParallelFile, the file class that HashDBM takes by itself. cache_buckets is for others.
 *   tkrzw_dbm.h        Process with a RecordProcessor: the value is copied out of the record; no string is made, as by Get.
 *   tkrzw_file.h       who opens for writing locks the file against everybody, also readers, until it is closed (tried: with
 *                      OPEN_NO_WAIT the second process fails). OPEN_NO_LOCK would only leave the lock out: the rest is
 *                      protected by locks in the memory of one process. So this is measured with one process alone.
 */
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <tkrzw_dbm_hash.h>
#include <tkrzw_file_mmap.h>

#include "peers.h"

namespace {

int failed(const char *what, const tkrzw::Status &status) {
    std::string text(status);
    return bench_explain("Tkrzw: %s: %s", what, text.c_str());
}

tkrzw::HashDBM::TuningParameters tuning(const struct bench_config *config) {
    tkrzw::HashDBM::TuningParameters parameters;
    parameters.update_mode = tkrzw::HashDBM::UPDATE_IN_PLACE;
    parameters.record_crc_mode = tkrzw::HashDBM::RECORD_CRC_NONE;
    parameters.num_buckets = static_cast<int64_t>(config->entries * 2);
    parameters.min_read_size = static_cast<int32_t>(config->key_size + config->value_size + 16);
    return parameters;
}

/* Copies a value out while the record is locked. */
class Copy final : public tkrzw::DBM::RecordProcessor {
public:
    Copy(void *buffer, size_t size) : buffer_(buffer), size_(size) {}
    std::string_view ProcessFull(std::string_view, std::string_view value) override {
        std::memcpy(buffer_, value.data(), value.size() < size_ ? value.size() : size_);
        length = value.size();
        found = true;
        return NOOP;
    }
    std::string_view ProcessEmpty(std::string_view) override {
        return NOOP;
    }
    size_t length = 0;
    bool found = false;

private:
    void *buffer_;
    size_t size_;
};

tkrzw::HashDBM *dbm_of(void *store) {
    return static_cast<tkrzw::HashDBM *>(store);
}

std::string_view text_of(const void *bytes, size_t length) {
    return std::string_view(static_cast<const char *>(bytes), length);
}

int open_store(const char *path, const struct bench_config *config, void **store) {
    auto *dbm = new (std::nothrow) tkrzw::HashDBM(std::make_unique<tkrzw::MemoryMapParallelFile>());
    if (!dbm)
        return bench_explain("Tkrzw: out of memory");
    tkrzw::Status status = dbm->OpenAdvanced(path, true, tkrzw::File::OPEN_DEFAULT, tuning(config));
    if (!status.IsOK()) {
        delete dbm;
        return failed(path, status);
    }
    *store = dbm;
    return BENCH_DONE;
}

void close_store(void *store) {
    dbm_of(store)->Close();
    delete dbm_of(store);
}

int create(const char *path, const struct bench_config *config) {
    void *store = nullptr;
    if (open_store(path, config, &store) != BENCH_DONE)
        return BENCH_FAILED;
    close_store(store);
    return BENCH_DONE;
}

int get(void *store, const void *key, size_t key_len, void *buffer, size_t size, size_t *value_len) {
    Copy copy(buffer, size);
    tkrzw::Status status = dbm_of(store)->Process(text_of(key, key_len), &copy, false);
    if (!status.IsOK())
        return failed("get", status);
    *value_len = copy.length;
    return copy.found ? BENCH_DONE : BENCH_MISSING;
}

int put(void *store, const void *key, size_t key_len, const void *value, size_t value_len) {
    tkrzw::Status status = dbm_of(store)->Set(text_of(key, key_len), text_of(value, value_len));
    return status.IsOK() ? BENCH_DONE : failed("put", status);
}

int erase(void *store, const void *key, size_t key_len) {
    tkrzw::Status status = dbm_of(store)->Remove(text_of(key, key_len));
    if (status == tkrzw::Status::NOT_FOUND_ERROR)
        return BENCH_MISSING;
    return status.IsOK() ? BENCH_DONE : failed("delete", status);
}

void settings(const char *, char *text, size_t size) {
    std::snprintf(text, size, "Tkrzw %s: HashDBM on MemoryMapParallelFile, in place, two buckets an entry, min_read_size of a "
                  "record, no CRC; one process, whose lock on the file keeps all others out", tkrzw::PACKAGE_VERSION);
}

} // namespace

const struct bench_engine peer_tkrzw = {
    .name = "Tkrzw",
    .about = "hash table in a mapped file that one process has open",
    .abilities = BENCH_SEVERAL_THREADS,
    .create = create,
    .open = open_store,
    .put = put,
    .get = get,
    .erase = erase,
    .close = close_store,
    .settings = settings,
    .footprint = peer_footprint,
};
