// For the tests of the log: a log on a simulated disk through many lives, and a model of what it promises.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ensure.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_reactor.h"
#include "storage/wal/wal.h"

namespace polis::storage {

constexpr uint64_t test_identity = 0x1122334455667788;

/// What the log has no use for.
class NoNetwork : public runtime::Network {
public:
    runtime::Task<std::unique_ptr<runtime::Stream>> connect(runtime::Address,
                                                            std::shared_ptr<const runtime::TlsContext>) override {
        co_return fail(Code::Unavailable, "no network here");
    }
    Result<std::unique_ptr<runtime::Listener>> listen(runtime::Address,
                                                      std::shared_ptr<const runtime::TlsContext>) override {
        return fail(Code::Denied, "no network here");
    }
};
class NoRandom : public runtime::Random {
public:
    void fill(std::span<std::byte>) override { ENSURE(false); }
};
class NoPool : public runtime::Pool {
public:
    runtime::Task<void> run(std::function<void()>) override { co_return fail(Code::Unavailable, "no pool here"); }
};

inline Wal::Options small_options() {
    Wal::Options options;
    options.segment_bytes = 64u << 10;
    options.flush_bytes_max = 16u << 10;
    options.record_bytes_max = 1u << 20;
    options.reserve_bytes = 0;
    return options;
}

/// One machine: lives of the log follow each other on one disk.
class Machine {
public:
    explicit Machine(uint64_t seed = 1, Wal::Options with = small_options())
        : reactor(seed), disk(reactor, {.seed = seed}), options(with) {}
    ~Machine() {
        if (!wal) return;
        EXPECT_TRUE(close());
    }

    /// Begins a life.
    Result<void> open() {
        ENSURE(!wal);
        mount_ = disk.mount();
        auto opened = run(reactor, Wal::open(world(), "wal", test_identity, options));
        if (!opened) return std::unexpected(opened.error());
        wal = std::move(opened->wal);
        groups = std::move(opened->groups);
        return {};
    }
    /// Ends a life in good order.
    Result<void> close() {
        const Result<void> closed = run(reactor, wal->close());
        wal.reset();
        return closed;
    }
    void crash(runtime::CrashLoss loss) {
        disk.crash(loss);
        // Whatever was under way failed; if nothing was, closing finds nothing to do.
        const Result<void> closed = close();
        const bool canceled = closed || closed.error().code == Code::Canceled;
        EXPECT_TRUE(canceled);
    }
    void reopen() {
        ASSERT_TRUE(close());
        const auto opened = open();
        ASSERT_TRUE(opened) << opened.error().what;
    }
    void crash_and_reopen(runtime::CrashLoss loss) {
        crash(loss);
        const auto opened = open();
        ASSERT_TRUE(opened) << opened.error().what;
    }

    Result<void> write(GroupId group, LogWrite write) { return run(reactor, wal->write(group, std::move(write))); }
    Result<std::vector<Entry>> read(GroupId group, uint64_t first, uint64_t last, uint64_t bytes_max = UINT64_MAX) {
        return run(reactor, wal->read(group, {LogIndex(first), LogIndex(last)}, bytes_max));
    }
    runtime::World world() { return {reactor, network_, *mount_, random_, pool_}; }

    runtime::SimReactor reactor;
    runtime::SimDisk disk;
    Wal::Options options;
    std::unique_ptr<Wal> wal;
    std::map<GroupId, GroupLog> groups;

private:
    NoNetwork network_;
    NoRandom random_;
    NoPool pool_;
    std::unique_ptr<runtime::Disk> mount_;
};

/// What one group should hold.
struct GroupModel {
    HardState hard_state;
    LogPosition start;
    std::vector<Entry> entries;

    LogIndex last() const { return start.index + entries.size(); }
    void apply(const LogWrite& write) {
        if (write.reset_to) {
            start = *write.reset_to;
            entries.clear();
        }
        if (write.truncate_from && *write.truncate_from <= last()) {
            entries.resize(write.truncate_from->value - start.index.value - 1);
        }
        for (const Entry& entry : write.entries) {
            const uint64_t slot = entry.index - start.index - 1;
            if (slot == entries.size()) {
                entries.push_back(entry);
            } else {
                entries.at(slot) = entry;
            }
        }
        if (write.hard_state) hard_state = *write.hard_state;
    }
    friend bool operator==(const GroupModel&, const GroupModel&) = default;
};

inline Entry entry(uint64_t index, uint64_t epoch, std::string payload, EntryKind kind = EntryKind::Command) {
    return {.index = LogIndex(index),
            .ballot = {.epoch = epoch, .node = NodeId::Nobody},
            .kind = kind,
            .payload = Bytes::take(std::move(payload))};
}
inline LogWrite append(std::vector<Entry> entries) {
    LogWrite write;
    write.entries = std::move(entries);
    return write;
}
inline LogWrite vote(uint64_t epoch, uint64_t node) {
    LogWrite write;
    HardState state;
    state.promised.epoch = epoch;
    state.voted_for = NodeId{node};
    write.hard_state = state;
    return write;
}
inline LogPosition position(uint64_t index, uint64_t epoch) {
    return {LogIndex(index), {.epoch = epoch, .node = NodeId::Nobody}};
}

}  // namespace polis::storage
