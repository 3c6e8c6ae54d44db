#include "runtime/asio_reactor.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdint>

#include "base/ensure.h"

namespace polis::runtime {
namespace {

constexpr size_t alarms_per_turn_max = 1024;  // The rest rings next turn, so that alarms cannot starve sockets.

Duration read_clock(clockid_t clock) {
    timespec time{};
    ENSURE(clock_gettime(clock, &time) == 0);
    return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

// Counts suspension: a leader whose machine was suspended must see that its lease is over.
Instant boot_time() { return {read_clock(CLOCK_BOOTTIME)}; }

}  // namespace

struct AsioReactor::Sources {
    struct SignalHandler {
        SignalHandler(boost::asio::io_context& context, int number, std::function<void()> call)
            : set(context, number), handle(std::move(call)) {}
        void expect() {
            set.async_wait([this](const boost::system::error_code& error, int) {
                if (error) return;
                expect();
                handle();
            });
        }
        boost::asio::signal_set set;
        std::function<void()> handle;
    };

    // One thread runs it, others only post: hint 1 spares the scheduler its wake-ups between threads, not its locks.
    boost::asio::io_context context{1};
    boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> timer{context};
    uint64_t timer_expirations = 0;
    std::vector<std::unique_ptr<SignalHandler>> signals;
};

class AsioReactor::QueuedAlarm : public Alarm {
public:
    QueuedAlarm(AsioReactor& reactor, std::function<void()> ring) : reactor_(reactor), entry_(std::move(ring)) {}
    ~QueuedAlarm() override { reactor_.alarms_.forget(entry_); }
    void set(Instant when) override { reactor_.alarms_.set(entry_, when); }
    void clear() override { reactor_.alarms_.clear(entry_); }

private:
    AsioReactor& reactor_;
    AlarmQueue::Entry entry_;
};

AsioReactor::AsioReactor() : AsioReactor(Options{}) {}

AsioReactor::AsioReactor(Options options)
    : options_(options), sources_(std::make_unique<Sources>()), owner_(std::this_thread::get_id()), now_(boot_time()) {
    ENSURE(options_.events_per_turn_max > 0);
    const int timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    ENSURE(timer >= 0);
    sources_->timer.assign(timer);
    expect_timer();
}

// A thread may still be inside the stop() that ended run().
AsioReactor::~AsioReactor() { const std::scoped_lock lock(posted_mutex_); }

void AsioReactor::run() {
    run_until([this] { return stopping_.load(std::memory_order_acquire); });
    stopping_.store(false, std::memory_order_release);
}

void AsioReactor::run_until(const std::function<bool()>& condition) {
    {
        // Whoever posts decides under this lock whether the owner must be woken.
        const std::scoped_lock lock(posted_mutex_);
        owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    }
    now_ = boot_time();
    settle();
    while (!condition()) turn();
}

void AsioReactor::stop() {
    const std::scoped_lock lock(posted_mutex_);
    stopping_.store(true, std::memory_order_release);
    boost::asio::post(sources_->context, [] {});
}

void AsioReactor::turn() {
    handle_events();
    now_ = boot_time();
    alarms_.ring_due(now_, alarms_per_turn_max);
    run_posted();
    settle();
}

// Resumes what is ready and calls the hooks, until neither has made more of the other.
void AsioReactor::settle() {
    while (!ready_.empty() || !hooks_.empty()) {
        for (size_t i = 0; i < ready_.size(); ++i) {
            const std::coroutine_handle<> coroutine = ready_[i];
            coroutine.resume();
        }
        ready_.clear();
        for (size_t i = 0; i < hooks_.size() && ready_.empty(); ++i) {
            // A hook that is forgotten meanwhile leaves a null behind, so that places do not shift under this loop.
            TurnHook* hook = std::exchange(hooks_[i], nullptr);
            if (hook == nullptr) continue;
            hook->is_asked_for_ = false;
            hook->turn_end();
        }
        std::erase(hooks_, nullptr);
    }
}

void AsioReactor::handle_events() {
    uint32_t handled = 0;
    if (!work_is_left()) {
        wait_for_event();
        handled = 1;
    }
    while (handled < options_.events_per_turn_max && poll_one_event()) ++handled;
}

bool AsioReactor::work_is_left() const {
    return has_posted_.load(std::memory_order_relaxed) || !ready_.empty() || alarms_.earliest() <= now_;
}

bool AsioReactor::poll_one_event() { return sources_->context.poll_one() > 0; }

void AsioReactor::wait_for_event() {
    arm_timer();
    if (options_.spin == Duration::zero()) {
        sources_->context.run_one();
        return;
    }
    const Instant began = boot_time();
    if (idle_average_ > options_.spin || !spin_for_event()) sources_->context.run_one();
    note_idle(boot_time() - began);
}

bool AsioReactor::spin_for_event() {
    const Instant end = boot_time() + options_.spin;
    while (!poll_one_event())
        if (boot_time() >= end) return false;
    return true;
}

// A long pause counts as twice the spin only, so that a few quick events after it bring the spinning back.
void AsioReactor::note_idle(Duration idle) {
    const Duration sample = std::min(idle, options_.spin * 2);
    idle_average_ = idle_average_ == Duration::max() ? sample : (idle_average_ * 7 + sample) / 8;
}

// The kernel's timer is set earlier when it must be, but not later when an alarm is cleared: a spurious wake-up now and
// then is cheaper than a system call for every timeout that did not happen.
void AsioReactor::arm_timer() {
    const Instant earliest = alarms_.earliest();
    if (earliest >= timer_at_) return;
    timer_at_ = earliest;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(earliest.since_boot);
    itimerspec setting{};
    setting.it_value.tv_sec = seconds.count();
    setting.it_value.tv_nsec = std::max<int64_t>((earliest.since_boot - seconds).count(), seconds.count() == 0 ? 1 : 0);
    ENSURE(timerfd_settime(sources_->timer.native_handle(), TFD_TIMER_ABSTIME, &setting, nullptr) == 0);
}

void AsioReactor::expect_timer() {
    auto& expirations = sources_->timer_expirations;
    sources_->timer.async_read_some(boost::asio::buffer(&expirations, sizeof(expirations)),
                                    [this](const boost::system::error_code& error, size_t) {
                                        if (error) return;
                                        timer_at_ = Instant::never();
                                        expect_timer();
                                    });
}

void AsioReactor::post(std::function<void()> work) {
    const std::scoped_lock lock(posted_mutex_);
    posted_.push_back(std::move(work));
    const bool first = !has_posted_.exchange(true, std::memory_order_relaxed);
    // One wake-up a batch; our own thread looks at has_posted_ before it sleeps.
    if (first && !is_current()) boost::asio::post(sources_->context, [] {});
}

void AsioReactor::run_posted() {
    if (!has_posted_.load(std::memory_order_relaxed)) return;
    {
        const std::scoped_lock lock(posted_mutex_);
        running_posted_.swap(posted_);
        has_posted_.store(false, std::memory_order_relaxed);
    }
    for (auto& work : running_posted_) work();
    running_posted_.clear();
}

void AsioReactor::at_turn_end(TurnHook& hook) {
    if (!std::exchange(hook.is_asked_for_, true)) hooks_.push_back(&hook);
}

void AsioReactor::forget(TurnHook& hook) {
    if (std::exchange(hook.is_asked_for_, false)) *std::ranges::find(hooks_, &hook) = nullptr;
}

std::unique_ptr<Alarm> AsioReactor::make_alarm(std::function<void()> ring) {
    return std::make_unique<QueuedAlarm>(*this, std::move(ring));
}

Instant AsioReactor::fresh_now() const { return boot_time(); }

WallTime AsioReactor::wall_now() const {
    return {std::chrono::duration_cast<std::chrono::microseconds>(read_clock(CLOCK_REALTIME))};
}

void AsioReactor::on_signal(int signal, std::function<void()> handle) {
    auto& handlers = sources_->signals;
    handlers.push_back(std::make_unique<Sources::SignalHandler>(sources_->context, signal, std::move(handle)));
    handlers.back()->expect();
}

boost::asio::io_context& AsioReactor::io_context() { return sources_->context; }

}  // namespace polis::runtime
