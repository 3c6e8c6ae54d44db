// Writes HTTP/1.1 heads and chunks.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "codec/http1/message.h"

namespace polis::codec {

/// "GET /x HTTP/1.1", the fields, and the empty line. Framing fields are the caller's business.
/// Errors: Invalid if method, target or a field holds what may not stand there (a CR would begin a field of its own).
Result<std::string> http1_request_head(std::string_view method, std::string_view target,
                                       std::span<const Http1Field> fields);

/// "HTTP/1.1 200 OK", the fields, and the empty line. Errors: as above.
Result<std::string> http1_response_head(int status, std::span<const Http1Field> fields);

/// The line that goes before the octets of a chunk; CRLF goes behind them. REQUIRES: size > 0 (an empty chunk ends the body).
std::string http1_chunk_prefix(size_t size);
constexpr std::string_view http1_chunk_suffix = "\r\n";
constexpr std::string_view http1_last_chunk = "0\r\n\r\n";
constexpr std::string_view http1_continue = "HTTP/1.1 100 Continue\r\n\r\n";

/// "Not Found" for 404; "Status" for codes without a name of their own.
std::string_view http1_reason(int status);

}  // namespace polis::codec
