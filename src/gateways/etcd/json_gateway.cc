// etcd's methods as POST /v3/... with JSON bodies (grpc-gateway), and streams as lines or over a websocket.
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>

#include "codec/etcd/election.pb.h"
#include "codec/etcd/lock.pb.h"
#include "gateways/etcd/backend.h"
#include "gateways/etcd/http_call.h"
#include "gateways/etcd/http_respond.h"
#include "gateways/etcd/json_paths.h"
#include "gateways/etcd/origin.h"
#include "gateways/etcd/websocket.h"

namespace polis::gateways {
namespace {

using runtime::Task;

/// The largest gRPC message that a server takes (request_bytes_max and 512 KiB for what surrounds it).
constexpr size_t message_overhead_bytes = 512u << 10;

/// The body of an exchange as a channel: each answer a line of a response that has no length.
class BodyChannel : public JsonChannel {
public:
    BodyChannel(rpc::HttpExchange& exchange, rpc::Metadata headers)
        : exchange_(exchange), headers_(std::move(headers)) {}

    Task<Bytes> read() override { return exchange_.read_piece(); }

    Task<void> write(std::string line) override {
        if (!begun_) {
            begun_ = true;
            CO_TRY(co_await exchange_.begin(200, json_headers(headers_)));
        }
        line += '\n';
        co_return co_await exchange_.write(line);
    }

