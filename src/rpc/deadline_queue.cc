#include "rpc/deadline_queue.h"

#include "base/ensure.h"

namespace polis::rpc {

DeadlineQueue::DeadlineQueue(runtime::Reactor& reactor)
    : reactor_(reactor), alarm_(reactor.make_alarm([this] { ring(); })) {}

DeadlineQueue::~DeadlineQueue() {
    ENSURE(fresh_.empty() && sorted_.empty());
    reactor_.forget(*this);
}

void DeadlineQueue::add(Entry& entry, Instant deadline) {
    ENSURE(!entry.is_linked() && !entry.sorted_);
    entry.deadline_ = deadline;
    if (deadline == Instant::never()) return;
    fresh_.push_back(entry);
    if (hooked_) return;
    hooked_ = true;
    reactor_.at_turn_end(*this);
}

void DeadlineQueue::remove(Entry& entry) {
    entry.unlink();
    if (!entry.sorted_) return;
    entry.sorted_ = false;
    sorted_.erase({entry.deadline_, &entry});
}

void DeadlineQueue::turn_end() {
    hooked_ = false;
    while (!fresh_.empty()) {
        Entry& entry = fresh_.front();
        entry.unlink();
        entry.sorted_ = true;
        sorted_.emplace(entry.deadline_, &entry);
    }
    arm();
}

void DeadlineQueue::ring() {
    armed_ = Instant::never();
    while (!sorted_.empty() && sorted_.begin()->first <= reactor_.now()) {
        Entry& entry = *sorted_.begin()->second;
        remove(entry);
        entry.deadline_passed();
    }
    arm();
}

// An alarm that rings too early (its call has ended) costs less than moving it with every call.
void DeadlineQueue::arm() {
    if (sorted_.empty() || sorted_.begin()->first >= armed_) return;
    armed_ = sorted_.begin()->first;
    alarm_->set(armed_);
}

}  // namespace polis::rpc
