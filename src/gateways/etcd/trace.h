// Trace ids of requests: taken from the caller if it sent one (W3C Trace Context), else made.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "services/coord/api.h"

namespace polis::gateways {

/// The trace id in a `traceparent` header: "00-<32 hexadecimal digits>-<16>-<2>". Absent if it has another form, in which case the
/// specification has the receiver begin a trace of its own.
/// Source: W3C Trace Context (2021), section 3.2.
std::optional<services::TraceId> parse_traceparent(std::string_view header);

/// 32 hexadecimal digits.
std::string to_text(const services::TraceId& trace);

/// Makes trace ids. Not secret, only different from each other.
class TraceSource {
public:
    explicit TraceSource(uint64_t seed) : chance_(seed) {}

    services::TraceId next() {
        services::TraceId trace{chance_.next(), chance_.next()};
        if (trace.low == 0) trace.low = 1;  // Zero stands for none.
        return trace;
    }

private:
    Chance chance_;
};

}  // namespace polis::gateways
