// The HTTP side: JSON, health, version, metrics, web pages' origins.
#include <gtest/gtest.h>

#include "gateways/etcd/fakes.h"
#include "gateways/etcd/json_paths.h"
#include "gateways/etcd/metrics.h"
#include "gateways/etcd/origin.h"

namespace polis::gateways {
namespace {

using fakes::Desk;
using fakes::FakeExchange;
using services::Refusal;
namespace pb = ::etcdserverpb;

FakeExchange served(Desk& desk, const std::string& method, const std::string& target, const std::string& body = {}) {
    FakeExchange exchange(method, target, body);
    desk.serve(exchange);
    return exchange;
}

TEST(JsonGateway, PutsAndRanges) {
    Desk desk;
    const auto put = served(desk, "POST", "/v3/kv/put", R"({"key":"YQ==","value":"Yg=="})");
    EXPECT_EQ(put.status, 200);
    EXPECT_EQ(put.headers.find("content-type"), "application/json");
    const auto range = served(desk, "POST", "/v3/kv/range", R"({"key":"YQ=="})");
    EXPECT_EQ(
        range.body,
        R"({"header":{"cluster_id":"193","member_id":"161","revision":"2","raft_term":"7"},)"
        R"("kvs":[{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"Yg=="}],"count":"1"})");
}

TEST(JsonGateway, ServesEveryPathOfItsTable) {
    Desk desk;
    EXPECT_EQ(json_paths().size(), 51u);
    for (const JsonPath& path : json_paths()) {
        const bool unary = desk.routes.find_unary(path.method) != nullptr;
        EXPECT_TRUE(unary || desk.routes.find_stream(path.method)) << path.path;
        if (!unary) continue;
        EXPECT_NE(served(desk, "POST", std::string(path.path), "{\"bad\"").status, 404) << path.path;
    }
}

TEST(JsonGateway, TakesTheOldPrefix) {
    Desk desk;
    EXPECT_EQ(served(desk, "POST", "/v3beta/kv/put", R"({"key":"YQ=="})").status, 200);
}

TEST(JsonGateway, AnswersErrorsAsGrpcGatewayDoes) {
    Desk desk;
    desk.coord.refusal = Refusal::LeaseNotFound;
    const auto failed = served(desk, "POST", "/v3/lease/revoke", "{}");
    EXPECT_EQ(failed.status, 404);
    EXPECT_EQ(failed.body, R"({"error":"etcdserver: requested lease not found","code":5,)"
                           R"("message":"etcdserver: requested lease not found"})");
    EXPECT_EQ(served(desk, "POST", "/v3/kv/put", "{").status, 400);
    EXPECT_EQ(served(desk, "GET", "/v3/kv/put").status, 501);
    EXPECT_EQ(served(desk, "POST", "/v3/no/such").status, 404);
}

TEST(JsonGateway, RefusesMessagesThatGrpcWouldRefuse) {
    Desk desk({.request_bytes_max = 100});
    const std::string large = "{\"key\":\"" + std::string(1 << 20, 'A') + "\"}";
    const auto refused = served(desk, "POST", "/v3/kv/put", large);
    EXPECT_EQ(refused.status, 429);
    EXPECT_TRUE(desk.coord.calls.empty());
}

TEST(JsonGateway, TakesTheAuthorizationHeaderAsToken) {
    Desk desk;
    FakeExchange exchange("POST", "/v3/kv/range", "{}");
    exchange.asked.headers.add("authorization", "abc.7");
    exchange.asked.peer.certificate_common_name = "alice";
    desk.serve(exchange);
    EXPECT_EQ(desk.coord.last_caller.token, "abc.7");
}

// A certificate over HTTP names nobody, even where gRPC's does.
TEST(JsonGateway, IgnoresTheClientCertificate) {
    Desk desk({.certificate_identity = true});
    FakeExchange exchange("POST", "/v3/kv/range", "{}");
    exchange.asked.peer.certificate_common_name = "alice";
    desk.serve(exchange);
    EXPECT_EQ(desk.coord.last_caller.common_name, "");
}

TEST(JsonGateway, ForwardsGrpcMetadataHeaders) {
    Desk desk;
    desk.cluster.group.leader = NodeId::Nobody;
    FakeExchange exchange("POST", "/v3/kv/range", "{}");
    exchange.asked.headers.add("grpc-metadata-hasleader", "true");
    desk.serve(exchange);
    EXPECT_EQ(exchange.status, 503);
}

TEST(JsonGateway, StreamsAnswersAsLines) {
    Desk desk;
    const auto kept = served(desk, "POST", "/v3/lease/keepalive", R"({"ID":"7"}{"ID":404})");
    EXPECT_EQ(kept.status, 200);
    EXPECT_TRUE(kept.ended);
    EXPECT_EQ(
        kept.body,
        R"({"result":{"header":{"cluster_id":"193","member_id":"161","revision":"1","raft_term":"7"},"ID":"7","TTL":"60"}})"
        "\n"
        R"({"result":{"header":{"cluster_id":"193","member_id":"161","revision":"1","raft_term":"7"},"ID":"404"}})"
        "\n");
}

TEST(JsonGateway, EndsAStreamThatFailsWithAnErrorLine) {
    Desk desk;
    desk.coord.refusal = Refusal::PermissionDenied;
    const auto refused = served(desk, "POST", "/v3/maintenance/snapshot", "{}");
    EXPECT_EQ(refused.status, 403);
    EXPECT_EQ(refused.body.substr(0, 19), R"({"error":{"code":7,)");
    const auto broken = served(desk, "POST", "/v3/lease/keepalive", R"({"ID":)");
    EXPECT_EQ(broken.status, 400);
}

rpc::HttpRequest page_request(const std::string& origin, const std::string& host, bool tls = false) {
    rpc::HttpRequest request;
    request.peer.tls = tls;
    if (!origin.empty()) request.headers.add("origin", origin);
    request.headers.add("host", host);
    return request;
}

TEST(Origin, AdmitsProgramsAndItsOwnPages) {
    EXPECT_TRUE(judge_origin(page_request("", "any.example:2379"), {}).allowed);
    EXPECT_TRUE(judge_origin(page_request("http://127.0.0.1:2379", "127.0.0.1:2379"), {}).allowed);
    EXPECT_TRUE(judge_origin(page_request("http://localhost:2379", "localhost:2379"), {}).allowed);
    EXPECT_TRUE(judge_origin(page_request("http://[::1]:2379", "[::1]:2379"), {}).allowed);
    EXPECT_TRUE(judge_origin(page_request("https://store.example", "store.example", true), {}).allowed);
}

TEST(Origin, RefusesOtherPages) {
    EXPECT_FALSE(judge_origin(page_request("http://evil.example", "127.0.0.1:2379"), {}).allowed);
    EXPECT_FALSE(judge_origin(page_request("null", "127.0.0.1:2379"), {}).allowed);
    EXPECT_FALSE(judge_origin(page_request("http://127.0.0.1:2379", "127.0.0.1:2379", true), {}).allowed);
}

// DNS rebinding: the attacker's own name, pointed at this machine, is "same origin" to the browser.
TEST(Origin, RefusesNamesThatPointHereOverPlainHttp) {
    EXPECT_FALSE(judge_origin(page_request("http://evil.example:2379", "evil.example:2379"), {}).allowed);
}

TEST(Origin, AdmitsListedPagesAndTellsTheBrowser) {
    const auto verdict = judge_origin(page_request("https://ui.example", "127.0.0.1:2379"), {"https://ui.example"});
    EXPECT_TRUE(verdict.allowed);
    EXPECT_EQ(verdict.headers.find("access-control-allow-origin"), "https://ui.example");
    EXPECT_EQ(judge_origin(page_request("https://x", "h"), {"*"}).headers.find("access-control-allow-origin"), "*");
}

TEST(JsonGateway, RefusesPagesOfOtherOriginsBeforeLookingAtThem) {
    Desk desk;
    FakeExchange exchange("POST", "/v3/kv/put", R"({"key":"YQ=="})");
    exchange.asked.headers.add("origin", "http://evil.example");
    desk.serve(exchange);
    EXPECT_EQ(exchange.status, 403);
    EXPECT_TRUE(desk.coord.calls.empty());
}

TEST(Health, IsTrueWithALeaderAndAReadableStore) {
    Desk desk;
    const auto health = served(desk, "GET", "/health");
    EXPECT_EQ(health.status, 200);
    EXPECT_EQ(health.body, R"({"health":"true","reason":""})");
    EXPECT_EQ(served(desk, "POST", "/health").status, 405);
}

TEST(Health, TellsAlarmsUnlessExcluded) {
    Desk desk;
    desk.coord.state.alarms.emplace_back().set_alarm(pb::NOSPACE);
    const auto sick = served(desk, "GET", "/health");
    EXPECT_EQ(sick.status, 503);
    EXPECT_EQ(sick.body, "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n");
    EXPECT_EQ(served(desk, "GET", "/health?exclude=CORRUPT&exclude=NOSPACE").status, 200);
}

TEST(Health, NeedsALeaderUnlessSerializable) {
    Desk desk;
    desk.cluster.group.leader = NodeId::Nobody;
    EXPECT_EQ(served(desk, "GET", "/health").body, "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n");
    EXPECT_EQ(served(desk, "GET", "/health?serializable=true").status, 200);
}

// Probes have no password: that coord refuses them shows that it works.
TEST(Health, IsTrueWhileAuthIsEnabled) {
    Desk desk;
    desk.coord.refusal = Refusal::UserEmpty;
    EXPECT_EQ(served(desk, "GET", "/health").status, 200);
    desk.coord.failure = Error{Code::Unavailable, ""};
    EXPECT_EQ(served(desk, "GET", "/health").body,
              "{\"health\":\"false\",\"reason\":\"RANGE ERROR:etcdserver: no leader\"}\n");
}

runtime::Task<void> failing_barrier() { co_return fail(Code::Unavailable, "no quorum"); }

TEST(Readyz, NamesEachCheck) {
    Desk desk({.read_barrier = failing_barrier});
    desk.cluster.own = NodeId{0xb2};
    const auto report = served(desk, "GET", "/readyz");
    EXPECT_EQ(report.status, 503);
    EXPECT_EQ(report.body,
              "[+]data_corruption ok\n[+]serializable_read ok\n[-]linearizable_read failed: etcdserver: no leader\n"
              "[-]non_learner failed: not supported for learner\n\n");
    EXPECT_EQ(served(desk, "GET", "/readyz?exclude=linearizable_read&exclude=non_learner").body, "ok\n");
    EXPECT_EQ(served(desk, "GET", "/readyz/non_learner").status, 503);
    EXPECT_EQ(served(desk, "GET", "/readyz/serializable_read").status, 200);
    EXPECT_EQ(served(desk, "GET", "/livez?verbose").body, "[+]serializable_read ok\nok\n");
}

TEST(Version, IsEtcds) {
    Desk desk;
    EXPECT_EQ(served(desk, "GET", "/version").body,
              R"({"etcdserver":"3.6.14","etcdcluster":"3.6.0","storage":"3.6.0"})");
}

rpc::ServerStats some_stats() {
    rpc::ServerStats stats;
    stats.bytes_sent = 42;
    stats.methods["/etcdserverpb.KV/Put"].started = 3;
    stats.methods["/etcdserverpb.KV/Put"].handled[rpc::StatusCode::InvalidArgument] = 2;
    for (const Duration took : {Duration(70'000), Duration(100'000), Duration(std::chrono::minutes(1))})
        stats.methods["/etcdserverpb.KV/Put"].handling.note(took);
    stats.methods["/etcdserverpb.KV/Txn"];  // Never called.
    return stats;
}

NodeFigures some_figures() {
    NodeFigures figures;
    figures.wal_fsync = {.bounds_seconds = {0.001, 0.002}, .counts = {5, 1, 1}, .sum_seconds = 0.5};
    figures.peers.push_back({.id = NodeId{0xb2}, .name = "n2", .active = true, .sent_bytes = 7});
    figures.peers.push_back({.id = NodeId{0xb3}, .name = "n3", .alive = true, .phi = 1.5, .silent_seconds = 0.25});
    return figures;
}

TEST(Metrics, HaveTheNamesAndLabelsThatDashboardsAskFor) {
    Desk desk({.metrics = {.server = some_stats, .node = some_figures}});
    desk.coord.state.keys = 12;
    desk.call("/etcdserverpb.KV/Range", {});
    const auto page = served(desk, "GET", "/metrics");
    EXPECT_EQ(page.headers.find("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for (const char* line : {
             "etcd_server_has_leader 1\n",
             "etcd_server_is_leader 1\n",
             "etcd_server_proposals_committed_total 11\n",
             "etcd_server_version{server_version=\"3.6.14\"} 1\n",
             "etcd_server_id{server_id=\"a1\"} 1\n",
             "etcd_server_client_requests_total{type=\"unary\",client_api_version=\"unknown\"} 1\n",
             "# TYPE etcd_disk_wal_fsync_duration_seconds histogram\n",
             "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 5\n",
             "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.002\"} 6\n",
             "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 7\n",
             "etcd_disk_wal_fsync_duration_seconds_sum 0.5\n",
             "etcd_disk_wal_fsync_duration_seconds_count 7\n",
             "etcd_disk_backend_commit_duration_seconds_count 0\n",
             "etcd_debugging_mvcc_keys_total 12\n",
             "etcd_network_peer_sent_bytes_total{To=\"b2\"} 7\n",
             "etcd_network_active_peers{Local=\"a1\",Remote=\"b2\"} 1\n",
             "etcd_network_client_grpc_sent_bytes_total 42\n",
             "grpc_server_started_total{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 3\n",
             "grpc_server_handled_total{grpc_code=\"InvalidArgument\",grpc_method=\"Put\",grpc_service=\"etcdserverpb."
             "KV\",grpc_type=\"unary\"} 2\n",
             "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\","
             "grpc_type=\"unary\"} 0\n",
             "polis_coord_refused_total{reason=\"user_rate\"} 0\n",
             "# TYPE grpc_server_handling_seconds histogram\n",
             "grpc_server_handling_seconds_bucket{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type="
             "\"unary\","
             "le=\"5e-05\"} 0\n",
             "grpc_server_handling_seconds_bucket{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type="
             "\"unary\","
             "le=\"1e-04\"} 2\n",
             "grpc_server_handling_seconds_bucket{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type="
             "\"unary\","
             "le=\"+Inf\"} 3\n",
             "grpc_server_handling_seconds_sum{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type="
             "\"unary\"} "
             "60.00017\n",
             "grpc_server_handling_seconds_count{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type="
             "\"unary\"} "
             "3\n",
             "polis_peer_connected{peer=\"b2\",name=\"n2\"} 1\n",
             "polis_peer_alive{peer=\"b2\",name=\"n2\"} 0\n",
             "polis_peer_alive{peer=\"b3\",name=\"n3\"} 1\n",
             "polis_peer_suspicion_phi{peer=\"b3\",name=\"n3\"} 1.5\n",
             "polis_peer_silent_seconds{peer=\"b3\",name=\"n3\"} 0.25\n",
         }) {
        EXPECT_NE(page.body.find(line), std::string::npos) << line;
    }
    EXPECT_EQ(page.body.find("grpc_server_handling_seconds_count{grpc_method=\"Txn\""), std::string::npos);
    EXPECT_EQ(page.body.find("polis_peer_silent_seconds{peer=\"b2\""), std::string::npos);  // Never heard.
}

TEST(Exposition, EscapesLabels) {
    Exposition page;
    page.family("x", "gauge", "h");
    page.sample(1.5, {{"a", "q\"\\\n"}});
    EXPECT_EQ(page.text(), "# HELP x h\n# TYPE x gauge\nx{a=\"q\\\"\\\\\\n\"} 1.5\n");
}

// Label values come from clients: their number must not grow without bound.
TEST(Metrics, CountAtMostSoManyClientVersions) {
    Desk desk;
    for (int i = 0; i < 200; ++i) {
        rpc::Metadata metadata;
        metadata.add("client-api-version", "9." + std::to_string(i));
        desk.call("/etcdserverpb.KV/Range", {}, metadata);
    }
    const std::string body = served(desk, "GET", "/metrics").body;
    EXPECT_NE(body.find("client_api_version=\"other\"} 136\n"), std::string::npos);
    EXPECT_EQ(body.find("client_api_version=\"9.100\""), std::string::npos);
}

TEST(DebugVars, ShowTheLog) {
    Desk desk;
    EXPECT_NE(served(desk, "GET", "/debug/vars").body.find("\"commit\":\"11\""), std::string::npos);
}

}  // namespace
}  // namespace polis::gateways
