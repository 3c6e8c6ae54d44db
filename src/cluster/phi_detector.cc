#include "cluster/phi_detector.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/ensure.h"

namespace polis::cluster {
namespace {

using std::chrono::microseconds;

constexpr auto interval_max = std::chrono::minutes(1);

// -log10 of the probability that a normally distributed value exceeds its mean by `deviations` standard deviations.
double phi_of(double deviations) {
    const double tail = 0.5 * std::erfc(deviations / std::numbers::sqrt2);
    if (tail > 1e-300) return -std::log10(tail);
    // Too small for a double: the tail is near exp(-x²/2) / (x sqrt(2 pi)).
    return deviations * deviations / 2 * std::numbers::log10e +
           std::log10(deviations * std::sqrt(2 * std::numbers::pi));
}

int64_t us(Duration span) { return std::chrono::duration_cast<microseconds>(span).count(); }

}  // namespace

PhiDetector::PhiDetector(PhiOptions options) : options_(options) {
    ENSURE(options_.expected > Duration::zero() && options_.deviation_min > Duration::zero());
    ENSURE(options_.samples_max > 0);
}

void PhiDetector::heard(Instant now) {
    ENSURE(!last_heard_ || *last_heard_ <= now);
    last_heard_ = now;
    if (!last_counted_) {
        last_counted_ = now;
    } else if (now - *last_counted_ >= options_.expected / 2) {
        add(now - *last_counted_);
        last_counted_ = now;
    }
}

void PhiDetector::restarted() { last_counted_.reset(); }

void PhiDetector::add(Duration interval) {
    const int64_t value = us(std::min<Duration>(interval, interval_max));
    if (intervals_us_.size() < options_.samples_max) {
        intervals_us_.push_back(value);
    } else {
        int64_t& oldest = intervals_us_[next_];
        sum_us_ -= oldest;
        sum_of_squares_ -= oldest * oldest;
        oldest = value;
    }
    next_ = (next_ + 1) % options_.samples_max;
    sum_us_ += value;
    sum_of_squares_ += value * value;
}

Duration PhiDetector::mean() const {
    if (intervals_us_.empty()) return options_.expected;
    return microseconds(sum_us_ / static_cast<int64_t>(intervals_us_.size()));
}

Duration PhiDetector::deviation() const {
    if (intervals_us_.empty()) return options_.deviation_min;
    const auto count = static_cast<double>(intervals_us_.size());
    const double mean_us = static_cast<double>(sum_us_) / count;
    const double variance = std::max(0.0, static_cast<double>(sum_of_squares_) / count - mean_us * mean_us);
    const microseconds deviation(static_cast<int64_t>(std::sqrt(variance)));
    return std::max<Duration>(deviation, options_.deviation_min);
}

double PhiDetector::phi(Instant now) const {
    if (!last_heard_ || now <= *last_heard_) return 0;
    const auto beyond_mean = static_cast<double>(us(now - *last_heard_ - mean()));
    return phi_of(beyond_mean / static_cast<double>(us(deviation())));
}

}  // namespace polis::cluster
