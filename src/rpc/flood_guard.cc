#include "rpc/flood_guard.h"

namespace polis::rpc {
namespace {

constexpr uint32_t strikes_max = 2;
constexpr Duration idle_ping_interval_min = std::chrono::hours(2);

constexpr std::array<std::string_view, 7> texts = {
    "too_many_resets",         "too_many_settings", "too_many_priorities",    "too_many_empty_frames",
    "too_many_window_updates", "too_many_pings",    "too_many_useless_frames"};

}  // namespace

FloodGuard::FloodGuard(uint32_t resets_max) : limits_{resets_max, 100, 10'000, 1'000, 200'000, 10'000, 1'000} {}

std::optional<std::string_view> FloodGuard::count(Event event, Instant now) {
    if (now - window_begin_ >= std::chrono::seconds(1)) {
        window_begin_ = now;
        counts_.fill(0);
    }
    const auto index = static_cast<size_t>(event);
    if (++counts_[index] <= limits_[index]) return std::nullopt;
    return texts[index];
}

bool PingPolice::ping_received(Instant now, bool calls_open) {
    const std::optional<Instant> previous = last_;
    last_ = now;
    if (forgiven_) {
        forgiven_ = false;
        strikes_ = 0;
        return false;
    }
    const Duration interval = calls_open ? interval_min_ : idle_ping_interval_min;
    if (previous && now - *previous < interval) ++strikes_;
    return strikes_ > strikes_max;
}

}  // namespace polis::rpc
