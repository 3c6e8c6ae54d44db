// Watcher: one client's interest in an interval of keys, from a revision on. And an event's octets, encoded once for all.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/list.h"
#include "services/coord/interval.h"
#include "services/coord/version.h"

namespace polis::services {

class CoordWatchStream;

/// One watch. Owned by its stream. A hundred thousand idle ones are normal, so it holds no buffer of its own.
///
/// Invariant: synced: it has been given all events below the hub's next revision, and is in the hub's live index.
/// Not synced: it has been given all below next_revision, and is in the hub's queue of those that catch up.
struct Watcher : Linked<Watcher> {
    CoordWatchStream* stream = nullptr;
    int64_t id = 0;
    Interval interval;
    int64_t next_revision = 0;  // The first it still wants. Above the newest: it waits for the future.
    uint32_t gathered = 0;      // Its place among those that get something right now, plus one; 0: none.
    bool synced = false;
    bool refused = false;  // Its stream had no room for what was gathered for it right now.
    bool progress_notify = false;
    bool progress_due = false;  // Nothing was sent to it since the last automatic progress.
    bool prev_kv = false;
    bool fragment = false;
    bool skips_puts = false;
    bool skips_deletes = false;
};

/// One change on its way to any number of watchers.
class SharedEvent {
public:
    /// REQUIRES: `change` outlives it.
    explicit SharedEvent(const Change& change) : change_(change) {}

    const Change& change() const { return change_; }

    /// An `mvccpb.Event` with field 11's tag and length in front, as it stands in a WatchResponse.
    const Bytes& encoded(bool with_previous);

private:
    const Change& change_;
    std::optional<Bytes> plain_;
    std::optional<Bytes> with_previous_;
};

/// Whether `watcher` wants the change. REQUIRES: its key is in the watcher's interval.
bool wants(const Watcher& watcher, const Change& change);

}  // namespace polis::services
