// Values of options as text: out of environment variables and flags, and into files; and which key a misspelt one may have meant.
#pragma once

#include <string>
#include <string_view>

#include "node/config.h"

namespace polis::node {

/// Reads a value of the kind that `option` has. A list is separated by commas; a table is written name=text,name=text, where a name may
/// come more than once (its texts are then joined by commas). Errors: Invalid, beginning with `where`.
Result<Value> value_of_text(const Option& option, std::string_view text, std::string_view where);

/// The value as TOML. Any text survives the way into a file and back.
std::string toml_of(const Value& value);

/// Invalid unless a number lies within the option's bounds. `where` begins the message.
Result<void> check_bounds(const Option& option, int64_t number, std::string_view where);

/// ": did you mean x?" for the option whose key is most like `key`, or empty if none is.
std::string suggestion(std::string_view key);

/// The option of that key, or null.
const Option* find_option(std::string_view key);

}  // namespace polis::node
