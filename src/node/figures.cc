#include "node/figures.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
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
    return now - uptime + std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
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
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
        (void)entry;
        ++figures.process_open_descriptors;
    }
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    figures.process_descriptors_max = limit.rlim_cur;
    figures.process_start_seconds = start_seconds();

    const storage::WalStats wal = host.wal_stats();
    figures.wal_written_bytes = wal.bytes_written;
    for (const cluster::Member& member : host.members()) {
        if (member.id == host.self()) continue;
        gateways::PeerFigures peer;
        peer.id = member.id;
        peer.active = host.peers().connected(member.id);
        figures.peers.push_back(std::move(peer));
    }
    return figures;
}

}  // namespace polis::node
