#include "runtime/io_threads.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "runtime/mailbox.h"
#include "runtime/task_group.h"
#include "runtime/tcp_socket.h"
#include "runtime/tls.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

constexpr size_t unread_bytes_max = 256u << 10;  // Of one connection: read from its socket, not yet taken at home.
constexpr size_t unsent_bytes_max = 256u << 10;  // Of one connection: written at home, not yet in its socket.
constexpr size_t read_bytes_min = 1024, read_bytes_max = 64u << 10;  // Of one read; grows and shrinks with what comes.
constexpr size_t piece_bytes_max =
    16u << 10;  // Small reads are put together up to this: each piece alone costs memory of its own.
constexpr auto delivery_time_max = std::chrono::seconds(1);  // Of all connections, when the network ends ...
constexpr auto release_time_max =
    std::chrono::seconds(30);  // ... and of one that home let go, to a peer that does not read.

Error closed_here() { return {Code::Io, "the connection was closed on this side"}; }

}  // namespace

/// What home knows of a connection. Touched on home only; the far thread's messages find it here even when the stream is gone.
struct IoThreads::HomeEnd {
    Peer peer;
    std::deque<std::string> unread;
    size_t taken = 0;  // Octets of unread.front() that the reader has had.
    bool ended = false, closed = false;
    std::optional<Error> read_failed, write_failed;
    size_t unsent = 0;
    std::optional<Result<void>> shaken, finished;
    Signal changed;

    void take(std::string octets) {
        if (closed) return;
        if (!unread.empty() && unread.back().size() + octets.size() <= piece_bytes_max) {
            unread.back() += octets;
        } else {
            unread.push_back(std::move(octets));
        }
    }
};

/// What the far thread knows of it. Touched on that thread only.
struct IoThreads::FarEnd {
    std::unique_ptr<Stream> stream;
    std::optional<Scope> reading;
    std::vector<Bytes> outbox;
    size_t room = unread_bytes_max;  // What may still be read before home takes some of it.
    bool shake = false, finish = false, released = false;
    std::unique_ptr<Alarm> give_up;  // Once released.
    Signal changed;
};

class IoThreads::Thread {
public:
    using Home = std::shared_ptr<HomeEnd>;
    using Far = std::shared_ptr<FarEnd>;

    explicit Thread(EpollReactor& home)
        : to_home_(reactor_, home), to_far_(home, reactor_), connections_(reactor_), thread_([this] { run(); }) {}

    ~Thread() { thread_.join(); }

    /// From home, last of all.
    void stop() {
        ENSURE(held == 0);
        to_far_.put([this] {
            stopping_ = true;
            give_up_ = reactor_.make_alarm([this] { connections_.scope().cancel(); });
            give_up_->set(reactor_.now() + delivery_time_max);
        });
        to_far_.flush();
    }

    /// From home: on the far thread, calls work(far end).
    void tell(const Far& far, std::function<void(FarEnd&)> work) {
        to_far_.put([far, work = std::move(work)] {
            work(*far);
            far->changed.notify_all();
        });
    }

    /// From home: takes a connection over. Its far end serves it until it is released.
    Far adopt(ConnectedSocket socket, std::shared_ptr<const TlsContext> tls, const Home& home) {
        auto far = std::make_shared<FarEnd>();
        ++held;
        to_far_.put([this, far, socket, tls = std::move(tls), home] {
            far->reading.emplace(connections_.scope());
            far->shake = tls == nullptr;
            far->stream = make_server_stream(reactor_, socket, tls);
            connections_.spawn("relay", begin(far, home));
        });
        return far;
    }

    /// From home: nobody will read or write any more. What was told goes out at the turn's end, so the last to own the far end is its
    /// own thread.
    void release(Far far) {
        --held;
        tell(far, [this](FarEnd& end) {
            end.released = true;
            end.reading->cancel();
            end.give_up = reactor_.make_alarm([&end] { end.stream->close(); });
            end.give_up->set(reactor_.now() + release_time_max);
        });
    }

    size_t held = 0;  // Connections that home has. Touched on home only.

private:
    void run() {
        reactor_.run_until([this] { return stopping_ && connections_.running() == 0; });
        give_up_.reset();
    }

    void tell_home(const Home& home, std::function<void(HomeEnd&)> work) {
        to_home_.put([home, work = std::move(work)] {
            work(*home);
            home->changed.notify_all();
        });
    }

