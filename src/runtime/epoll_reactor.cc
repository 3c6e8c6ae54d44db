#include "runtime/epoll_reactor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <map>
#include <span>

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

// A descriptor whose only use is to end the wait. Nothing is ever read from it: each edge is told once.
class EpollReactor::WakeUp final : public Watched {
public:
    WakeUp(EpollReactor& reactor, int opened) : reactor_(reactor), descriptor(opened) {
        ENSURE(descriptor >= 0);
        reactor_.watch(descriptor, *this);
    }
    ~WakeUp() override {
        reactor_.unwatch(descriptor);
        ::close(descriptor);
    }
    void ready(uint32_t) override {
        if (rung) rung();
    }

private:
    EpollReactor& reactor_;

public:
    const int descriptor;
    std::function<void()> rung;
};

// The process' signals come to one reactor at a time, through a pipe that stays open for good: a signal's handler may still be
// writing to it on another thread.
class EpollReactor::Signals final : public Watched {
public:
    explicit Signals(EpollReactor& reactor) : reactor_(reactor) {
        ENSURE(!std::exchange(taken_, true));
        if (pipe_[0] < 0) ENSURE(::pipe2(pipe_.data(), O_NONBLOCK | O_CLOEXEC) == 0);
        reactor_.watch(pipe_[0], *this);
    }
    ~Signals() override {
        for (const auto& [number, handle] : handlers_) ::signal(number, SIG_DFL);
        reactor_.unwatch(pipe_[0]);
        taken_ = false;
    }

    void handle(int number, std::function<void()> call) {
        ENSURE(handlers_.emplace(number, std::move(call)).second);
        struct sigaction action{};
        action.sa_handler = [](int raised) {
            const int error = errno;
            const auto octet = static_cast<uint8_t>(raised);
            [[maybe_unused]] const ssize_t written =
                ::write(pipe_[1], &octet, 1);  // Full: more than enough wait there.
            errno = error;
        };
        action.sa_flags = SA_RESTART;
        ::sigfillset(&action.sa_mask);
        ENSURE(::sigaction(number, &action, nullptr) == 0);
    }

    void ready(uint32_t) override {
        std::array<uint8_t, 64> numbers;
        for (;;) {
            const ssize_t count = ::read(pipe_[0], numbers.data(), numbers.size());
            if (count <= 0 && errno == EINTR) continue;
            if (count <= 0) return;
            for (const uint8_t number : std::span(numbers).first(static_cast<size_t>(count))) {
                const auto found = handlers_.find(number);
                if (found != handlers_.end()) reactor_.post(found->second);
            }
        }
    }

private:
    static inline std::array<int, 2> pipe_ = {-1, -1};
    static inline bool taken_ = false;

    EpollReactor& reactor_;
    std::map<int, std::function<void()>> handlers_;
};

class EpollReactor::QueuedAlarm : public Alarm {
public:
    QueuedAlarm(EpollReactor& reactor, std::function<void()> ring) : reactor_(reactor), entry_(std::move(ring)) {}
    ~QueuedAlarm() override { reactor_.alarms_.forget(entry_); }
    void set(Instant when) override { reactor_.alarms_.set(entry_, when); }
    void clear() override { reactor_.alarms_.clear(entry_); }

private:
    EpollReactor& reactor_;
    AlarmQueue::Entry entry_;
};

EpollReactor::EpollReactor() : EpollReactor(Options{}) {}

EpollReactor::EpollReactor(Options options)
    : options_(options),
      events_(options.events_per_turn_max),
      timer_(std::make_unique<WakeUp>(*this, ::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC))),
      doorbell_(std::make_unique<WakeUp>(*this, ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))),
      owner_(std::this_thread::get_id()),
      now_(boot_time()) {
    ENSURE(options_.events_per_turn_max > 0);
    timer_->rung = [this] { timer_at_ = Instant::never(); };
}

EpollReactor::~EpollReactor() {
    // A thread may still be inside the stop() that ended run().
    const std::scoped_lock lock(posted_mutex_);
}

EpollReactor::Epoll::Epoll() : descriptor(::epoll_create1(EPOLL_CLOEXEC)) { ENSURE(descriptor >= 0); }

EpollReactor::Epoll::~Epoll() { ::close(descriptor); }

void EpollReactor::run() {
    run_until([this] { return stopping_.load(std::memory_order_acquire); });
    stopping_.store(false, std::memory_order_release);
}

void EpollReactor::run_until(const std::function<bool()>& condition) {
    {
        // Whoever posts decides under this lock whether the owner must be woken.
        const std::scoped_lock lock(posted_mutex_);
        owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    }
    now_ = boot_time();
    settle();
    while (!condition()) turn();
}

void EpollReactor::stop() {
    const std::scoped_lock lock(posted_mutex_);
    stopping_.store(true, std::memory_order_release);
    knocked_.store(true, std::memory_order_seq_cst);
    wake();
}

void EpollReactor::turn() {
    handle_events();
    now_ = boot_time();
    alarms_.ring_due(now_, alarms_per_turn_max);
    run_posted();
    ready_.insert(ready_.end(), next_turn_.begin(), next_turn_.end());
    next_turn_.clear();
    settle();
}

