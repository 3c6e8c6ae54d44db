// A model over a store in memory with a log of one: commands are applied at once, or in batches. For tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/coord/model.h"
#include "services/coord/range_scan.h"
#include "storage/kv/memory_store.h"

namespace polis::services {

namespace pb = ::etcdserverpb;

/// Who asks, and the command.
struct Asked {
    std::string principal;
    uint64_t auth_revision = 0;
    Bytes command;
};

class ModelFixture : public EffectsListener {
public:
    explicit ModelFixture(size_t cache_bytes = 1u << 20) : model_(cache_bytes), overlay_(store_) {
        EXPECT_TRUE(model_.load(store_).has_value());
        model_.listen(this);
    }

    CoordModel& model() { return model_; }
    storage::MemoryStore& store() { return store_; }
    ReaderOf<storage::Store> reader() const { return ReaderOf<storage::Store>(store_); }
    /// All that was published, in order.
    const std::vector<Change>& history() const { return history_; }
    /// Those of the newest revision that was published.
    std::vector<Change> newest_changes() const {
        std::vector<Change> newest;
        for (const Change& each : history_)
            if (each.version.revision.main == history_.back().version.revision.main) newest.push_back(each);
        return newest;
    }

    /// Applies without writing: the batch stays open.
    Bytes apply(const Asked& asked) {
        cluster::Envelope envelope;
        envelope.principal = asked.principal;
        envelope.auth_revision = asked.auth_revision;
        envelope.origin = NodeId{1};
        envelope.command = asked.command;
        return model_.apply(index_ = index_.next(), envelope, overlay_).reply;
    }
    /// Ends the batch.
    void commit() {
        model_.end_batch(overlay_);
        EXPECT_TRUE(store_.write(overlay_.batch()).has_value());
        overlay_.clear();
        model_.committed(index_);
    }
    Bytes run(const Asked& asked) {
        Bytes reply = apply(asked);
        commit();
        return reply;
    }
    template <class Response>
    Reply<Response> run(CommandKind kind, const google::protobuf::MessageLite& request) {
        auto reply = decode_reply<Response>(run({{}, 0, encode_command(kind, request)}));
        EXPECT_TRUE(reply.has_value()) << "misunderstood";
        return *std::move(reply);
    }

    int64_t put(std::string_view key, std::string_view value, int64_t lease = 0) {
        pb::PutRequest request;
        request.set_key(std::string(key));
        request.set_value(std::string(value));
        request.set_lease(lease);
        const auto reply = run<pb::PutResponse>(CommandKind::Put, request);
        EXPECT_TRUE(reply.has_value());
        return reply ? reply->header().revision() : 0;
    }
    int64_t remove(std::string_view key, std::string_view range_end = {}) {
        pb::DeleteRangeRequest request;
        request.set_key(std::string(key));
        request.set_range_end(std::string(range_end));
        const auto reply = run<pb::DeleteRangeResponse>(CommandKind::DeleteRange, request);
        EXPECT_TRUE(reply.has_value());
        return reply ? reply->deleted() : 0;
    }
    Reply<pb::TxnResponse> txn(const pb::TxnRequest& request) {
        return run<pb::TxnResponse>(CommandKind::Txn, request);
    }
    Reply<pb::CompactionResponse> compact(int64_t revision) {
        pb::CompactionRequest request;
        request.set_revision(revision);
        return run<pb::CompactionResponse>(CommandKind::Compact, request);
    }
    void step_compaction(uint64_t changes) {
        std::string octets;
        append_big_endian(octets, changes);
        (void)run({{}, 0, encode_command(CommandKind::StepCompaction, octets)});
    }
    void finish_compaction() {
        while (model_.mvcc().is_compacting()) step_compaction(3);
    }

    /// A read at `revision` (0: newest) of what is in the store.
    pb::RangeResponse range(const pb::RangeRequest& request) {
        const auto source = reader();
        const int64_t at = request.revision() > 0 ? request.revision() : model_.mvcc().visible_revision();
        RangeScan scan(source, request, at);
        while (!must(scan.step(2))) continue;
        return scan.take();
    }
    pb::RangeResponse range(std::string_view key, std::string_view range_end, int64_t revision = 0) {
        pb::RangeRequest request;
        request.set_key(std::string(key));
        request.set_range_end(std::string(range_end));
        request.set_revision(revision);
        return range(request);
    }
    std::optional<std::string> get(std::string_view key, int64_t revision = 0) {
        const auto source = reader();
        const int64_t at = revision > 0 ? revision : model_.mvcc().visible_revision();
        const auto version = must(model_.mvcc().find(source, key, at));
        return version ? std::optional(version->value.str()) : std::nullopt;
    }

    /// As after a restart.
    void reload() { EXPECT_TRUE(model_.load(store_).has_value()); }
    uint64_t store_hash() { return must(store_.hash({})); }

    void on_command(const cluster::Envelope&) override {}
    void on_effects(Effects effects) override {
        for (Change& change : effects.changes) history_.push_back(std::move(change));
    }
    void on_loaded() override {}

private:
    storage::MemoryStore store_;
    CoordModel model_;
    storage::Overlay overlay_;
    LogIndex index_;
    std::vector<Change> history_;
};

}  // namespace polis::services
