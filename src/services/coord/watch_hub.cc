#include "services/coord/watch_hub.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "base/log.h"
#include "services/coord/version_walk.h"
#include "services/coord/watch_stream.h"

namespace polis::services {

using namespace std::chrono_literals;

WatchHub::WatchHub(runtime::Reactor& reactor, const Mvcc& mvcc, const storage::Store& store, Gate gate, Options options)
    : reactor_(reactor),
      mvcc_(mvcc),
      store_(store),
      gate_(std::move(gate)),
      options_(options),
      pass_(reactor.make_alarm([this] { catch_up(); })),
      published_revision_(mvcc.visible_revision()) {}

WatchHub::~WatchHub() {
    ENSURE(streams_.empty());
    ENSURE(watcher_count_ == 0);
}

std::unique_ptr<WatchStream> WatchHub::open(const Credentials& who) {
    auto stream = std::make_unique<CoordWatchStream>(*this, who, streams_opened_++);
    streams_.push_back(*stream);
    ++stream_count_;
    return stream;
}

WatchHub::Counts WatchHub::counts() const {
    return {stream_count_, watcher_count_, lagging_count_, events_, pending_messages_};
}

// ---- Joining and leaving ----

void WatchHub::join(Watcher& watcher) {
    ++watcher_count_;
    if (watcher.next_revision > published_revision_) {
        watcher.synced = true;
        live_.add(watcher);
        return;
    }
    lagging_.push_back(watcher);
    ++lagging_count_;
    wake();
}

void WatchHub::leave(Watcher& watcher) {
    ENSURE(watcher_count_ > 0);
    --watcher_count_;
    if (watcher.gathered != 0) gathered_[watcher.gathered - 1].watcher = nullptr;
    if (watcher.synced) {
        live_.remove(watcher);
        return;
    }
    watcher.unlink();
    --lagging_count_;
}

void WatchHub::fall_behind(Watcher& watcher, int64_t next_revision) {
    ENSURE(watcher.synced);
    live_.remove(watcher);
    watcher.synced = false;
    watcher.next_revision = std::max(watcher.next_revision, next_revision);
    lagging_.push_back(watcher);
    ++lagging_count_;
}

void WatchHub::access_changed(const std::vector<std::string>& users) {
    streams_.for_each([&](CoordWatchStream& stream) {
        if (stream.watchers_.empty()) return;  // The next watch is asked anew who it is.
        const bool is_void = !stream.user_.empty() && std::ranges::find(users, stream.user_) != users.end();
        stream.access_ = is_void ? Access::nothing(Refusal::InvalidAuthToken) : gate_.access_of(stream.user_);
        std::vector<std::pair<Watcher*, Refusal>> ended;
        for (auto& [id, watcher] : stream.watchers_)
            if (const auto allowed = stream.access_.read(watcher.interval); !allowed)
                ended.emplace_back(&watcher, allowed.error());
        for (const auto& [watcher, why] : ended) {
            pb::WatchResponse head;
            head.mutable_header()->set_revision(published_revision_);
            head.set_cancel_reason(watch_cancel_reason(why));
            stream.end(*watcher, head);
        }
    });
}

void WatchHub::state_replaced() {
    streams_.for_each([&](CoordWatchStream& stream) {
        for (auto& [id, watcher] : stream.watchers_)
            if (watcher.synced) fall_behind(watcher, published_revision_ + 1);
    });
    published_revision_ = mvcc_.visible_revision();
    wake();
}

// ---- Live ----

void WatchHub::publish(const std::vector<Change>& changes) {
    if (changes.empty()) return;
    const int64_t first = changes.front().version.revision.main;
    ENSURE(first == published_revision_ + 1);
    published_revision_ = changes.back().version.revision.main;
    if (live_.size() == 0) return;
    for (const Change& change : changes) {
        SharedEvent event(change);
        gather(live_, event);
    }
    hand_over();
    for (const Gathered& each : gathered_)
        if (each.watcher && std::exchange(each.watcher->refused, false)) fall_behind(*each.watcher, first);
    gathered_.clear();
}

void WatchHub::gather(const WatcherIndex& index, SharedEvent& event) {
    const Change& change = event.change();
    index.for_each_of(change.key, [&](Watcher& watcher) {
        if (!wants(watcher, change) || !watcher.stream->access_.shows(change.key)) return;
        if (watcher.gathered == 0) {
            gathered_.push_back({&watcher, {}, 0});
            watcher.gathered = static_cast<uint32_t>(gathered_.size());
        }
        Gathered& mine = gathered_[watcher.gathered - 1];
        const Bytes& octets = event.encoded(watcher.prev_kv);
        mine.events.push_back(octets);
        mine.bytes += octets.size();
    });
}

void WatchHub::hand_over() {
    for (Gathered& each : gathered_) {
        Watcher& watcher = *each.watcher;
        watcher.gathered = 0;
        watcher.refused = !watcher.stream->has_room();
        if (watcher.refused) continue;
        events_ += each.events.size();
        watcher.stream->send_events(watcher, std::move(each.events), each.bytes);
    }
}

// ---- Catching up ----

void WatchHub::wake(Duration after) {
    if (pass_set_ || lagging_.empty()) return;
    pass_set_ = true;
    pass_->set(reactor_.now() + after);
}

void WatchHub::catch_up() {
    pass_set_ = false;
    cancel_compacted();
    const std::vector<Watcher*> chosen = choose_lagging();
    if (chosen.empty()) return;  // A stream that gets room again wakes us.
    const int64_t from = chosen.front()->next_revision;
    Result<int64_t> reached = from - 1;
    if (from <= published_revision_) {
        WatcherIndex index;
        for (Watcher* watcher : chosen) index.add(*watcher);
        reached = scan(index, from);
        if (!reached) {
            for (Gathered& each : gathered_) each.watcher->gathered = 0;
            gathered_.clear();
            log::error("watch_catch_up_failed", {"from", from}, {"why", reached.error().what});
            return wake(1s);
        }
    }
    hand_over();
    gathered_.clear();
    for (Watcher* watcher : chosen) move_on(*watcher, *reached);
    wake();
}

/// Whoever wants what is compacted can never have it.
void WatchHub::cancel_compacted() {
    const int64_t compacted = mvcc_.compacted_revision();
    std::vector<Watcher*> ended;
    lagging_.for_each([&](Watcher& watcher) {
        if (watcher.next_revision < compacted) ended.push_back(&watcher);
    });
    pb::WatchResponse head;
    head.mutable_header();  // etcd gives revision 0 here.
    head.set_compact_revision(compacted);
    for (Watcher* watcher : ended) watcher->stream->end(*watcher, head);
}

/// The one who waits longest, and others who want to go on from there or later.
std::vector<Watcher*> WatchHub::choose_lagging() {
    std::vector<Watcher*> chosen;
    lagging_.for_each([&](Watcher& watcher) {
        if (chosen.size() >= options_.watchers_per_pass || !watcher.stream->has_room()) return;
        if (chosen.empty() || watcher.next_revision >= chosen.front()->next_revision) chosen.push_back(&watcher);
    });
    return chosen;
}

void WatchHub::move_on(Watcher& watcher, int64_t reached) {
    watcher.unlink();
    --lagging_count_;
    const bool refused = std::exchange(watcher.refused, false);
    if (!refused) watcher.next_revision = std::max(watcher.next_revision, reached + 1);
    if (!refused && reached >= published_revision_) {
        watcher.synced = true;
        live_.add(watcher);
        watcher.stream->answer_progress();
        return;
    }
    lagging_.push_back(watcher);
    ++lagging_count_;
}

Result<int64_t> WatchHub::scan(const WatcherIndex& index, int64_t from) {
    const std::shared_ptr<const storage::View> view = store_.view();
    const ReaderOf<storage::View> reader(*view);
    storage::KeyRange range = range_of(Table::Revisions);
    range.first = revision_key({from, 0});
    range.last = revision_key({published_revision_ + 1, 0});
    const auto cursor = reader.cursor(range);
    int64_t last = from - 1;
    size_t looked = 0;
    size_t bytes = 0;
    for (cursor->seek(range.first); cursor->valid(); cursor->next()) {
        const Revision place = parse_revision_key(cursor->key());
        const bool enough = looked >= options_.changes_per_pass || bytes >= options_.bytes_per_pass;
        if (enough && place.main != last) return place.main - 1;  // A revision is never split.
        last = place.main;
        ++looked;
        LET(const auto change, read_change(reader, index, place, cursor->value()));
        if (!change) continue;
        bytes += change->key.size() + change->version.value.size();
        SharedEvent event(*change);
        gather(index, event);
    }
    TRY(cursor->status());
    return published_revision_;
}

Result<std::optional<Change>> WatchHub::read_change(const StateReader& reader, const WatcherIndex& index,
                                                    Revision place, std::string_view record) const {
    LET(const RevisionRecord parsed, parse_revision_record(record));
    Change change;
    change.version = Version::tombstone(place);
    bool wanted = false;
    bool with_previous = false;
    index.for_each_of(parsed.key, [&](const Watcher& watcher) {
        if (watcher.next_revision > place.main) return;
        wanted = true;
        with_previous = with_previous || watcher.prev_kv;
    });
    if (!wanted) return std::optional<Change>();
    change.key = Bytes::copy(parsed.key);
    if (!parsed.deleted) {
        LET(const std::optional<std::string> stored, reader.get(version_key(parsed.key, place)));
        if (!stored) return fail(Code::Corrupt, "a change is listed whose version is not there");
        LET(change.version, parse_record(place, *stored));
    }
    const bool created = change.version.create_revision == place.main;
    if (with_previous && !created && place.main - 1 >= mvcc_.compacted_revision()) {
        VersionWalk walk(reader, Interval::one(parsed.key), place.main - 1);
        while (!walk.at_end() && !walk.settled()) walk.settle(1000);
        TRY(walk.status());
        if (walk.settled()) {
            LET(change.previous, walk.version());
        }
    }
    return std::optional<Change>(std::move(change));
}

}  // namespace polis::services
