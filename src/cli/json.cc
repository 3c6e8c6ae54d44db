#include "cli/json.h"

#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/main.h"

namespace polis::cli {

Result<std::string> json_of(const google::protobuf::Message& message) {
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    std::string text;
    const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
    if (!status.ok())
        return fail(Code::Invalid, "the answer cannot be shown as JSON: " + std::string(status.message()));
    return text;
}

int print_json(const google::protobuf::Message& message) {
    const Result<std::string> text = json_of(message);
    if (!text) {
        std::fprintf(stderr, "Error: %s\n", text.error().what.c_str());
        return ExitCode::Failed;
    }
    std::puts(text->c_str());
    return ExitCode::Ok;
}

std::string json_text(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace polis::cli
