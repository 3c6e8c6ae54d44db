#include "gateways/etcd/metrics.h"

#include <cinttypes>
#include <cstdio>

#include "gateways/etcd/backend.h"
#include "gateways/etcd/version.h"

namespace polis::gateways {
namespace {

/// etcd prints member ids as lower-case hexadecimal without leading zeros.
std::string hex(uint64_t number) {
    char text[20];
    std::snprintf(text, sizeof text, "%" PRIx64, number);
    return text;
}

double seconds_of(Duration span) { return std::chrono::duration<double>(span).count(); }

void add_consensus(Exposition& page, Backend& backend, const cluster::GroupStatus& group, const NodeFigures& node) {
    const bool leads = group.leader == backend.cluster.self();
    page.gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.",
               group.leader != NodeId::Nobody);
    page.gauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.", leads);
    page.gauge("etcd_server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.",
               backend.admission.is_learner());
    page.counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.", group.leader_changes);
    page.gauge("etcd_server_proposals_committed_total", "The total number of consensus proposals committed.",
               static_cast<double>(group.committed.value));
    page.gauge("etcd_server_proposals_applied_total", "The total number of consensus proposals applied.",
               static_cast<double>(group.applied.value));
    page.gauge("etcd_server_proposals_pending", "The current number of pending proposals to commit.",
               static_cast<double>(group.proposals_pending));
    page.counter("etcd_server_proposals_failed_total", "The total number of failed proposals seen.",
                 group.proposals_failed);
    page.counter("etcd_server_slow_apply_total",
                 "The total number of slow apply requests (likely overloaded from slow disk).", group.slow_applies);
    page.counter("etcd_server_heartbeat_send_failures_total",
                 "The total number of leader heartbeat send failures (likely overloaded from slow disk).",
                 node.heartbeat_send_failures);
    page.counter("etcd_server_slow_read_indexes_total",
                 "The total number of pending read indexes not in sync with leader's or timed out.",
                 node.slow_read_indexes);
    page.counter("etcd_server_read_indexes_failed_total", "The total number of failed read indexes seen.",
                 node.read_indexes_failed);
    page.counter("polis_coord_slow_requests_total", "Calls that took longer than etcd.slow_request_ms.",
                 backend.slow_log.count());
    page.gauge("etcd_server_snapshot_apply_in_progress_total",
               "1 if the server is applying the incoming snapshot. 0 if none.", node.snapshot_being_applied);
}

void add_identity(Exposition& page, const Backend& backend, int64_t quota_bytes) {
    page.gauge("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.",
               static_cast<double>(quota_bytes));
    page.family("etcd_server_version", "gauge",
                "Which version is running. 1 for 'server_version' label with current version.");
    page.sample(1, {{"server_version", std::string(etcd_server_version)}});
    page.family("etcd_cluster_version", "gauge",
                "Which version is running. 1 for 'cluster_version' label with current cluster version");
    page.sample(1, {{"cluster_version", std::string(etcd_cluster_version_short)}});
    page.family("etcd_server_id", "gauge",
                "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.");
    page.sample(1, {{"server_id", hex(number_of(backend.cluster.self()))}});
}

void add_calls(Exposition& page, const Backend& backend) {
    page.family("etcd_server_client_requests_total", "counter",
                "The total number of client requests per client version.");
    for (const VersionCount& count : backend.admission.counts()) {
        page.sample(static_cast<double>(count.calls), {{"type", count.kind == CallKind::Unary ? "unary" : "stream"},
                                                       {"client_api_version", count.client_api_version}});
    }
    page.counter("etcd_server_health_success", "The total number of successful health checks",
                 backend.counts.health_successes);
    page.counter("etcd_server_health_failures", "The total number of failed health checks",
                 backend.counts.health_failures);
    page.family("etcd_network_server_stream_failures_total", "counter",
                "The total number of stream failures from the local server.");
    page.sample(static_cast<double>(backend.counts.watch_receive_failures), {{"API", "watch"}, {"Type", "receive"}});
    page.sample(static_cast<double>(backend.counts.watch_send_failures), {{"API", "watch"}, {"Type", "send"}});
    page.sample(static_cast<double>(backend.counts.lease_receive_failures),
                {{"API", "lease-keepalive"}, {"Type", "receive"}});
    page.sample(static_cast<double>(backend.counts.lease_send_failures),
                {{"API", "lease-keepalive"}, {"Type", "send"}});
}

void add_store(Exposition& page, const Backend& backend, const services::CoordStatus& coord) {
    page.gauge("etcd_mvcc_db_total_size_in_bytes",
               "Total size of the underlying database physically allocated in bytes.",
               static_cast<double>(coord.db_bytes));
    page.gauge("etcd_mvcc_db_total_size_in_use_in_bytes",
               "Total size of the underlying database logically in use in bytes.",
               static_cast<double>(coord.db_bytes_in_use));
    page.counter("etcd_mvcc_put_total", "Total number of puts seen by this member.", coord.puts);
    page.counter("etcd_mvcc_delete_total", "Total number of deletes seen by this member.", coord.deletes);
    page.counter("etcd_mvcc_txn_total", "Total number of txns seen by this member.", coord.txns);
    page.counter("etcd_mvcc_range_total", "Total number of ranges seen by this member.", coord.ranges);
    page.gauge("etcd_debugging_mvcc_keys_total", "Total number of keys.", static_cast<double>(coord.keys));
    page.gauge("etcd_debugging_mvcc_current_revision", "The current revision of store.",
               static_cast<double>(coord.revision));
    page.gauge("etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store.",
               static_cast<double>(coord.compacted_revision));
    page.gauge("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.",
               static_cast<double>(coord.watch_streams));
    page.gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.", static_cast<double>(coord.watchers));
    page.gauge("etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.",
               static_cast<double>(coord.slow_watchers));
    page.counter("etcd_debugging_mvcc_events_total", "Total number of events sent by this member.", coord.events);
    page.gauge("etcd_debugging_mvcc_pending_events_total", "Total number of pending events to be sent.",
               static_cast<double>(coord.pending_events));
    page.family("polis_coord_refused_total", "counter",
                "Requests turned away at once: too much under way, or of one user.");
    page.sample(static_cast<double>(coord.refused_for_load), {{"reason", "load"}});
    page.sample(static_cast<double>(coord.refused_for_rate), {{"reason", "user_rate"}});
    page.gauge("polis_coord_leases", "Leases that are alive.", static_cast<double>(coord.leases));
    page.counter("etcd_debugging_lease_granted_total", "The total number of granted leases, by clients of this member.",
                 backend.counts.leases_granted);
    page.counter("etcd_debugging_lease_revoked_total", "The total number of revoked leases, by clients of this member.",
                 backend.counts.leases_revoked);
    page.counter("etcd_debugging_lease_renewed_total", "The number of renewed leases, by clients of this member.",
                 backend.counts.leases_renewed);
    page.family("etcd_debugging_server_alarms", "gauge",
                "Alarms for every member in cluster. 1 for 'server_id' label.");
    for (const pb::AlarmMember& alarm : coord.alarms) {
        page.sample(1, {{"server_id", hex(alarm.memberid())}, {"alarm_type", pb::AlarmType_Name(alarm.alarm())}});
    }
}

void add_disk(Exposition& page, const NodeFigures& node) {
    const auto histogram = [&](std::string_view name, std::string_view help, const DurationHistogram& values) {
        page.family(name, "histogram", help);
        page.histogram(values);
    };
    histogram("etcd_disk_wal_fsync_duration_seconds", "The latency distributions of fsync called by WAL.",
              node.wal_fsync);
    histogram("etcd_disk_wal_write_duration_seconds", "The latency distributions of write called by WAL.",
              node.wal_write);
    histogram("etcd_disk_backend_commit_duration_seconds", "The latency distributions of commit called by backend.",
              node.backend_commit);
    histogram("etcd_disk_backend_snapshot_duration_seconds", "The latency distribution of backend snapshots.",
              node.backend_snapshot);
    histogram("etcd_debugging_snap_save_total_duration_seconds",
              "The total latency distributions of save called by snapshot.", node.snapshot_save);
    page.gauge("etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.",
               static_cast<double>(node.wal_written_bytes));
}

/// One counter for each peer, labelled as etcd labels it.
void add_peer_family(Exposition& page, const NodeFigures& node, std::string_view name, std::string_view label,
                     std::string_view help, uint64_t PeerFigures::* figure) {
    page.family(name, "counter", help);
    for (const PeerFigures& peer : node.peers) {
        page.sample(static_cast<double>(peer.*figure), {{label, hex(number_of(peer.id))}});
    }
}

/// How the others look from here (cluster::MemberHealth): what an alert on a silent member asks for.
void add_peer_health(Exposition& page, const NodeFigures& node) {
    const auto family = [&](std::string_view name, std::string_view help, const auto& figure_of) {
        page.family(name, "gauge", help);
        for (const PeerFigures& peer : node.peers) {
            const std::optional<double> figure = figure_of(peer);
            if (figure) page.sample(*figure, {{"peer", hex(number_of(peer.id))}, {"name", peer.name}});
        }
    };
    using Figure = std::optional<double>;
    family("polis_peer_connected", "1 if this node can speak to the peer.",
           [](const PeerFigures& peer) { return Figure(peer.active); });
    family("polis_peer_alive", "1 if the peer speaks to this node.",
           [](const PeerFigures& peer) { return Figure(peer.alive); });
    family("polis_peer_suspicion_phi", "How strongly the peer's silence speaks against it (phi accrual detector).",
           [](const PeerFigures& peer) { return Figure(peer.phi); });
    family("polis_peer_silent_seconds", "Since the peer's last sign of life; absent if there was none.",
           [](const PeerFigures& peer) { return peer.silent_seconds; });
}

void add_network(Exposition& page, const Backend& backend, const NodeFigures& node, const cluster::GroupStatus& group,
                 const rpc::ServerStats& server) {
    add_peer_family(page, node, "etcd_network_peer_sent_bytes_total", "To", "The total number of bytes sent to peers.",
                    &PeerFigures::sent_bytes);
    add_peer_family(page, node, "etcd_network_peer_received_bytes_total", "From",
                    "The total number of bytes received from peers.", &PeerFigures::received_bytes);
    add_peer_family(page, node, "etcd_network_peer_sent_failures_total", "To",
                    "The total number of send failures from peers.", &PeerFigures::sent_failures);
    add_peer_family(page, node, "etcd_network_peer_received_failures_total", "From",
                    "The total number of receive failures from peers.", &PeerFigures::received_failures);
    const std::string self = hex(number_of(backend.cluster.self()));
    page.family("etcd_network_active_peers", "gauge", "The current number of active peer connections.");
    for (const PeerFigures& peer : node.peers) {
        page.sample(peer.active, {{"Local", self}, {"Remote", hex(number_of(peer.id))}});
    }
    page.family("etcd_network_disconnected_peers_total", "counter", "The total number of disconnected peers.");
    for (const PeerFigures& peer : node.peers) {
        page.sample(static_cast<double>(peer.disconnects), {{"Local", self}, {"Remote", hex(number_of(peer.id))}});
    }
    page.family("etcd_network_peer_round_trip_time_seconds", "histogram", "Round-Trip-Time histogram between peers");
    for (const PeerFigures& peer : node.peers) page.histogram(peer.round_trip, {{"To", hex(number_of(peer.id))}});
    page.counter("etcd_network_snapshot_send_success", "Total number of successful snapshot sends",
                 group.snapshots_sent);
    page.counter("etcd_network_snapshot_receive_success", "Total number of successful snapshot receives",
                 group.snapshots_received);
    page.counter("etcd_network_client_grpc_received_bytes_total",
                 "The total number of bytes received from grpc clients.", server.bytes_received);
    page.counter("etcd_network_client_grpc_sent_bytes_total", "The total number of bytes sent to grpc clients.",
                 server.bytes_sent);
    page.gauge("polis_rpc_connections_open", "Client connections open now.",
               static_cast<double>(server.connections_open));
    page.counter("polis_rpc_connections_accepted_total", "Client connections accepted.", server.connections_accepted);
    page.counter("polis_rpc_connections_refused_total", "Client connections closed at once for want of room.",
                 server.connections_refused);
}

/// How grpc_prometheus tells the kinds of methods apart.
std::string method_kind(std::string_view method) {
    if (method == "/etcdserverpb.Watch/Watch" || method == "/etcdserverpb.Lease/LeaseKeepAlive" ||
        method.ends_with("/ServerReflectionInfo")) {
        return "bidi_stream";
    }
    if (method == "/etcdserverpb.Maintenance/Snapshot" || method == "/etcdserverpb.KV/RangeStream" ||
        method == "/v3electionpb.Election/Observe" || method == "/grpc.health.v1.Health/Watch") {
        return "server_stream";
    }
    return "unary";
}

Exposition::Labels method_labels(std::string_view method) {
    const size_t slash = method.find('/', 1);
    if (slash == std::string_view::npos) return {{"grpc_method", std::string(method)}};
    return {{"grpc_method", std::string(method.substr(slash + 1))},
            {"grpc_service", std::string(method.substr(1, slash - 1))},
            {"grpc_type", method_kind(method)}};
}

/// gRPC's code names as Go spells them ("InvalidArgument"), which is what grpc_prometheus labels with.
std::string code_label(rpc::StatusCode code) {
    static constexpr std::string_view names[] = {
        "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
        "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
        "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
        "DataLoss", "Unauthenticated"};
    ENSURE(static_cast<size_t>(code) < std::size(names));
    return std::string(names[static_cast<size_t>(code)]);
}

DurationHistogram histogram_of(const rpc::HandlingTimes& times) {
    DurationHistogram histogram;
    for (size_t at = 0; at < rpc::HandlingTimes::bound_count; ++at)
        histogram.bounds_seconds.push_back(seconds_of(rpc::HandlingTimes::bound(at)));
    histogram.counts.assign(times.counts().begin(), times.counts().end());
    histogram.sum_seconds = seconds_of(times.sum());
    return histogram;
}

// Of methods that have been called: twenty buckets of each of fifty would be most of the page.
void add_handling_times(Exposition& page, const rpc::ServerStats& server) {
    page.family("grpc_server_handling_seconds", "histogram", "Seconds from a call's first octets to its end.");
    for (const auto& [name, method] : server.methods) {
        if (method.started > 0) page.histogram(histogram_of(method.handling), method_labels(name));
    }
}

void add_methods(Exposition& page, const rpc::ServerStats& server) {
    page.family("grpc_server_started_total", "counter", "Total number of RPCs started on the server.");
    for (const auto& [name, method] : server.methods) {
        page.sample(static_cast<double>(method.started), method_labels(name));
    }
    page.family("grpc_server_handled_total", "counter",
                "Total number of RPCs completed on the server, regardless of success or failure.");
    for (const auto& [name, method] : server.methods) {
        // Zeros too, as grpc_prometheus begins: a rate over a counter that was not there does not see its first step.
        for (size_t number = 0; number < rpc::status_code_count; ++number) {
            const auto code = static_cast<rpc::StatusCode>(number);
            const auto found = method.handled.find(code);
            Exposition::Labels labels = method_labels(name);
            labels.insert(labels.begin(), {"grpc_code", code_label(code)});
            page.sample(found == method.handled.end() ? 0 : static_cast<double>(found->second), labels);
        }
    }
    page.family("grpc_server_msg_received_total", "counter",
                "Total number of RPC stream messages received on the server.");
    for (const auto& [name, method] : server.methods) {
        page.sample(static_cast<double>(method.messages_received), method_labels(name));
    }
    page.family("grpc_server_msg_sent_total", "counter", "Total number of gRPC stream messages sent by the server.");
    for (const auto& [name, method] : server.methods) {
        page.sample(static_cast<double>(method.messages_sent), method_labels(name));
    }
}

void add_process(Exposition& page, const NodeFigures& node) {
    page.family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.");
    page.sample(node.process_cpu_seconds);
    page.gauge("process_max_fds", "Maximum number of open file descriptors.",
               static_cast<double>(node.process_descriptors_max));
    page.gauge("process_open_fds", "Number of open file descriptors.",
               static_cast<double>(node.process_open_descriptors));
    page.gauge("process_resident_memory_bytes", "Resident memory size in bytes.",
               static_cast<double>(node.process_resident_bytes));
    page.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
               node.process_start_seconds);
    page.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.",
               static_cast<double>(node.process_virtual_bytes));
    page.gauge("os_fd_used", "The number of used file descriptors.",
               static_cast<double>(node.process_open_descriptors));
    page.gauge("os_fd_limit", "The file descriptor limit.", static_cast<double>(node.process_descriptors_max));
}

}  // namespace

std::string metrics_page(Backend& backend) {
    const services::CoordStatus coord = backend.coord.status();
    const cluster::GroupStatus group = backend.cluster.status(GroupId::Coord);
    const MetricsSource& source = backend.options.metrics;
    const NodeFigures node = source.node ? source.node() : NodeFigures();
    const rpc::ServerStats server = source.server ? source.server() : rpc::ServerStats();

    Exposition page;
    add_consensus(page, backend, group, node);
    add_identity(page, backend, coord.quota_bytes);
    add_calls(page, backend);
    add_store(page, backend, coord);
    add_disk(page, node);
    add_network(page, backend, node, group, server);
    add_peer_health(page, node);
    add_methods(page, server);
    add_handling_times(page, server);
    add_process(page, node);
    return page.text();
}

}  // namespace polis::gateways
