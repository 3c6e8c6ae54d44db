// The plain HTTP side: health, readiness, version, metrics.
#include <algorithm>
#include <set>

#include "gateways/etcd/backend.h"
#include "gateways/etcd/errors.h"
#include "gateways/etcd/http_respond.h"
#include "gateways/etcd/json.h"
#include "gateways/etcd/version.h"

namespace polis::gateways {
namespace {

using runtime::Task;
using services::Refusal;

Task<void> respond_method_not_allowed(rpc::HttpExchange& exchange) {
    rpc::Metadata headers = text_headers();
    headers.add("allow", "GET");
    return exchange.respond(405, std::move(headers), "Method Not Allowed\n");
}

/// All values of a repeated name in the query ("?exclude=a&exclude=b"); rpc's map keeps one. The names looked for here need no
/// decoding.
std::set<std::string, std::less<>> query_values(const rpc::HttpRequest& request, std::string_view name) {
    std::set<std::string, std::less<>> values;
    const size_t question = request.target.find('?');
    if (question == std::string::npos) return values;
    std::string_view rest = std::string_view(request.target).substr(question + 1);
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('&'), rest.size());
        const std::string_view field = rest.substr(0, end);
        if (field.starts_with(name) && field.substr(name.size()).starts_with('=') && field.size() > name.size() + 1) {
            values.emplace(field.substr(name.size() + 1));
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return values;
}

/// Whether this node can read its store, and, unless `serializable`, the cluster's newest. A refusal of coord's is an answer: nobody
/// here has a user's password. Errors: what a client would be told.
Task<Answer<void>> read_something(Backend& backend, bool serializable) {
    if (!serializable && backend.options.read_barrier) {
        auto barrier = backend.options.read_barrier();
        const Result<void> current = co_await barrier;
        if (!current) co_return Answer<void>(std::unexpected(status_of_error(current.error())));
    }
    pb::RangeRequest request;
    request.set_key(std::string(1, '\0'));
    request.set_keys_only(true);
    request.set_limit(1);
    request.set_serializable(serializable || backend.options.read_barrier);
    const services::Credentials nobody;
    auto task = backend.coord.range(nobody, std::move(request));
    const Result<services::Reply<pb::RangeResponse>> read = co_await task;
    if (!read) co_return Answer<void>(std::unexpected(status_of_error(read.error())));
    if (!*read && read->error() == Refusal::Corrupt) {
        co_return Answer<void>(std::unexpected(status_of(Refusal::Corrupt)));
    }
    co_return Answer<void>();
}

/// The status's message, or empty.
Task<std::string> read_check(Backend& backend, bool serializable) {
    auto reading = read_something(backend, serializable);
    auto bounded = with_deadline(backend.world.reactor.now() + backend.request_timeout(), std::move(reading));
    const Answer<void> read = answer_of(co_await bounded);
    co_return read ? std::string() : read.error().message;
}

/// Why this node is not healthy; empty if it is. `excluded`: alarms that do not count.
Task<std::string> health_reason(Backend& backend, std::set<std::string, std::less<>> excluded, bool serializable) {
    for (const pb::AlarmMember& alarm : backend.coord.status().alarms) {
        const std::string name = pb::AlarmType_Name(alarm.alarm());
        if (!excluded.contains(name)) co_return "ALARM " + (name.empty() ? "UNKNOWN" : name);
    }
    if (!serializable && !backend.admission.has_leader()) co_return std::string("RAFT NO LEADER");
    CO_LET(const std::string failure, co_await read_check(backend, serializable));
    co_return failure.empty() ? failure : "RANGE ERROR:" + failure;
}

Task<void> serve_health(Backend& backend, rpc::HttpExchange& exchange) {
    const rpc::HttpRequest& request = exchange.request();
    if (request.method != "GET") co_return co_await respond_method_not_allowed(exchange);
    const bool serializable = query_values(request, "serializable").contains("true");
    auto judging = health_reason(backend, query_values(request, "exclude"), serializable);
    CO_LET(const std::string reason, co_await judging);
    const std::string body = std::string(R"({"health":")") + (reason.empty() ? "true" : "false") + R"(","reason":)" +
                             json_string(reason) + "}";
    if (reason.empty()) {
        ++backend.counts.health_successes;
        co_return co_await exchange.respond(200, json_headers(), body);
    }
    ++backend.counts.health_failures;
    const std::string line = body + "\n";
    co_return co_await exchange.respond(503, text_headers(), line);
}

/// One named check of /livez or /readyz: empty if it passes, else why not.
struct Check {
    std::string_view name;
    Task<std::string> (*run)(Backend& backend);
};

Task<std::string> check_corruption(Backend& backend) {
    const auto alarms = backend.coord.status().alarms;
    const bool raised = std::ranges::any_of(alarms, [](const pb::AlarmMember& a) { return a.alarm() == pb::CORRUPT; });
    co_return raised ? std::string("alarm activated: CORRUPT") : std::string();
}
Task<std::string> check_serializable_read(Backend& backend) { return read_check(backend, true); }
Task<std::string> check_linearizable_read(Backend& backend) { return read_check(backend, false); }
Task<std::string> check_non_learner(Backend& backend) {
    co_return backend.admission.is_learner() ? std::string("not supported for learner") : std::string();
}

using Checks = std::vector<Check>;

Task<void> serve_checks(Backend& backend, rpc::HttpExchange& exchange, Checks checks) {
    const rpc::HttpRequest& request = exchange.request();
    if (request.method != "GET") co_return co_await respond_method_not_allowed(exchange);
    const auto excluded = query_values(request, "exclude");
    std::string report;
    bool failed = false;
    for (const Check& check : checks) {
        if (excluded.contains(check.name)) continue;
        auto running = check.run(backend);
        CO_LET(const std::string failure, co_await running);
        failed = failed || !failure.empty();
        report += (failure.empty() ? "[+]" : "[-]") + std::string(check.name) +
                  (failure.empty() ? " ok\n" : " failed: " + failure + "\n");
    }
    if (failed) {
        report += '\n';
        co_return co_await exchange.respond(503, text_headers(), report);
    }
    std::string body = request.query.contains("verbose") ? report : std::string();
    body += "ok\n";
    co_return co_await exchange.respond(200, text_headers(), body);
}

/// The path with all checks, and one path below for each.
void add_checks(Backend& backend, rpc::Routes& routes, const std::string& path, const Checks& checks) {
    routes.http(path,
                [&backend, checks](rpc::HttpExchange& exchange) { return serve_checks(backend, exchange, checks); });
    for (const Check& check : checks) {
        routes.http(path + "/" + std::string(check.name), [&backend, check](rpc::HttpExchange& exchange) {
            return serve_checks(backend, exchange, Checks{check});
        });
    }
}

Task<void> serve_version(rpc::HttpExchange& exchange) {
    if (exchange.request().method != "GET") co_return co_await respond_method_not_allowed(exchange);
    const std::string body = R"({"etcdserver":")" + std::string(etcd_server_version) + R"(","etcdcluster":")" +
                             std::string(etcd_cluster_version) + R"(","storage":")" +
                             std::string(etcd_storage_version) + R"("})";
    co_return co_await exchange.respond(200, json_headers(), body);
}

