// Prints protobuf messages as JSON, as the HTTP gateway shows them.
#pragma once

#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <string>

#include "cli/main.h"

namespace polis::cli {

inline int print_json(const google::protobuf::Message& message) {
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    std::string text;
    if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return ExitCode::Failed;
    std::puts(text.c_str());
    return ExitCode::Ok;
}

}  // namespace polis::cli
