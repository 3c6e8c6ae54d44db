// The gateway behind the real gRPC server, asked by the real client, over a simulated network.
#include <gtest/gtest.h>

#include "gateways/etcd/fakes.h"
#include "rpc/client.h"
#include "rpc/rpc_testing.h"
#include "runtime/sim_network.h"

namespace polis::gateways {
namespace {

namespace pb = ::etcdserverpb;
using rpc::StatusCode;

class Wire : public ::testing::Test {
protected:
    Wire() {
        server_ = rpc::Server::create(world_of("server"), desk_.routes, {});
        auto listener = network_.host("server").listen({"server", 2379}, nullptr);
        ENSURE(listener.has_value());
        desk_.tasks.spawn("serve", server_->serve(*std::move(listener)));
        rpc::ClientOptions options;
        options.address = {"server", 2379};
        client_ = rpc::Client::create(world_of("client"), options);
    }
    ~Wire() override {
        EXPECT_TRUE(runtime::run(desk_.reactor, client_->stop()));
        EXPECT_TRUE(runtime::run(desk_.reactor, server_->stop()));
        EXPECT_TRUE(runtime::run(desk_.reactor, desk_.tasks.stop()));
    }
    runtime::World world_of(const std::string& host) {
        return {desk_.reactor, network_.host(host), disk_, random_, pool_};
    }
    rpc::Outcome call(const std::string& method, const google::protobuf::Message& request) {
        return runtime::run(desk_.reactor, client_->call(method, Bytes::take(request.SerializeAsString()))).value();
    }
    pb::WatchResponse read(rpc::ClientStream& stream) {
        pb::WatchResponse response;
        const auto message = runtime::run(desk_.reactor, stream.read()).value();
        EXPECT_TRUE(message && response.ParseFromString(message->str()));
        return response;
    }

    fakes::Desk desk_;
    runtime::SimNetwork network_{desk_.reactor, 1};
    rpc::testing::NoDisk disk_;
    rpc::testing::NoPool pool_;
    runtime::SystemRandom random_;
    std::unique_ptr<rpc::Server> server_;
    std::unique_ptr<rpc::Client> client_;
};

TEST_F(Wire, PutsAndReadsBack) {
    pb::PutRequest put;
    put.set_key("a");
    put.set_value("1");
    EXPECT_TRUE(call("/etcdserverpb.KV/Put", put).status.ok());
    pb::RangeRequest range;
    range.set_key("a");
    pb::RangeResponse response;
    ASSERT_TRUE(response.ParseFromString(call("/etcdserverpb.KV/Range", range).message.str()));
    ASSERT_EQ(response.kvs_size(), 1);
    EXPECT_EQ(response.kvs(0).value(), "1");
}

TEST_F(Wire, CarriesTheTextOfARefusal) {
    desk_.coord.refusal = services::Refusal::Compacted;
    EXPECT_EQ(call("/etcdserverpb.KV/Range", pb::RangeRequest()).status,
              (rpc::Status{StatusCode::OutOfRange, "etcdserver: mvcc: required revision has been compacted", {}}));
}

TEST_F(Wire, WatchesUntilTheClientLeaves) {
    auto stream = runtime::run(desk_.reactor, client_->open("/etcdserverpb.Watch/Watch")).value();
    pb::WatchRequest request;
    request.mutable_create_request()->set_key("a");
    EXPECT_TRUE(runtime::run(desk_.reactor, stream->write(Bytes::take(request.SerializeAsString()))));
    EXPECT_TRUE(read(*stream).created());
    desk_.coord.put_now("a", "1");
    EXPECT_EQ(read(*stream).events(0).kv().value(), "1");
    stream.reset();
    desk_.reactor.run_for(std::chrono::seconds(1));
    EXPECT_EQ(desk_.coord.live_streams, 0u);
}

}  // namespace
}  // namespace polis::gateways
