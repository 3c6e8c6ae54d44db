// polis bench watch and watch-idle: many watchers of one changing key, and many watches at rest.
#include <cinttypes>
#include <cstdio>
#include <deque>

#include "cli/bench_load.h"
#include "codec/etcd/rpc.pb.h"

namespace polis::cli {
namespace {

using etcdserverpb::PutRequest;
using etcdserverpb::WatchRequest;
using etcdserverpb::WatchResponse;

constexpr Duration delivery_max = std::chrono::seconds(10);  // Of one change, to the last watcher.
constexpr size_t number_digits = 12;

class Watchers {
public:
    Watchers(BenchWorld& world, Account& account)
        : world_(world), load_(world.load()), account_(account), streams_(world.reactor()) {}

    /// Creates all watches and waits until each is acknowledged. Errors: Unavailable if one is refused.
    runtime::Task<void> create(bool idle) {
        for (int number = 0; number < load_.workers(); ++number) {
            streams_.spawn("watch", watch(number, idle));
            // Streams are opened a few hundred at a time: the server's accept queue is finite.
            while (number - static_cast<int>(streams_ready_) > 256 && account_.errors() == 0)
                CO_TRY(co_await progress());
        }
        while (created_ < expected() && account_.errors() == 0) CO_TRY(co_await progress());
        if (account_.errors() > 0) co_return fail(Code::Unavailable, account_.first_error());
        co_return runtime::done();
    }

    uint64_t expected() const { return static_cast<uint64_t>(load_.workers() * load_.watches_per_stream); }

    runtime::Task<void> measure() {
        runtime::TaskGroup observer(world_.reactor());
        const Instant begin = world_.reactor().fresh_now() + seconds_of(load_.warmup_seconds);
        account_.open(begin, begin + seconds_of(load_.seconds));
        observer.spawn("observe", world_.observe(account_));
        Result<void> ended = co_await write_changes();
        CO_TRY(co_await observer.stop());
        if (ended) ended = co_await await_delivery();
        if (delivered_ != expected() * changes_) {
            account_.failed(std::to_string(expected() * changes_ - delivered_) + " events were not delivered");
        }
        co_return ended;
    }

    runtime::Task<void> stop() { co_return co_await streams_.stop(); }

private:
    runtime::Task<void> progress() {
        co_return co_await runtime::with_deadline(world_.reactor().now() + delivery_max, changed_.wait());
    }

    // The first connection carries the changes, too.
    runtime::Task<void> write_changes() {
        const Duration pace = load_.rate > 0 ? seconds_of(1 / load_.rate) : Duration(0);
        const std::string method = "/etcdserverpb.KV/Put";
        Instant due = world_.reactor().now();
        while (world_.reactor().now() < account_.end()) {
            if (pace > Duration(0)) {
                CO_TRY(co_await runtime::sleep_until(due));
            } else {
                CO_TRY(co_await await_delivery());
                due = world_.reactor().fresh_now();
            }
            due_.push_back(due);
            Bytes request = change(changes_++);
            const auto outcome = co_await world_.client(0).call(method, std::move(request), world_.credentials());
            if (const auto why = failure_of(outcome)) co_return fail(Code::Unavailable, *why);
            due = due + pace;
        }
        co_return runtime::done();
    }

    runtime::Task<void> await_delivery() {
        while (delivered_ < expected() * changes_) CO_TRY(co_await progress());
        co_return runtime::done();
    }

    Bytes change(uint64_t number) const {
        char digits[24];
        std::snprintf(digits, sizeof digits, "%0*" PRIu64, static_cast<int>(number_digits), number);
        PutRequest request;
        request.set_key(load_.prefix + "watched");
        std::string value = digits;
        value.resize(std::max(value.size(), static_cast<size_t>(load_.value_bytes)), 'v');
        request.set_value(std::move(value));
        return Bytes::take(request.SerializeAsString());
    }

    runtime::Task<void> watch(int number, bool idle) {
        const Result<void> ended = co_await follow(number, idle);
        if (!ended && ended.error().code != Code::Canceled) {
            account_.failed(ended.error().what);
            changed_.notify_all();
        }
        co_return ended;
    }

    // Ends only with an error: Canceled by stop().
    runtime::Task<void> follow(int number, bool idle) {
        const std::string method = "/etcdserverpb.Watch/Watch";
        CO_LET(const auto stream, co_await world_.client(number).open(method, world_.credentials()));
        for (int i = 0; i < load_.watches_per_stream; ++i) {
            WatchRequest request;
            const auto index = static_cast<uint64_t>(number * load_.watches_per_stream + i);
            request.mutable_create_request()->set_key(idle ? bench_key(load_, index) : load_.prefix + "watched");
            CO_TRY(co_await stream->write(Bytes::take(request.SerializeAsString())));
        }
        WatchResponse answer;
        for (bool first = true;; first = false) {
            CO_LET(const std::optional<Bytes> message, co_await stream->read());
            if (!message) co_return fail(Code::Unavailable, "a watch ended: " + stream->status().message);
            if (!answer.ParseFromArray(message->data(), static_cast<int>(message->size()))) {
                co_return fail(Code::Unavailable, "an answer of a watch cannot be read");
            }
            if (answer.canceled())
                co_return fail(Code::Unavailable, "a watch was cancelled: " + answer.cancel_reason());
            if (first) ++streams_ready_;
            take(answer);
        }
    }

    void take(const WatchResponse& answer) {
        if (answer.created()) ++created_;
        const Instant now = world_.reactor().fresh_now();
        for (const auto& event : answer.events()) {
            const uint64_t number = std::strtoull(event.kv().value().substr(0, number_digits).c_str(), nullptr, 10);
            if (number >= due_.size()) {
                account_.failed("an event has a value that was not written");
                continue;
            }
            account_.answered(due_[number], now);
            ++delivered_;
        }
        // Whoever waits, waits for all of them: waking it for each of thousands would be this program's main work.
        if (delivered_ == expected() * changes_ || created_ == expected() || streams_ready_ % 64 == 0) {
            changed_.notify_all();
        }
    }

    BenchWorld& world_;
    const Load& load_;
    Account& account_;
    runtime::TaskGroup streams_;
    runtime::Signal changed_;
    uint64_t streams_ready_ = 0;  // Whose first watch stands.
    uint64_t created_ = 0;        // Watches that stand.
    uint64_t delivered_ = 0;      // Events, to all watchers together.
    uint64_t changes_ = 0;        // Written so far.
    std::deque<Instant> due_;     // When each change was due, by its number.
};

}  // namespace

runtime::Task<void> run_watches(BenchWorld& world, Account& account) {
    Watchers watchers(world, account);
    Result<void> ended = co_await watchers.create(false);
    if (ended) ended = co_await watchers.measure();
    CO_TRY(co_await watchers.stop());
    co_return ended;
}

runtime::Task<void> hold_watches(BenchWorld& world, Account& account) {
    Watchers watchers(world, account);
    const Result<void> ended = co_await watchers.create(true);
    if (ended) {
        std::printf("holding %" PRIu64 " watches\n", watchers.expected());
        std::fflush(stdout);
        CO_TRY(co_await runtime::sleep_for(seconds_of(world.load().seconds)));
    }
    CO_TRY(co_await watchers.stop());
    co_return ended;
}

}  // namespace polis::cli
