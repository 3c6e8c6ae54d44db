// The part of GroupReplica that sends its state to a node too far behind for the log, and receives it there.
#include "cluster/replica_snapshot.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/octets.h"
#include "cluster/replica.h"
#include "cluster/replica_state.h"

namespace polis::cluster {
namespace {

constexpr size_t chunk_bytes = 256u << 10;
constexpr int tries_per_chunk_max = 50;
constexpr auto try_again_after = std::chrono::milliseconds(200);

void put(OctetWriter& out, const LogPosition& position) {
    out.varint(position.index.value);
    out.varint(position.ballot.epoch);
    out.varint(number_of(position.ballot.node));
}

LogPosition position_in(OctetReader& in) {
    LogPosition position;
    position.index = LogIndex(in.varint());
    position.ballot.epoch = in.varint();
    position.ballot.node = NodeId{in.varint()};
    return position;
}

}  // namespace

Bytes encode(const SnapshotChunk& chunk) {
    OctetWriter out;
    out.number(chunk.transfer);
    put(out, chunk.position);
    out.varint(chunk.number);
    out.octets(chunk.frame);
    return Bytes::take(out.take());
}

Result<SnapshotChunk> decode_snapshot_chunk(const Bytes& octets) {
    OctetReader in(octets);
    SnapshotChunk chunk;
    chunk.transfer = in.number<uint64_t>();
    chunk.position = position_in(in);
    chunk.number = in.varint();
    if (!in.ok()) return fail(Code::Invalid, "a piece of a snapshot is cut short");
    chunk.frame = octets.slice(octets.size() - in.rest().size());
    return chunk;
}

Bytes encode(const SnapshotAnswer& answer) {
    OctetWriter out;
    out.varint(answer.next);
    out.number(static_cast<uint8_t>(answer.installed));
    return Bytes::take(out.take());
}

Result<SnapshotAnswer> decode_snapshot_answer(const Bytes& octets) {
    OctetReader in(octets);
    SnapshotAnswer answer;
    answer.next = in.varint();
    const auto installed = in.number<uint8_t>();
    TRY(in.finish("the answer to a piece of a snapshot"));
    if (installed > 1) return fail(Code::Invalid, "the answer to a piece of a snapshot has an impossible flag");
    answer.installed = installed == 1;
    return answer;
}

// ---- Sending ----

runtime::Task<void> GroupReplica::send_snapshot(NodeId to, LogIndex at_least) {
    LogPosition position;
    Result<void> sent = co_await stream_state(to, at_least, position);
    sending_snapshot_.erase(to);
    ++counters_.snapshots_sent;
    if (!sent) log::warn("snapshot_not_sent", {"group", options_.group}, {"to", to}, {"why", sent.error().what});
    feed(consensus::SnapshotSent{to, position, sent.has_value()});
    co_return sent;
}

runtime::Task<void> GroupReplica::stream_state(NodeId to, LogIndex at_least, LogPosition& position) {
    const std::shared_ptr<const storage::View> view = store_->view();
    CO_LET(const AppliedState state, load_applied_state(*view));
    position = state.position;
    if (position.index < at_least) co_return fail(Code::Unavailable, "the state is not far enough yet");
    const auto pairs = view->cursor({});
    storage::PairExporter exporter(*pairs, chunk_bytes);
    SnapshotChunk chunk;
    chunk.transfer = world_.random.next();
    chunk.position = position;
    log::info("snapshot_begins", {"group", options_.group}, {"to", to}, {"index", position.index});

    const Instant began = world_.reactor.now();
    uint64_t octets_sent = 0;
    for (;; ++chunk.number) {
        CO_LET(std::string frame, exporter.next());
        if (frame.empty()) co_return fail(Code::Io, "the receiver did not install what it was sent");
        chunk.frame = Bytes::take(std::move(frame));
        CO_LET(const SnapshotAnswer answer, co_await send_chunk(to, chunk));
        if (answer.installed) break;
        if (answer.next != chunk.number + 1) co_return fail(Code::Io, "the receiver has lost what it had");
        // Heartbeats and clients come first: a steady rate, whatever the link could do.
        octets_sent += chunk.frame.size();
        const auto due = began + std::chrono::nanoseconds(octets_sent * 1'000'000'000 / options_.snapshot_bytes_per_s);
        CO_TRY(co_await runtime::sleep_until(due));
    }
    log::info("snapshot_sent", {"group", options_.group}, {"to", to}, {"bytes", octets_sent});
    co_return runtime::done();
}

// A broken connection only delays a transfer: the receiver says how far it has come.
runtime::Task<SnapshotAnswer> GroupReplica::send_chunk(NodeId to, const SnapshotChunk& chunk) {
    Result<Bytes> answer;
    for (int tries = 0; tries < tries_per_chunk_max; ++tries) {
        answer = co_await runtime::with_deadline(
            world_.reactor.now() + std::chrono::seconds(30),
            peers_.request(to, options_.group, static_cast<uint8_t>(ReplicaRequest::Snapshot), encode(chunk)));
        if (answer) co_return decode_snapshot_answer(*answer);
        if (answer.error().code != Code::Unavailable) break;
        CO_TRY(co_await runtime::sleep_for(try_again_after));
    }
    co_return std::unexpected(answer.error());
}

// ---- Receiving ----

runtime::Task<Bytes> GroupReplica::receive_snapshot(NodeId from, Bytes body) {
    CO_LET(const SnapshotChunk chunk, decode_snapshot_chunk(body));
    if (chunk.position.index <= applied_.index) co_return encode(SnapshotAnswer{chunk.number + 1, true});
    if (!incoming_ || incoming_->transfer != chunk.transfer) {
        if (chunk.number != 0) co_return encode(SnapshotAnswer{});
        if (incoming_ && incoming_->busy) co_return fail(Code::Unavailable, "another snapshot is being received");
        incoming_ = std::make_unique<IncomingSnapshot>();
        incoming_->busy = true;
        incoming_->transfer = chunk.transfer;
        incoming_->position = chunk.position;
        Result<std::unique_ptr<storage::Store>> store = co_await shelf_->open_next();
        incoming_->busy = false;
        if (!store) {
            incoming_.reset();
            co_return std::unexpected(store.error());
        }
        incoming_->store = *std::move(store);
        log::info("snapshot_arrives", {"group", options_.group}, {"from", from}, {"index", chunk.position.index});
    }
    // The same piece again: its answer was lost.
    if (chunk.number != incoming_->next || incoming_->busy) co_return encode(SnapshotAnswer{incoming_->next, false});
    incoming_->busy = true;
    Result<void> kept = co_await keep_chunk(chunk);
    incoming_->busy = false;
    if (kept && incoming_->importer.ended()) kept = co_await install_snapshot();
    if (!kept) {
        incoming_.reset();
        co_return std::unexpected(kept.error());
    }
    co_return encode(SnapshotAnswer{chunk.number + 1, incoming_ == nullptr});
}

runtime::Task<void> GroupReplica::keep_chunk(const SnapshotChunk& chunk) {
    CO_LET(const storage::Batch* batch, incoming_->importer.read(chunk.frame));
    for (;;) {
        const Result<void> written = incoming_->store->write(*batch);
        if (written) break;
        if (written.error().code != Code::Overloaded) co_return written;
        CO_TRY(co_await runtime::sleep_for(std::chrono::milliseconds(5)));
    }
    ++incoming_->next;
    co_return runtime::done();
}

// The old state serves reads until the new one is complete; then they change places between two batches.
runtime::Task<void> GroupReplica::install_snapshot() {
    CO_LET(AppliedState state, load_applied_state(*incoming_->store));
    if (state.position != incoming_->position) co_return fail(Code::Corrupt, "the snapshot is not what was announced");
    installing_ = true;
    incoming_->busy = true;
    const Result<void> switched = co_await switch_store();
    installing_ = false;
    CO_TRY(switched);

    to_apply_.clear();
    CO_LET(applied_once_, AppliedOnce::load(*store_));
    CO_TRY(model_.load(*store_));
    applied_ = applying_ = flushed_ = compacted_ = state.position;
    membership_ = membership_applied_ = state.membership;
    ballot_runs_.clear();
    remember_ballot(state.position);
    ++counters_.snapshots_received;
    log::info("snapshot_installed", {"group", options_.group}, {"index", applied_.index});
    feed(consensus::SnapshotInstalled{state.position, std::move(state.membership)});
    model_.committed(applied_.index);
    serve_ready_reads();
    co_return runtime::done();
}

runtime::Task<void> GroupReplica::switch_store() {
    while (store_blocked_ || flushing_) CO_TRY(co_await runtime::sleep_for(std::chrono::milliseconds(1)));
    if (incoming_->position.index <= applied_.index) co_return fail(Code::Stale, "the log has overtaken the snapshot");
    CO_TRY(co_await flush_store(*incoming_->store));
    CO_TRY(co_await shelf_->switch_to_next());
    // Views of the old state may still be read from; they are gone long before a second snapshot comes.
    retired_ = std::exchange(store_, std::move(incoming_->store));
    overlay_.emplace(*store_);
    incoming_.reset();
    co_return runtime::done();
}

}  // namespace polis::cluster
