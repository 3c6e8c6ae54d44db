// SlowLog: one line for each request that took too long, saying where its time went; not more lines than somebody can read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "base/token_bucket.h"
#include "rpc/status.h"
#include "services/coord/api.h"

namespace polis::gateways {

/// A request that has been answered, or given up.
struct ServedRequest {
    std::string_view method;
    const services::Credentials& who;
    rpc::StatusCode code = rpc::StatusCode::Ok;
    size_t request_bytes = 0;
    size_t response_bytes = 0;
    Instant began;
    Instant ended;
};

/// Writes `request_slow`, as a warning: method, user, code, trace, sizes, the whole time and its parts in milliseconds. The parts add up:
/// `queued_ms` until it was proposed (of a read: until its currency was asked for), `committed_ms` until the log had it for
/// good, `applied_ms` until this node had applied it (of a read: was current), `answered_ms` until the answer was made. At most
/// `lines_per_s` lines a second, with a burst of twice that; `not_logged` counts what was left out before a line.
class SlowLog {
public:
    static constexpr uint64_t lines_per_s = 10;

    /// `threshold`: what takes longer is slow; zero: nothing is.
    explicit SlowLog(Duration threshold) : threshold_(threshold), lines_(lines_per_s, 2 * lines_per_s) {}

    bool enabled() const { return threshold_ > Duration(0); }
    void set_threshold(Duration threshold) { threshold_ = threshold; }
    void note(const ServedRequest& request);

    /// Slow requests seen, logged or not.
    uint64_t count() const { return count_; }

private:
    Duration threshold_;
    TokenBucket lines_;
    uint64_t count_ = 0;
    uint64_t not_logged_ = 0;
};

}  // namespace polis::gateways
