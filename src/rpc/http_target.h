// Request targets of HTTP: path and query, decoded.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace polis::rpc {

struct HttpTarget {
    std::string path;
    std::map<std::string, std::string, std::less<>> query;
};

/// "/v3/kv%2Frange?x=1&y" -> path "/v3/kv/range", query {x: "1", y: ""}. In queries '+' is a space. Nothing if an escape is
/// malformed or decodes to NUL, or the path does not begin with '/' (or is not "*").
std::optional<HttpTarget> parse_target(std::string_view target);

}  // namespace polis::rpc
