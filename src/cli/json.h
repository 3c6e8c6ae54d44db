// JSON of what commands print: protobuf messages as the HTTP gateway shows them, and plain text.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace polis::cli {

/// The message as one line of JSON. Errors: Invalid: text in it is not UTF-8.
Result<std::string> json_of(const google::protobuf::Message& message);

/// Prints json_of with a line break; the exit code.
int print_json(const google::protobuf::Message& message);

/// A JSON string, quoted and escaped. What is not UTF-8 becomes U+FFFD.
std::string json_text(std::string_view text);

}  // namespace polis::cli
