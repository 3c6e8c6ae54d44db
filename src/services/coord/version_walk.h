// VersionWalk: the keys of an interval that exist at one revision, in order, each with its version then.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "services/coord/interval.h"
#include "services/coord/state_reader.h"
#include "services/coord/version.h"

namespace polis::services {

/// Stands on a key, at the end, or in between (when its budget ran out while skipping old versions and deletions).
///
///     while (!walk.at_end()) { if (!walk.settled()) walk.settle(n); else { use(walk); walk.next(); } }
class VersionWalk {
public:
    /// REQUIRES: `reader` outlives it; revision >= 0.
    VersionWalk(const StateReader& reader, const Interval& interval, int64_t revision);

    /// Moves on to the next key that exists, looking at no more than about `records_max` records. Returns how many it looked at.
    size_t settle(size_t records_max);

    bool settled() const { return state_ == State::Settled; }
    bool at_end() const { return state_ == State::End; }
    /// Leaves this key. REQUIRES: settled.
    void next();

    /// REQUIRES: settled, for all three.
    std::string key() const;
    size_t value_bytes() const { return cursor_->value().size(); }
    Result<Version> version() const;

    /// Why the end came early.
    Result<void> status() const;

private:
    enum class State : uint8_t { Unsettled, Settled, End };

    /// Moves past all versions of the key stood on that are newer than `revision_`, or past all.
    size_t skip_newer();
    size_t skip_key();

    std::unique_ptr<storage::Cursor> cursor_;  // Null: an empty interval.
    int64_t revision_;
    std::string prefix_;  // Of the key that is being left; kept for its memory.
    State state_ = State::Unsettled;
};

}  // namespace polis::services
