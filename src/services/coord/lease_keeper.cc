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
    order_.clear();
}

void LeaseKeeper::granted(int64_t id, const LeaseTable& table, Instant now) {
    if (!leading_) return;
    const LeaseTable::Lease* granted = table.find(id);
    if (!granted) return;  // Revoked again in the same batch.
    Lease& lease = leases_[id];
    if (!lease.revoking) order_.erase({lease.due, id});
    lease = {term_of(granted->ttl_seconds), now + term_of(granted->ttl_seconds), false};
    order_.insert({lease.due, id});
}

void LeaseKeeper::removed(int64_t id) {
    const auto found = leases_.find(id);
    if (found == leases_.end()) return;
    order_.erase({found->second.due, id});
    leases_.erase(found);
}

void LeaseKeeper::set_due(int64_t id, Lease& lease, Instant due) {
    order_.erase({lease.due, id});
    lease.due = due;
    lease.revoking = false;
    order_.insert({due, id});
}

std::optional<int64_t> LeaseKeeper::renew(int64_t id, Instant now) {
    const auto found = leases_.find(id);
    if (found == leases_.end() || found->second.revoking) return std::nullopt;
    set_due(id, found->second, now + found->second.term);
    return std::chrono::duration_cast<std::chrono::seconds>(found->second.term).count();
}

std::optional<int64_t> LeaseKeeper::remaining(int64_t id, Instant now) const {
    const auto found = leases_.find(id);
    if (found == leases_.end()) return std::nullopt;
    const Duration left = std::max(found->second.due - now, Duration(0));
    return std::chrono::duration_cast<std::chrono::seconds>(left).count();
}

void LeaseKeeper::forgive(Duration pause) {
    ENSURE(pause >= Duration(0));
    order_.clear();
    for (auto& [id, lease] : leases_) {
        lease.due = lease.due + pause;
        if (!lease.revoking) order_.insert({lease.due, id});
    }
}

std::vector<int64_t> LeaseKeeper::take_due(Instant now, size_t count_max) {
    std::vector<int64_t> due;
    while (due.size() < count_max && !order_.empty() && order_.begin()->first <= now) {
        const int64_t id = order_.begin()->second;
        order_.erase(order_.begin());
        leases_.at(id).revoking = true;
        due.push_back(id);
    }
    return due;
}

void LeaseKeeper::retry(int64_t id, Instant when) {
    const auto found = leases_.find(id);
    if (found != leases_.end() && found->second.revoking) set_due(id, found->second, when);
}

}  // namespace polis::services
