// PhiDetector: how strongly a peer's silence speaks for its death, learned from how it used to be heard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.h"

namespace polis::cluster {

struct PhiOptions {
    Duration expected = std::chrono::milliseconds(50);  // Between two signs of life of an idle peer.
    size_t samples_max = 200;                           // Intervals remembered.
    /// No peer is taken for more regular than this: a link that never varied must not turn its first hiccup into a death.
    Duration deviation_min = std::chrono::milliseconds(50);
    double threshold =
        8;  // Suspected from here on: one wrong suspicion in 10^8 silences of a peer that behaves as it did.
};

/// The phi accrual failure detector (Hayashibara, Défago, Yared, Katayama, SRDS 2004): phi(now) is -log10 of the probability that a
/// living peer stays silent for as long as this one has, were its intervals normally distributed as those of late. One peer. A value; pure.
///
/// A busy peer is heard in bursts that say nothing about its next sign of life, so arrivals closer together than half of `expected` make one sample.
class PhiDetector {
public:
    explicit PhiDetector(PhiOptions options);

    /// Something came from the peer. `now` never falls.
    void heard(Instant now);
    /// The peer was gone and is back, perhaps as a new process: the silence between was no interval.
    void restarted();

    /// 0 while nothing was ever heard (that is no silence yet), then rising with the silence without bound.
    double phi(Instant now) const;
    bool suspects(Instant now) const { return phi(now) >= options_.threshold; }
    std::optional<Instant> last_heard() const { return last_heard_; }

    /// Of the remembered intervals; `expected` while there are none.
    Duration mean() const;
    Duration deviation() const;

private:
    void add(Duration interval);

    PhiOptions options_;
    std::vector<int64_t> intervals_us_;  // A ring of at most samples_max.
    size_t next_ = 0;                    // The place of the next one in it.
    int64_t sum_us_ = 0;
    int64_t sum_of_squares_ = 0;  // In us²; intervals are at most a minute, so 200 of them fit many times.
    std::optional<Instant> last_heard_;
    std::optional<Instant> last_counted_;  // The arrival from which the next interval is measured.
};

}  // namespace polis::cluster