// Resumes what is ready and calls the hooks, until neither has made more of the other.
void EpollReactor::settle() {
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

void EpollReactor::handle_events() {
    const uint32_t count = work_is_left() ? poll(0) : wait_for_events();
    for (uint32_t i = 0; i < count; ++i) static_cast<Watched*>(events_[i].data.ptr)->ready(events_[i].events);
}

bool EpollReactor::work_is_left() const {
    return has_posted_.load(std::memory_order_relaxed) || !ready_.empty() || !next_turn_.empty() ||
           alarms_.earliest() <= now_;
}

// How many events there are; none if a signal cut it short.
uint32_t EpollReactor::poll(int timeout_ms) {
    const int count = ::epoll_wait(epoll_.descriptor, events_.data(), static_cast<int>(events_.size()), timeout_ms);
    ENSURE(count >= 0 || errno == EINTR);
    return static_cast<uint32_t>(std::max(count, 0));
}

uint32_t EpollReactor::wait_for_events() {
    arm_timer();
    if (options_.spin == Duration::zero()) return sleep();
    const Instant began = boot_time();
    uint32_t count = idle_average_ <= options_.spin ? spin_for_events() : 0;
    if (count == 0) count = sleep();
    note_idle(boot_time() - began);
    return count;
}

// Whoever posts looks at asleep_ after has_posted_ is set, and we the other way round: one of us sees the other.
uint32_t EpollReactor::sleep() {
    asleep_.store(true, std::memory_order_seq_cst);
    const bool called = has_posted_.load(std::memory_order_seq_cst) || knocked_.exchange(false);
    const uint32_t count = poll(called ? 0 : -1);
    asleep_.store(false, std::memory_order_relaxed);
    return count;
}

uint32_t EpollReactor::spin_for_events() {
    const Instant end = boot_time() + options_.spin;
    for (;;) {
        const uint32_t count = poll(0);
        if (count > 0 || has_posted_.load(std::memory_order_relaxed) || boot_time() >= end) return count;
    }
}

// A long pause counts as twice the spin only, so that a few quick events after it bring the spinning back.
void EpollReactor::note_idle(Duration idle) {
    const Duration sample = std::min(idle, options_.spin * 2);
    idle_average_ = idle_average_ == Duration::max() ? sample : (idle_average_ * 7 + sample) / 8;
}

// The kernel's timer is set earlier when it must be, but not later when an alarm is cleared: a spurious wake-up now and
// then is cheaper than a system call for every timeout that did not happen.
void EpollReactor::arm_timer() {
    const Instant earliest = alarms_.earliest();
    if (earliest >= timer_at_) return;
    timer_at_ = earliest;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(earliest.since_boot);
    itimerspec setting{};
    setting.it_value.tv_sec = seconds.count();
    setting.it_value.tv_nsec = std::max<int64_t>((earliest.since_boot - seconds).count(), seconds.count() == 0 ? 1 : 0);
    ENSURE(timerfd_settime(timer_->descriptor, TFD_TIMER_ABSTIME, &setting, nullptr) == 0);
}

void EpollReactor::post(std::function<void()> work) {
    const std::scoped_lock lock(posted_mutex_);
    posted_.push_back(std::move(work));
    has_posted_.store(true, std::memory_order_seq_cst);
    if (!is_current()) wake();  // Our own thread looks at has_posted_ before it sleeps.
}

// One system call for all that is posted while the owner sleeps, none while it is awake. Under posted_mutex_.
void EpollReactor::wake() {
    if (!asleep_.exchange(false, std::memory_order_seq_cst)) return;
    const uint64_t once = 1;
    ENSURE(::write(doorbell_->descriptor, &once, sizeof(once)) == sizeof(once));
}

void EpollReactor::run_posted() {
    if (!has_posted_.load(std::memory_order_relaxed)) return;
    {
        const std::scoped_lock lock(posted_mutex_);
        running_posted_.swap(posted_);
        has_posted_.store(false, std::memory_order_relaxed);
    }
    for (auto& work : running_posted_) work();
    running_posted_.clear();
}

void EpollReactor::at_turn_end(TurnHook& hook) {
    if (!std::exchange(hook.is_asked_for_, true)) hooks_.push_back(&hook);
}

void EpollReactor::forget(TurnHook& hook) {
    if (std::exchange(hook.is_asked_for_, false)) *std::ranges::find(hooks_, &hook) = nullptr;
}

std::unique_ptr<Alarm> EpollReactor::make_alarm(std::function<void()> ring) {
    return std::make_unique<QueuedAlarm>(*this, std::move(ring));
}

Instant EpollReactor::fresh_now() const { return boot_time(); }

WallTime EpollReactor::wall_now() const {
    return {std::chrono::duration_cast<std::chrono::microseconds>(read_clock(CLOCK_REALTIME))};
}

void EpollReactor::on_signal(int signal, std::function<void()> handle) {
    if (!signals_) signals_ = std::make_unique<Signals>(*this);
    signals_->handle(signal, std::move(handle));
}

void EpollReactor::watch(int descriptor, Watched& watched) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &watched;
    ENSURE(::epoll_ctl(epoll_.descriptor, EPOLL_CTL_ADD, descriptor, &event) == 0);
}

void EpollReactor::unwatch(int descriptor) {
    ENSURE(::epoll_ctl(epoll_.descriptor, EPOLL_CTL_DEL, descriptor, nullptr) == 0);
}

}  // namespace polis::runtime
