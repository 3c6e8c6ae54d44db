#include "runtime/socket_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>

#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>

namespace polis::runtime {
namespace {

struct FreeAddresses {
    void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

Result<std::vector<SocketAddress>> ask_system(const Address& address, int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | flags;
    addrinfo* list = nullptr;
    const int error = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &list);
    const std::unique_ptr<addrinfo, FreeAddresses> owner(list);
    if (error != 0) {
        const char* why = error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
        return fail(Code::Unavailable, "cannot look up '" + address.host + "': " + why);
    }
    std::vector<SocketAddress> found;
    for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6) continue;
        SocketAddress& one = found.emplace_back();
        std::memcpy(&one.storage, at->ai_addr, at->ai_addrlen);
        one.bytes = at->ai_addrlen;
    }
    if (found.empty()) return fail(Code::Unavailable, "'" + address.host + "' has no IPv4 or IPv6 address");
    return found;
}

}  // namespace

bool SocketAddress::is_loopback() const {
    if (is_v6()) {
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return v6.sin6_addr.s6_addr[12] == 127;
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    return any.sa_family == AF_INET && (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
}

Address SocketAddress::address() const {
    char text[INET6_ADDRSTRLEN] = "";
    if (!is_v6()) {
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
        return {text, ntohs(v4.sin_port)};
    }
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    std::string host = text;
    char interface[IF_NAMESIZE];
    if (v6.sin6_scope_id != 0 && if_indextoname(v6.sin6_scope_id, interface) != nullptr) {
        host.append("%").append(interface);
    }
    return {host, ntohs(v6.sin6_port)};
}

Result<std::vector<SocketAddress>> look_up(const Address& address) { return ask_system(address, 0); }

Result<SocketAddress> numeric_address(const Address& address) {
    const auto found = ask_system(address, AI_NUMERICHOST);
    if (!found) return fail(Code::Invalid, "'" + address.host + "' is not a numeric address");
    return found->front();
}

struct Resolver::Lookup {
    Completion<std::vector<SocketAddress>> answer;  // Of the reactor.
};

// The mutex makes "the resolver is gone" and "post the answer" exclude each other.
struct Resolver::Shared {
    std::mutex mutex;
    EpollReactor* reactor;  // Null once the resolver is gone. Under the mutex.
    size_t running = 0;     // Look-ups that have a thread. Of the reactor.
    Signal thread_ended;    // Of the reactor.
};

Resolver::Resolver(EpollReactor& reactor) : shared_(std::make_shared<Shared>()) { shared_->reactor = &reactor; }

Resolver::~Resolver() {
    const std::scoped_lock lock(shared_->mutex);
    shared_->reactor = nullptr;
}

Task<std::vector<SocketAddress>> Resolver::resolve(Address address) {
    if (const auto numeric = numeric_address(address); numeric) co_return std::vector{*numeric};
    const std::shared_ptr<Shared> shared = shared_;
    while (shared->running >= threads_max) CO_TRY(co_await shared->thread_ended.wait());

    const auto lookup = std::make_shared<Lookup>();
    const auto look = [shared, lookup, address] {
        auto found = look_up(address);
        const std::scoped_lock lock(shared->mutex);
        if (shared->reactor == nullptr) return;
        shared->reactor->post([shared, lookup, found = std::move(found)]() mutable {
            --shared->running;
            shared->thread_ended.notify_all();
            lookup->answer.complete(std::move(found));
        });
    };
    ++shared->running;
    try {
        std::thread(look).detach();
    } catch (const std::system_error& error) {
        --shared->running;
        shared->thread_ended.notify_all();
        co_return fail(Code::Unavailable, "cannot look up '" + address.host + "': no thread: " + error.what());
    }
    co_return co_await lookup->answer.wait();
}

}  // namespace polis::runtime