    /// Ends the response with how the call ended: an empty body, one error, or a last line.
    Task<void> finish(rpc::Status status) {
        const std::string error_line = json_stream_error(status) + "\n";
        if (!begun_ && !status.ok()) {
            const int http_status = http_status_of(status.code);
            co_return co_await exchange_.respond(http_status, json_headers(headers_), error_line);
        }
        if (!begun_) CO_TRY(co_await exchange_.begin(200, json_headers(headers_)));
        if (!status.ok()) CO_TRY(co_await exchange_.write(error_line));
        co_return co_await exchange_.end();
    }

private:
    rpc::HttpExchange& exchange_;
    rpc::Metadata headers_;
    bool begun_ = false;
};

/// What all exchanges of the JSON side share. Lives in the route's handler.
struct JsonSide {
    Backend& backend;
    const rpc::Routes& routes;
    std::map<std::string, JsonMethod, std::less<>> methods;  // By path.
};

JsonMethod method_named(const std::string& name) {
    std::string full_name = name.substr(1);
    std::ranges::replace(full_name, '/', '.');
    const auto* method = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(full_name);
    ENSURE(method != nullptr);
    return {name, method->input_type()->full_name(), method->output_type()->full_name()};
}

Task<void> respond_error(rpc::HttpExchange& exchange, rpc::Metadata headers, rpc::Status status) {
    return exchange.respond(http_status_of(status.code), json_headers(headers), json_error(status));
}

/// As grpc-go says it.
rpc::Status message_too_large(size_t bytes, size_t bytes_max) {
    return {
        rpc::StatusCode::ResourceExhausted,
        "grpc: received message larger than max (" + std::to_string(bytes) + " vs. " + std::to_string(bytes_max) + ")",
        {}};
}

Task<void> serve_unary_json(const JsonSide& side, rpc::HttpExchange& exchange, const JsonMethod& method,
                            const rpc::UnaryHandler& handler, rpc::Metadata headers) {
    const Result<std::string> body = co_await exchange.read_body(json_bytes_max);
    if (!body) {
        if (body.error().code != Code::Invalid) co_return std::unexpected(body.error());
        co_return co_await respond_error(exchange, headers, rpc::status_of(body.error()));
    }
    Result<Bytes> octets = octets_from_json(method.request_type, *body);
    if (!octets) co_return co_await respond_error(exchange, headers, rpc::status_of(octets.error()));
    const size_t bytes_max = side.backend.options.request_bytes_max + message_overhead_bytes;
    if (octets->size() > bytes_max) {
        const rpc::Status too_large = message_too_large(octets->size(), bytes_max);
        co_return co_await respond_error(exchange, headers, too_large);
    }
    HttpCall call(exchange.request(), method, nullptr);
    auto work = handler(call, *std::move(octets));
    const Result<rpc::Outcome> outcome = co_await work;
    if (!outcome) co_return co_await respond_error(exchange, headers, status_of_error(outcome.error()));
    if (!outcome->status.ok()) co_return co_await respond_error(exchange, headers, outcome->status);
    Result<std::string> json = json_from_octets(method.response_type, outcome->message);
    if (!json) co_return co_await respond_error(exchange, headers, rpc::status_of(json.error()));
    co_return co_await exchange.respond(200, json_headers(headers), *std::move(json));
}

Task<void> serve_stream_json(rpc::HttpExchange& exchange, const JsonMethod& method, const rpc::StreamHandler& handler,
                             rpc::Metadata headers) {
    BodyChannel channel(exchange, headers);
    HttpCall call(exchange.request(), method, &channel);
    auto work = handler(call);
    const Result<rpc::Status> ended = co_await work;
    const rpc::Status status = ended ? *ended : rpc::status_of(ended.error());
    co_return co_await channel.finish(status);
}

Task<void> serve_websocket(rpc::HttpExchange& exchange, const JsonMethod& method, const rpc::StreamHandler& handler) {
    const Result<rpc::Metadata> answer = websocket_answer(exchange.request().headers);
    if (!answer) {
        const std::string why = answer.error().what + "\n";
        co_return co_await exchange.respond(400, text_headers(), why);
    }
    CO_LET(const std::unique_ptr<runtime::Stream> stream, co_await exchange.upgrade(*answer));
    Websocket socket(*stream, json_bytes_max);
    HttpCall call(exchange.request(), method, &socket);
    auto work = handler(call);
    const Result<rpc::Status> ended = co_await work;
    const rpc::Status status = ended ? *ended : rpc::status_of(ended.error());
    if (!status.ok() && !socket.closed()) {
        const std::string line = json_stream_error(status);
        const Result<void> told = co_await socket.write(line);
        if (!told) co_return std::unexpected(told.error());
    }
    co_return co_await socket.close();
}

Task<void> serve_json(const JsonSide& side, rpc::HttpExchange& exchange) {
    const rpc::HttpRequest& request = exchange.request();
    const OriginVerdict origin = judge_origin(request, side.backend.options.allowed_origins);
    if (!origin.allowed) {
        const std::string why =
            "requests of web pages of this origin are refused; name it in allowed_origins to admit them\n";
        co_return co_await exchange.respond(403, text_headers(), why);
    }
    if (request.method == "OPTIONS") {
        const std::string nothing;
        co_return co_await exchange.respond(200, origin.headers, nothing);
    }

    std::string path = request.path;
    constexpr std::string_view beta = "/v3beta/";
    if (path.starts_with(beta)) path.replace(0, beta.size(), "/v3/");
    const auto found = side.methods.find(path);
    if (found == side.methods.end()) {
        const rpc::Status not_found{rpc::StatusCode::NotFound, "Not Found", {}};
        co_return co_await respond_error(exchange, origin.headers, not_found);
    }
    const JsonMethod& method = found->second;
    const rpc::StreamHandler* stream = side.routes.find_stream(method.name);
    if (stream && is_websocket(request)) co_return co_await serve_websocket(exchange, method, *stream);
    if (request.method != "POST") {
        const rpc::Status not_allowed{rpc::StatusCode::Unimplemented, "Method Not Allowed", {}};
        co_return co_await respond_error(exchange, origin.headers, not_allowed);
    }
    if (stream) co_return co_await serve_stream_json(exchange, method, *stream, origin.headers);
    const rpc::UnaryHandler* unary = side.routes.find_unary(method.name);
    ENSURE(unary != nullptr);
    co_return co_await serve_unary_json(side, exchange, method, *unary, origin.headers);
}

}  // namespace

void register_json(Backend& backend, rpc::Routes& routes) {
    // The messages of methods that only JSON names here must be in the descriptor pool whatever the linker drops.
    v3lockpb::LockRequest::descriptor();
    v3electionpb::LeaderKey::descriptor();
    const auto side = std::make_shared<JsonSide>(JsonSide{backend, routes, {}});
    for (const JsonPath& path : json_paths()) side->methods.emplace(path.path, method_named(std::string(path.method)));
    const auto handler = [side](rpc::HttpExchange& exchange) { return serve_json(*side, exchange); };
    routes.http("/v3/", handler);
    routes.http("/v3beta/", handler);
}

}  // namespace polis::gateways
