// Metrics under the names that etcd's dashboards and alerts ask for, in Prometheus' text format.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "rpc/server.h"

namespace polis::gateways {

/// How long something took, counted in buckets.
struct DurationHistogram {
    std::vector<double> bounds_seconds;  // Upper, ascending.
    std::vector<uint64_t> counts;  // One a bound and one for what is longer: not cumulative. Empty: nothing measured.
    double sum_seconds = 0;
};

/// One other node, as this one's connections to it show it.
struct PeerFigures {
    NodeId id{};
    std::string name;                           // Empty until it has joined.
    bool active = false;                        // This node can speak to it.
    bool alive = false;                         // It speaks to this node.
    double phi = 0;                             // How strongly its silence speaks against it.
    std::optional<double> silent_seconds = {};  // Since its last sign of life; nothing: there was none.
    uint64_t sent_bytes = 0, received_bytes = 0, sent_failures = 0, received_failures = 0, disconnects = 0;
    DurationHistogram round_trip = {};
};

/// What only the node knows: disks, peers, the process.
struct NodeFigures {
    DurationHistogram wal_fsync, wal_write, backend_commit, backend_snapshot, snapshot_save;
    uint64_t wal_written_bytes = 0;
    std::vector<PeerFigures> peers;
    uint64_t heartbeat_send_failures = 0, slow_read_indexes = 0, read_indexes_failed = 0;
    bool snapshot_being_applied = false;

    double process_cpu_seconds = 0;
    uint64_t process_resident_bytes = 0, process_virtual_bytes = 0, process_open_descriptors = 0,
             process_descriptors_max = 0;
    double process_start_seconds = 0;  // Unix time.
};

/// Where the values come from that neither coord nor the cluster has. Called on the gateway's reactor, once a scrape. Empty functions
/// give zeros.
struct MetricsSource {
    std::function<rpc::ServerStats()> server = {};
    std::function<NodeFigures()> node = {};
};

/// A page in the text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Families in the order they are begun.
class Exposition {
public:
    using Labels = std::vector<std::pair<std::string_view, std::string>>;

    /// Begins a family; the samples that follow belong to it. `type`: "counter", "gauge" or "histogram".
    void family(std::string_view name, std::string_view type, std::string_view help);
    void sample(double value, const Labels& labels = {});
    /// A family of one sample.
    void counter(std::string_view name, std::string_view help, uint64_t value);
    void gauge(std::string_view name, std::string_view help, double value);
    /// The buckets, sum and count of one histogram of the family. Buckets are `bounds` if nothing was measured.
    void histogram(const DurationHistogram& histogram, const Labels& labels = {});

    const std::string& text() const { return text_; }

private:
    void line(std::string_view suffix, const Labels& labels, double value);

    std::string name_;  // Of the family under way.
    std::string text_;
};

struct Backend;

/// The whole page of one node.
std::string metrics_page(Backend& backend);

}  // namespace polis::gateways
