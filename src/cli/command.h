// What the commands share: global options, exit codes, calls to a node.
#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "cli/main.h"
#include "cli/outcome.h"
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

    Duration timeout() const { return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(timeout_s)); }

    bool json() const { return format == "json"; }
};

/// How a call ended, and how far it came.
struct CallFailure {
    rpc::Status status;
    Reached reached = Reached::Nobody;
};

template <class Response>
using Answer = std::expected<Response, CallFailure>;

/// Calls the first of the endpoints that can be connected to; then stays with it. A call that has reached a server is never repeated at
/// another: it may have been done. Blocking; for commands.
class NodeClient {
public:
    explicit NodeClient(const Globals& globals);
    ~NodeClient();
    NodeClient(const NodeClient&) = delete;
    NodeClient& operator=(const NodeClient&) = delete;

    /// One unary call at the first endpoint that can be reached.
    Answer<Bytes> call(const std::string& method, Bytes request);
    /// One unary call at exactly this endpoint.
    Answer<Bytes> call_at(const std::string& endpoint, const std::string& method, Bytes request);

    template <class Response, class Request>
    Answer<Response> ask(const std::string& method, const Request& request) {
        return parsed<Response>(call(method, Bytes::take(request.SerializeAsString())));
    }
    template <class Response, class Request>
    Answer<Response> ask_at(const std::string& endpoint, const std::string& method, const Request& request) {
        return parsed<Response>(call_at(endpoint, method, Bytes::take(request.SerializeAsString())));
    }

    /// GET of a page over HTTP. Errors: Unavailable; Invalid; Io; NotFound for any status but 200.
    Result<std::string> page_at(const std::string& endpoint, const std::string& path);

private:
    template <class Response>
    static Answer<Response> parsed(const Answer<Bytes>& answer) {
        if (!answer) return std::unexpected(answer.error());
        Response response;
        if (!response.ParseFromArray(answer->data(), static_cast<int>(answer->size()))) {
            return std::unexpected(
                CallFailure{{rpc::StatusCode::Internal, "the node's answer cannot be read", {}}, Reached::Server});
        }
        return response;
    }
    struct State;
    std::unique_ptr<State> state_;
};

/// "host:port" of an endpoint, which may be a URL. Errors: Invalid.
Result<runtime::Address> address_of_endpoint(const std::string& endpoint);

/// How to reach `endpoint`, with TLS if the globals say so. Errors: Invalid.
Result<rpc::ClientOptions> client_options_of(const Globals& globals, const std::string& endpoint);

/// The TLS settings that the globals give for `endpoint`; null if it is to be spoken to plainly. Errors: Invalid.
Result<std::shared_ptr<const runtime::TlsContext>> tls_of(const Globals& globals, const std::string& endpoint,
                                                          std::vector<std::string> alpn);

/// What a call must carry to be made as --user; asks the endpoints for a token. Errors: Denied, Unavailable.
Result<rpc::Metadata> credentials_of(const Globals& globals);

/// Prints why to standard error and gives the exit code that tells it.
int failed(const CallFailure& failure, Effect effect);
int failed(const Error& error);

/// Each adds its commands to `app`. A command's callback sets `exit_code`.
void add_server_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_kv_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_cluster_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_backup_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_bench_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_config_commands(CLI::App& app, const Globals& globals, int& exit_code);
void add_init_command(CLI::App& app, const Globals& globals, int& exit_code);
void add_reload_command(CLI::App& app, const Globals& globals, int& exit_code);
void add_doctor_command(CLI::App& app, const Globals& globals, int& exit_code);
void add_top_command(CLI::App& app, const Globals& globals, int& exit_code);
void add_help_commands(CLI::App& app, const Globals& globals, int& exit_code);

/// All commands and global options, as main() has them: the table that help, man page and completions are made from.
void add_all(CLI::App& app, Globals& globals, int& exit_code);

}  // namespace polis::cli
