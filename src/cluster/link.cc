#include "cluster/link.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace polis::cluster {
namespace {

constexpr uint32_t greeting_bytes_max = 4096;
constexpr size_t kept_bytes_max = 256u << 10;  // Of a buffer; a larger one is given back.

runtime::Task<void> read_exactly(runtime::Stream& stream, std::span<std::byte> target) {
    while (!target.empty()) {
        CO_LET(const size_t count, co_await stream.read_some(target));
        if (count == 0) co_return fail(Code::Io, "the connection ended inside a frame");
        target = target.subspan(count);
    }
    co_return runtime::done();
}

}  // namespace

runtime::Task<Frame> read_greeting(runtime::Stream& stream) {
    std::string octets(sizeof(uint32_t), '\0');
    CO_TRY(co_await read_exactly(stream, std::as_writable_bytes(std::span(octets))));
    const auto length = OctetReader(octets).number<uint32_t>();
    if (length == 0 || length > greeting_bytes_max) {
        co_return fail(Code::Invalid, "what came is no greeting of a Polis node: is this its peer port?");
    }
    octets.resize(sizeof(uint32_t) + length);
    CO_TRY(co_await read_exactly(stream, std::as_writable_bytes(std::span(octets)).subspan(sizeof(uint32_t))));
    co_return decode_frame(Bytes::take(std::move(octets)));
}

Link::Link(runtime::World world, Settings settings, Events events, runtime::Scope& parent)
    : world_(world),
      settings_(std::move(settings)),
      events_(std::move(events)),
      scope_(parent),
      chance_(number_of(settings_.hello.from) ^ (number_of(settings_.hello.to) << 1)) {}

Link::~Link() { world_.reactor.forget(*this); }

void Link::close() {
    closed_ = true;
    scope_.cancel();
}

runtime::Task<void> Link::run(std::shared_ptr<Link> self) {
    co_return co_await runtime::in_scope(self->scope_, self->run_connections());
}

runtime::Task<void> Link::run_connections() {
    while (!scope_.canceled()) {
        const Result<void> ended = co_await one_connection();
        const bool was_connected = std::exchange(connected_, false);
        if (scope_.canceled()) break;
        if (was_connected) {
            backoff_ = Duration(0);
            // Frames of a half-written turn mean nothing to a new connection.
            out_ = OctetWriter();
            events_.broken();
        }
        if (!ended) log::debug("peer_link_down", {"peer", settings_.hello.to}, {"why", ended.error().what});
        backoff_ = std::clamp(backoff_ * 2, settings_.reconnect_min, settings_.reconnect_max);
        const auto jitter = static_cast<int64_t>(chance_.below(static_cast<uint64_t>(backoff_.count()) + 1));
        CO_TRY(co_await runtime::sleep_for(backoff_ / 2 + Duration(jitter) / 2));
        // Without a connection a queue of old heartbeats helps nobody.
        if (out_.size() > settings_.queue_bytes_max / 2) out_ = OctetWriter();
    }
    co_return runtime::done();
}

runtime::Task<void> Link::one_connection() {
    if (addresses_.empty()) co_return fail(Code::Unavailable, "no address is known");
    const runtime::Address address = addresses_[next_address_++ % addresses_.size()];
    const Instant give_up = world_.reactor.now() + settings_.connect_timeout;
    CO_LET(const std::unique_ptr<runtime::Stream> stream,
           co_await runtime::with_deadline(give_up, world_.network.connect(address, settings_.tls)));

    OctetWriter greeting;
    append_frame(greeting, settings_.hello);
    const std::string octets = greeting.take();
    CO_TRY(co_await runtime::with_deadline(give_up, stream->write(octets)));
    CO_LET(const Frame answer, co_await runtime::with_deadline(give_up, read_greeting(*stream)));
    const auto* hello = std::get_if<Hello>(&answer);
    if (hello == nullptr) co_return fail(Code::Invalid, "the peer did not answer the greeting with one");
    if (!hello->refusal.empty()) {
        events_.refused(hello->refusal);
        co_return fail(Code::Denied, hello->refusal);
    }
    connected_ = true;

    // Nothing comes back on this connection, so a read ends exactly when it does.
    runtime::TaskGroup watcher(world_.reactor);
    watcher.spawn("peer_link_end", watch_end(*stream));
    const Result<void> written = co_await write_queued(*stream);
    stream->close();
    CO_TRY(co_await watcher.stop());
    co_return written;
}

runtime::Task<void> Link::watch_end(runtime::Stream& stream) {
    std::byte octet[1];
    const Result<size_t> read = co_await stream.read_some(octet);
    if (read || read.error().code != Code::Canceled) {
        stream.close();
        wake_.notify_all();
        connected_ = false;
    }
    co_return runtime::done();
}

runtime::Task<void> Link::write_queued(runtime::Stream& stream) {
    std::string writing;
    for (;;) {
        while (out_.size() == 0) {
            const Instant silent_until = world_.reactor.now() + settings_.alive_interval;
            const Result<void> woken = co_await runtime::with_deadline(silent_until, wake_.wait());
            if (!connected_) {
                connected_ = true;  // It was; the caller reports the loss.
                co_return fail(Code::Io, "the peer ended the connection");
            }
            if (!woken && woken.error().code != Code::Timeout) co_return std::unexpected(woken.error());
            if (!woken && out_.size() == 0) append_frame(out_, Alive{});
        }
        // Two buffers take turns, so that neither is allocated anew for each write.
        writing.clear();
        writing = std::exchange(out_, OctetWriter(std::move(writing))).take();
        CO_TRY(co_await stream.write(writing));
        events_.sent(writing.size());
        if (writing.capacity() > kept_bytes_max) writing = std::string();
    }
}

}  // namespace polis::cluster
