// The simulated network's insides: links between hosts, connections over them. For sim_*.cc only.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "runtime/sim_network.h"
#include "runtime/wait.h"

namespace polis::runtime {

class SimConnection;

/// A port that is open on a simulated host. Shared by the listener and by those who are about to connect.
struct SimPort {
    static constexpr size_t backlog_max = 128;
    std::deque<std::unique_ptr<Stream>> waiting;
    Signal arrived;
};

/// What all hosts share: the state of every link, who listens where, which connections there are.
struct SimNetwork::Fabric : std::enable_shared_from_this<SimNetwork::Fabric> {
    Fabric(SimReactor& on, uint64_t seed, SimNetworkOptions with)
        : reactor(on), chance(Chance(seed).split("network")), options(with) {}

    struct Link {
        bool is_cut = false;
        uint64_t cuts = 0;  // How often; tells one cut from the next.
        Duration delay{0};
    };

    /// True if nothing gets from `from` to `to` right now.
    bool is_cut(const std::string& from, const std::string& to) const;
    /// A draw of how long one segment takes.
    Duration latency(const std::string& from, const std::string& to);
    /// Those that still have an end, in the order made.
    std::vector<std::shared_ptr<SimConnection>> living();
    std::vector<std::shared_ptr<SimConnection>> between(const std::string& a, const std::string& b);

    SimReactor& reactor;
    Chance chance;
    SimNetworkOptions options;
    std::map<std::pair<std::string, std::string>, Link> links;
    std::map<std::string, std::unique_ptr<Network>> hosts;
    std::map<std::pair<std::string, uint16_t>, std::shared_ptr<SimPort>> ports;
    std::set<std::string> powered_off;
    std::vector<std::weak_ptr<SimConnection>> connections;
};

/// One TCP connection. End 0 opened it, end 1 was listening. Pipe `e` carries what end `e` sends.
class SimConnection : public std::enable_shared_from_this<SimConnection> {
public:
    SimConnection(std::shared_ptr<SimNetwork::Fabric> fabric, std::string client, std::string server);

    Task<size_t> read(size_t end, std::span<std::byte> target);
    Task<void> write(size_t end, std::span<const std::string_view> parts);
    Result<void> finish(size_t end);
    /// `end` neither reads nor writes any more.
    void close(size_t end);
    /// `end` is destroyed.
    void leave(size_t end);

    const std::string& host_of(size_t end) const { return pipes_[end].from; }
    bool joins(const std::string& a, const std::string& b) const;
    bool is_dead() const { return ends_[0].gone && ends_[1].gone; }

    /// A cut is over: what waited goes on after another latency.
    void resume();
    /// Both ends find the connection broken.
    void break_both(const std::string& why);
    /// As break_both, after a drawn part of what is under way has arrived.
    void reset_midway();
    /// `end` dies without sending anything; `tell_peer` lets its machine send a reset.
    void kill(size_t end, bool tell_peer);
    void send_reset(size_t end);

private:
    struct Segment {
        enum class Kind : uint8_t { Octets, Acknowledgement, Finish, Reset };
        Kind kind;
        Instant arrival;
        std::string octets;
        size_t acknowledged = 0;
    };
    struct Pipe {
        std::string from, to;
        std::deque<Segment> under_way;  // By arrival.
        Instant line_free_at;           // When the last octet has left; bandwidth.
        Instant last_arrival;
        size_t unacknowledged = 0;  // Sent, and not known to have been read: bounded by the window.
        std::string received;       // Arrived and unread, from read_begin on.
        size_t read_begin = 0;
        size_t read_unreported = 0;  // Read, and not acknowledged yet.
        bool finish_arrived = false;
    };
    struct End {
        bool gone = false;
        bool closed = false;
        bool finished = false;  // Has sent its Finish.
        std::optional<std::string> broken;
        Signal changed;  // Something to read, room to write, or broken.
    };

    void send(size_t end, Segment segment);
    void arrive(size_t end);
    void deliver(size_t end, Segment segment);
    void break_end(size_t end, const std::string& why);
    size_t take(size_t end, std::span<std::byte> target);
    Result<void> check_usable(size_t end) const;
    size_t draw_segment_bytes(bool fragment, size_t bytes_max);

    std::shared_ptr<SimNetwork::Fabric> fabric_;
    std::array<Pipe, 2> pipes_;
    std::array<End, 2> ends_;
};

}  // namespace polis::runtime
