#include "runtime/scope.h"

namespace polis::runtime {

Scope::Scope(Scope& parent) {
    parent.children_.push_back(*this);
    if (parent.canceled_) cancel(parent.why_);
}

Error Scope::error() const {
    if (why_ == Code::Timeout) return {Code::Timeout, "the deadline passed"};
    return {why_, "the work was cancelled"};
}

void Scope::cancel(Code why) {
    if (canceled_) return;
    canceled_ = true;
    why_ = why;
    // Cancelling a wait only schedules its coroutine, so neither list changes under us but at its front.
    while (!waits_.empty()) {
        Wait& wait = waits_.front();
        wait.unlink();
        wait.cancel();
    }
    children_.for_each([why](Scope& child) { child.cancel(why); });
}

}  // namespace polis::runtime
