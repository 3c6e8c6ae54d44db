// The real networks that tests of streams run on: sockets on the reactor itself, and on threads of their own. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "runtime/io_threads.h"
#include "runtime/tcp_network.h"

namespace polis::runtime::testing {

enum class Sockets { OnTheReactor, OnThreads };

inline std::string name_of(const ::testing::TestParamInfo<Sockets>& sockets) {
    return sockets.param == Sockets::OnTheReactor ? "OnTheReactor" : "OnThreads";
}

inline std::unique_ptr<Network> make_network(Sockets sockets, EpollReactor& reactor) {
    if (sockets == Sockets::OnTheReactor) return std::make_unique<TcpNetwork>(reactor);
    return std::make_unique<IoThreads>(reactor, 2);
}

}  // namespace polis::runtime::testing
