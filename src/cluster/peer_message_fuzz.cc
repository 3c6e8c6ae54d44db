// Whatever a peer's connection can deliver: frames and their parts, pieces of snapshots, greetings, in any cut and order. Nothing of it may
// end the process, take memory that was not sent, or be taken for another node's word.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/random.h"
#include "cluster/envelope.h"
#include "cluster/join.h"
#include "cluster/meta_model.h"
#include "cluster/peers.h"
#include "cluster/replica_snapshot.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_network.h"
#include "runtime/sim_reactor.h"
#include "runtime/sim_world.h"
#include "storage/kv/transfer.h"

namespace polis::cluster {
namespace {

constexpr NodeId ourselves{1};
constexpr NodeId member{2};
constexpr ClusterId our_cluster{7};

void expect(bool holds) {
    if (!holds) std::abort();
}

Bytes octets_of(const Frame& frame) {
    OctetWriter out;
    std::visit(
        [&out]<class One>(const One& one) {
            if constexpr (std::is_same_v<One, GroupMessage>) {
                append_frame(out, one.group, one.message);
            } else {
                append_frame(out, one);
            }
        },
        frame);
    return Bytes::take(out.take());
}

// What decodes is the same after another trip.
void try_frames(std::string_view octets) {
    while (true) {
        const Result<size_t> size = frame_size(octets);
        if (!size || *size == 0) break;
        const Result<Frame> frame = decode_frame(Bytes::copy(octets.substr(0, *size)));
        octets.remove_prefix(*size);
        if (!frame) continue;
        const Result<Frame> again = decode_frame(octets_of(*frame));
        expect(again.has_value() && *again == *frame);
    }
    (void)decode_frame(Bytes::copy(octets)).has_value();
}

void try_parts(std::string_view octets) {
    const Bytes whole = Bytes::copy(octets);
    if (const auto envelope = decode_envelope(whole)) {
        const auto again = decode_envelope(encode(*envelope));
        expect(again.has_value() && again->command == envelope->command && again->sequence == envelope->sequence);
    }
    if (const auto command = decode_meta_command(whole)) {
        expect(decode_meta_command(encode_meta_command(*command)).has_value());
    }
    if (const auto reply = decode_meta_reply(whole)) expect(decode_meta_reply(encode_meta_reply(reply)).has_value());
    if (const auto question = decode_join_question(whole))
        expect(*decode_join_question(encode(*question)) == *question);
    if (const auto answer = decode_join_answer(whole)) expect(*decode_join_answer(encode(*answer)) == *answer);
    if (const auto chunk = decode_snapshot_chunk(whole)) {
        storage::PairImporter importer;
        (void)importer.read(chunk->frame).has_value();
        expect(decode_snapshot_chunk(encode(*chunk))->frame == chunk->frame);
    }
    if (const auto answer = decode_snapshot_answer(whole)) {
        expect(decode_snapshot_answer(encode(*answer))->next == answer->next);
    }
}

// Frames of a snapshot, whose checksums are made good, so that what is behind them is reached.
void try_importer(std::string_view octets) {
    storage::PairImporter importer;
    while (!octets.empty()) {
        const size_t size = std::min<size_t>(static_cast<uint8_t>(octets.front()), octets.size() - 1);
        (void)importer.read(octets.substr(1, size)).has_value();
        octets.remove_prefix(1 + size);
    }
}

// Believes nothing, and notices if a stranger is heard as somebody.
class Handler : public PeerHandler {
public:
    bool strangers_only = false;

