// WatchHub: hands every change to the watchers that want it, now or, for those that are behind, from the store.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/reactor.h"
#include "services/coord/access.h"
#include "services/coord/api.h"
#include "services/coord/mvcc.h"
#include "services/coord/watcher_index.h"

namespace polis::services {

class CoordWatchStream;

/// All watch streams of one node. Synced watchers are served from what was just applied; the others take turns to catch up
/// from the store, in slices of about a millisecond, up to `watchers_per_pass` at once. Nobody is ever waited for.
///
/// Invariant: published_revision_ is the newest revision that synced watchers have been given; with nothing in flight it
/// is the model's visible revision. One reactor. REQUIRES: streams are gone before it.
class WatchHub {
public:
    struct Options {
        uint64_t buffer_bytes = 1u << 20;    // Of one stream, before its watchers have to catch up instead.
        uint64_t fragment_bytes = 2u << 20;  // Of one message to a watcher that takes fragments.
        Duration progress_interval = std::chrono::minutes(10);
        uint32_t watchers_per_pass = 512;
        uint32_t changes_per_pass = 256;
        uint64_t bytes_per_pass = 1u << 20;
    };
    /// Whom credentials stand for, and what that user may read right now.
    struct Identity {
        std::string user;
        Access access;
    };
    struct Gate {
        std::function<std::expected<Identity, Refusal>(const Credentials&)> identify;
        std::function<Access(const std::string& user)> access_of;
    };

    /// REQUIRES: all outlive it.
    WatchHub(runtime::Reactor& reactor, const Mvcc& mvcc, const storage::Store& store, Gate gate, Options options);
    WatchHub(const WatchHub&) = delete;
    WatchHub& operator=(const WatchHub&) = delete;
    ~WatchHub();

    std::unique_ptr<WatchStream> open(const Credentials& who);

    /// Holds for what is sent from now on; a stream's next progress note comes when it was due.
    void reconfigure(const Options& options) { options_ = options; }

    /// Changes that have become visible, ascending.
    void publish(const std::vector<Change>& changes);
    /// The state was replaced by a later one: everybody catches up from the store.
    void state_replaced();
    /// Users or roles changed: watches of those who may not read any more end, and those of `users`, who have to log in again.
    void access_changed(const std::vector<std::string>& users);

    struct Counts {
        uint64_t streams = 0, watchers = 0, slow_watchers = 0, events = 0, pending_messages = 0;
    };
    Counts counts() const;

private:
    friend class CoordWatchStream;
    struct Gathered {
        Watcher* watcher;
        std::vector<Bytes> events;
        uint64_t bytes = 0;
    };

    void join(Watcher& watcher);
    void leave(Watcher& watcher);
    void fall_behind(Watcher& watcher, int64_t next_revision);
    /// One pass, then the next is set.
    void catch_up();
    /// Somebody may be able to catch up now.
    void wake(Duration after = Duration(0));

    void gather(const WatcherIndex& index, SharedEvent& event);
    /// Hands over what was gathered; watchers whose stream has no room are marked as refused.
    void hand_over();

    std::vector<Watcher*> choose_lagging();
    void cancel_compacted();
    /// Gathers what `index` wants of the changes from revision `from` on; gives the last revision that was gathered whole.
    Result<int64_t> scan(const WatcherIndex& index, int64_t from);
    /// The change at `place`, if anybody in `index` wants it.
    Result<std::optional<Change>> read_change(const StateReader& reader, const WatcherIndex& index, Revision place,
                                              std::string_view record) const;
    void move_on(Watcher& watcher, int64_t reached);

    runtime::Reactor& reactor_;
    const Mvcc& mvcc_;
    const storage::Store& store_;
    const Gate gate_;
    Options options_;
    std::unique_ptr<runtime::Alarm> pass_;  // Set when somebody may be able to catch up.
    bool pass_set_ = false;

    int64_t published_revision_;
    WatcherIndex live_;
    List<Watcher, Watcher> lagging_;  // Who waits longest is first.
    uint64_t lagging_count_ = 0;
    List<CoordWatchStream, CoordWatchStream> streams_;
    uint64_t stream_count_ = 0;
    uint64_t streams_opened_ = 0;
    uint64_t watcher_count_ = 0;
    uint64_t pending_messages_ = 0;
    std::vector<Gathered> gathered_;
    uint64_t events_ = 0;
};

}  // namespace polis::services
