// What the commands share: global options, exit codes, calls to a node.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/main.h"
#include "rpc/client.h"
#include "rpc/status.h"

namespace CLI {
class App;
}

namespace polis::cli {

/// Given before or after any command.
struct Globals {
    std::vector<std::string> endpoints = {"127.0.0.1:2379"};
    std::string format = "text";  // or "json"
    std::string user;             // name:password
    std::string cacert, cert, key;
    double timeout_s = 5;

    bool json() const { return format == "json"; }
};

/// Calls one node after the other until one answers; then stays with it. Blocking; for commands.
class NodeClient {
public:
    explicit NodeClient(const Globals& globals);
    ~NodeClient();

    /// One unary call at the first endpoint that answers. The outcome's status is not Ok if the node refused.
    rpc::Outcome call(const std::string& method, Bytes request);
    /// One unary call at exactly this endpoint.
    rpc::Outcome call_at(const std::string& endpoint, const std::string& method, Bytes request);

    template <class Response, class Request>
    std::expected<Response, rpc::Status> ask(const std::string& method, const Request& request) {
        const rpc::Outcome outcome = call(method, Bytes::take(request.SerializeAsString()));
        return parsed<Response>(outcome);
    }
    template <class Response, class Request>
    std::expected<Response, rpc::Status> ask_at(const std::string& endpoint, const std::string& method,
                                                const Request& request) {
        return parsed<Response>(call_at(endpoint, method, Bytes::take(request.SerializeAsString())));
    }

private:
    template <class Response>
    static std::expected<Response, rpc::Status> parsed(const rpc::Outcome& outcome) {
        if (!outcome.status.ok()) return std::unexpected(outcome.status);
        Response response;
        if (!response.ParseFromArray(outcome.message.data(), static_cast<int>(outcome.message.size()))) {
            return std::unexpected(rpc::Status{rpc::StatusCode::Internal, "the node's answer cannot be read", {}});
        }
        return response;
    }
    struct State;
    std::unique_ptr<State> state_;
};

/// How to reach `endpoint`, with TLS if the globals say so. Errors: Invalid.
Result<rpc::ClientOptions> client_options_of(const Globals& globals, const std::string& endpoint);

/// What a call must carry to be made as --user; asks the first endpoint for a token. Errors: Denied, Unavailable.
Result<rpc::Metadata> credentials_of(const Globals& globals);

/// Prints why to standard error and gives the exit code that tells it.
int failed(const rpc::Status& status);
int failed(const Error& error);

/// Each adds its commands to `app`. A command's callback sets `exit_code`.
void add_server_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_kv_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_cluster_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_backup_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_bench_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_config_commands(CLI::App& app, const Globals& globals, int& exit_code);

}  // namespace polis::cli
