// The table of all options.
#include <iterator>
#include <utility>

#include "node/config.h"

namespace polis::node {
namespace {

constexpr int64_t any_number = INT64_MAX;

// An option of Config's member `member`, whose type must be one of Value's.
template <class T>
Option option(std::string_view key, T Config::* member, std::string_view sentence, std::string_view unit = "",
              int64_t minimum = 0, int64_t maximum = any_number, Reload reload = Reload::AtStart) {
    return {.key = key,
            .unit = unit,
            .reload = reload,
            .sentence = sentence,
            .minimum = minimum,
            .maximum = maximum,
            .get = [member](const Config& config) { return Value(config.*member); },
            .set = [member](Config& config, Value value) { config.*member = std::get<T>(std::move(value)); }};
}

// A number that can change while the node runs.
Option limit_option(std::string_view key, int64_t Config::* member, std::string_view sentence,
                    std::string_view unit = "", int64_t minimum = 0, int64_t maximum = any_number) {
    return option(key, member, sentence, unit, minimum, maximum, Reload::OnReload);
}

template <class T>
Option tls_option(std::string_view key, TlsConfig Config::* side, T TlsConfig::* member, std::string_view sentence,
                  Reload reload = Reload::OnReload) {
    return {
        .key = key,
        .unit = "",
        .reload = reload,
        .sentence = sentence,
        .minimum = 0,
        .maximum = any_number,
        .get = [side, member](const Config& config) { return Value(config.*side.*member); },
        .set = [side, member](Config& config, Value value) { config.*side.*member = std::get<T>(std::move(value)); }};
}

std::vector<Option> etcd_options() {
    using C = Config;
    return {
        limit_option("etcd.quota_bytes", &C::quota_bytes, "Size of the store at which writes are refused; 0: 2 GiB.",
                     "bytes"),
        option("etcd.auto_compaction_mode", &C::auto_compaction_mode, "\"off\", \"periodic\" or \"revision\"."),
        option("etcd.auto_compaction_retention", &C::auto_compaction_retention,
               "History to keep: a duration (\"1h\"; a plain number is hours) or a number of revisions."),
        limit_option("etcd.operations_per_txn_max", &C::operations_per_txn_max, "Operations in a transaction.", "", 1,
                     1'000'000),
        limit_option("etcd.request_bytes_max", &C::request_bytes_max, "Size of a request that writes.", "bytes", 1024,
                     60 << 20),
        option("etcd.auth_token", &C::auth_token,
               "\"simple\", or \"jwt,sign-method=RS256,pub-key=FILE,priv-key=FILE,ttl=5m\"."),
        option("etcd.auth_token_ttl_s", &C::auth_token_ttl_s, "Life of an unused token.", "s", 1),
        option("etcd.bcrypt_cost", &C::bcrypt_cost, "Cost of password hashes.", "", 4, 31),
        limit_option("etcd.watch_progress_interval_s", &C::watch_progress_interval_s,
                     "Between progress notes of idle watches.", "s", 1),
        option("etcd.lease_checkpoint_interval_s", &C::lease_checkpoint_interval_s,
               "How often what is left of longer leases is kept for the next leader; 0: never.", "s", 0, 86'400),
        limit_option("etcd.apply_lag_max", &C::apply_lag_max,
                     "Committed entries not applied yet, beyond which writes are refused.", "", 1),
        limit_option("etcd.write_bytes_max", &C::write_bytes_max,
                     "Of writes on their way, beyond which more are refused.", "bytes", 1 << 20),
        limit_option(
            "etcd.user_requests_per_s", &C::user_requests_per_s,
            "Of each user who has not the role root; while authentication is off, of all together; 0: no limit.", "", 0,
            1'000'000'000),
        limit_option("etcd.user_burst", &C::user_burst, "Of requests of a user at once; 0: as many as in a second.", "",
                     0, 1'000'000'000),
        limit_option("etcd.slow_request_ms", &C::slow_request_ms, "Requests that take longer are logged; 0: none.",
                     "ms"),
        limit_option("etcd.streams_max", &C::streams_max, "Calls at once on one connection of a client.", "", 1,
                     INT32_MAX),
        limit_option("etcd.connections_max", &C::connections_max, "Of clients; further ones are closed at once.", "", 1,
                     1'000'000),
    };
}

std::vector<Option> storage_options() {
    using C = Config;
    return {
        option("storage.keep_entries", &C::keep_entries, "Applied log entries kept for followers to catch up.", "", 1),
        option("storage.flush_entries", &C::flush_entries, "Applied entries between two flushes of the store.", "", 1),
        option("storage.segment_bytes", &C::segment_bytes, "Size of a log segment.", "bytes", 1 << 20, 1 << 30),
        option("storage.write_buffer_bytes", &C::write_buffer_bytes, "Of the store's memory for new writes.", "bytes",
               1 << 20),
        option("storage.block_cache_bytes", &C::block_cache_bytes, "Of the store's cache.", "bytes", 1 << 20),
        option("runtime.spin_us", &C::spin_us, "Busy waiting before a thread sleeps: latency for CPU.", "us", 0, 1000),
        option("runtime.io_threads", &C::io_threads, "Threads that serve clients' connections; 0: the node's own.", "",
               0, 64),
        option("runtime.lease_reads", &C::lease_reads, "Serve reads by the leader's lease, without a round trip."),
        option("log.level", &C::log_level, "debug, info, warn or error.", "", 0, any_number, Reload::OnReload),
    };
}

std::vector<Option> make_options() {
    using C = Config;
    using T = TlsConfig;
    std::vector<Option> table = {
        option("node.name", &C::name, "The node's name, unique in the cluster."),
        option("node.data_dir", &C::data_dir, "Where everything is kept; made if absent."),
        option("node.labels", &C::labels, "Labels such as zone, for placement and for people."),
        option("cluster.token", &C::token, "Tells clusters apart that are founded from the same addresses."),
        option("cluster.state", &C::state, "\"new\", or \"existing\" for a node added by `member add`."),
        option("cluster.consensus", &C::consensus, "The protocol of all groups: raft."),
        option("cluster.initial", &C::initial, "The founding members, or some members to ask: name = peer URLs."),
        option("cluster.heartbeat_ms", &C::heartbeat_ms, "Between two signs of life of a leader.", "ms", 1, 60'000),
        option("cluster.election_timeout_ms", &C::election_timeout_ms,
               "Without a sign of life for so long (to twice as long) a node seeks election.", "ms", 10, 600'000),
        option("cluster.priority", &C::priority, "Among equals the node with the highest leads.", "", 0, 1000),
        option("cluster.balance", &C::balance, "Leaderships spread over the members by themselves.", "", 0, 0,
               Reload::OnReload),
        limit_option("cluster.balance_hold_s", &C::balance_hold_s,
                     "None is moved before leaders and members have been undisturbed for so long.", "s", 1, 86'400),
        option("cluster.quiesce_after_ms", &C::quiesce_after_ms,
               "A group without work for so long sends nothing; 0: never.", "ms", 0, 86'400'000),
        option("listen.client", &C::listen_client, "URLs where clients are served."),
        option("listen.peer", &C::listen_peer, "URLs where other members are heard."),
        option("listen.metrics", &C::listen_metrics, "Further URLs for /metrics and /health only."),
        option("listen.insecure", &C::insecure, "Allow listening beyond loopback without TLS."),
        option("advertise.client", &C::advertise_client, "URLs that clients are told; default: listen.client."),
        option("advertise.peer", &C::advertise_peer, "URLs that members are told; default: listen.peer."),
        tls_option("tls.client.cert_file", &C::tls_client, &T::cert_file, "Certificate chain shown to clients."),
        tls_option("tls.client.key_file", &C::tls_client, &T::key_file, "Its key."),
        tls_option("tls.client.trusted_ca_file", &C::tls_client, &T::trusted_ca_file,
                   "Who signs clients' certificates."),
        tls_option("tls.client.client_cert_auth", &C::tls_client, &T::client_cert_auth,
                   "Clients must show a certificate; its common name is their user.", Reload::AtStart),
        tls_option("tls.client.auto", &C::tls_client, &T::automatic, "Use a self-signed certificate made in data_dir.",
                   Reload::AtStart),
        tls_option("tls.peer.cert_file", &C::tls_peer, &T::cert_file, "Certificate shown to and by members."),
        tls_option("tls.peer.key_file", &C::tls_peer, &T::key_file, "Its key."),
        tls_option("tls.peer.trusted_ca_file", &C::tls_peer, &T::trusted_ca_file, "Who signs members' certificates."),
        tls_option("tls.peer.client_cert_auth", &C::tls_peer, &T::client_cert_auth, "Members must show a certificate."),
        tls_option("tls.peer.auto", &C::tls_peer, &T::automatic, "Use a self-signed certificate made in data_dir.",
                   Reload::AtStart),
    };
    for (std::vector<Option> part : {etcd_options(), storage_options()})
        table.insert(table.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
    return table;
}

}  // namespace

const std::vector<Option>& options() {
    static const std::vector<Option> table = make_options();
    return table;
}

}  // namespace polis::node
