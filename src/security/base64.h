// base64url without padding (RFC 4648 section 5), as JSON web tokens use it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace polis::security {

std::string encode_base64url(std::string_view octets);

/// Strict: one text per octets. Errors: Invalid for a foreign letter, padding, an impossible length, or stray bits at the end.
Result<std::string> decode_base64url(std::string_view text);

}  // namespace polis::security
