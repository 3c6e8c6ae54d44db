// Disk and File: what storage needs from a file system, asynchronously. Real and simulated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/task.h"

namespace polis::runtime {

/// An open file. Operations run on a small thread pool and end on the caller's reactor; they cannot be cancelled
/// half-way, so buffers must live until they return. Operations on one file that are under way at once must not
/// overlap. Destroying it closes the file. REQUIRES: nothing under way when destroyed.
class File {
public:
    virtual ~File() = default;

    /// Writes all parts at `offset`, one after the other. NOT durable before a sync.
    /// Errors: NoSpace (an unknown part may have been written), Io.
    virtual Task<void> write(uint64_t offset, std::span<const std::string_view> parts) = 0;

    /// Writes in one hop to the pool: durable when it returns. What write() wrote before needs a sync of its own.
    /// Errors: NoSpace (from the write; nothing is promised durable). A *sync* that fails ends the process: after it the
    /// kernel may have dropped the dirty pages and would report success next time (fsyncgate; ATC'20).
    virtual Task<void> write_durably(uint64_t offset, std::span<const std::string_view> parts) = 0;

    /// Reads up to target.size() bytes; fewer only at the end of the file. Errors: Io.
    virtual Task<size_t> read(uint64_t offset, std::span<std::byte> target) = 0;

    /// fdatasync. A failure ends the process, see above.
    virtual Task<void> sync() = 0;

    virtual Task<void> truncate(uint64_t size_bytes) = 0;
    virtual Task<uint64_t> size_bytes() = 0;
};

enum class OpenMode : uint8_t { Read, ReadWrite, Create /* read-write; fails with Exists if there */ };

/// A file system under one root directory; paths are relative to it, with '/'. Names made, renamed or removed are
/// durable only after `sync_directory` of the directory that holds them.
class Disk {
public:
    virtual ~Disk() = default;

    virtual Task<std::unique_ptr<File>> open(std::string path,
                                             OpenMode mode) = 0;        // Errors: NotFound, Exists, NoSpace, Io.
    virtual Task<void> make_directories(std::string path) = 0;          // With parents; those that exist are left.
    virtual Task<std::vector<std::string>> list(std::string path) = 0;  // Names, sorted, without . and ..; NotFound.
    virtual Task<void> rename(std::string from, std::string to) = 0;    // Replaces `to`.
    virtual Task<void> remove(std::string path) = 0;                    // A file or an empty directory.
    virtual Task<void> sync_directory(std::string path) = 0;
    virtual Task<uint64_t> free_bytes() = 0;  // Available to us.

    /// The root as the operating system names it, for libraries that do their own I/O (RocksDB); empty if simulated.
    virtual std::string root() const = 0;
};

/// Reads a whole file of at most `bytes_max`. Errors: NotFound, Invalid if larger, Io.
Task<std::string> read_file(Disk& disk, std::string path, uint64_t bytes_max);

/// Replaces a file's content durably and atomically: temporary file, sync, rename, directory sync.
Task<void> write_file_atomically(Disk& disk, std::string path, std::string content);

}  // namespace polis::runtime
