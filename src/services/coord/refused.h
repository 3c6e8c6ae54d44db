// Allowed: yes, or the refusal that stands against it.
#pragma once

#include <expected>

#include "services/coord/api.h"

namespace polis::services {

using Allowed = std::expected<void, Refusal>;

inline std::unexpected<Refusal> refuse(Refusal why) { return std::unexpected<Refusal>(why); }

}  // namespace polis::services
