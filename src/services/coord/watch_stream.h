// CoordWatchStream: the watchers of one client stream, and the messages that wait to be sent to it.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "base/list.h"
#include "runtime/wait.h"
#include "services/coord/api.h"
#include "services/coord/watch_hub.h"

namespace polis::services {

/// What etcd says in cancel_reason of a watch that `why` stands against.
std::string watch_cancel_reason(Refusal why);

/// See WatchStream. What waits is bounded: events beyond the hub's buffer_bytes are refused, and their watchers catch up
/// when there is room again; answers to requests are small and one a request.
class CoordWatchStream : public WatchStream, public Linked<CoordWatchStream> {
public:
    /// `number` tells streams of one hub apart, so that their automatic progress does not come all at once.
    CoordWatchStream(WatchHub& hub, Credentials who, uint64_t number);
    ~CoordWatchStream() override;

    void request(const pb::WatchRequest& request) override;
    runtime::Task<WatchMessage> next() override;
    size_t watchers() const override { return watchers_.size(); }

private:
    friend class WatchHub;
    struct Waiting {
        WatchMessage message;
        uint64_t bytes;  // Of the events.
    };

    void create(const pb::WatchCreateRequest& request);
    /// Why no watch can be made of it; empty if one can.
    std::string reason_against(const pb::WatchCreateRequest& request, const Interval& interval);
    int64_t free_id();
    void refuse_watch(std::string reason);
    void cancel(int64_t id);
    /// Ends a watch of ours that cannot go on.
    void end(Watcher& watcher, const pb::WatchResponse& head);

    bool has_room() const { return waiting_bytes_ < hub_.options_.buffer_bytes; }
    void send(WatchMessage message, uint64_t bytes);
    void send_events(Watcher& watcher, std::vector<Bytes> events, uint64_t bytes);
    void answer_progress();
    void automatic_progress();
    Duration progress_interval() const;

    WatchHub& hub_;
    const Credentials who_;
    const uint64_t number_;
    std::string user_;  // Whom the last watch was made for.
    Access access_;     // What that user may read, as of the last look.
    std::map<int64_t, Watcher> watchers_;
    int64_t next_id_ = 0;
    std::list<Waiting> waiting_;  // An empty deque would take 576 octets of each idle stream.
    uint64_t waiting_bytes_ = 0;
    bool progress_asked_ = false;                     // And not answered yet: some watcher still catches up.
    std::unique_ptr<runtime::Alarm> progress_alarm_;  // Made for the first watcher that wants automatic progress.
    runtime::Signal arrived_;
};

}  // namespace polis::services
