// FloodGuard: counts what a peer does on one HTTP/2 connection and tells when it is abuse. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"

namespace polis::rpc {

/// Frames that cost their sender nothing and us something. Counted by the second; each has a limit far above what real clients send.
/// Source: CVE-2019-9511..9518, CVE-2023-44487 (rapid reset), CVE-2025-8671 (made-you-reset), CVE-2024-28182.
class FloodGuard {
public:
    enum class Event : uint8_t {
        StreamReset,  // By the peer, or by us because of what the peer sent.
        Settings,
        Priority,
        EmptyData,  // Without END_STREAM.
        WindowUpdate,
        Ping,
        Other,  // Continuations, frames that were refused.
    };

    explicit FloodGuard(uint32_t resets_max);

    /// Counts one event. The text for GOAWAY if there were too many within a second.
    std::optional<std::string_view> count(Event event, Instant now);

private:
    static constexpr size_t event_count = 7;
    std::array<uint32_t, event_count> limits_;
    std::array<uint32_t, event_count> counts_{};
    Instant window_begin_;
};

/// Keep-alive pings of clients: grpc-go's enforcement policy, which clients are written against. More than two pings that come
/// too early end the connection. Too early: within `interval_min`, or within two hours while no call is open. What we send
/// makes pings welcome again (clients measure the bandwidth with them).
class PingPolice {
public:
    explicit PingPolice(Duration interval_min) : interval_min_(interval_min) {}

    void data_sent() { forgiven_ = true; }
    /// True if this ping was one too many.
    bool ping_received(Instant now, bool calls_open);

private:
    Duration interval_min_;
    std::optional<Instant> last_;
    uint32_t strikes_ = 0;
    bool forgiven_ = false;
};

}  // namespace polis::rpc
