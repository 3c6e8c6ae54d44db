#include "runtime/wait.h"

namespace polis::runtime {
namespace detail {

DeadlineScope::DeadlineScope(Context outer, Instant when) : reactor_(outer.reactor), scope_(*outer.scope) {
    if (when == Instant::never()) return;
    if (when <= reactor_->now()) {
        scope_.cancel(Code::Timeout);
        return;
    }
    alarm_ = reactor_->make_alarm([this] { scope_.cancel(Code::Timeout); });
    alarm_->set(when);
}

}  // namespace detail

Task<void> sleep_until(Instant when) {
    const Context here = co_await this_context();
    if (when <= here.reactor->now()) co_return done();
    Completion<void> rung;
    const auto alarm = here.reactor->make_alarm([&rung] { rung.complete({}); });
    alarm->set(when);
    co_return co_await rung.wait();
}

Task<void> sleep_for(Duration span) {
    const Context here = co_await this_context();
    co_return co_await sleep_until(here.reactor->now() + span);
}

}  // namespace polis::runtime
