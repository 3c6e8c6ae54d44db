// PosixDisk: the real Disk over one directory: positioned reads and writes on worker threads.
#pragma once

#include <memory>
#include <string>

#include "runtime/disk.h"
#include "runtime/thread_pool.h"

namespace polis::runtime {

/// Durable writes have one thread of their own, so that a log's flush never waits behind a directory listing; everything else
/// shares a few threads. Each operation ends on the reactor of the coroutine that awaits it, so one PosixDisk serves
/// any number of reactors.
///
/// A failed fdatasync, and a durable write that fails for another reason than lack of space, is logged as an error and
/// ends the process: what the kernel still holds of the file is unknown from then on (ATC'20, "Can Applications Recover
/// from fsync Failures?").
class PosixDisk : public Disk {
public:
    struct Options {
        uint32_t threads = 2;  // For everything but durable writes.
        /// How long the durable writer waits actively for the next flush before it sleeps; 0: not at all. Worth about the
        /// wake-up time of a core (20-25 us) a flush while flushes follow each other closely.
        Duration spin_max = std::chrono::microseconds(20);
    };

    /// Opens the existing directory `root`. Errors: NotFound, Denied, Io.
    static Result<std::unique_ptr<PosixDisk>> open_root(std::string root, Options options);

    ~PosixDisk() override;

    Task<std::unique_ptr<File>> open(std::string path, OpenMode mode) override;
    Task<void> make_directories(std::string path) override;
    Task<std::vector<std::string>> list(std::string path) override;
    Task<void> rename(std::string from, std::string to) override;
    Task<void> remove(std::string path) override;
    Task<void> sync_directory(std::string path) override;
    Task<uint64_t> free_bytes() override;
    std::string root() const override { return root_; }

private:
    PosixDisk(std::string root, int root_descriptor, Options options);

    std::string root_;
    int root_descriptor_;  // All paths are resolved from here, so the working directory does not matter.
    Workers workers_;
    Workers durable_writer_;
};

}  // namespace polis::runtime
