// Durations as people write them: "1h30m", "10s", "500ms".
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace polis::node {

/// Reads a sum of decimal numbers with units ns, us, ms, s, m, h, as Go's time.ParseDuration does, without signs. At most a century.
/// Errors: Invalid.
Result<Duration> parse_duration(std::string_view text);

}  // namespace polis::node
