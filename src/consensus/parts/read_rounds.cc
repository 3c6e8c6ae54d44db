// ReadRounds: confirming rounds and releasing barriers.
#include "consensus/parts/read_rounds.h"

#include <utility>

#include "base/ensure.h"

namespace polis::consensus {
namespace {

// Rounds whose time is remembered while nobody answers; older ones only cost us lease time.
constexpr size_t sent_max = 64;

}  // namespace

uint64_t ReadRounds::begin(Instant now) {
    sent_.push_back({++newest_, now});
    if (sent_.size() > sent_max) sent_.pop_front();
    return newest_;
}

void ReadRounds::confirm(uint64_t round) {
    ENSURE(round <= newest_);
    if (round <= confirmed_) return;
    confirmed_ = round;
    while (!sent_.empty() && sent_.front().round <= round) {
        confirmed_sent_at_ = sent_.front().at;
        sent_.pop_front();
    }
}

void ReadRounds::add(Barrier barrier) {
    barrier.round = newest_ + 1;
    barriers_.push_back(barrier);
}

bool ReadRounds::wants_round() const {
    return !barriers_.empty() && barriers_.back().round > newest_ && barriers_.front().round > newest_;
}

std::vector<ReadRounds::Barrier> ReadRounds::take_confirmed() {
    std::vector<Barrier> ready;
    while (!barriers_.empty() && barriers_.front().round <= confirmed_) {
        ready.push_back(barriers_.front());
        barriers_.pop_front();
    }
    return ready;
}

std::vector<ReadRounds::Barrier> ReadRounds::take_all() {
    std::vector<Barrier> all(barriers_.begin(), barriers_.end());
    barriers_.clear();
    return all;
}

void ReadRounds::add_to(Digest& digest) const {
    digest.add(newest_).add(confirmed_).add(confirmed_sent_at_).add(sent_.size()).add(barriers_.size());
    for (const Sent& sent : sent_) digest.add(sent.round).add(sent.at);
    for (const Barrier& barrier : barriers_) {
        digest.add(barrier.id).add(barrier.from).add(barrier.context).add(barrier.index).add(barrier.round);
    }
}

}  // namespace polis::consensus
