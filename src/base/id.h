// The identities that cross folders: node, group, position in a log, ballot. Distinct types, so that one is
// never taken for another.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>

namespace polis {

/// One life of one member of a cluster, drawn at random when its disk is made (etcd: member id). A node whose disk
/// was wiped comes back under a new one. Zero is nobody.
enum class NodeId : uint64_t { Nobody = 0 };

/// One cluster, drawn at random by its first node. Zero is none.
enum class ClusterId : uint64_t { None = 0 };

/// One replicated log and the state machine over it. Unique within a cluster, never used twice.
enum class GroupId : uint32_t { Meta = 1, Coord = 2 };

constexpr uint64_t number_of(NodeId id) { return static_cast<uint64_t>(id); }
constexpr uint64_t number_of(ClusterId id) { return static_cast<uint64_t>(id); }
constexpr uint32_t number_of(GroupId id) { return static_cast<uint32_t>(id); }

/// A position in a group's log. Dense: 1 is the first entry, 0 is "before the first".
struct LogIndex {
    uint64_t value = 0;

    constexpr LogIndex() = default;
    constexpr explicit LogIndex(uint64_t index) : value(index) {}
    constexpr LogIndex next() const { return LogIndex(value + 1); }
    /// REQUIRES: value > 0.
    constexpr LogIndex previous() const { return LogIndex(value - 1); }
    constexpr auto operator<=>(const LogIndex&) const = default;
    friend constexpr LogIndex operator+(LogIndex a, uint64_t count) { return LogIndex(a.value + count); }
    /// REQUIRES: a >= b.
    friend constexpr uint64_t operator-(LogIndex a, LogIndex b) { return a.value - b.value; }
};

/// Who may extend the log: Raft's term, a Paxos ballot, Zab's epoch. Totally ordered; the epoch decides, the node
/// breaks ties (Raft and Zab leave `node` at Nobody inside the log, since an epoch has one leader).
struct Ballot {
    uint64_t epoch = 0;
    NodeId node = NodeId::Nobody;

    constexpr auto operator<=>(const Ballot&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, LogIndex index) { return out << '#' << index.value; }
inline std::ostream& operator<<(std::ostream& out, NodeId id) { return out << 'n' << number_of(id); }
inline std::ostream& operator<<(std::ostream& out, const Ballot& ballot) {
    out << ballot.epoch;
    if (ballot.node != NodeId::Nobody) out << '.' << number_of(ballot.node);
    return out;
}

}  // namespace polis

template <>
struct std::hash<polis::LogIndex> {
    size_t operator()(polis::LogIndex index) const noexcept { return std::hash<uint64_t>()(index.value); }
};
