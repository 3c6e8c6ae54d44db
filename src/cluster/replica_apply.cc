// The part of GroupReplica that applies committed entries to the model and keeps the log short.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cluster/envelope.h"
#include "cluster/replica.h"
#include "cluster/replica_state.h"

namespace polis::cluster {

void GroupReplica::apply_some() {
    if (store_blocked_ || installing_ || to_apply_.empty()) return;
    uint32_t budget = options_.apply_entries_max;
    while (!to_apply_.empty() && budget-- > 0) {
        const Entry entry = std::move(to_apply_.front());
        to_apply_.pop_front();
        apply_entry(entry);
    }
    model_.end_batch(*overlay_);
    save_applied_state({applying_, membership_applied_}, *overlay_);
    applied_once_.save(*overlay_);
    finish_batch();
    // What is left waits for the next turn, so that heartbeats and reads get theirs.
    if (!to_apply_.empty()) {
        world_.reactor.post([this, alive = std::weak_ptr<bool>(alive_)] {
            if (!alive.expired()) world_.reactor.at_turn_end(*this);
        });
    }
}

void GroupReplica::apply_entry(const Entry& entry) {
    ENSURE(entry.index == applying_.index.next());
    applying_ = {entry.index, entry.ballot};
    remember_ballot(applying_);
    if (entry.kind == EntryKind::Membership) {
        Result<consensus::Membership> membership = consensus::decode_membership(entry.payload);
        ENSURE(membership.has_value());  // The core has decoded it before.
        membership_applied_ = *std::move(membership);
        return;
    }
    if (entry.kind != EntryKind::Command) return;

    Result<Envelope> envelope = decode_envelope(entry.payload);
    if (!envelope) {
        // Skipping what others may understand would split the state for good.
        log::error("command_unreadable", {"group", options_.group}, {"index", entry.index},
                   {"why", envelope.error().what});
        ENSURE(envelope.has_value());
    }
    last_leader_time_ = std::max(last_leader_time_, envelope->leader_time);
    if (!applied_once_.admit(envelope->origin, envelope->sequence, envelope->outstanding_from)) {
        // Still waiting for it, we must have missed its first coming: in a snapshot, which holds effects but no answers.
        if (envelope->origin == options_.self && pending_.find(envelope->sequence)) {
            replies_.emplace_back(envelope->sequence, fail(Code::Unknown, "the command was done, its answer is lost"));
        }
        return;
    }
    Applied applied = model_.apply(entry.index, *envelope, *overlay_);
    if (envelope->origin == options_.self) replies_.emplace_back(envelope->sequence, std::move(applied.reply));
}

void GroupReplica::finish_batch() {
    const Instant begun = world_.reactor.fresh_now();
    const Result<void> written = store_->write(overlay_->batch());
    counters_.store_writes.note(world_.reactor.fresh_now() - begun);
    if (!written) {
        const bool passing = written.error().code == Code::Overloaded || written.error().code == Code::NoSpace;
        if (!passing) log::error("store_failed", {"group", options_.group}, {"why", written.error().what});
        ENSURE(passing);
        store_blocked_ = true;
        tasks_.spawn("replica_store_retry", retry_store_write());
        return;
    }
    overlay_->clear();
    applied_ = applying_;
    model_.committed(applied_.index);
    feed(consensus::Applied{applied_.index});
    for (auto& [sequence, reply] : std::exchange(replies_, {})) pending_.answer(sequence, std::move(reply));
    serve_ready_reads();
}

// The store is behind with its compaction, or full: heartbeats and acknowledgements go on, applying waits.
runtime::Task<void> GroupReplica::retry_store_write() {
    ++counters_.slow_applies;
    CO_TRY(co_await runtime::sleep_for(std::chrono::milliseconds(2)));
    store_blocked_ = false;
    finish_batch();
    world_.reactor.at_turn_end(*this);
    co_return runtime::done();
}

void GroupReplica::serve_ready_reads() {
    while (!reads_waiting_to_apply_.empty() && reads_waiting_to_apply_.begin()->first <= applied_.index) {
        BarrierRound round = std::move(reads_waiting_to_apply_.begin()->second);
        reads_waiting_to_apply_.erase(reads_waiting_to_apply_.begin());
        for (const auto& waiter : round.waiters) waiter->complete({});
    }
}

// ---- Keeping the log short ----

void GroupReplica::remember_ballot(const LogPosition& position) {
    if (ballot_runs_.empty() || ballot_runs_.back().ballot != position.ballot) ballot_runs_.push_back(position);
}

// REQUIRES: compacted_ <= index <= applying_.
Ballot GroupReplica::ballot_at(LogIndex index) const {
    const auto after = std::ranges::upper_bound(ballot_runs_, index, {}, &LogPosition::index);
    ENSURE(after != ballot_runs_.begin());
    return std::prev(after)->ballot;
}

// The first entry that may stay in the log without holding back too many octets of it.
LogIndex GroupReplica::log_to_keep() const { return wal_.first_within(options_.group, options_.flush_pinned_bytes); }

runtime::Task<void> GroupReplica::flush_loop() {
    for (;;) {
        CO_TRY(co_await runtime::sleep_for(std::chrono::seconds(1)));
        CO_TRY(co_await remove_unused_stores());
        const bool pins = log_to_keep() > compacted_.index.next();
        if (!pins && applied_.index - flushed_.index < options_.flush_entries) continue;
        const Result<void> flushed = co_await flush();
        if (!flushed) log::error("store_flush_failed", {"group", options_.group}, {"why", flushed.error().what});
    }
}

runtime::Task<void> GroupReplica::flush_store(storage::Store& store) {
    const auto result = std::make_shared<Result<void>>();
    runtime::Scope unbroken;  // The pool uses the store until it is through, whoever is in a hurry.
    runtime::Task<void> run = world_.pool.run([&store, result] { *result = store.flush(); });
    CO_TRY(co_await runtime::in_scope(unbroken, std::move(run)));
    co_return *result;
}

runtime::Task<void> GroupReplica::flush() {
    // One that is under way may have begun before the last batch.
    while (flushing_ || store_blocked_ || installing_)
        CO_TRY(co_await runtime::sleep_for(std::chrono::milliseconds(1)));
    co_return co_await flush_applied();
}

// REQUIRES: no other flush and no snapshot's installation is under way.
runtime::Task<void> GroupReplica::flush_applied() {
    ENSURE(!flushing_ && !installing_);
    flushing_ = true;
    const LogPosition position = applied_;
    const Result<void> written = co_await flush_store(*store_);
    flushing_ = false;
    CO_TRY(written);
    flushed_ = std::max(flushed_, position);

    // Followers that are a little behind catch up from the log rather than by a snapshot. Only so much of it, though: for what this
    // group keeps, others' segments are kept as well.
    const uint64_t keep = std::min(options_.keep_entries, flushed_.index.value);
    const LogIndex target =
        std::max(LogIndex(flushed_.index.value - keep), std::min(flushed_.index, LogIndex(log_to_keep().value - 1)));
    if (target <= compacted_.index) co_return runtime::done();
    compacted_ = {target, ballot_at(target)};
    while (ballot_runs_.size() > 1 && ballot_runs_[1].index <= target) ballot_runs_.pop_front();
    wal_.compact(options_.group, compacted_);
    feed(consensus::Compacted{compacted_});
    co_return runtime::done();
}

}  // namespace polis::cluster
