// LoadGate: refuses early what could not be served in time: too much on its way, or more than one user may ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "base/time.h"
#include "base/token_bucket.h"
#include "services/coord/refused.h"

namespace polis::services {

/// Counts what this node has on its way for its clients. A value of limits and counts; told the time. A refused request has cost
/// nothing yet, and nothing of it will happen: who sent it may send it again, later.
class LoadGate {
public:
    struct Limits {
        uint64_t apply_lag_max = 5000;          // Entries committed and not applied here (etcd's limit).
        uint64_t write_bytes_max = 256u << 20;  // Of commands on their way.
        uint32_t reads_max = 50'000;            // That wait for the cluster's word that they are current.
        uint64_t user_requests_per_s = 0;       // Of each user; 0: no limit.
        uint64_t user_burst = 0;                // On top of the rate at once; 0: as much as in a second.
    };
    struct Counts {
        uint64_t refused_for_load = 0, refused_for_rate = 0;
    };

    explicit LoadGate(Limits limits);

    /// Holds for what asks from now on. With another rate or burst, everybody begins anew with a full burst.
    void set_limits(Limits limits);

    /// Whether `user` may ask for something now. Counts it.
    Allowed admit_user(std::string_view user, Instant now);
    bool limits_users() const { return limits_.user_requests_per_s > 0; }

    /// Whether a command of `bytes` octets may set off, `apply_lag` entries being committed and not applied.
    Allowed admit_write(uint64_t bytes, uint64_t apply_lag);
    Allowed admit_read();

    /// What is on its way, for as long as these live.
    class Write {
    public:
        Write(LoadGate& gate, uint64_t bytes) : gate_(gate), bytes_(bytes) { gate_.write_bytes_ += bytes_; }
        Write(const Write&) = delete;
        Write& operator=(const Write&) = delete;
        ~Write() { gate_.write_bytes_ -= bytes_; }

    private:
        LoadGate& gate_;
        const uint64_t bytes_;
    };
    class Read {
    public:
        explicit Read(LoadGate& gate) : gate_(gate) { ++gate_.reads_; }
        Read(const Read&) = delete;
        Read& operator=(const Read&) = delete;
        ~Read() { --gate_.reads_; }

    private:
        LoadGate& gate_;
    };

    const Counts& counts() const { return counts_; }
    size_t users() const { return users_.size(); }

private:
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view user) const { return fast_hash(user); }
    };

    /// Makes room for one more.
    void forget_idle_users(Instant now);

    Limits limits_;
    uint64_t write_bytes_ = 0;
    uint32_t reads_ = 0;
    std::unordered_map<std::string, TokenBucket, Hash, std::equal_to<>> users_;  // Those seen lately.
    Counts counts_;
};

}  // namespace polis::services
