// ImportMarks: which ranges of a store on disk hold only part of an import, remembered in a file beside its data.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "storage/kv/store.h"

namespace polis::storage {

/// The durable list behind Store::interrupted_imports(). A file of its own, because any octets may be a user's key.
///
/// File `IMPORTING`, absent if the list is empty: crc u32 (CRC-32C of the rest), then per range
/// (first length u32, last length u32, first, last), little-endian. Replaced by rename, so it is whole after a crash.
class ImportMarks {
public:
    /// Reads the file in the store's directory. Errors: Corrupt, Io.
    static Result<ImportMarks> load(const std::string& directory);

    const std::vector<KeyRange>& ranges() const { return ranges_; }

    /// Both are durable at return. Errors: NoSpace, Io; the list is then as before in memory, either on disk.
    Result<void> add(const KeyRange& range);
    Result<void> remove_covered_by(const KeyRange& range);

private:
    explicit ImportMarks(std::string directory) : directory_(std::move(directory)) {}
    Result<void> store(const std::vector<KeyRange>& ranges) const;
    std::string path() const { return directory_ + "/IMPORTING"; }

    std::string directory_;
    std::vector<KeyRange> ranges_;
};

}  // namespace polis::storage
