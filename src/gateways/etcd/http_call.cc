#include "gateways/etcd/http_call.h"

#include "base/ensure.h"

namespace polis::gateways {

using runtime::Task;

rpc::Metadata metadata_from(const rpc::Metadata& headers) {
    constexpr std::string_view prefix = "grpc-metadata-";
    rpc::Metadata metadata;
    for (const auto& [name, value] : headers.fields()) {
        if (name == "authorization" || name == "traceparent") metadata.add(name, value);
        if (name.starts_with(prefix) && name.size() > prefix.size()) metadata.add(name.substr(prefix.size()), value);
    }
    return metadata;
}

HttpCall::HttpCall(const rpc::HttpRequest& request, const JsonMethod& method, JsonChannel* channel)
    : method_(method), channel_(channel), metadata_(metadata_from(request.headers)), peer_(request.peer) {
    peer_.certificate_common_name.clear();
}

Task<std::optional<Bytes>> HttpCall::read() {
    ENSURE(channel_ != nullptr);
    for (;;) {
        CO_LET(const std::optional<std::string> value, splitter_.next());
        if (value) {
            CO_LET(Bytes octets, octets_from_json(method_.request_type, *value));
            co_return std::optional<Bytes>(std::move(octets));
        }
        CO_LET(const Bytes piece, co_await channel_->read());
        if (piece.empty()) {
            if (!splitter_.is_clean()) co_return fail(Code::Invalid, "the body ends within a JSON value");
            co_return std::optional<Bytes>();
        }
        splitter_.feed(piece);
    }
}

Task<void> HttpCall::write(Bytes message) {
    ENSURE(channel_ != nullptr);
    CO_LET(const std::string json, json_from_octets(method_.response_type, message));
    const std::string line = R"({"result":)" + json + "}";
    co_return co_await channel_->write(line);
}

}  // namespace polis::gateways
