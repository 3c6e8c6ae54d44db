// ClientWorld: the real world, as a command on the terminal needs it: one reactor, sockets, a disk, chance.
#pragma once

#include <memory>
#include <string>

#include "runtime/epoll_reactor.h"
#include "runtime/posix_disk.h"
#include "runtime/system_random.h"
#include "runtime/tcp_network.h"
#include "runtime/thread_pool.h"
#include "runtime/world.h"

namespace polis::cli {

/// Set up once a command; outlives all that is built on it.
class ClientWorld {
public:
    /// `root`: the folder that the disk's paths begin at. Errors: NotFound, Io.
    static Result<std::unique_ptr<ClientWorld>> open(const std::string& root = "/") {
        LET(auto disk, runtime::PosixDisk::open_root(root, {.threads = 1, .spin_max = Duration(0)}));
        return std::unique_ptr<ClientWorld>(new ClientWorld(std::move(disk)));
    }

    runtime::EpollReactor& reactor() { return reactor_; }
    runtime::World world() { return {reactor_, network_, *disk_, random_, pool_}; }

    /// Runs `task` to its end and returns its result.
    template <class T>
    Result<T> run(runtime::Task<T> task) {
        return runtime::run(reactor_, std::move(task));
    }

private:
    explicit ClientWorld(std::unique_ptr<runtime::PosixDisk> disk) : disk_(std::move(disk)) {}

    runtime::EpollReactor reactor_;
    runtime::TcpNetwork network_{reactor_};
    std::unique_ptr<runtime::PosixDisk> disk_;
    runtime::SystemRandom random_;
    runtime::ThreadPool pool_{1};
};

}  // namespace polis::cli
