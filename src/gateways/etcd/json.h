// JSON and protobuf octets, translated as grpc-gateway does for etcd: proto field names, bytes as base64, 64-bit integers as strings,
// defaults left out, unknown fields ignored.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "rpc/status.h"

namespace polis::gateways {

/// The encoding of a message of type `type` ("etcdserverpb.RangeRequest") from its JSON object; blank text is the empty message.
/// Field names may be the proto's or camelCase; base64 standard or URL-safe, padded or not; 64-bit integers strings or numbers;
/// enumerators names or numbers. REQUIRES: the type is linked in. Errors: Invalid, saying what is wrong.
Result<Bytes> octets_from_json(std::string_view type, std::string_view json);

/// The reverse, on one line. Errors: Invalid if `octets` are no such message.
Result<std::string> json_from_octets(std::string_view type, std::string_view octets);

/// `text` as a JSON string with its quotes. What is not UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

/// The body of a failed call: "code" and "message" as grpc-gateway v2 sends them (etcd 3.6), "error" as v1 did (etcd 3.5), which
/// clients in the field still read.
std::string json_error(const rpc::Status& status);
/// The last line of a stream that fails after its first answer.
std::string json_stream_error(const rpc::Status& status);

/// Cuts a body that arrives in pieces into the JSON values that it consists of (a client stream: one value a message, blanks
/// between). Finds only where values end; whether they are well-formed is for who reads them.
class JsonSplitter {
public:
    explicit JsonSplitter(size_t value_bytes_max) : value_bytes_max_(value_bytes_max) {}

    void feed(std::string_view piece) { pending_.append(piece); }
    /// The next whole value; nothing if more is needed. Errors: Invalid if it is longer than the limit or is no object.
    Result<std::optional<std::string>> next();
    /// True if what is left over is blank: the body did not end within a value.
    bool is_clean() const;

private:
    size_t value_bytes_max_;
    std::string pending_;  // Not yet given out.
    size_t scanned_ = 0;   // How far into pending_ the three below hold.
    uint32_t depth_ = 0;
    bool in_string_ = false;
    bool escaped_ = false;
};

}  // namespace polis::gateways