Task<void> serve_metrics(Backend& backend, rpc::HttpExchange& exchange) {
    if (exchange.request().method != "GET") co_return co_await respond_method_not_allowed(exchange);
    rpc::Metadata headers;
    headers.add("content-type", "text/plain; version=0.0.4; charset=utf-8");
    co_return co_await exchange.respond(200, std::move(headers), metrics_page(backend));
}

/// What etcd publishes there that means something here: the state of the log.
Task<void> serve_variables(Backend& backend, rpc::HttpExchange& exchange) {
    if (exchange.request().method != "GET") co_return co_await respond_method_not_allowed(exchange);
    const cluster::GroupStatus group = backend.cluster.status(GroupId::Coord);
    const bool leads = group.leader == backend.cluster.self();
    const auto quoted = [](uint64_t number) { return "\"" + std::to_string(number) + "\""; };
    const std::string body =
        "{\n\"raft.status\": {\"id\":" + quoted(number_of(backend.cluster.self())) +
        ",\"term\":" + quoted(group.ballot.epoch) + ",\"commit\":" + quoted(group.committed.value) +
        ",\"applied\":" + quoted(group.applied.value) + ",\"lead\":" + quoted(number_of(group.leader)) +
        ",\"raftState\":" + (leads ? "\"StateLeader\"" : "\"StateFollower\"") + "},\n\"server.version\": \"" +
        std::string(etcd_server_version) + "\"\n}\n";
    co_return co_await exchange.respond(200, json_headers(), body);
}

}  // namespace

void register_http(Backend& backend, rpc::Routes& routes) {
    const Check serializable{"serializable_read", check_serializable_read};
    routes.http("/health", [&backend](rpc::HttpExchange& exchange) { return serve_health(backend, exchange); });
    add_checks(backend, routes, "/livez", {serializable});
    add_checks(backend, routes, "/readyz",
               {{"data_corruption", check_corruption},
                serializable,
                {"linearizable_read", check_linearizable_read},
                {"non_learner", check_non_learner}});
    routes.http("/version", serve_version);
    routes.http("/metrics", [&backend](rpc::HttpExchange& exchange) { return serve_metrics(backend, exchange); });
    routes.http("/debug/vars", [&backend](rpc::HttpExchange& exchange) { return serve_variables(backend, exchange); });
}

}  // namespace polis::gateways