    Task<void> begin(Far far, Home home) {
        while (!far->shake && !far->released) CO_TRY(co_await far->changed.wait());
        if (!far->shake) co_return done();
        Result<void> shaken = co_await in_scope(*far->reading, tls_handshake(*far->stream));
        tell_home(home, [shaken, peer = far->stream->peer()](HomeEnd& end) {
            end.peer = peer;
            end.shaken = shaken;
        });
        if (!shaken) co_return shaken;
        connections_.spawn("relay_in", in_scope(*far->reading, receive(far, home)));
        connections_.spawn("relay_out", send(far, home));
        co_return done();
    }

    // From the socket to home, no faster than home takes it.
    Task<void> receive(Far far, Home home) {
        size_t wanted = read_bytes_min;
        for (;;) {
            while (far->room == 0) CO_TRY(co_await far->changed.wait());
            std::string octets(std::min(wanted, far->room), '\0');
            const Result<size_t> count = co_await far->stream->read_some(std::as_writable_bytes(std::span(octets)));
            if (!count || *count == 0) {
                tell_home(home, [count](HomeEnd& end) {
                    if (count) {
                        end.ended = true;
                    } else {
                        end.read_failed = count.error();
                    }
                });
                co_return done();
            }
            wanted = std::clamp(*count == octets.size() ? wanted * 4
                                : *count < wanted / 4   ? wanted / 2
                                                        : wanted,
                                read_bytes_min, read_bytes_max);
            far->room -= *count;
            octets.resize(*count);
            tell_home(home, [octets = std::move(octets)](HomeEnd& end) mutable { end.take(std::move(octets)); });
        }
    }

    // From home to the socket, until home has let go and all of it is written.
    Task<void> send(Far far, Home home) {
        for (;;) {
            while (far->outbox.empty() && !far->finish && !far->released) CO_TRY(co_await far->changed.wait());
            if (!far->outbox.empty()) {
                const std::vector<Bytes> batch = std::exchange(far->outbox, {});
                const std::vector<std::string_view> parts(batch.begin(), batch.end());
                size_t bytes = 0;
                for (const std::string_view part : parts) bytes += part.size();
                const Result<void> written = co_await far->stream->write(parts);
                tell_home(home, [bytes, written](HomeEnd& end) {
                    end.unsent -= bytes;
                    if (!written) end.write_failed = written.error();
                });
                CO_TRY(Result<void>(written));
            } else if (std::exchange(far->finish, false)) {
                const Result<void> finished = co_await far->stream->finish();
                tell_home(home, [finished](HomeEnd& end) { end.finished = finished; });
            } else {
                co_return done();
            }
        }
    }

    EpollReactor reactor_;
    Mailbox to_home_, to_far_;
    TaskGroup connections_;
    bool stopping_ = false;
    std::unique_ptr<Alarm> give_up_;
    std::thread thread_;  // Last: it uses all the others.
};

class IoThreads::RelayedStream : public Stream {
public:
    RelayedStream(Thread& thread, const ConnectedSocket& socket, std::shared_ptr<const TlsContext> tls)
        : thread_(thread), home_(std::make_shared<HomeEnd>()) {
        home_->peer.address = socket.peer.address();
        if (!tls) home_->shaken = Result<void>();
        far_ = thread_.adopt(socket, std::move(tls), home_);
    }
    ~RelayedStream() override { thread_.release(std::move(far_)); }

    Task<void> handshake() {
        if (!home_->shaken) thread_.tell(far_, [](FarEnd& far) { far.shake = true; });
        while (!home_->shaken) {
            if (home_->closed) co_return std::unexpected(closed_here());
            CO_TRY(co_await home_->changed.wait());
        }
        co_return Result<void>(*home_->shaken);
    }

    Task<size_t> read_some(std::span<std::byte> target) override {
        CO_TRY(usable());
        while (home_->unread.empty() && !home_->ended && !home_->read_failed) {
            CO_TRY(co_await home_->changed.wait());
        }
        if (home_->unread.empty()) {
            if (home_->read_failed) co_return std::unexpected(*home_->read_failed);
            co_return size_t{0};
        }
        co_return take(target);
    }

    Task<void> write(std::span<const std::string_view> parts) override {
        CO_TRY(usable());
        while (home_->unsent >= unsent_bytes_max && !home_->write_failed) CO_TRY(co_await home_->changed.wait());
        if (home_->write_failed) co_return std::unexpected(*home_->write_failed);
        std::string octets;
        for (const std::string_view part : parts) octets += part;
        if (octets.empty()) co_return done();
        home_->unsent += octets.size();
        thread_.tell(far_, [bytes = Bytes::take(std::move(octets))](FarEnd& far) { far.outbox.push_back(bytes); });
        co_return done();
    }

