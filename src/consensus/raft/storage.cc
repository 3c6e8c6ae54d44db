// What the disk answers: Stores that became durable or were refused, entries read back.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/raft/participant.h"

namespace polis::consensus {
namespace {

constexpr uint64_t fetch_entries_max = 4096;  // Of one Fetch; its bytes are the shell's to bound.

}  // namespace

// One Store for all that this step wrote.
void RaftParticipant::flush_write(Outputs& out) {
    const bool committed_is_news = !write_.entries.empty() && committed_ > committed_stored_;
    if (hard_state_changed_ || committed_is_news) {
        write_.hard_state = hard_state();
        hard_state_changed_ = false;
        committed_stored_ = committed_;
    }
    if (write_.empty() && repairs_.empty()) return;
    std::optional<Store> store = stores_.add(std::exchange(write_, {}), std::exchange(repairs_, {}), log_);
    if (store) out.push_back(*std::move(store));
}

void RaftParticipant::on(const Stored& stored, Outputs& out) {
    for (const LogPosition& position : stores_.stored(stored.token)) {
        if (log_.holds(position)) log_.mark_repaired(position.index);
    }
    if (role_ == Role::Candidate && !campaign_.asked && stores_.is_durable(campaign_.vote_token)) ask_for_votes(out);
    if (granted_vote_ && stores_.is_durable(granted_vote_->token)) {
        const NodeId to = granted_vote_->to;
        granted_vote_.reset();
        send(to, RaftKind::VoteReply, {}, out);
    }
    if (role_ == Role::Leader) {
        advance_commit(out);
    } else if (acknowledged() > acked_) {
        acknowledge(out);
    }
}

void RaftParticipant::on(const StoreRefused& refused, Outputs& out) {
    const bool refused_again = stores_.out_of_space();
    stores_.refused(refused.token);
    retry_at_ = now_ + options_.election_timeout;
    // Disks that hold the same fill at the same time: by the first retry the others have said whether they are full.
    if (refused_again && role_ == Role::Leader) give_up_leading_without_space(out);
}

void RaftParticipant::retry_refused(Outputs& out) {
    if (!stores_.out_of_space() || now_ < retry_at_) return;
    retry_at_ = now_ + options_.election_timeout;
    if (std::optional<Store> store = stores_.retry(log_, hard_state())) out.push_back(*std::move(store));
}

// Somebody with room should lead. If nobody has any, we stay: reads go on, and proposals are refused.
void RaftParticipant::give_up_leading_without_space(Outputs& out) {
    ENSURE(role_ == Role::Leader);
    if (transfer_) return;
    if (FollowerProgress* successor = best_successor()) hand_over(*successor, out);
}

// Who waits for what is being read from `first` on; starts reading if nobody does yet.
std::vector<NodeId>& RaftParticipant::readers_from(LogIndex first, LogIndex last, Outputs& out) {
    ENSURE(first <= last);
    for (FetchUnderWay& under_way : fetches_) {
        if (under_way.range.first == first) return under_way.readers;
    }
    const LogRange range{first, std::min(last, first + (fetch_entries_max - 1))};
    out.push_back(Fetch{range});
    return fetches_.emplace_back(range, std::vector<NodeId>()).readers;
}

void RaftParticipant::fetch(NodeId reader, LogIndex first, LogIndex last, Outputs& out) {
    std::vector<NodeId>& readers = readers_from(first, last, out);
    if (std::find(readers.begin(), readers.end(), reader) == readers.end()) readers.push_back(reader);
}

void RaftParticipant::fetch_for_repair(RepairReader reader, LogIndex last, Outputs& out) {
    readers_from(reader.first, last, out);
    repair_readers_.push_back(reader);
}

void RaftParticipant::on(Fetched fetched, Outputs& out) {
    const auto under_way = std::find_if(fetches_.begin(), fetches_.end(),
                                        [&](const FetchUnderWay& other) { return other.range == fetched.range; });
    if (under_way == fetches_.end()) return;
    const std::vector<NodeId> readers = std::move(under_way->readers);
    fetches_.erase(under_way);
    // The log may have been cut and filled anew while the disk was read: what is not the log's any more is not used.
    size_t good = 0;
    LogIndex expected = fetched.range.first;
    while (good < fetched.entries.size() && fetched.entries[good].index == expected &&
           log_.holds({expected, fetched.entries[good].ballot})) {
        expected = expected.next();
        ++good;
    }
    const std::span<const Entry> entries(fetched.entries.data(), good);
    for (const NodeId reader : readers) {
        if (reader == NodeId::Nobody) {
            deliver_fetched(fetched.range.first, entries, out);
        } else {
            send_fetched(reader, fetched.range.first, entries, out);
        }
    }
    for (const RepairReader& reader : std::exchange(repair_readers_, {})) {
        if (reader.first == fetched.range.first) {
            send_repair(reader.node, entries, out);
        } else {
            repair_readers_.push_back(reader);
        }
    }
}

void RaftParticipant::deliver_fetched(LogIndex first, std::span<const Entry> entries, Outputs& out) {
    if (entries.empty() && first == delivered_.next() && first <= std::min(committed_, durable())) {
        // Neither compacted nor cut, and yet not readable: it is damaged, and others have it.
        lose(first, out);
        return;
    }
    while (!entries.empty()) {
        const LogIndex limit = std::min(committed_, durable());
        if (entries.front().index != delivered_.next() || entries.front().index > limit) return;
        size_t count = 0;
        uint64_t bytes = 0;
        while (count < entries.size() && entries[count].index <= limit &&
               (count == 0 || bytes + size_of(entries[count]) <= options_.deliver_bytes_max)) {
            bytes += size_of(entries[count++]);
        }
        const LogIndex before = delivered_;
        deliver_batch(entries.first(count), out);
        entries = entries.subspan(delivered_ - before);
    }
}

void RaftParticipant::send_fetched(NodeId reader, LogIndex first, std::span<const Entry> entries, Outputs& out) {
    FollowerProgress* to = progress_of(reader);
    if (to == nullptr || !std::exchange(to->fetching, false)) return;
    if (to->state != FollowerProgress::State::Replicate || to->next != first) return replicate_to(*to, out);
    if (entries.empty()) return ask_for_snapshot(*to, out);  // Compacted meanwhile, or damaged.
    while (!entries.empty()) {
        uint64_t bytes = 0;
        size_t count = 0;
        while (count < entries.size() &&
               (count == 0 || bytes + size_of(entries[count]) <= options_.message_bytes_max)) {
            bytes += size_of(entries[count++]);
        }
        send_entries(*to, entries.first(count), out);
        entries = entries.subspan(count);
    }
    replicate_to(*to, out);
}

}  // namespace polis::consensus
