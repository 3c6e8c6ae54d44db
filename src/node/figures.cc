#include "node/figures.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

namespace polis::node {
namespace {

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// Process start as Unix time: boot time plus field 22 of /proc/self/stat, in clock ticks.
double start_seconds() {
    std::ifstream stat("/proc/self/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    const size_t after_name = text.rfind(')');
    if (after_name == std::string::npos) return 0;
    std::istringstream fields(text.substr(after_name + 2));
    std::string field;
    for (int i = 3; i <= 22; ++i) fields >> field;
    std::ifstream uptime_file("/proc/uptime");
    double uptime = 0;
    uptime_file >> uptime;
    const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    return now - uptime + std::strtod(field.c_str(), nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

uint64_t descriptors_open() {
    std::error_code ignored;
    const std::filesystem::directory_iterator open("/proc/self/fd", ignored);
    const auto count = std::distance(begin(open), end(open));
    return count > 0 ? static_cast<uint64_t>(count) - 1 : 0;  // One is this look's own.
}

uint64_t descriptors_max() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

std::map<NodeId, std::string> names_of(const cluster::Host& host) {
    std::map<NodeId, std::string> names;
    for (const cluster::Member& member : host.members()) names[member.id] = member.name;
    return names;
}

gateways::DurationHistogram histogram_of(const LatencyHistogram& latencies) {
    gateways::DurationHistogram histogram;
    for (size_t i = 0; i < LatencyHistogram::bound_count; ++i)
        histogram.bounds_seconds.push_back(LatencyHistogram::bound_seconds(i));
    histogram.counts.assign(latencies.counts().begin(), latencies.counts().end());
    histogram.sum_seconds = std::chrono::duration<double>(latencies.sum()).count();
    return histogram;
}

}  // namespace

gateways::NodeFigures Figures::now(const cluster::Host& host) const {
    gateways::NodeFigures figures;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    figures.process_cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    uint64_t pages = 0;
    uint64_t resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    figures.process_virtual_bytes = pages * page_bytes;
    figures.process_resident_bytes = resident * page_bytes;
    figures.process_open_descriptors = descriptors_open();
    figures.process_descriptors_max = descriptors_max();
    figures.process_start_seconds = start_seconds();

    const storage::WalStats wal = host.wal_stats();
    figures.wal_written_bytes = wal.bytes_written;
    figures.wal_fsync = histogram_of(wal.sync_times);
    figures.backend_commit = histogram_of(host.status(GroupId::Coord).store_writes);
    const std::map<NodeId, std::string> names = names_of(host);
    for (const cluster::MemberHealth& health : host.health()) {
        if (health.id == host.self()) continue;
        gateways::PeerFigures peer;
        peer.id = health.id;
        if (const auto name = names.find(health.id); name != names.end()) peer.name = name->second;
        peer.active = health.connected;
        peer.alive = health.alive;
        peer.phi = health.phi;
        if (health.heard_ago) peer.silent_seconds = std::chrono::duration<double>(*health.heard_ago).count();
        const cluster::Peers::Traffic traffic = host.peers().traffic(health.id);
        peer.sent_bytes = traffic.bytes_sent;
        peer.received_bytes = traffic.bytes_received;
        peer.disconnects = traffic.breaks;
        figures.peers.push_back(std::move(peer));
    }
    return figures;
}

NodePage Figures::page(const cluster::Host& host, const Config& config) const {
    NodePage page{.id = host.self(), .name = config.name};
    std::error_code ignored;
    const std::filesystem::space_info space = std::filesystem::space(config.data_dir, ignored);
    page.disk_free_bytes = space.available;
    page.disk_bytes = space.capacity;
    page.descriptors_open = descriptors_open();
    page.descriptors_max = descriptors_max();
    const storage::WalStats wal = host.wal_stats();
    page.log_syncs = wal.syncs;
    if (wal.syncs > 0) page.log_sync_mean = Duration(wal.sync_ns_total / wal.syncs);
    std::map<NodeId, std::string> names = names_of(host);
    for (const cluster::MemberHealth& health : host.health()) {
        if (health.id == host.self()) continue;
        PeerView peer{.id = health.id, .name = names[health.id], .connected = health.connected, .alive = health.alive};
        peer.phi = health.phi;
        peer.suspected = health.suspected;
        if (health.heard_ago) {
            peer.silent_for = std::chrono::duration_cast<std::chrono::milliseconds>(*health.heard_ago);
        }
        page.peers.push_back(std::move(peer));
    }
    return page;
}

}  // namespace polis::node
