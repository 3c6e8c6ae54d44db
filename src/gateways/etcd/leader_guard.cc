#include "gateways/etcd/leader_guard.h"

#include <utility>

#include "base/ensure.h"

namespace polis::gateways {

LeaderGuard::LeaderGuard(runtime::Reactor& reactor, std::function<bool()> has_leader, Duration election_timeout)
    : reactor_(reactor),
      has_leader_(std::move(has_leader)),
      election_timeout_(election_timeout),
      alarm_(reactor.make_alarm([this] { look(); })) {
    ENSURE(election_timeout > Duration(0));
}

LeaderGuard::Stay::Stay(LeaderGuard& guard, runtime::Scope& parent) : scope_(parent) {
    guard.stays_.push_back(*this);
    if (guard.watching_) return;
    guard.watching_ = true;
    guard.misses_ = 0;
    guard.alarm_->set(guard.reactor_.now() + guard.election_timeout_);
}

void LeaderGuard::look() {
    watching_ = false;
    if (stays_.empty()) return;
    misses_ = has_leader_() ? 0 : misses_ + 1;
    if (misses_ >= misses_max) {
        stays_.for_each([](Stay& stay) {
            stay.evicted_ = true;
            stay.scope_.cancel();
            stay.unlink();
        });
        return;
    }
    watching_ = true;
    alarm_->set(reactor_.now() + election_timeout_);
}

}  // namespace polis::gateways
