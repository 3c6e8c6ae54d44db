// A coord over a log of one node in virtual time: commands are applied at once. For tests.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/sim_disk.h"
#include "runtime/sim_network.h"
#include "runtime/sim_reactor.h"
#include "runtime/sim_world.h"
#include "services/coord/api.h"
#include "services/coord/model.h"
#include "storage/kv/memory_store.h"

namespace polis::services {

/// A group of one: what is proposed is applied and written before propose returns.
class TwinReplica : public cluster::Replica {
public:
    TwinReplica(storage::MemoryStore& store, cluster::Model& model) : store_(store), model_(model), overlay_(store) {
        EXPECT_TRUE(model.load(store).has_value());
    }

    runtime::Task<Bytes> propose(const Caller& caller, Bytes command) override {
        if (!leadership_.ready || refuse_commands) co_return fail(Code::Unavailable, "nobody leads");
        co_return apply(caller, std::move(command));
    }
    /// As if another node's client had asked for it: inside of what runs on the reactor.
    void apply_now(CommandKind kind, const google::protobuf::MessageLite& request) {
        (void)apply({}, encode_command(kind, request));
    }
    runtime::Task<Bytes> propose_as_leader(Ballot ballot, Bytes command) override {
        if (ballot != leadership_.ballot) co_return fail(Code::Stale, "somebody else leads");
        const Caller nobody;
        co_return co_await propose(nobody, std::move(command));
    }
    runtime::Task<void> read_barrier() override {
        if (!leadership_.ready) co_return fail(Code::Unavailable, "nobody leads");
        co_return runtime::done();
    }
    const storage::Store& store() const override { return store_; }
    LogIndex applied_index() const override { return index_; }
    cluster::Leadership leadership() const override { return leadership_; }
    void on_leadership(std::function<void(const cluster::Leadership&)> listener) override {
        listener_ = std::move(listener);
    }
    runtime::Task<Bytes> ask_leader(Bytes question) override {
        if (!leadership_.ready) co_return fail(Code::Unavailable, "nobody leads");
        co_return co_await handler_(std::move(question));
    }
    void on_question(std::function<runtime::Task<Bytes>(Bytes)> handler) override { handler_ = std::move(handler); }

    void lead(uint64_t epoch) {
        leadership_ = {true, NodeId{1}, {epoch, NodeId::Nobody}};
        listener_(leadership_);
    }
    void lose_leader() {
        leadership_ = {};
        listener_(leadership_);
    }

    std::vector<Bytes> commands;
    bool refuse_commands = false;  // The log takes none, though this node leads.

private:
    Bytes apply(const Caller& caller, Bytes command) {
        commands.push_back(command);
        cluster::Envelope envelope;
        envelope.principal = caller.principal;
        envelope.auth_revision = caller.auth_revision;
        envelope.origin = NodeId{1};
        envelope.trace = caller.trace;
        envelope.command = std::move(command);
        index_ = index_.next();
        Bytes reply = model_.apply(index_, envelope, overlay_).reply;
        model_.end_batch(overlay_);
        EXPECT_TRUE(store_.write(overlay_.batch()).has_value());
        overlay_.clear();
        model_.committed(index_);
        return reply;
    }

    storage::MemoryStore& store_;
    cluster::Model& model_;
    storage::Overlay overlay_;
    LogIndex index_;
    cluster::Leadership leadership_{true, NodeId{1}, {1, NodeId::Nobody}};
    std::function<void(const cluster::Leadership&)> listener_;
    std::function<runtime::Task<Bytes>(Bytes)> handler_;
};

class TwinCluster : public cluster::Cluster {
public:
    ClusterId id() const override { return ClusterId{77}; }
    NodeId self() const override { return NodeId{1}; }
    std::vector<cluster::Member> members() const override {
        cluster::Member member;
        member.id = self();
        member.name = "one";
        return {member};
    }
    runtime::Task<void> members_barrier() override { co_return runtime::done(); }
    runtime::Task<cluster::Member> add_member(std::vector<std::string>, bool) override { co_return refused(); }
    runtime::Task<void> remove_member(NodeId) override { co_return refused(); }
    runtime::Task<void> update_member(NodeId, std::vector<std::string>) override { co_return refused(); }
    runtime::Task<void> promote_member(NodeId) override { co_return refused(); }
    runtime::Task<void> transfer_leadership(NodeId) override { co_return refused(); }
    cluster::GroupStatus status(GroupId) const override { return group; }
    uint32_t feature_level() const override { return 1; }

    cluster::GroupStatus group;  // What status() says.

private:
    static std::unexpected<Error> refused() { return fail(Code::Invalid, "the twin has one member"); }
};

class CoordFixture {
public:
    explicit CoordFixture(CoordOptions options = fast_options())
        : network_(reactor, 1),
          disk_(reactor, {}),
          random_(1),
          pool_(1),
          model(make_coord_model(options)),
          replica(store, *model),
          coord(make_coord({reactor, network_.host("one"), disk_, random_, pool_}, members, replica, *model, options)) {
    }
    ~CoordFixture() { EXPECT_TRUE(run(reactor, coord->stop()).has_value()); }

    static CoordOptions fast_options() {
        CoordOptions options;
        options.bcrypt_cost = 4;
        return options;
    }

    /// What a call gives, without the two ways to fail.
    template <class Response>
    Response get(runtime::Task<Reply<Response>> task) {
        auto result = run(reactor, std::move(task));
        EXPECT_TRUE(result.has_value());
        EXPECT_TRUE(result->has_value()) << "refusal " << (*result ? 0 : static_cast<int>(result->error()));
        return *std::move(*result);
    }
    template <class Response>
    Refusal refusal(runtime::Task<Reply<Response>> task) {
        auto result = run(reactor, std::move(task));
        EXPECT_TRUE(result.has_value());
        EXPECT_FALSE(result->has_value());
        return result->error();
    }

    pb::PutRequest put_of(std::string_view key, std::string_view value, int64_t lease = 0) {
        pb::PutRequest request;
        request.set_key(std::string(key));
        request.set_value(std::string(value));
        request.set_lease(lease);
        return request;
    }
    int64_t put(std::string_view key, std::string_view value, int64_t lease = 0) {
        return get(coord->put(nobody, put_of(key, value, lease))).header().revision();
    }
    pb::RangeRequest range_of(std::string_view key, std::string_view range_end = {}) {
        pb::RangeRequest request;
        request.set_key(std::string(key));
        request.set_range_end(std::string(range_end));
        return request;
    }
    const std::map<int64_t, LeaseTable::Lease>& model_leases() const {
        return dynamic_cast<const CoordModel&>(*model).leases().all();
    }
    /// The next message of a stream; fails if none comes within a virtual minute.
    WatchMessage next(WatchStream& stream) {
        auto message = run(reactor, runtime::with_deadline(reactor.now() + std::chrono::minutes(1), stream.next()));
        EXPECT_TRUE(message.has_value());
        return message ? *std::move(message) : WatchMessage();
    }
    /// Whether nothing comes for a virtual second.
    bool silent(WatchStream& stream) {
        return !run(reactor, runtime::with_deadline(reactor.now() + std::chrono::seconds(1), stream.next()))
                    .has_value();
    }

    runtime::SimReactor reactor{1};
    const Credentials nobody;

private:
    runtime::SimNetwork network_;
    runtime::SimDisk disk_;
    runtime::SimRandom random_;
    runtime::SimPool pool_;

public:
    TwinCluster members;
    storage::MemoryStore store;
    std::unique_ptr<cluster::Model> model;
    TwinReplica replica;
    std::unique_ptr<Coord> coord;
};

}  // namespace polis::services
