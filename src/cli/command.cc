#include "cli/command.h"

#include <chrono>
#include <cstdio>
#include <map>
#include <optional>

#include "cluster/host.h"
#include "codec/etcd/rpc.pb.h"
#include "runtime/asio_network.h"
#include "runtime/asio_reactor.h"
#include "runtime/posix_disk.h"
#include "runtime/system_random.h"
#include "runtime/thread_pool.h"

namespace polis::cli {
namespace {

std::string without_scheme(const std::string& endpoint) {
    const std::string_view text = endpoint;
    const size_t at = text.find("://");
    return std::string(at == std::string_view::npos ? text : text.substr(at + 3));
}

}  // namespace

struct NodeClient::State {
    explicit State(const Globals& given)
        : globals(given),
          network(reactor),
          disk(runtime::PosixDisk::open_root("/", {.threads = 1, .spin_max = Duration(0)})),
          pool(1),
          world{reactor, network, **disk, random, pool} {}

    const Globals& globals;
    runtime::AsioReactor reactor;
    runtime::AsioNetwork network;
    Result<std::unique_ptr<runtime::PosixDisk>> disk;
    runtime::SystemRandom random;
    runtime::ThreadPool pool;
    runtime::World world;
    std::map<std::string, std::unique_ptr<rpc::Client>> clients;
    std::string good_endpoint;
    std::optional<Result<rpc::Metadata>> metadata;  // Asked for with the first call.
};

NodeClient::NodeClient(const Globals& globals) : state_(std::make_unique<State>(globals)) {}

NodeClient::~NodeClient() {
    for (auto& [endpoint, client] : state_->clients) {
        const Result<void> stopped = runtime::run(state_->reactor, client->stop());
        (void)stopped;
    }
}

Result<rpc::ClientOptions> client_options_of(const Globals& globals, const std::string& endpoint) {
    rpc::ClientOptions options;
    LET(options.address, runtime::parse_address(without_scheme(endpoint)));
    if (endpoint.starts_with("https://") || !globals.cacert.empty() || !globals.cert.empty()) {
        runtime::TlsOptions tls;
        tls.trusted_ca_file = globals.cacert;
        tls.certificate_file = globals.cert;
        tls.key_file = globals.key;
        tls.alpn = {"h2"};
        LET(options.tls, runtime::TlsContext::client(tls));
    }
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
    if (!answer) return fail(Code::Denied, answer.error().message);
    metadata.add("token", answer->token());
    return metadata;
}

rpc::Outcome NodeClient::call_at(const std::string& endpoint, const std::string& method, Bytes request) {
    auto& client = state_->clients[endpoint];
    if (!client) {
        const Result<rpc::ClientOptions> options = client_options_of(state_->globals, endpoint);
        if (!options) return rpc::Outcome::of(rpc::Status{rpc::StatusCode::InvalidArgument, options.error().what, {}});
        client = rpc::Client::create(state_->world, *options);
    }
    if (!state_->metadata) state_->metadata = credentials_of(state_->globals);
    if (!*state_->metadata) {
        return rpc::Outcome::of(rpc::Status{rpc::StatusCode::Unauthenticated, state_->metadata->error().what, {}});
    }
    const auto timeout = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(state_->globals.timeout_s));
    Result<rpc::Outcome> outcome =
        runtime::run(state_->reactor, client->call(method, std::move(request), **state_->metadata, timeout));
    if (!outcome) return rpc::Outcome::of(rpc::status_of(outcome.error()));
    return *std::move(outcome);
}

rpc::Outcome NodeClient::call(const std::string& method, Bytes request) {
    rpc::Outcome outcome = rpc::Outcome::of(rpc::Status{rpc::StatusCode::Unavailable, "no endpoint was given", {}});
    if (!state_->good_endpoint.empty()) return call_at(state_->good_endpoint, method, request);
    for (const std::string& endpoint : state_->globals.endpoints) {
        outcome = call_at(endpoint, method, request);
        if (outcome.status.code == rpc::StatusCode::Unavailable) continue;
        state_->good_endpoint = endpoint;
        return outcome;
    }
    return outcome;
}

int failed(const rpc::Status& status) {
    std::fprintf(stderr, "Error: %s\n", status.message.c_str());
    if (status.code == rpc::StatusCode::Unavailable) return ExitCode::Unavailable;
    if (status.code == rpc::StatusCode::DeadlineExceeded || status.code == rpc::StatusCode::Unknown) {
        return ExitCode::UnknownOutcome;
    }
    return ExitCode::Failed;
}

int failed(const Error& error) {
    std::fprintf(stderr, "Error: %s\n", error.what.c_str());
    if (error.code == Code::Invalid) return ExitCode::Usage;
    if (error.code == Code::Unavailable) return ExitCode::Unavailable;
    if (error.code == Code::Unknown) return ExitCode::UnknownOutcome;
    return ExitCode::Failed;
}

}  // namespace polis::cli
