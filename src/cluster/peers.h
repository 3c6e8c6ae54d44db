// Peers: the connections between this node and the others: consensus messages, forwarded commands, requests.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/time.h"
#include "cluster/link.h"
#include "cluster/node_liveness.h"
#include "cluster/wire.h"
#include "runtime/task_group.h"
#include "runtime/world.h"

namespace polis::cluster {

/// Who this node is on the wire.
struct PeerIdentity {
    ClusterId cluster{};
    NodeId node{};
    uint64_t incarnation = 0;
};

struct PeerOptions {
    std::shared_ptr<const runtime::TlsContext> client_tls;  // Null: plain.
    Duration connect_timeout = std::chrono::seconds(2);
    Duration reconnect_min = std::chrono::milliseconds(10);
    Duration reconnect_max = std::chrono::milliseconds(500);
    Duration alive_interval = std::chrono::milliseconds(50);  // Silence after which Alive is sent, for consensus ...
    Duration bulk_alive_interval = std::chrono::milliseconds(1000);  // ... and where only the connection's end matters.
    Duration dead_after = std::chrono::milliseconds(250);            // See NodeLiveness.
    Duration silence_max = std::chrono::seconds(5);                  // A connection silent for longer is given up.
    uint64_t queue_bytes_max = 128u << 20;                           // Per link; further messages are dropped.
    uint32_t connections_max = 1000;                                 // Accepted ones; more are closed at once.
    uint32_t requests_max = 1000;                                    // Being answered; more are refused: Overloaded.
};

/// What is known of one other node's health.
struct PeerHealth {
    bool connected = false;  // This node can speak to it.
    bool alive = false;      // It speaks to this node (NodeLiveness).
    double phi = 0;          // PhiDetector.
    bool suspected = false;
    std::optional<Duration> heard_ago;  // Unset: never.
};

/// What arrives. Called on the reactor.
class PeerHandler {
public:
    virtual ~PeerHandler() = default;
    /// May this node, with this incarnation of its disk, speak to us? The error's text is sent back to it.
    virtual Result<void> admit(const Hello& hello) = 0;
    virtual void on_message(NodeId from, GroupMessage message) = 0;
    virtual void on_forward(NodeId from, Forward forward) = 0;
    virtual void on_forward_refused(NodeId from, ForwardRefused refused) = 0;
    /// The answer, or an error that the requester gets. Runs in a task of its own.
    virtual runtime::Task<Bytes> on_request(NodeId from, GroupId group, uint8_t kind, Bytes body) = 0;
    /// The node as such was heard of again, or is taken for dead: it stands for all that it leads.
    virtual void on_liveness(NodeId node, bool alive) = 0;
    /// The connection for consensus messages to this node broke, or messages to it were dropped.
    virtual void on_unreachable(NodeId node) = 0;
    /// The other side refuses us for good (wiped disk, other cluster): `why` in its words.
    virtual void on_refused(NodeId by, const std::string& why) = 0;
};

/// This node's connections to all others. Each node dials each other twice, once for consensus messages and once for
/// everything bulky, and sends on what it dialled; what it accepted it only reads (after the greeting). So a snapshot
/// never stands in front of a heartbeat, and there is no question of whose connection wins when both dial at once.
///
/// Messages are sent at the end of the turn, all of a turn in one write. They may be lost (never reordered, never
/// duplicated) when a connection breaks. Who does not name our cluster is a stranger, whatever else it says of itself: it may ask
/// to join (a Request of id 0), in small frames, and nothing else. One reactor.
class Peers {
public:
    Peers(runtime::World world, PeerIdentity self, PeerOptions options, PeerHandler& handler);
    ~Peers();

    /// Whom to talk to, and where; addresses are tried in turn. Replaces what was known of the node.
    void set_peer(NodeId node, std::vector<runtime::Address> addresses);
    void remove_peer(NodeId node);
    std::vector<NodeId> known() const;

