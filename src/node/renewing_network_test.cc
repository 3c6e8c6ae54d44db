// Tests of RenewingNetwork: who gets which TLS context, over a network that only writes down what it is given.
#include "node/renewing_network.h"

#include <gtest/gtest.h>

#include <vector>

namespace polis::node {
namespace {

using Tls = RenewingNetwork::Tls;

class NamedTls : public runtime::TlsContext {};

Tls make_tls() { return std::make_shared<NamedTls>(); }

class NotedListener : public runtime::Listener {
public:
    NotedListener(Tls tls, std::vector<Tls>& used) : used_(used), place_(used.size()) {
        used_.push_back(std::move(tls));
    }
    runtime::Task<std::unique_ptr<runtime::Stream>> accept() override { co_return fail(Code::Unavailable, "accept"); }
    runtime::Task<void> handshake(runtime::Stream&) override { co_return fail(Code::Unavailable, "handshake"); }
    void set_tls(Tls tls) override { used_[place_] = std::move(tls); }
    runtime::Address address() const override { return {"noted", 7}; }

private:
    std::vector<Tls>& used_;
    size_t place_;
};

class NotedNetwork : public runtime::Network {
public:
    runtime::Task<std::unique_ptr<runtime::Stream>> connect(runtime::Address, Tls tls) override {
        dialled.push_back(std::move(tls));
        return refused();
    }
    Result<std::unique_ptr<runtime::Listener>> listen(runtime::Address address, Tls tls) override {
        if (address.port == 0) return fail(Code::Exists, "taken");
        return std::make_unique<NotedListener>(std::move(tls), listening);
    }

    std::vector<Tls> dialled;
    std::vector<Tls> listening;  // One a listener, in the order they were made.

private:
    static runtime::Task<std::unique_ptr<runtime::Stream>> refused() { co_return fail(Code::Unavailable, "no"); }
};

class RenewingNetworkTest : public testing::Test {
protected:
    std::unique_ptr<runtime::Listener> listen(const Tls& tls) { return *network_.listen({"h", 1}, tls); }
    Tls dial(const Tls& tls) {
        const auto task = network_.connect({"h", 1}, tls);
        return under_.dialled.back();
    }

    NotedNetwork under_;
    RenewingNetwork network_{under_};
    const Tls clients_ = make_tls();
    const Tls peers_ = make_tls();
    const Tls fresh_ = make_tls();
};

TEST_F(RenewingNetworkTest, HandsOnWhatWasNeverRenewed) {
    const auto listener = listen(peers_);
    EXPECT_EQ(under_.listening[0], peers_);
    EXPECT_EQ(dial(peers_), peers_);
    EXPECT_EQ(dial(nullptr), nullptr);
    EXPECT_EQ(listener->address().port, 7);
}

TEST_F(RenewingNetworkTest, RenewsOpenPortsAndLaterOnesOfThatContextOnly) {
    const auto of_peers = listen(peers_);
    const auto of_clients = listen(clients_);
    const auto plain = listen(nullptr);
    network_.renew(peers_, fresh_);
    const auto later = listen(peers_);
    EXPECT_EQ(under_.listening, (std::vector<Tls>{fresh_, clients_, nullptr, fresh_}));
}

TEST_F(RenewingNetworkTest, DialsWithTheNewestOfSeveralRenewals) {
    network_.renew(peers_, make_tls());
    network_.renew(peers_, fresh_);
    EXPECT_EQ(dial(peers_), fresh_);
    EXPECT_EQ(dial(clients_), clients_);
}

TEST_F(RenewingNetworkTest, ForgetsPortsThatAreClosed) {
    listen(peers_).reset();
    network_.renew(peers_, fresh_);
    EXPECT_EQ(under_.listening[0], peers_);
}

TEST_F(RenewingNetworkTest, FollowsAPortThatIsGivenAnotherContext) {
    const auto listener = listen(nullptr);
    listener->set_tls(clients_);
    network_.renew(clients_, fresh_);
    EXPECT_EQ(under_.listening[0], fresh_);
}

TEST_F(RenewingNetworkTest, PassesOnThatAPortIsTaken) {
    const auto listener = network_.listen({"h", 0}, nullptr);
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().code, Code::Exists);
}

}  // namespace
}  // namespace polis::node
