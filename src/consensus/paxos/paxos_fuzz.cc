// Arbitrary inputs from a peer into a participant of Multi-Paxos: nothing that arrives may end the process.
#include <cstdint>
#include <string_view>

#include "consensus/message.h"
#include "consensus/paxos/message_kind.h"
#include "consensus/paxos/paxos.h"
#include "consensus/paxos/value.h"

namespace polis::consensus {
namespace {

// Takes values off the front of the octets; zeros when there are no more.
class Octets {
public:
    explicit Octets(std::string_view octets) : octets_(octets) {}

    bool empty() const { return octets_.empty(); }
    uint8_t octet() {
        if (octets_.empty()) return 0;
        const auto value = static_cast<uint8_t>(octets_.front());
        octets_.remove_prefix(1);
        return value;
    }
    // Mostly small, so that positions meet; now and then huge.
    uint64_t number() {
        const uint8_t value = octet();
        if (value < 0xf0) return value % 16;
        uint64_t large = 0;
        for (int at = 0; at < 8; ++at) large = large << 8 | octet();
        return large;
    }

private:
    std::string_view octets_;
};

Message message_of(Octets& octets) {
    Message message;
    message.kind = static_cast<uint8_t>(octets.octet() % 18);
    const uint8_t flags = octets.octet();
    message.rejected = (flags & 1) != 0;
    message.ballot = {octets.number(), NodeId{(flags >> 4) % 5u}};
    message.previous = {LogIndex(octets.number()), {octets.number(), NodeId::Nobody}};
    message.committed = LogIndex(octets.number());
    message.hint = LogIndex(octets.number());
    message.context = octets.number();
    message.priority = octets.octet();
    LogIndex index = message.previous.index;
    for (uint8_t count = octets.octet() % 5; count > 0; --count) {
        index = (flags & 4) != 0 ? LogIndex(octets.number()) : LogIndex(index.value + 1);
        const auto kind = static_cast<EntryKind>(octets.octet() % 4);
        Bytes payload = kind == EntryKind::Membership && (flags & 8) == 0
                            ? encode({.voters = {NodeId{1}, NodeId{octets.number() + 2}}})
                            : Bytes::copy("x");
        const uint8_t origin = octets.octet();
        if (origin < 0xf0) payload = with_origin(payload, {origin % 8u, NodeId{origin / 8 % 5u}});
        const Ballot ballot = (flags & 2) != 0 ? message.ballot : Ballot{octets.number(), NodeId{octets.octet() % 5u}};
        message.entries.push_back({index, ballot, kind, std::move(payload)});
    }
    return message;
}

class Driver {
public:
    explicit Driver(Octets octets) : octets_(octets) {
        Options options;
        options.self = NodeId{1};
        options.message_bytes_max = 200;
        options.quiesce_after = std::chrono::milliseconds(100);
        log_ = make_paxos(options);
        Recovered recovered;
        recovered.membership.voters = {NodeId{1}, NodeId{2}, NodeId{3}};
        const uint64_t count = octets_.octet() % 6;
        for (uint64_t index = 1; index <= count; ++index) {
            const LogPosition position{LogIndex(index), {1, NodeId{2}}};
            recovered.positions.push_back(position);
            recovered.tail.push_back(
                {position.index, position.ballot, EntryKind::Command, with_origin(Bytes::copy("e"), position.ballot)});
        }
        recovered.hard_state.promised = {recovered.positions.empty() ? 0u : 1u, NodeId{2}};
        const uint8_t damaged = octets_.octet();
        if (damaged < 6 && damaged > 0) recovered.damaged.push_back({LogIndex(damaged), LogIndex(damaged)});
        step(std::move(recovered));
    }

    void run() {
        while (!octets_.empty()) {
            switch (octets_.octet() % 13) {
                case 0: step(Tick{}); break;
                case 1: now_ = now_ + std::chrono::milliseconds(octets_.octet() * 4); break;
                case 2: step(Propose{std::nullopt, {{next_id_++, Bytes::copy("p")}}}); break;
                case 3: step(ReadBarrier{next_id_++, ReadKind::Lease}); break;
                case 4: step(Reconfigure{next_id_++, {NodeId{1}, NodeId{octets_.number() + 1}}, {}}); break;
                case 5: step(TransferLeadership{next_id_++, NodeId{octets_.number()}}); break;
                case 6: step(Unreachable{NodeId{octets_.number()}}); break;
                case 7: {
                    const NodeId node{octets_.number()};
                    step(Liveness{node, (octets_.octet() & 1) != 0});
                    break;
                }
                default: {
                    const NodeId from{octets_.octet() % 5u};
                    step(Receive{from, message_of(octets_)});
                }
            }
        }
    }

private:
    // Our own shell is correct: it stores, reads and applies what it is told to.
    void step(Input input) {
        Outputs outputs;
        log_->step(now_, std::move(input), outputs);
        for (Output& output : outputs) {
            if (const auto* store = std::get_if<Store>(&output)) step(Stored{store->token});
            if (const auto* fetch = std::get_if<Fetch>(&output)) step(Fetched{fetch->range, {}});
            if (const auto* delivered = std::get_if<Deliver>(&output)) step(Applied{delivered->entries.back().index});
        }
    }

    Octets octets_;
    Instant now_{std::chrono::seconds(1)};
    std::unique_ptr<Log> log_;
    RequestId next_id_ = 1;
};

}  // namespace
}  // namespace polis::consensus

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view octets(reinterpret_cast<const char*>(data), size);
    polis::consensus::Driver(polis::consensus::Octets(octets)).run();
    return 0;
}
