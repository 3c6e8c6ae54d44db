// SimDisk: the simulated twin of the disk: files in memory, latencies and faults from a seed, crashes that lose what was
// not synced.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "runtime/disk.h"
#include "runtime/sim_reactor.h"

namespace polis::runtime {

/// How likely each fault is, per operation it can hit, in 1/1000. All zero: a perfect disk that crashes honestly.
struct DiskFaults {
    uint32_t read_error_permille = 0;    // Io from a read.
    uint32_t write_error_permille = 0;   // Io from a write; a durable one ends the process (SimDisk::on_process_end).
    uint32_t sync_failure_permille = 0;  // Ends the process.
    uint32_t stall_permille = 0;         // The operation takes `stall` longer.
    uint32_t written_bit_flip_permille = 0;   // One bit of what is written arrives wrong, silently and for good.
    uint32_t read_bit_flip_permille = 0;      // One bit of what is read arrives wrong, this time only.
    uint32_t lost_write_permille = 0;         // Said to be written, but was not.
    uint32_t misdirected_write_permille = 0;  // Lands on another place of the same file, sector-aligned.
    uint32_t misdirected_read_permille = 0;   // Comes from another place of the same file, this time only.
    uint32_t stale_read_permille = 0;         // Gives what the file held at its last sync, this time only.
    Duration stall = std::chrono::seconds(1);

    friend bool operator==(const DiskFaults&, const DiskFaults&) = default;
};

/// What becomes of un-synced sectors and names when the machine loses power. A sector has 512 octets.
enum class CrashLoss : uint8_t {
    All,        // Only what was synced survives.
    Nothing,    // Everything that had begun to be written survives, as after a kill of the process.
    Suffix,     // Sectors survive in the order written, up to a point drawn from the seed.
    Scattered,  // Each sector survives or not on its own (a cache that reorders).
    TornSector,  // As Suffix, and the sector at that point is half new, half old. Hardware promises that this does not happen.
    Drawn,  // One of All, Nothing, Suffix, Scattered, by the seed.
};

/// One simulated disk. It outlives the nodes that are started on it: a node uses it through `mount()`, and a crash ends that
/// mount: whatever is under way or comes later through it fails with Canceled.
///
/// Operations on one file happen one after the other, as under a file system's inode lock; those on different files
/// overlap. A write that has begun may survive a crash whole, in part, or not at all.
class SimDisk : public Disk {
public:
    struct Options {
        uint64_t seed = 1;
        uint64_t capacity_bytes = 1ull << 40;
        Duration read_latency_min = std::chrono::microseconds(5);
        Duration read_latency_max = std::chrono::microseconds(100);
        Duration write_latency_min = std::chrono::microseconds(2);
        Duration write_latency_max = std::chrono::microseconds(20);
        Duration sync_latency_min = std::chrono::microseconds(80);
        Duration sync_latency_max = std::chrono::microseconds(300);
        DiskFaults faults{};
    };

    SimDisk(SimReactor& reactor, Options options);
    ~SimDisk() override;

    /// The disk as one life of a node sees it, up to the next crash.
    std::unique_ptr<Disk> mount();

    /// The machine loses power. The caller then lets the dead node's coroutines run to their end (all waits on this disk end
    /// with Canceled) and starts a new life.
    void crash(CrashLoss loss);

    /// Called instead of ending the process when an operation fails in a way that PosixDisk would not survive; the operation stays
    /// under way until `crash`. Unset: the operation fails with Io.
    void on_process_end(std::function<void(std::string_view why)> handler) { process_end_ = std::move(handler); }

    DiskFaults& faults() { return options_.faults; }
    /// Less than what is used already is allowed: then nothing can grow.
    void set_capacity(uint64_t bytes) { options_.capacity_bytes = bytes; }
    uint64_t used_bytes() const;
    uint64_t syncs() const { return syncs_; }
    /// Octets given to writes since the start, durable or not.
    uint64_t bytes_written() const { return bytes_written_; }

    // ---- Hands-on access for tests and fault injectors, past all latencies; durable at once. ----

    std::vector<std::string> paths() const;  // Of all files, sorted.
    /// REQUIRES: the file exists (for all three).
    const std::string& content(const std::string& path) const;
    void flip_bit(const std::string& path, uint64_t offset, unsigned bit);
    void overwrite(const std::string& path, uint64_t offset, std::string_view octets);
    /// Makes or replaces a file.
    void put(const std::string& path, std::string content);

    // ---- Disk, for users that live as long as the disk itself. ----

    Task<std::unique_ptr<File>> open(std::string path, OpenMode mode) override;
    Task<void> make_directories(std::string path) override;
    Task<std::vector<std::string>> list(std::string path) override;
    Task<void> rename(std::string from, std::string to) override;
    Task<void> remove(std::string path) override;
    Task<void> sync_directory(std::string path) override;
    Task<uint64_t> free_bytes() override;
    std::string root() const override { return {}; }

private:
    class Mount;
    class SimFile;
    struct Inode;
    struct NameChange;
    class Wait;
    using Life = uint64_t;  // Counts crashes; an operation of an earlier life fails.

    Task<std::unique_ptr<File>> open_in(Life life, std::string path, OpenMode mode);
    Task<void> make_directories_in(Life life, std::string path);
    Task<std::vector<std::string>> list_in(Life life, std::string path);
    Task<void> rename_in(Life life, std::string from, std::string to);
    Task<void> remove_in(Life life, std::string path);
    Task<void> sync_directory_in(Life life, std::string path);
    Task<uint64_t> free_bytes_in(Life life);

    Wait wait_until(Life life, Instant when);
    Wait wait_for_end(Life life);
    Wait take(Life life, Duration latency_min, Duration latency_max);
    Duration draw(Duration low, Duration high);
    void change(NameChange change);
    static void apply(std::map<std::string, std::shared_ptr<Inode>>& names, const NameChange& change);
    bool process_ends(std::string_view why);

    SimReactor& reactor_;
    Options options_;
    Chance chance_;
    Life life_ = 0;
    uint64_t next_wait_ = 0;
    uint64_t syncs_ = 0;
    uint64_t bytes_written_ = 0;
    uint64_t write_number_ = 0;        // Orders the sectors written, for CrashLoss::Suffix.
    std::map<uint64_t, Wait*> waits_;  // Under way, by number; a crash ends them in this order.
    std::map<std::string, std::shared_ptr<Inode>> names_;
    std::map<std::string, std::shared_ptr<Inode>> durable_names_;
    std::vector<NameChange> unsynced_changes_;  // What leads from durable_names_ to names_, in order.
    std::set<std::string> directories_;         // Durable at once: nothing depends on losing an empty directory.
    std::function<void(std::string_view)> process_end_;
};

}  // namespace polis::runtime
