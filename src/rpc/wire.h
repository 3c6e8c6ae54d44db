// How gRPC spells texts, octets and timeouts in HTTP/2 header fields (grpc/doc/PROTOCOL-HTTP2.md).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace polis::rpc {

/// grpc-message: every octet but printable ASCII without '%' becomes %XX.
std::string percent_encode(std::string_view text);
/// The reverse; what is no valid escape stays as it is, as gRPC asks ("must not discard the message").
std::string percent_decode(std::string_view text);

/// Values of fields whose names end in "-bin": base64 without padding.
std::string base64_encode(std::string_view octets);
/// With or without padding; nothing if it is not base64.
std::optional<std::string> base64_decode(std::string_view text);

/// grpc-timeout: one to eight digits and a unit of H, M, S, m, u, n. Nothing if malformed. Spans too long for Duration
/// come out as Duration::max().
std::optional<Duration> parse_timeout(std::string_view text);
/// The shortest unit in which `span` fits eight digits, rounded up, so that the server never gives up before the client.
/// A span that has passed already is sent as "1n": zero is not allowed.
std::string format_timeout(Duration span);

/// Whether a content-type is gRPC's: "application/grpc", optionally followed by '+' or ';' and more.
bool is_grpc_content_type(std::string_view content_type);

/// Whether a field's values are octets, base64 on the wire.
inline bool is_binary_name(std::string_view name) { return name.ends_with("-bin"); }

}  // namespace polis::rpc
