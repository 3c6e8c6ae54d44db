// gzip, the one message compression that gRPC clients commonly use.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace polis::rpc {

/// `octets` as one gzip member (RFC 1952).
std::string gzip(std::string_view octets);

/// The reverse. Memory grows with what is really produced and stops at `bytes_max`: a bomb costs no more than that.
/// Errors: Invalid if it is not gzip or is cut short; Overloaded if it yields more than `bytes_max` octets.
Result<std::string> gunzip(std::string_view octets, size_t bytes_max);

}  // namespace polis::rpc
