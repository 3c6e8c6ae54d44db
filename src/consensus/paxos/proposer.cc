// Proposer: gathering promises, and choosing what must be proposed again.
#include "consensus/paxos/proposer.h"

#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/value.h"

namespace polis::consensus {
namespace {

// Above all ballots: what is decided wins over whatever else was accepted.
constexpr Ballot decided_ballot{~uint64_t{0}, NodeId::Nobody};

}  // namespace

LogIndex Proposer::reported_to(NodeId from) const {
    const auto known = reports_.find(from);
    return known == reports_.end() ? next_.previous() : known->second.to;
}

bool Proposer::has_report(NodeId from) const {
    const auto known = reports_.find(from);
    return known != reports_.end() && known->second.complete;
}

LogIndex Proposer::decided_at(NodeId from) const {
    const auto known = reports_.find(from);
    return known == reports_.end() ? LogIndex() : known->second.decided;
}

bool Proposer::take(NodeId from, const Report& report) {
    ENSURE(ballot_.epoch > 0);
    if (has_report(from) || report.to < report.after) return false;
    // What begins earlier than needed was asked for before we went on: it tells enough.
    const auto known = reports_.try_emplace(from, Known{.to = next_.previous()}).first;
    if (report.after > known->second.to) return false;
    Known& reporter = known->second;
    if (report.to <= reporter.to && !report.complete) return false;
    for (const Entry& entry : report.accepted) {
        const bool is_decided = entry.index <= report.decided;
        if (entry.ballot == Ballot()) {
            reporter.lost.add({entry.index, entry.index});
        } else if (entry.index >= next_ && run_start_ == LogIndex()) {
            // Once the run has begun, nothing can have been decided in its slots under a lower ballot.
            const Ballot ballot = is_decided ? decided_ballot : entry.ballot;
            Entry& best = found_.try_emplace(entry.index).first->second;
            if (ballot <= best.ballot) continue;
            best = entry;
            best.ballot = ballot;
        }
    }
    reporter.to = std::max(reporter.to, report.to);
    reporter.complete = report.complete;
    reporter.decided = std::max(reporter.decided, report.decided);
    return true;
}

bool Proposer::is_prepared(const Membership& membership) const {
    if (!majority(membership, [&](NodeId node) { return has_report(node); })) return false;
    for (const auto& [node, known] : reports_) {
        for (const LogRange& range : known.lost.ranges()) {
            for (LogIndex slot = std::max(range.first, next_); slot <= range.last; slot = slot.next()) {
                if (!is_found_by_others(slot, membership)) return false;
            }
        }
    }
    return true;
}

// Whatever majority accepted something in the slot, one of it has told.
bool Proposer::is_found_by_others(LogIndex slot, const Membership& membership) const {
    const auto found = found_.find(slot);
    if (found != found_.end() && found->second.ballot == decided_ballot) return true;
    return !majority(membership, [&](NodeId node) {
        const auto known = reports_.find(node);
        return known == reports_.end() || !known->second.complete || known->second.lost.contains(slot);
    });
}

Entry Proposer::propose_found() {
    ENSURE(has_found() && !held_);
    const LogIndex slot = next_;
    next_ = next_.next();
    if (found_.begin()->first != slot) return gap_filler(slot, ballot_);
    Entry entry = std::move(found_.begin()->second);
    found_.erase(found_.begin());
    entry.ballot = ballot_;
    return entry;
}

LogIndex Proposer::claim() {
    ENSURE(!has_found() && !held_);
    if (run_start_ == LogIndex()) run_start_ = next_;
    return std::exchange(next_, next_.next());
}

void Proposer::add_to(Digest& digest) const {
    digest.add(ballot_).add(next_).add(run_start_).add(uint64_t{held_}).add(reports_.size()).add(found_.size());
    for (const auto& [node, known] : reports_) {
        digest.add(node).add(known.to).add(uint64_t{known.complete}).add(known.decided);
        known.lost.add_to(digest);
    }
    for (const auto& [slot, entry] : found_) digest.add(entry);
}

}  // namespace polis::consensus
