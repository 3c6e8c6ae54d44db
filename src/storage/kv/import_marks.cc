#include "storage/kv/import_marks.h"

#include <rocksdb/env.h>

#include <cstring>
#include <memory>
#include <utility>

#include "base/hash.h"
#include "storage/kv/rocksdb_open.h"

namespace polis::storage {
namespace {

void append(std::string& target, size_t value) {
    const auto short_value = static_cast<uint32_t>(value);
    char octets[sizeof short_value];
    std::memcpy(octets, &short_value, sizeof octets);
    target.append(octets, sizeof octets);
}

/// REQUIRES: four octets at `at`.
uint32_t load_number(std::string_view octets, size_t at) {
    uint32_t value;
    std::memcpy(&value, octets.data() + at, sizeof value);
    return value;
}

std::string encode(const std::vector<KeyRange>& ranges) {
    std::string body;
    for (const KeyRange& range : ranges) {
        append(body, range.first.size());
        append(body, range.last.size());
        body += range.first + range.last;
    }
    std::string file;
    append(file, crc32c(body));
    return file + body;
}

Result<std::vector<KeyRange>> decode(std::string_view file) {
    const auto damaged = fail(Code::Corrupt,
                              "the list of interrupted imports (file IMPORTING) is damaged; "
                              "erase the store and let it be filled from a peer");
    if (file.size() < 4 || load_number(file, 0) != crc32c(file.substr(4))) return damaged;
    std::vector<KeyRange> ranges;
    for (std::string_view rest = file.substr(4); !rest.empty();) {
        if (rest.size() < 8) return damaged;
        const uint64_t first_bytes = load_number(rest, 0);
        const uint64_t last_bytes = load_number(rest, 4);
        rest.remove_prefix(8);
        if (first_bytes + last_bytes > rest.size()) return damaged;
        ranges.push_back({std::string(rest.substr(0, first_bytes)), std::string(rest.substr(first_bytes, last_bytes))});
        rest.remove_prefix(first_bytes + last_bytes);
    }
    return ranges;
}

}  // namespace

Result<ImportMarks> ImportMarks::load(const std::string& directory) {
    ImportMarks marks(directory);
    rocksdb::Env* env = rocksdb::Env::Default();
    const rocksdb::Status exists = env->FileExists(marks.path());
    if (exists.IsNotFound()) return marks;
    TRY(result_of(exists, "looking for interrupted imports"));
    std::string file;
    TRY(result_of(rocksdb::ReadFileToString(env, marks.path(), &file), "reading interrupted imports"));
    LET(marks.ranges_, decode(file));
    return marks;
}

Result<void> ImportMarks::add(const KeyRange& range) {
    std::vector<KeyRange> ranges = ranges_;
    std::erase_if(ranges, [&](const KeyRange& other) { return range.covers(other); });
    ranges.push_back(range);
    TRY(store(ranges));
    ranges_ = std::move(ranges);
    return {};
}

Result<void> ImportMarks::remove_covered_by(const KeyRange& range) {
    std::vector<KeyRange> ranges = ranges_;
    if (std::erase_if(ranges, [&](const KeyRange& other) { return range.covers(other); }) == 0) return {};
    TRY(store(ranges));
    ranges_ = std::move(ranges);
    return {};
}

Result<void> ImportMarks::store(const std::vector<KeyRange>& ranges) const {
    rocksdb::Env* env = rocksdb::Env::Default();
    if (ranges.empty()) {
        TRY(result_of(env->DeleteFile(path()), "forgetting an interrupted import"));
    } else {
        const std::string fresh = path() + ".new";
        TRY(result_of(rocksdb::WriteStringToFile(env, encode(ranges), fresh, true), "marking an import"));
        TRY(result_of(env->RenameFile(fresh, path()), "marking an import"));
    }
    std::unique_ptr<rocksdb::Directory> directory;
    TRY(result_of(env->NewDirectory(directory_, &directory), "opening the store's directory"));
    return result_of(directory->Fsync(), "syncing the store's directory");
}

}  // namespace polis::storage