    Task<void> finish() override {
        CO_TRY(usable());
        home_->finished.reset();
        thread_.tell(far_, [](FarEnd& far) { far.finish = true; });
        while (!home_->finished) {
            if (home_->write_failed) co_return std::unexpected(*home_->write_failed);
            CO_TRY(co_await home_->changed.wait());
        }
        co_return Result<void>(*home_->finished);
    }

    void close() override {
        if (std::exchange(home_->closed, true)) return;
        home_->unread.clear();
        home_->taken = 0;
        home_->read_failed = home_->write_failed = closed_here();
        home_->changed.notify_all();
        thread_.tell(far_, [](FarEnd& far) {
            if (far.stream) far.stream->close();
        });
    }

    const Peer& peer() const override { return home_->peer; }

private:
    Result<void> usable() const {
        if (!home_->shaken) return fail(Code::Io, "the TLS handshake has not been done");
        return *home_->shaken;
    }

    size_t take(std::span<std::byte> target) {
        size_t count = 0;
        while (count < target.size() && !home_->unread.empty()) {
            const std::string_view rest = std::string_view(home_->unread.front()).substr(home_->taken);
            const size_t part = std::min(rest.size(), target.size() - count);
            std::ranges::copy(as_bytes(rest.substr(0, part)), target.begin() + static_cast<std::ptrdiff_t>(count));
            count += part;
            home_->taken += part;
            if (part < rest.size()) break;
            home_->unread.pop_front();
            home_->taken = 0;
        }
        give_back(count);
        return count;
    }

    // Room for more is told in large steps: each telling may wake the far thread.
    void give_back(size_t count) {
        owed_ += count;
        if (owed_ < unread_bytes_max / 2) return;
        thread_.tell(far_, [room = std::exchange(owed_, 0)](FarEnd& far) { far.room += room; });
    }

    Thread& thread_;
    std::shared_ptr<HomeEnd> home_;
    std::shared_ptr<FarEnd> far_;
    size_t owed_ = 0;  // Taken by the reader, not yet told.
};

class IoThreads::Port : public Listener {
public:
    Port(IoThreads& network, std::unique_ptr<TcpPort> port, std::shared_ptr<const TlsContext> tls)
        : network_(network), port_(std::move(port)), tls_(std::move(tls)) {}

    Task<std::unique_ptr<Stream>> accept() override {
        CO_LET(const ConnectedSocket socket, co_await port_->accept());
        co_return std::make_unique<RelayedStream>(network_.least_busy(), socket, tls_);
    }
    Task<void> handshake(Stream& stream) override {
        auto* relayed = dynamic_cast<RelayedStream*>(&stream);
        ENSURE(relayed != nullptr);
        return relayed->handshake();
    }
    void set_tls(std::shared_ptr<const TlsContext> tls) override { tls_ = std::move(tls); }
    Address address() const override { return port_->address(); }

private:
    IoThreads& network_;
    std::unique_ptr<TcpPort> port_;
    std::shared_ptr<const TlsContext> tls_;
};

IoThreads::IoThreads(EpollReactor& home, uint32_t threads) : home_(home), direct_(home) {
    ENSURE(threads > 0);
    for (uint32_t i = 0; i < threads; ++i) threads_.push_back(std::make_unique<Thread>(home));
}

IoThreads::~IoThreads() {
    for (const auto& thread : threads_) thread->stop();  // All at once; then each is waited for.
}

Task<std::unique_ptr<Stream>> IoThreads::connect(Address address, std::shared_ptr<const TlsContext> tls) {
    return direct_.connect(std::move(address), std::move(tls));
}

Result<std::unique_ptr<Listener>> IoThreads::listen(Address address, std::shared_ptr<const TlsContext> tls) {
    LET(auto port, TcpPort::open(home_, address));
    return std::make_unique<Port>(*this, std::move(port), std::move(tls));
}

std::vector<size_t> IoThreads::connections() const {
    std::vector<size_t> counts;
    for (const auto& thread : threads_) counts.push_back(thread->held);
    return counts;
}

IoThreads::Thread& IoThreads::least_busy() {
    return **std::ranges::min_element(threads_, {}, [](const auto& thread) { return thread->held; });
}

}  // namespace polis::runtime