    Result<void> admit(const Hello& hello) override {
        if (hello.cluster == ClusterId::None) return {};
        if (hello.cluster != our_cluster || hello.from != member) return fail(Code::Denied, "a stranger");
        return {};
    }
    void on_message(NodeId from, GroupMessage) override { check(from); }
    void on_forward(NodeId from, Forward forward) override {
        check(from);
        for (const Bytes& envelope : forward.envelopes) (void)decode_envelope(envelope).has_value();
    }
    void on_forward_refused(NodeId from, ForwardRefused) override { check(from); }
    runtime::Task<Bytes> on_request(NodeId from, GroupId, uint8_t, Bytes body) override {
        expect(from == NodeId::Nobody || (from == member && !strangers_only));
        co_return body;
    }
    void on_liveness(NodeId node, bool) override { check(node); }
    void on_unreachable(NodeId) override {}
    void on_refused(NodeId, const std::string&) override {}

private:
    void check(NodeId from) const { expect(from == member && !strangers_only); }
};

struct Wire {
    runtime::SimReactor reactor{1};
    runtime::SimNetwork network{reactor, 2};
    runtime::SimDisk disk{reactor, {}};
    std::unique_ptr<runtime::Disk> mount = disk.mount();
    runtime::SimRandom random{3};
    runtime::SimPool pool{4};
    runtime::Network& ours = network.host("a");
    runtime::World world{reactor, ours, *mount, random, pool};
    Handler handler;
    Peers peers{world, {.cluster = our_cluster, .node = ourselves, .incarnation = 5}, {}, handler};
    runtime::TaskGroup tasks{reactor};

    ~Wire() {
        (void)runtime::run(reactor, tasks.stop()).has_value();
        (void)runtime::run(reactor, peers.stop()).has_value();
    }
};

runtime::Task<void> say(runtime::Network& network, std::string octets) {
    const runtime::Address there{"a", 1};
    CO_LET(const std::unique_ptr<runtime::Stream> stream, co_await network.connect(there, nullptr));
    CO_TRY(co_await stream->write(octets));
    char answer[4096];
    for (;;) {
        const auto space = std::as_writable_bytes(std::span(answer));
        CO_LET(const size_t count, co_await stream->read_some(space));
        if (count == 0) co_return runtime::done();
    }
}

// `greeting`: 0 none of ours, 1 a member's, 2 a stranger's.
void try_listening(int greeting, std::string_view octets) {
    Wire wire;
    auto listener = wire.ours.listen({"a", 1}, nullptr);
    expect(listener.has_value());
    wire.tasks.spawn("serve", wire.peers.serve(*std::move(listener)));
    wire.peers.set_peer(member, {});
    wire.handler.strangers_only = greeting == 2;
    OctetWriter out;
    if (greeting != 0) {
        Hello hello;
        hello.cluster = greeting == 1 ? our_cluster : ClusterId::None;
        hello.from = member;
        append_frame(out, hello);
    }
    out.octets(octets);
    wire.tasks.spawn("say", say(wire.network.host("b"), out.take()));
    wire.reactor.run_for(std::chrono::milliseconds(40));
}

runtime::Task<void> answer_all(std::unique_ptr<runtime::Listener> listener, std::string octets) {
    for (int times = 0; times < 2; ++times) {
        CO_LET(const std::unique_ptr<runtime::Stream> stream, co_await listener->accept());
        CO_TRY(co_await stream->write(octets));
        CO_TRY(co_await runtime::sleep_for(std::chrono::milliseconds(10)));
    }
    co_return runtime::done();
}

runtime::Task<void> ask(Peers& peers) {
    const runtime::Address there{"b", 1};
    const Result<Bytes> answer = co_await peers.request_at(there, GroupId::Meta, 64, Bytes());
    co_return answer ? runtime::done() : Result<void>(std::unexpected(answer.error()));
}

// We dial, and this is what comes back.
void try_dialling(bool joining, std::string_view octets) {
    Wire wire;
    auto listener = wire.network.host("b").listen({"b", 1}, nullptr);
    expect(listener.has_value());
    wire.tasks.spawn("answer", answer_all(*std::move(listener), std::string(octets)));
    if (joining) {
        wire.tasks.spawn("ask", ask(wire.peers));
    } else {
        wire.peers.set_peer(member, {{"b", 1}});
    }
    wire.reactor.run_for(std::chrono::milliseconds(40));
}

void fuzz(std::string_view octets) {
    if (octets.empty()) return;
    const int mode = static_cast<uint8_t>(octets.front()) % 8;
    octets.remove_prefix(1);
    switch (mode) {
        case 0: return try_frames(octets);
        case 1: return try_parts(octets);
        case 2: return try_importer(octets);
        case 3:
        case 4:
        case 5: return try_listening(mode - 3, octets);
        default: return try_dialling(mode == 6, octets);
    }
}

}  // namespace
}  // namespace polis::cluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    polis::cluster::fuzz({reinterpret_cast<const char*>(data), size});
    return 0;
}
