#include "gateways/etcd/slow_log.h"

#include <utility>
#include <vector>

#include "base/log.h"
#include "gateways/etcd/trace.h"

namespace polis::gateways {
namespace {

double milliseconds_of(Duration span) { return std::chrono::duration<double, std::milli>(span).count(); }

}  // namespace

void SlowLog::note(const ServedRequest& request) {
    if (!enabled() || request.ended - request.began <= threshold_) return;
    ++count_;
    if (!lines_.take(request.ended)) {
        ++not_logged_;
        return;
    }
    const std::string trace = to_text(request.who.trace);
    const std::string_view user = request.who.phases ? std::string_view(request.who.phases->user) : std::string_view();
    std::vector<log::Field> fields = {{"method", request.method},
                                      {"user", user},
                                      {"code", rpc::name_of(request.code)},
                                      {"trace", trace},
                                      {"request_bytes", request.request_bytes},
                                      {"response_bytes", request.response_bytes},
                                      {"took_ms", milliseconds_of(request.ended - request.began)}};
    Instant reached = request.began;
    const auto phase = [&](std::string_view name, const std::optional<Instant>& when) {
        if (!when || *when < reached) return;
        fields.emplace_back(name, milliseconds_of(*when - reached));
        reached = *when;
    };
    if (request.who.phases) {
        phase("queued_ms", request.who.phases->proposed);
        phase("committed_ms", request.who.phases->committed);
        phase("applied_ms", request.who.phases->applied);
    }
    phase("answered_ms", request.ended);
    if (not_logged_ > 0) fields.emplace_back("not_logged", std::exchange(not_logged_, 0));
    log::write(log::Level::Warn, "request_slow", fields);
}

}  // namespace polis::gateways
