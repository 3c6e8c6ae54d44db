// SnapshotFile: a snapshot as etcd writes it to disk: a bbolt database, then the SHA-256 of it.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "codec/bbolt/reader.h"

namespace polis::cli {

/// Open for reading, and verified against its digest. Source: etcd, etcdutl/snapshot/v3_snapshot.go.
class SnapshotFile : public codec::BboltSource {
public:
    /// Errors: NotFound; Corrupt if it has no digest or another's content; Io.
    static Result<std::unique_ptr<SnapshotFile>> open(const std::string& path);
    ~SnapshotFile() override;
    SnapshotFile(const SnapshotFile&) = delete;
    SnapshotFile& operator=(const SnapshotFile&) = delete;

    uint64_t bytes() const override { return bytes_; }
    Result<std::string> read(uint64_t offset, size_t count) const override;

private:
    explicit SnapshotFile(int descriptor) : descriptor_(descriptor) {}

    Result<void> verify(const std::string& path) const;

    int descriptor_;
    uint64_t bytes_ = 0;  // Of the database, without the digest.
};

}  // namespace polis::cli
