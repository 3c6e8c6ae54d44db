#include "services/coord/lease_keeper.h"

#include <algorithm>

#include "base/ensure.h"

namespace polis::services {

namespace {

// Times are nanoseconds in 64 bits, 292 years; etcd grants up to 285. Added to the time since boot that still fits.
Duration term_of(int64_t ttl_seconds) {
    ENSURE(ttl_seconds <= LeaseTable::ttl_seconds_max);
    return std::chrono::seconds(std::max<int64_t>(ttl_seconds, 0));
}

}  // namespace

void LeaseKeeper::lead(const LeaseTable& table, Instant now) {
    stop_leading();
    leading_ = true;
    for (const auto& [id, lease] : table.all()) granted(id, table, now);
}

void LeaseKeeper::stop_leading() {
    leading_ = false;
    leases_.clear();
    due_order_.clear();
    checkpoint_order_.clear();
}

void LeaseKeeper::unlist(int64_t id, const Lease& lease) {
    due_order_.erase({lease.due, id});
    checkpoint_order_.erase({lease.checkpoint, id});
}

void LeaseKeeper::list(int64_t id, const Lease& lease) {
    if (lease.revoking) return;
    due_order_.insert({lease.due, id});
    if (lease.checkpoint != Instant::never()) checkpoint_order_.insert({lease.checkpoint, id});
}

Instant LeaseKeeper::next_checkpoint(const Lease& lease, Instant now) const {
    if (checkpoint_interval_ <= Duration(0) || lease.due - now <= checkpoint_interval_) return Instant::never();
    return now + checkpoint_interval_;
}

void LeaseKeeper::granted(int64_t id, const LeaseTable& table, Instant now) {
    if (!leading_) return;
    const LeaseTable::Lease* granted = table.find(id);
    if (!granted) return;  // Revoked again in the same batch.
    const auto [found, is_new] = leases_.try_emplace(id);
    Lease& lease = found->second;
    if (!is_new) unlist(id, lease);
    lease = {.term = term_of(granted->ttl_seconds), .due = now + term_of(granted->term_seconds())};
    lease.noted = granted->remaining_seconds > 0;
    lease.checkpoint = next_checkpoint(lease, now);
    list(id, lease);
}

void LeaseKeeper::removed(int64_t id) {
    const auto found = leases_.find(id);
    if (found == leases_.end()) return;
    unlist(id, found->second);
    leases_.erase(found);
}

void LeaseKeeper::set_due(int64_t id, Lease& lease, Instant due) {
    unlist(id, lease);
    lease.due = due;
    lease.revoking = false;
    list(id, lease);
}

std::optional<int64_t> LeaseKeeper::renew(int64_t id, Instant now) {
    const auto found = leases_.find(id);
    if (found == leases_.end() || found->second.revoking) return std::nullopt;
    Lease& lease = found->second;
    ENSURE(!lease.noted);
    unlist(id, lease);
    lease.due = now + lease.term;
    lease.checkpoint = next_checkpoint(lease, now);
    list(id, lease);
    return std::chrono::duration_cast<std::chrono::seconds>(lease.term).count();
}

std::optional<int64_t> LeaseKeeper::remaining(int64_t id, Instant now) const {
    const auto found = leases_.find(id);
    if (found == leases_.end()) return std::nullopt;
    const Duration left = std::max(found->second.due - now, Duration(0));
    return std::chrono::duration_cast<std::chrono::seconds>(left).count();
}

void LeaseKeeper::forgive(Duration pause) {
    ENSURE(pause >= Duration(0));
    due_order_.clear();
    for (auto& [id, lease] : leases_) {
        lease.due = lease.due + pause;
        if (!lease.revoking) due_order_.insert({lease.due, id});
    }
}

std::vector<int64_t> LeaseKeeper::take_due(Instant now, size_t count_max) {
    std::vector<int64_t> due;
    while (due.size() < count_max && !due_order_.empty() && due_order_.begin()->first <= now) {
        const int64_t id = due_order_.begin()->second;
        Lease& lease = leases_.at(id);
        unlist(id, lease);
        lease.revoking = true;
        due.push_back(id);
    }
    return due;
}

void LeaseKeeper::retry(int64_t id, Instant when) {
    const auto found = leases_.find(id);
    if (found != leases_.end() && found->second.revoking) set_due(id, found->second, when);
}

std::vector<LeaseKeeper::Remaining> LeaseKeeper::take_checkpoints(Instant now, size_t count_max) {
    std::vector<Remaining> taken;
    while (taken.size() < count_max && !checkpoint_order_.empty() && checkpoint_order_.begin()->first <= now) {
        const int64_t id = checkpoint_order_.begin()->second;
        Lease& lease = leases_.at(id);
        ENSURE(!lease.revoking);
        unlist(id, lease);
        lease.checkpoint = next_checkpoint(lease, now);
        list(id, lease);
        const Duration left = lease.due - now;
        if (left <= Duration(0)) continue;  // It is about to be revoked.
        lease.noted = true;
        taken.push_back({id, std::chrono::ceil<std::chrono::seconds>(left).count()});
    }
    return taken;
}

bool LeaseKeeper::is_noted(int64_t id) const {
    const auto found = leases_.find(id);
    return found != leases_.end() && found->second.noted;
}

void LeaseKeeper::set_noted(int64_t id, bool noted) {
    if (const auto found = leases_.find(id); found != leases_.end()) found->second.noted = noted;
}

}  // namespace polis::services
