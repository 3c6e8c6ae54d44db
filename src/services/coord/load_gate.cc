#include "services/coord/load_gate.h"

#include <algorithm>

namespace polis::services {

namespace {

// Users who asked lately. Beyond, somebody makes up names in certificates: then all are forgotten, and each has a burst anew.
constexpr size_t users_max = 10'000;

LoadGate::Limits with_burst(LoadGate::Limits limits) {
    if (limits.user_burst == 0) limits.user_burst = std::max<uint64_t>(limits.user_requests_per_s, 1);
    return limits;
}

}  // namespace

LoadGate::LoadGate(Limits limits) : limits_(with_burst(limits)) {}

void LoadGate::set_limits(Limits limits) {
    const Limits fresh = with_burst(limits);
    if (fresh.user_requests_per_s != limits_.user_requests_per_s || fresh.user_burst != limits_.user_burst)
        users_.clear();
    limits_ = fresh;
}

Allowed LoadGate::admit_user(std::string_view user, Instant now) {
    if (!limits_users()) return {};
    auto found = users_.find(user);
    if (found == users_.end()) {
        if (users_.size() >= users_max) forget_idle_users(now);
        found = users_.emplace(user, TokenBucket(limits_.user_requests_per_s, limits_.user_burst)).first;
    }
    if (found->second.take(now)) return {};
    ++counts_.refused_for_rate;
    return refuse(Refusal::UserRateExceeded);
}

void LoadGate::forget_idle_users(Instant now) {
    std::erase_if(users_, [&](const auto& each) { return each.second.is_full(now); });
    if (users_.size() >= users_max) users_.clear();
}

Allowed LoadGate::admit_write(uint64_t bytes, uint64_t apply_lag) {
    // A command larger than the whole limit still goes alone, or it never would.
    const bool too_much = write_bytes_ > 0 && write_bytes_ + bytes > limits_.write_bytes_max;
    if (apply_lag <= limits_.apply_lag_max && !too_much) return {};
    ++counts_.refused_for_load;
    return refuse(Refusal::TooManyRequests);
}

Allowed LoadGate::admit_read() {
    if (reads_ < limits_.reads_max) return {};
    ++counts_.refused_for_load;
    return refuse(Refusal::TooManyRequests);
}

}  // namespace polis::services
