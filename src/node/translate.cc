#include "node/translate.h"

#include <algorithm>
#include <charconv>

#include "node/duration.h"

namespace polis::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Of log entries kept in memory for followers; one that is further behind is sent what the disk has.
constexpr uint64_t log_cache_bytes = 4u << 20;

void add_urls(std::multimap<std::string, std::string>& initial, const std::string& name, std::string_view urls) {
    while (!urls.empty()) {
        const size_t comma = urls.find(',');
        initial.emplace(name, urls.substr(0, comma));
        urls.remove_prefix(comma == std::string_view::npos ? urls.size() : comma + 1);
    }
}

}  // namespace

cluster::LeaderBalance balance_of(const Config& config) {
    cluster::LeaderBalance balance;
    balance.enabled = config.balance;
    balance.hold = seconds(config.balance_hold_s);
    return balance;
}

cluster::HostOptions host_options_of(const Config& config) {
    cluster::HostOptions host;
    host.name = config.name;
    host.advertised_peer_urls = config.advertise_peer.empty() ? config.listen_peer : config.advertise_peer;
    host.advertised_client_urls = config.advertise_client.empty() ? config.listen_client : config.advertise_client;
    host.labels = config.labels;
    host.token = config.token;
    host.join = config.state == "existing";
    host.consensus = config.consensus;
    for (const auto& [name, urls] : config.initial) add_urls(host.initial, name, urls);
    if (host.initial.empty()) {
        for (const std::string& url : host.advertised_peer_urls) host.initial.emplace(host.name, url);
    }
    host.timing.heartbeat = milliseconds(config.heartbeat_ms);
    host.timing.election_timeout = milliseconds(config.election_timeout_ms);
    host.timing.clock_drift_max = host.timing.election_timeout / 10;
    host.timing.priority = static_cast<uint32_t>(config.priority);
    host.quiesce_after = milliseconds(config.quiesce_after_ms);
    host.balance = balance_of(config);
    host.replica.keep_entries = static_cast<uint64_t>(config.keep_entries);
    host.replica.flush_entries = static_cast<uint64_t>(config.flush_entries);
    host.replica.lease_reads = config.lease_reads;
    host.replica.propose_timeout = seconds(5) + 2 * host.timing.election_timeout;  // As etcd's request timeout.
    host.wal.segment_bytes =
        static_cast<uint64_t>(config.segment_bytes) / 4096 * 4096;  // Whole blocks, as the log demands.
    host.timing.cache_bytes_max = log_cache_bytes;
    host.coord_store.write_buffer_bytes = static_cast<uint64_t>(config.write_buffer_bytes);
    host.coord_store.block_cache_bytes = static_cast<uint64_t>(config.block_cache_bytes);
    return host;
}

services::CoordOptions coord_options_of(const Config& config) {
    services::CoordOptions coord;
    if (config.quota_bytes > 0) coord.quota_bytes = static_cast<uint64_t>(config.quota_bytes);
    coord.operations_per_txn_max = static_cast<uint32_t>(config.operations_per_txn_max);
    coord.request_bytes_max = static_cast<uint64_t>(config.request_bytes_max);
    // etcd: one and a half election timeouts, in whole seconds, at least two by its default of one second.
    const Duration least = std::chrono::ceil<seconds>(milliseconds(config.election_timeout_ms) * 3 / 2);
    coord.lease_ttl_min = std::max<Duration>(least, seconds(2));
    coord.watch_progress_interval = seconds(config.watch_progress_interval_s);
    coord.token_ttl = seconds(config.auth_token_ttl_s);
    coord.bcrypt_cost = static_cast<uint32_t>(config.bcrypt_cost);
    coord.lease_checkpoint_interval = seconds(config.lease_checkpoint_interval_s);
    coord.apply_lag_max = static_cast<uint64_t>(config.apply_lag_max);
    coord.write_bytes_max = static_cast<uint64_t>(config.write_bytes_max);
    coord.user_requests_per_s = static_cast<uint64_t>(config.user_requests_per_s);
    coord.user_burst = static_cast<uint64_t>(config.user_burst);
    using Mode = services::CoordOptions::AutoCompaction;
    const std::string& retention = config.auto_compaction_retention;
    if (config.auto_compaction_mode == "periodic") {
        // A plain number means hours, as etcd reads it.
        const bool plain = retention.find_first_not_of("0123456789") == std::string::npos;
        const Result<Duration> period = parse_duration(plain ? retention + "h" : retention);
        coord.auto_compaction_period = period.value_or(Duration(0));
        coord.auto_compaction = coord.auto_compaction_period > Duration(0) ? Mode::Periodic : Mode::Off;
    } else if (config.auto_compaction_mode == "revision") {
        std::from_chars(retention.data(), retention.data() + retention.size(), coord.auto_compaction_revisions);
        coord.auto_compaction = coord.auto_compaction_revisions > 0 ? Mode::Revision : Mode::Off;
    }
    return coord;
}

gateways::EtcdGatewayOptions gateway_options_of(const Config& config) {
    gateways::EtcdGatewayOptions gateway;
    gateway.request_bytes_max = static_cast<uint64_t>(config.request_bytes_max);
    gateway.election_timeout = milliseconds(config.election_timeout_ms);
    gateway.slow_request = milliseconds(config.slow_request_ms);
    gateway.certificate_identity = config.tls_client.client_cert_auth;
    return gateway;
}

rpc::ServerOptions server_options_of(const Config& config) {
    rpc::ServerOptions server;
    server.message_bytes_max = static_cast<uint32_t>(config.request_bytes_max + (512 << 10));
    server.streams_max = static_cast<uint32_t>(config.streams_max);
    server.connections_max = static_cast<uint32_t>(config.connections_max);
    return server;
}

}  // namespace polis::node