    /// A node that was new has become somebody. REQUIRES: no peer has been set yet.
    void set_identity(PeerIdentity self) { self_ = self; }

    /// Sends one consensus message. Dropped if the node is unknown or its queue is full.
    void send(NodeId to, GroupId group, const consensus::Message& message);
    void send(NodeId to, const Forward& forward);
    void send(NodeId to, const ForwardRefused& refused);

    /// Asks and waits. Errors: Unavailable if there is no connection or it breaks; the scope's; whatever the other side answers.
    /// After Unavailable the request may have been handled or not.
    runtime::Task<Bytes> request(NodeId to, GroupId group, uint8_t kind, Bytes body);

    /// Asks a node whose id is not known yet (joining): on a connection of its own.
    runtime::Task<Bytes> request_at(runtime::Address address, GroupId group, uint8_t kind, Bytes body);

    /// Ends the accepted connections of those whom the handler would not admit any more.
    void check_admissions();

    /// Accepts and reads the others' connections until stopped.
    runtime::Task<void> serve(std::unique_ptr<runtime::Listener> listener);
    runtime::Task<void> stop();

    /// When something last arrived from the node, on any connection.
    std::optional<Instant> last_heard(NodeId node) const { return liveness_.last_heard(node); }
    /// False for nodes that are no peers.
    bool is_alive(NodeId node) const { return liveness_.is_alive(node); }
    PeerHealth health(NodeId node) const;
    bool connected(NodeId node) const;
    /// How many frames have come from members, by what they are for.
    struct Heard {
        uint64_t group_messages = 0;  // Of some group's consensus.
        uint64_t signs_of_life = 0;   // Alive: nothing but that.
        uint64_t others = 0;
    };
    const Heard& heard() const { return heard_; }
    /// Octets on all connections with one node; zeros if there were none.
    struct Traffic {
        uint64_t bytes_sent = 0, bytes_received = 0, breaks = 0;
    };
    Traffic traffic(NodeId node) const;
    void set_client_tls(std::shared_ptr<const runtime::TlsContext> tls) { options_.client_tls = std::move(tls); }

private:
    struct Peer {
        std::shared_ptr<Link> consensus;
        std::shared_ptr<Link> bulk;
    };
    struct Session {  // An accepted connection whose greeting was good.
        Hello hello;
        runtime::Stream* stream;
        bool is_stranger() const { return hello.cluster == ClusterId::None; }
    };
    using Sessions = std::list<Session>;

    runtime::Task<void> read_connection(std::unique_ptr<runtime::Stream> stream, runtime::Listener* listener);
    runtime::Task<Hello> greet(runtime::Stream& stream);
    std::shared_ptr<Link> make_link(NodeId node, LinkClass link);
    runtime::Task<void> read_frames(const Session& session);
    runtime::Task<void> take_frames(const Session& session, Bytes frames);
    runtime::Task<void> answer_stranger(const Session& session, Request request);
    Sessions::iterator begin_session(Hello hello, runtime::Stream& stream);
    void end_session(Sessions::iterator session);
    bool hears_on_another(const Session& session) const;
    void dispatch(NodeId from, Frame frame);
    runtime::Task<void> answer(NodeId from, Request request);
    void complete(NodeId from, Response response);
    runtime::Task<void> watch_silence();

    runtime::World world_;
    PeerIdentity self_;
    PeerOptions options_;
    PeerHandler& handler_;
    runtime::TaskGroup tasks_;
    std::map<NodeId, Peer> peers_;
    Sessions sessions_;
    NodeLiveness liveness_;
    Heard heard_;
    bool watching_ = false;
    uint32_t answering_ = 0;
    uint64_t next_request_ = 1;
    std::map<uint64_t, std::pair<NodeId, runtime::Completion<Bytes>*>> requests_;
    std::map<NodeId, Traffic> traffic_;  // Of nodes that are, or were, peers.
};

}  // namespace polis::cluster
