// A server of the test service on the simulated network, and raw octets sent to it. For tests and fuzzers only.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include "rpc/rpc_testing.h"
#include "runtime/sim_network.h"
#include "runtime/sim_reactor.h"

namespace polis::rpc::testing {

class SimServer : public ::testing::Test {
protected:
    static constexpr uint16_t port = 2379;

    void serve(ServerOptions options = {}) {
        service_.add_to(routes_);
        server_ = Server::create(world_of("server"), routes_, options);
        auto listener = network_.host("server").listen({"server", port}, nullptr);
        ASSERT_TRUE(listener.has_value());
        tasks_.spawn("serve", server_->serve(*std::move(listener)));
    }
    void stop() {
        EXPECT_TRUE(runtime::run(reactor_, server_->stop()));
        EXPECT_TRUE(runtime::run(reactor_, tasks_.stop()));
        EXPECT_EQ(server_->stats().connections_open, 0u);
    }

    runtime::World world_of(const std::string& host) { return {reactor_, network_.host(host), disk_, random_, pool_}; }
    runtime::World client_world() { return world_of("client"); }

    runtime::SimReactor reactor_{1};
    runtime::SimNetwork network_{reactor_, 1};
    NoDisk disk_;
    NoPool pool_;
    runtime::SystemRandom random_;
    InteropService service_;
    Routes routes_;
    std::unique_ptr<Server> server_;
    runtime::TaskGroup tasks_{reactor_};
};

}  // namespace polis::rpc::testing
