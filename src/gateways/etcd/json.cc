#include "gateways/etcd/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/ensure.h"
#include "gateways/etcd/errors.h"

namespace polis::gateways {
namespace {

namespace google_pb = ::google::protobuf;

constexpr std::string_view type_prefix = "type.googleapis.com";

google_pb::util::TypeResolver& resolver() {
    static const std::unique_ptr<google_pb::util::TypeResolver> all(google_pb::util::NewTypeResolverForDescriptorPool(
        std::string(type_prefix), google_pb::DescriptorPool::generated_pool()));
    return *all;
}

std::string url_of(std::string_view type) {
    ENSURE(google_pb::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(type)) != nullptr);
    return std::string(type_prefix) + '/' + std::string(type);
}

bool is_blank(char letter) { return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n'; }

/// The length of the well-formed UTF-8 sequence at the front of `text`; 0 if there is none.
size_t utf8_length(std::string_view text) {
    const auto octet = [&](size_t at) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at])); };
    const uint32_t lead = octet(0);
    const size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > text.size()) return 0;
    uint32_t point = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t at = 1; at < length; ++at) {
        if (octet(at) >> 6 != 2) return 0;
        point = point << 6 | (octet(at) & 0x3f);
    }
    constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < smallest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return 0;
    return length;
}

}  // namespace

Result<Bytes> octets_from_json(std::string_view type, std::string_view json) {
    if (json.find_first_not_of(" \t\r\n") == std::string_view::npos) return Bytes();
    google_pb::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    std::string octets;
    const auto status = google_pb::util::JsonToBinaryString(
        &resolver(), url_of(type), google_pb::StringPiece(json.data(), static_cast<ptrdiff_t>(json.size())), &octets,
        options);
    if (!status.ok()) return fail(Code::Invalid, "not the JSON of a " + std::string(type) + ": " + status.ToString());
    return Bytes::take(std::move(octets));
}

Result<std::string> json_from_octets(std::string_view type, std::string_view octets) {
    google_pb::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    std::string json;
    const auto status =
        google_pb::util::BinaryToJsonString(&resolver(), url_of(type), std::string(octets), &json, options);
    if (!status.ok()) return fail(Code::Invalid, "not a " + std::string(type) + ": " + status.ToString());
    return json;
}

std::string json_string(std::string_view text) {
    std::string json = "\"";
    while (!text.empty()) {
        const char letter = text.front();
        const size_t length = utf8_length(text);
        if (length == 0) {
            json += "\xef\xbf\xbd";
        } else if (length > 1) {
            json.append(text.substr(0, length));
        } else if (letter == '"' || letter == '\\') {
            json.append({'\\', letter});
        } else if (static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f) {
            char hex[8];
            std::snprintf(hex, sizeof hex, "\\u%04x", static_cast<unsigned>(letter));
            json += hex;
        } else {
            json += letter;
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return json + '"';
}

std::string json_error(const rpc::Status& status) {
    const std::string message = json_string(status.message);
    return R"({"error":)" + message + R"(,"code":)" + std::to_string(static_cast<int>(status.code)) + R"(,"message":)" +
           message + "}";
}

std::string json_stream_error(const rpc::Status& status) {
    const std::string code = std::to_string(static_cast<int>(status.code));
    return R"({"error":{"code":)" + code + R"(,"message":)" + json_string(status.message) + R"(,"grpc_code":)" + code +
           R"(,"http_code":)" + std::to_string(http_status_of(status.code)) + "}}";
}

Result<std::optional<std::string>> JsonSplitter::next() {
    if (scanned_ == 0) {
        const size_t first = pending_.find_first_not_of(" \t\r\n");
        pending_.erase(0, first);
        if (pending_.empty()) return std::nullopt;
        if (pending_.front() != '{') return fail(Code::Invalid, "expected a JSON object");
    }
    for (; scanned_ < pending_.size(); ++scanned_) {
        if (scanned_ >= value_bytes_max_) return fail(Code::Invalid, "a JSON value is too long");
        const char letter = pending_[scanned_];
        if (in_string_) {
            if (!escaped_ && letter == '"') in_string_ = false;
            escaped_ = !escaped_ && letter == '\\';
            continue;
        }
        if (letter == '"') in_string_ = true;
        if (letter == '{' || letter == '[') ++depth_;
        if (letter == '}' || letter == ']') {
            ENSURE(depth_ > 0);
            if (--depth_ > 0) continue;
            std::string value = pending_.substr(0, scanned_ + 1);
            pending_.erase(0, scanned_ + 1);
            scanned_ = 0;
            return value;
        }
    }
    return std::nullopt;
}

bool JsonSplitter::is_clean() const { return std::ranges::all_of(pending_, is_blank); }

}  // namespace polis::gateways
