// The part of GroupReplica that sends its state to a node too far behind for the log, and receives it there.
#include "cluster/replica_snapshot.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/octets.h"
#include "cluster/replica.h"
#include "cluster/replica_keys.h"
#include "cluster/replica_state.h"

namespace polis::cluster {
namespace {

constexpr size_t chunk_bytes = 256u << 10;
constexpr int tries_per_chunk_max = 300;  // A minute: long enough for the receiver to be started again.
constexpr auto try_again_after = std::chrono::milliseconds(200);
constexpr int rewinds_max = 10;
constexpr auto given_up_after =
    std::chrono::seconds(10);  // A transfer whose sender has been silent for so long gives way.
constexpr auto interrupted_kept_for =
    std::chrono::minutes(2);                 // After a start or a break, for its sender to come back.
constexpr uint64_t flush_every_frames = 64;  // So much, 16 MiB, may have to be sent again.

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

Duration time_for(uint64_t octets, uint64_t octets_per_s) {
    // Whole seconds apart: octets * 10^9 would not fit from 18 GB on.
    const auto rest = std::chrono::nanoseconds(octets % octets_per_s * 1'000'000'000 / octets_per_s);
    return std::chrono::seconds(octets / octets_per_s) + rest;
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

std::string encode(const Arrival& arrival) {
    OctetWriter out;
    out.number(arrival.transfer);
    put(out, arrival.position);
    out.varint(arrival.progress.frames);
    out.varint(arrival.progress.pairs);
    out.text(arrival.progress.last_key);
    out.number(arrival.hash);
    return out.take();
}

Result<Arrival> decode_arrival(std::string_view octets) {
    OctetReader in(octets);
    Arrival arrival;
    arrival.transfer = in.number<uint64_t>();
    arrival.position = position_in(in);
    arrival.progress.frames = in.varint();
    arrival.progress.pairs = in.varint();
    arrival.progress.last_key = std::string(in.text());
    arrival.hash = in.number<uint64_t>();
    TRY(in.finish("the row of an interrupted snapshot"));
    return arrival;
}

uint64_t Arrival::hash_with(uint64_t hash, const storage::Batch& batch) {
    batch.for_each([&hash](storage::Batch::Kind, std::string_view key, std::string_view value) {
        hash = fast_hash(key, hash + key.size());
        hash = fast_hash(value, hash + value.size());
    });
    return hash;
}

Result<std::optional<Arrival>> verified_arrival(const storage::Store& store) {
    LET(const std::optional<std::string> row, store.get(arrival_row()));
    if (!row) return std::nullopt;
    LET(const Arrival claimed, decode_arrival(*row));
    uint64_t hash = 0;
    uint64_t pairs = 0;
    std::string last_key;
    const auto cursor = store.cursor({});
    for (cursor->seek(""); cursor->valid(); cursor->next()) {
        if (cursor->key() == arrival_row()) continue;
        hash = fast_hash(cursor->key(), hash + cursor->key().size());
        hash = fast_hash(cursor->value(), hash + cursor->value().size());
        last_key = cursor->key();
        ++pairs;
    }
    TRY(cursor->status());
    const bool whole = hash == claimed.hash && pairs == claimed.progress.pairs && last_key == claimed.progress.last_key;
    if (!whole) return fail(Code::Corrupt, "what had arrived of a snapshot is not what was written");
    return claimed;
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
    auto exporter = std::make_unique<storage::PairExporter>(*pairs, chunk_bytes);
    SnapshotChunk chunk;
    chunk.transfer = world_.random.next();
    chunk.position = position;
    log::info("snapshot_begins", {"group", options_.group}, {"to", to}, {"index", position.index});

    const Instant began = world_.reactor.now();
    uint64_t octets_sent = 0;
    for (int rewinds = 0;;) {
        CO_LET(std::string frame, exporter->next());
        if (frame.empty()) co_return fail(Code::Io, "the receiver did not install what it was sent");
        chunk.frame = Bytes::take(std::move(frame));
        CO_LET(const SnapshotAnswer answer, co_await send_chunk(to, chunk));
        if (answer.installed) break;
        if (answer.next > chunk.number + 1) co_return fail(Code::Io, "the receiver has what it was never sent");
        if (answer.next <= chunk.number) {
            // It was started again, and some of what it had was not durable yet; or all of it was lost.
            if (++rewinds > rewinds_max) co_return fail(Code::Io, "the receiver keeps losing what it had");
            log::info("snapshot_rewinds", {"group", options_.group}, {"to", to}, {"piece", answer.next});
            CO_LET(exporter, co_await exporter_from(*pairs, answer.next));
        }
        chunk.number = answer.next;
        // Heartbeats and clients come first: a steady rate, whatever the link could do.
        octets_sent += chunk.frame.size();
        CO_TRY(co_await runtime::sleep_until(began + time_for(octets_sent, options_.snapshot_bytes_per_s)));
    }
    log::info("snapshot_sent", {"group", options_.group}, {"to", to}, {"bytes", octets_sent});
    co_return runtime::done();
}

// One that gives the frame of this number next: the same view gives the same frames.
runtime::Task<std::unique_ptr<storage::PairExporter>> GroupReplica::exporter_from(storage::Cursor& pairs,
                                                                                  uint64_t frame) {
    constexpr uint64_t frames_at_once = 16;
    auto exporter = std::make_unique<storage::PairExporter>(pairs, chunk_bytes);
    for (uint64_t number = 0; number < frame; ++number) {
        CO_LET(const std::string skipped, exporter->next());
        if (skipped.empty()) co_return fail(Code::Io, "the receiver asks for a piece that there is not");
        if (number % frames_at_once == 0) CO_TRY(co_await runtime::sleep_for(std::chrono::milliseconds(1)));
    }
    co_return exporter;
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
    if (shelving_ || (incoming_ && incoming_->busy)) co_return fail(Code::Unavailable, "the stores are being prepared");
    if (!incoming_ && !std::exchange(looked_for_interrupted_, true)) CO_TRY(co_await find_interrupted_snapshot());
    const Instant now = world_.reactor.now();
    if (!incoming_ || incoming_->arrival.transfer != chunk.transfer) {
        if (incoming_ && now < incoming_->touched + given_up_after) {
            co_return fail(Code::Stale, "another node's snapshot is being received");
        }
        if (chunk.number != 0) co_return encode(SnapshotAnswer{});
        CO_TRY(co_await begin_snapshot(from, chunk));
    }
    incoming_->touched = now;
    if (chunk.number != incoming_->due()) co_return encode(SnapshotAnswer{incoming_->due(), false});
    incoming_->busy = true;
    Result<void> kept = co_await keep_chunk(chunk);
    incoming_->busy = false;
    if (kept && incoming_->importer.ended()) kept = co_await install_snapshot();
    if (!kept) {
        CO_TRY(co_await drop_incoming());
        co_return std::unexpected(kept.error());
    }
    co_return encode(SnapshotAnswer{chunk.number + 1, incoming_ == nullptr});
}

runtime::Task<void> GroupReplica::begin_snapshot(NodeId from, SnapshotChunk chunk) {
    CO_TRY(co_await drop_incoming());
    shelving_ = true;
    Result<std::unique_ptr<storage::Store>> store = co_await shelf_->open_next();
    shelving_ = false;
    if (!store) co_return std::unexpected(store.error());
    incoming_ = std::make_unique<IncomingSnapshot>();
    incoming_->arrival.transfer = chunk.transfer;
    incoming_->arrival.position = chunk.position;
    incoming_->store = *std::move(store);
    log::info("snapshot_arrives", {"group", options_.group}, {"from", from}, {"index", chunk.position.index});
    co_return runtime::done();
}

// What had arrived before this node was started again is read once more, and if it is whole the transfer goes on behind it.
runtime::Task<void> GroupReplica::find_interrupted_snapshot() {
    shelving_ = true;
    Result<std::unique_ptr<storage::Store>> store = co_await shelf_->reopen_next();
    const auto arrival = std::make_shared<Result<std::optional<Arrival>>>(std::nullopt);
    Result<void> looked;
    if (store && *store) {
        runtime::Scope unbroken;  // The pool uses the store until it is through.
        const storage::Store* const found = store->get();
        runtime::Task<void> look = world_.pool.run([found, arrival] { *arrival = verified_arrival(*found); });
        looked = co_await runtime::in_scope(unbroken, std::move(look));
        const bool usable = looked && *arrival && arrival->value();
        if (!usable) looked = co_await close_store(*std::move(store));
    }
    shelving_ = false;
    if (!store) co_return std::unexpected(store.error());
    CO_TRY(looked);
    if (!*arrival) {
        // Not worth a word of its own: it is sent anew.
        log::warn("interrupted_snapshot_unusable", {"group", options_.group}, {"why", arrival->error().what});
        co_return runtime::done();
    }
    if (!arrival->value()) co_return runtime::done();
    incoming_ = std::make_unique<IncomingSnapshot>();
    incoming_->arrival = **std::move(*arrival);
    incoming_->importer = storage::PairImporter(incoming_->arrival.progress);
    incoming_->store = *std::move(store);
    // Kept for its sender like any other, but another's takes its place at once.
    incoming_->touched = started_at_ - given_up_after;
    log::info("snapshot_resumes", {"group", options_.group}, {"piece", incoming_->due()});
    co_return runtime::done();
}

// Closing one may take its time: not the reactor's.
runtime::Task<void> GroupReplica::close_store(std::unique_ptr<storage::Store> store) {
    const auto closing = std::make_shared<std::unique_ptr<storage::Store>>(std::move(store));
    runtime::Scope unbroken;  // Whoever waits for it wants the directory next.
    runtime::Task<void> close = world_.pool.run([closing] { closing->reset(); });
    co_return co_await runtime::in_scope(unbroken, std::move(close));
}

// What has arrived so far is given up, and its store is closed when this returns.
runtime::Task<void> GroupReplica::drop_incoming() {
    if (!incoming_) co_return runtime::done();
    const std::unique_ptr<IncomingSnapshot> dropped = std::move(incoming_);
    unused_stores_ = shelving_ = true;
    const Result<void> closed = co_await close_store(std::move(dropped->store));
    shelving_ = false;
    co_return closed;
}

runtime::Task<void> GroupReplica::keep_chunk(const SnapshotChunk& chunk) {
    CO_LET(const storage::Batch* pairs, incoming_->importer.read(chunk.frame));
    incoming_->arrival.hash = Arrival::hash_with(incoming_->arrival.hash, *pairs);
    incoming_->arrival.progress = incoming_->importer.progress();
    storage::Batch batch = *pairs;
    if (incoming_->importer.ended()) {
        batch.remove(arrival_row());
    } else {
        batch.put(arrival_row(), encode(incoming_->arrival));
    }
    for (;;) {
        const Result<void> written = incoming_->store->write(batch);
        if (written) break;
        if (written.error().code != Code::Overloaded) co_return written;
        CO_TRY(co_await runtime::sleep_for(std::chrono::milliseconds(5)));
    }
    if (incoming_->due() % flush_every_frames == 0) CO_TRY(co_await flush_store(*incoming_->store));
    co_return runtime::done();
}

// A replaced store once its last reader is gone, and an interrupted transfer that nobody has come back to.
runtime::Task<void> GroupReplica::remove_unused_stores() {
    const Instant now = world_.reactor.now();
    const bool kept = now < started_at_ + interrupted_kept_for;
    if (incoming_ && !incoming_->busy && !shelving_) {
        const bool overtaken = incoming_->arrival.position.index <= applied_.index;
        const bool abandoned = now >= incoming_->touched + interrupted_kept_for;
        if (overtaken || abandoned) {
            log::info("snapshot_given_up", {"group", options_.group}, {"overtaken", overtaken});
            CO_TRY(co_await drop_incoming());
        }
    }
    if (!unused_stores_ || shelving_ || incoming_ || !retired_.expired() || kept) co_return runtime::done();
    shelving_ = looked_for_interrupted_ = true;
    const Result<void> removed = co_await shelf_->remove_unused();
    shelving_ = false;
    if (removed) unused_stores_ = false;
    if (!removed) log::warn("unused_stores_stay", {"group", options_.group}, {"why", removed.error().what});
    co_return runtime::done();
}

// The old state serves reads until the new one is complete; then they change places between two batches.
runtime::Task<void> GroupReplica::install_snapshot() {
    CO_LET(AppliedState state, load_applied_state(*incoming_->store));
    if (state.position != incoming_->arrival.position)
        co_return fail(Code::Corrupt, "the snapshot is not what was announced");
    CO_LET(AppliedOnce applied_once, AppliedOnce::load(*incoming_->store));
    installing_ = true;
    incoming_->busy = true;
    const Result<void> switched = co_await switch_store();
    installing_ = false;
    CO_TRY(switched);

    // The log may have gone on while the stores changed places: what lies beyond the snapshot is delivered once only.
    while (!to_apply_.empty() && to_apply_.front().index <= state.position.index) to_apply_.pop_front();
    applied_once_ = std::move(applied_once);
    const Result<void> loaded = model_.load(*store_);
    // Between two states there is no way on but a restart, which finds the new one.
    if (!loaded) log::error("snapshot_unusable", {"group", options_.group}, {"why", loaded.error().what});
    ENSURE(loaded.has_value());
    applied_ = applying_ = flushed_ = compacted_ = state.position;
    membership_applied_ = state.membership;
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
    if (incoming_->arrival.position.index <= applied_.index)
        co_return fail(Code::Stale, "the log has overtaken the snapshot");
    CO_TRY(co_await flush_store(*incoming_->store));
    CO_TRY(co_await shelf_->switch_to_next());
    overlay_.reset();
    std::shared_ptr<storage::Store> next = std::move(incoming_->store);
    std::shared_ptr<storage::Store> old = store_->replace(std::move(next));
    overlay_.emplace(*store_->in_use());
    retired_ = old;
    unused_stores_ = true;
    // Whoever reads a view of it keeps it open. If nobody does, closing it may take its time: not the reactor's.
    tasks_.spawn("replica_close_store", world_.pool.run([closing = std::move(old)]() mutable { closing.reset(); }));
    incoming_.reset();
    co_return runtime::done();
}

}  // namespace polis::cluster
