#include "cli/command.h"

#include <chrono>
#include <cstdio>
#include <map>

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
    std::string token;
    bool asked_for_token = false;
};

NodeClient::NodeClient(const Globals& globals) : state_(std::make_unique<State>(globals)) {}

NodeClient::~NodeClient() {
    for (auto& [endpoint, client] : state_->clients) {
        const Result<void> stopped = runtime::run(state_->reactor, client->stop());
        (void)stopped;
    }
}

rpc::Outcome NodeClient::call_at(const std::string& endpoint, const std::string& method, Bytes request) {
    auto& client = state_->clients[endpoint];
    if (!client) {
        const Result<runtime::Address> address = runtime::parse_address(without_scheme(endpoint));
        if (!address) return rpc::Outcome::of(rpc::Status{rpc::StatusCode::InvalidArgument, address.error().what, {}});
        rpc::ClientOptions options;
        options.address = *address;
        const Globals& globals = state_->globals;
        if (endpoint.starts_with("https://") || !globals.cacert.empty() || !globals.cert.empty()) {
            runtime::TlsOptions tls;
            tls.trusted_ca_file = globals.cacert;
            tls.certificate_file = globals.cert;
            tls.key_file = globals.key;
            tls.alpn = {"h2"};
            auto context = runtime::TlsContext::client(tls);
            if (!context) {
                return rpc::Outcome::of(rpc::Status{rpc::StatusCode::InvalidArgument, context.error().what, {}});
            }
            options.tls = *context;
        }
        client = rpc::Client::create(state_->world, options);
    }
    const auto timeout = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(state_->globals.timeout_s));
    Result<rpc::Outcome> outcome =
        runtime::run(state_->reactor, client->call(method, std::move(request), credentials(), timeout));
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

rpc::Metadata NodeClient::credentials() {
    rpc::Metadata metadata;
    const std::string user = state_->globals.user;
    if (user.empty()) return metadata;
    if (!state_->asked_for_token) {
        state_->asked_for_token = true;  // The call below comes here, too.
        etcdserverpb::AuthenticateRequest request;
        const size_t colon = user.find(':');
        request.set_name(user.substr(0, colon));
        if (colon != std::string::npos) request.set_password(user.substr(colon + 1));
        const auto answer = ask<etcdserverpb::AuthenticateResponse>("/etcdserverpb.Auth/Authenticate", request);
        if (answer) state_->token = answer->token();
    }
    if (!state_->token.empty()) metadata.add("token", state_->token);
    return metadata;
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
