#include "services/coord/watch_stream.h"

#include <utility>

#include "base/ensure.h"

namespace polis::services {

namespace {

constexpr int64_t no_watch_id = -1;

Interval interval_of(const pb::WatchCreateRequest& request) {
    // No key means the first one possible, so that an empty request with range_end "\0" watches everything.
    return Interval::of(request.key().empty() ? std::string_view("\0", 1) : std::string_view(request.key()),
                        request.range_end());
}

}  // namespace

std::string watch_cancel_reason(Refusal why) {
    switch (why) {
        case Refusal::InvalidAuthToken:
            return "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
        case Refusal::AuthOldRevision:
            return "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old";
        case Refusal::UserEmpty: return "rpc error: code = InvalidArgument desc = etcdserver: user name is empty";
        default: return "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    }
}

CoordWatchStream::CoordWatchStream(WatchHub& hub, Credentials who, uint64_t number)
    : hub_(hub), who_(std::move(who)), number_(number), access_(Access::nothing(Refusal::PermissionDenied)) {}

CoordWatchStream::~CoordWatchStream() {
    for (auto& [id, watcher] : watchers_) hub_.leave(watcher);
    hub_.pending_messages_ -= waiting_.size();
    --hub_.stream_count_;
}

void CoordWatchStream::request(const pb::WatchRequest& request) {
    switch (request.request_union_case()) {
        case pb::WatchRequest::kCreateRequest: return create(request.create_request());
        case pb::WatchRequest::kCancelRequest: return cancel(request.cancel_request().watch_id());
        case pb::WatchRequest::kProgressRequest: progress_asked_ = !watchers_.empty(); return answer_progress();
        case pb::WatchRequest::REQUEST_UNION_NOT_SET: return;
    }
}

std::string CoordWatchStream::reason_against(const pb::WatchCreateRequest& request, const Interval& interval) {
    auto identity = hub_.gate_.identify(who_);
    if (!identity) return watch_cancel_reason(identity.error());
    user_ = std::move(identity->user);
    access_ = std::move(identity->access);
    if (interval.empty()) return "mvcc: watcher range is empty";
    if (const auto allowed = access_.read(interval); !allowed) return watch_cancel_reason(allowed.error());
    if (request.start_revision() < 0) return "etcdserver: mvcc: required revision has been compacted";
    if (request.watch_id() != 0 && watchers_.contains(request.watch_id()))
        return "mvcc: duplicate watch ID provided on the WatchStream";
    return {};
}

void CoordWatchStream::create(const pb::WatchCreateRequest& request) {
    Interval interval = interval_of(request);
    if (std::string reason = reason_against(request, interval); !reason.empty()) return refuse_watch(std::move(reason));

    const int64_t id = request.watch_id() != 0 ? request.watch_id() : free_id();
    Watcher& watcher = watchers_[id];
    watcher.stream = this;
    watcher.id = id;
    watcher.interval = std::move(interval);
    watcher.next_revision = request.start_revision() != 0 ? request.start_revision() : hub_.published_revision_ + 1;
    watcher.progress_notify = request.progress_notify();
    watcher.prev_kv = request.prev_kv();
    watcher.fragment = request.fragment();
    for (const int filter : request.filters()) {
        if (filter == pb::WatchCreateRequest::NOPUT) watcher.skips_puts = true;
        if (filter == pb::WatchCreateRequest::NODELETE) watcher.skips_deletes = true;
    }
    WatchMessage created;
    created.head.mutable_header()->set_revision(hub_.published_revision_);
    created.head.set_watch_id(id);
    created.head.set_created(true);
    send(std::move(created), 0);
    hub_.join(watcher);
    if (watcher.progress_notify && !progress_alarm_) {
        progress_alarm_ = hub_.reactor_.make_alarm([this] { automatic_progress(); });
        progress_alarm_->set(hub_.reactor_.now() + progress_interval());
    }
}

int64_t CoordWatchStream::free_id() {
    while (watchers_.contains(next_id_)) ++next_id_;
    return next_id_++;
}

void CoordWatchStream::refuse_watch(std::string reason) {
    WatchMessage message;
    message.head.mutable_header()->set_revision(hub_.published_revision_);
    message.head.set_watch_id(no_watch_id);
    message.head.set_created(true);
    message.head.set_canceled(true);
    message.head.set_cancel_reason(std::move(reason));
    send(std::move(message), 0);
}

void CoordWatchStream::cancel(int64_t id) {
    const auto found = watchers_.find(id);
    if (found == watchers_.end()) return;  // etcd does not answer either.
    pb::WatchResponse head;
    head.mutable_header()->set_revision(hub_.published_revision_);
    end(found->second, head);
}

void CoordWatchStream::end(Watcher& watcher, const pb::WatchResponse& head) {
    WatchMessage message;
    message.head = head;
    message.head.set_watch_id(watcher.id);
    message.head.set_canceled(true);
    hub_.leave(watcher);
    ENSURE(watchers_.erase(watcher.id) == 1);
    if (watchers_.empty()) progress_asked_ = false;
    send(std::move(message), 0);
    answer_progress();  // It may have been the last one behind.
}

void CoordWatchStream::send(WatchMessage message, uint64_t bytes) {
    waiting_.push_back({std::move(message), bytes});
    waiting_bytes_ += bytes;
    ++hub_.pending_messages_;
    arrived_.notify_all();
}

void CoordWatchStream::send_events(Watcher& watcher, std::vector<Bytes> events, uint64_t bytes) {
    watcher.progress_due = false;
    const auto send_part = [&](std::vector<Bytes> part, uint64_t part_bytes, bool more) {
        WatchMessage message;
        message.head.mutable_header()->set_revision(hub_.published_revision_);
        message.head.set_watch_id(watcher.id);
        message.head.set_fragment(more);
        message.events = std::move(part);
        send(std::move(message), part_bytes);
    };
    if (!watcher.fragment || bytes <= hub_.options_.fragment_bytes) return send_part(std::move(events), bytes, false);

    std::vector<Bytes> part;
    uint64_t part_bytes = 0;
    for (Bytes& event : events) {
        if (!part.empty() && part_bytes + event.size() > hub_.options_.fragment_bytes) {
            send_part(std::exchange(part, {}), part_bytes, true);
            part_bytes = 0;
        }
        part_bytes += event.size();
        part.push_back(std::move(event));
    }
    send_part(std::move(part), part_bytes, false);
}

void CoordWatchStream::answer_progress() {
    if (!progress_asked_) return;
    for (const auto& [id, watcher] : watchers_)
        if (!watcher.synced || watcher.next_revision > hub_.published_revision_ + 1) return;
    progress_asked_ = false;
    WatchMessage message;
    message.head.mutable_header()->set_revision(hub_.published_revision_);
    message.head.set_watch_id(no_watch_id);
    send(std::move(message), 0);
}

Duration CoordWatchStream::progress_interval() const {
    return hub_.options_.progress_interval + hub_.options_.progress_interval / 100 * static_cast<int64_t>(number_ % 11);
}

void CoordWatchStream::automatic_progress() {
    for (auto& [id, watcher] : watchers_) {
        if (!watcher.progress_notify) continue;
        const bool due = std::exchange(watcher.progress_due, true);
        if (!due || !watcher.synced || watcher.next_revision > hub_.published_revision_ + 1) continue;
        WatchMessage message;
        message.head.mutable_header()->set_revision(hub_.published_revision_);
        message.head.set_watch_id(id);
        send(std::move(message), 0);
    }
    progress_alarm_->set(hub_.reactor_.now() + progress_interval());
}

runtime::Task<WatchMessage> CoordWatchStream::next() {
    while (waiting_.empty()) CO_TRY(co_await arrived_.wait());
    Waiting first = std::move(waiting_.front());
    waiting_.pop_front();
    const bool was_full = !has_room();
    ENSURE(waiting_bytes_ >= first.bytes);
    waiting_bytes_ -= first.bytes;
    --hub_.pending_messages_;
    if (was_full && has_room()) hub_.wake();
    co_return std::move(first.message);
}

}  // namespace polis::services
