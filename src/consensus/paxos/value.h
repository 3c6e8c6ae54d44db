// Value: what a slot of Multi-Paxos decides, how it lies in an entry, and which values keep primary order.
#pragma once

#include <optional>

#include "base/entry.h"
#include "consensus/message.h"

namespace polis::consensus {

/// A value does not change when a later leader proposes it again, so it carries the ballot of the leader that made it: its
/// origin. In a log of accepted entries (on disk and in messages) `Entry::ballot` is the ballot under which the value was
/// accepted last, and the payload is the command with the origin behind it. What is delivered has the origin for its ballot,
/// and the bare command.
///
/// The payload of a stored entry: the command, then the origin's epoch and node, u64 each, little-endian. An empty payload of
/// a Noop is a value without origin: a gap that was filled.
constexpr size_t origin_bytes = 16;

/// The payload for `command`, made by the leader of `origin`.
Bytes with_origin(const Bytes& command, Ballot origin);

/// The value of a stored entry: ballot is its origin, the payload bare. Nothing if it is malformed.
std::optional<Entry> value_of(const Entry& stored);

/// What fills a gap: nobody's value.
inline Entry gap_filler(LogIndex slot, Ballot ballot) { return {slot, ballot, EntryKind::Noop, Bytes()}; }

/// What stands in a slot on disk where nothing was accepted, since the log on disk has no holes: its ballot is zero.
inline Entry placeholder(LogIndex slot) { return {slot, {}, EntryKind::Noop, Bytes()}; }

/// What is delivered for `value` behind an entry that was delivered with ballot `before`.
///
/// Slots are decided one by one, so a value may be decided though one that its leader proposed before is not, and never will be.
/// To deliver it would break primary order: it may make sense only after the other. Therefore a leader's values
/// count only while they follow each other without a break, from the Noop with which it begins; and no leader counts once a
/// later one has begun. Any other value is an orphan, delivered as a Noop, whose ballot ends the run that it breaks.
/// Every node finds the same, for it depends on nothing but what was delivered one slot before. Ballots never fall along
/// what is delivered.
Entry in_primary_order(Entry value, Ballot before);

/// True if `delivered` stands for an orphan or a filled gap.
inline bool is_void(const Entry& delivered) { return delivered.ballot.node == NodeId{~uint64_t{0}}; }

}  // namespace polis::consensus
