#include "cli/command.h"

#include <cstdio>
#include <map>
#include <optional>

#include "cli/world.h"
#include "codec/etcd/rpc.pb.h"
#include "rpc/http_client.h"
#include "runtime/wait.h"

namespace polis::cli {
namespace {

using rpc::StatusCode;

std::string without_scheme(const std::string& endpoint) {
    std::string_view text = endpoint;
    if (const size_t at = text.find("://"); at != std::string_view::npos) text.remove_prefix(at + 3);
    if (text.ends_with('/')) text.remove_suffix(1);
    return std::string(text);
}

CallFailure failure_of(const Error& error) {
    const rpc::Status status = rpc::status_of(error);
    return {status, Reached::Nobody};
}

}  // namespace

struct NodeClient::State {
    explicit State(const Globals& given) : globals(given), world(ClientWorld::open()) {}

    // Errors: Unavailable if nobody can be connected to there; Invalid.
    Result<rpc::Client*> reach(const std::string& endpoint) {
        if (!world) return std::unexpected(world.error());
        if (const auto place = clients.find(endpoint); place != clients.end()) return place->second.get();
        LET(const rpc::ClientOptions options, client_options_of(globals, endpoint));
        // A connection only to see that there can be one: a call that fails later has perhaps been done.
        const Result<void> tried = (*world)->run(try_to_connect((*world)->world(), options));
        if (!tried) return fail(Code::Unavailable, endpoint + ": " + tried.error().what);
        return clients.emplace(endpoint, rpc::Client::create((*world)->world(), options)).first->second.get();
    }

    static runtime::Task<void> try_to_connect(runtime::World world, rpc::ClientOptions options) {
        const Instant limit = world.reactor.now() + options.connect_timeout;
        CO_LET(const std::unique_ptr<runtime::Stream> stream,
               co_await runtime::with_deadline(limit, world.network.connect(options.address, options.tls)));
        stream->close();
        co_return runtime::done();
    }

    const Globals& globals;
    Result<std::unique_ptr<ClientWorld>> world;
    std::map<std::string, std::unique_ptr<rpc::Client>> clients;
    std::string good_endpoint;
    std::optional<rpc::Metadata> metadata;  // Asked for with the first call.
};

NodeClient::NodeClient(const Globals& globals) : state_(std::make_unique<State>(globals)) {}

NodeClient::~NodeClient() {
    for (auto& [endpoint, client] : state_->clients) {
        const Result<void> stopped = (*state_->world)->run(client->stop());
        (void)stopped;  // What could not be closed in order ends with the process.
    }
}

Result<runtime::Address> address_of_endpoint(const std::string& endpoint) {
    return runtime::parse_address(without_scheme(endpoint));
}

Result<std::shared_ptr<const runtime::TlsContext>> tls_of(const Globals& globals, const std::string& endpoint,
                                                          std::vector<std::string> alpn) {
    const bool asked_for = endpoint.starts_with("https://") || !globals.cacert.empty() || !globals.cert.empty();
    if (!asked_for || endpoint.starts_with("http://")) return std::shared_ptr<const runtime::TlsContext>();
    runtime::TlsOptions tls;
    tls.trusted_ca_file = globals.cacert;
    tls.certificate_file = globals.cert;
    tls.key_file = globals.key;
    tls.alpn = std::move(alpn);
    return runtime::TlsContext::client(tls);
}

Result<rpc::ClientOptions> client_options_of(const Globals& globals, const std::string& endpoint) {
    rpc::ClientOptions options;
    LET(options.address, address_of_endpoint(endpoint));
    LET(options.tls, tls_of(globals, endpoint, {"h2"}));
    options.connect_timeout = globals.timeout();
    return options;
}

Result<rpc::Metadata> credentials_of(const Globals& globals) {
    rpc::Metadata metadata;
    if (globals.user.empty()) return metadata;
    Globals nobody = globals;
    nobody.user.clear();
    etcdserverpb::AuthenticateRequest request;
    const size_t colon = globals.user.find(':');
    request.set_name(globals.user.substr(0, colon));
    if (colon != std::string::npos) request.set_password(globals.user.substr(colon + 1));
    NodeClient client(nobody);
    const auto answer = client.ask<etcdserverpb::AuthenticateResponse>("/etcdserverpb.Auth/Authenticate", request);
    if (!answer) {
        const bool refused =
            exit_code_of(answer.error().status, Effect::Reads, answer.error().reached) == ExitCode::Failed;
        return fail(refused ? Code::Denied : Code::Unavailable, answer.error().status.message);
    }
    metadata.add("token", answer->token());
    return metadata;
}

Answer<Bytes> NodeClient::call_at(const std::string& endpoint, const std::string& method, Bytes request) {
    const Result<rpc::Client*> client = state_->reach(endpoint);
    if (!client) return std::unexpected(failure_of(client.error()));
    if (!state_->metadata) {
        Result<rpc::Metadata> metadata = credentials_of(state_->globals);
        if (!metadata) return std::unexpected(failure_of(metadata.error()));
        state_->metadata = *std::move(metadata);
    }
    Result<rpc::Outcome> outcome =
        (*state_->world)
            ->run((*client)->call(method, std::move(request), *state_->metadata, state_->globals.timeout()));
    if (!outcome) return std::unexpected(CallFailure{rpc::status_of(outcome.error()), Reached::Server});
    if (!outcome->status.ok()) return std::unexpected(CallFailure{outcome->status, Reached::Server});
    return std::move(outcome->message);
}

Answer<Bytes> NodeClient::call(const std::string& method, Bytes request) {
    if (!state_->good_endpoint.empty()) return call_at(state_->good_endpoint, method, std::move(request));
    CallFailure last{{StatusCode::Unavailable, "no endpoint was given", {}}, Reached::Nobody};
    for (const std::string& endpoint : state_->globals.endpoints) {
        Answer<Bytes> answer = call_at(endpoint, method, request);
        const bool next = !answer && answer.error().reached == Reached::Nobody &&
                          answer.error().status.code == StatusCode::Unavailable;
        if (!next) {
            state_->good_endpoint = endpoint;
            return answer;
        }
        last = answer.error();
    }
    return std::unexpected(std::move(last));
}

Result<std::string> NodeClient::page_at(const std::string& endpoint, const std::string& path) {
    if (!state_->world) return std::unexpected(state_->world.error());
    rpc::HttpCall call;
    LET(call.address, address_of_endpoint(endpoint));
    LET(call.tls, tls_of(state_->globals, endpoint, {"http/1.1"}));
    call.target = path;
    ClientWorld& world = **state_->world;
    const Instant limit = world.reactor().fresh_now() + state_->globals.timeout();
    LET(rpc::HttpAnswer answer,
        world.run(runtime::with_deadline(limit, rpc::http_request(world.world().network, std::move(call)))));
    if (answer.status != 200) {
        return fail(Code::NotFound, endpoint + path + " answers " + std::to_string(answer.status));
    }
    return std::move(answer.body);
}

int failed(const CallFailure& failure, Effect effect) {
    const ExitCode code = exit_code_of(failure.status, effect, failure.reached);
    std::fprintf(stderr, "Error: %s\n", failure.status.message.c_str());
    if (code == ExitCode::UnknownOutcome) {
        std::fprintf(stderr, "It may have been done all the same: read to find out.\n");
    }
    return code;
}

int failed(const Error& error) {
    std::fprintf(stderr, "Error: %s\n", error.what.c_str());
    return exit_code_of(error);
}

}  // namespace polis::cli
