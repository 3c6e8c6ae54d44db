// The lock on a data directory: one process at a time, and which one it is.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "base/result.h"

namespace polis::node {

/// Makes the data directory (mode 0700) and keeps every other process out of it while it lives.
class DirectoryLock {
public:
    /// Errors: Exists if another process has it, Io, Denied.
    static Result<DirectoryLock> take(const std::string& directory);

    /// The process that has the directory now; nothing if none has. Errors: NotFound if there is no such directory, or it was
    /// never a node's; Io; Denied.
    static Result<std::optional<pid_t>> holder(const std::string& directory);

    DirectoryLock(DirectoryLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    DirectoryLock& operator=(DirectoryLock&&) = delete;
    ~DirectoryLock();

private:
    explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
    int descriptor_;
};

}  // namespace polis::node
