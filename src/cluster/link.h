// Link: one outgoing connection of this node to one other, made anew whenever it breaks.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/octets.h"
#include "base/random.h"
#include "cluster/wire.h"
#include "runtime/task_group.h"
#include "runtime/world.h"

namespace polis::cluster {

struct PeerIdentity;
struct PeerOptions;

/// Queues frames and writes those of one turn at once. What is queued while there is no connection waits for one, up
/// to the limit; what was handed to a connection that broke is lost. Kept alive by its own task.
class Link : public runtime::TurnHook {
public:
    struct Settings {
        Hello hello;  // What to greet with.
        std::shared_ptr<const runtime::TlsContext> tls;
        Duration connect_timeout;
        Duration reconnect_min;
        Duration reconnect_max;
        Duration alive_interval;
        uint64_t queue_bytes_max;
    };
    /// Told on the reactor; must not destroy the link.
    struct Events {
        std::function<void()> broken;                     // Frames may have been lost.
        std::function<void(const std::string&)> refused;  // The other side does not want us.
        std::function<void(uint64_t)> sent;               // Octets.
    };

    Link(runtime::World world, Settings settings, Events events, runtime::Scope& parent);
    ~Link() override;

    void set_addresses(std::vector<runtime::Address> addresses) { addresses_ = std::move(addresses); }

    /// Appends a frame by `write(OctetWriter&)`. False, and nothing queued, if the queue is full.
    template <class Write>
    bool queue(Write write) {
        if (closed_ || out_.size() > settings_.queue_bytes_max) return false;
        write(out_);
        world_.reactor.at_turn_end(*this);
        return true;
    }

    bool connected() const { return connected_; }

    /// Connects, greets and writes, for ever, until closed. `self` keeps the link alive meanwhile.
    static runtime::Task<void> run(std::shared_ptr<Link> self);
    void close();

private:
    void turn_end() override { wake_.notify_all(); }
    runtime::Task<void> run_connections();
    runtime::Task<void> one_connection();
    runtime::Task<void> write_queued(runtime::Stream& stream);
    runtime::Task<void> watch_end(runtime::Stream& stream);

    runtime::World world_;
    Settings settings_;
    Events events_;
    runtime::Scope scope_;
    std::vector<runtime::Address> addresses_;
    size_t next_address_ = 0;
    Chance chance_;
    OctetWriter out_;       // Whole frames that wait to be written.
    runtime::Signal wake_;  // Something is queued, or a second has passed in silence.
    bool connected_ = false;
    bool closed_ = false;
    Duration backoff_{0};
};

/// Reads one frame, of a greeting. Errors: Invalid, Io.
runtime::Task<Frame> read_greeting(runtime::Stream& stream);

}  // namespace polis::cluster
