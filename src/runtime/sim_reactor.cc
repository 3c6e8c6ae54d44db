#include "runtime/sim_reactor.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace polis::runtime {

class SimReactor::SimAlarm : public Alarm {
public:
    SimAlarm(SimReactor& reactor, std::function<void()> ring)
        : reactor_(reactor), shared_(std::make_shared<Shared>(Shared{std::move(ring), 0})) {}
    ~SimAlarm() override { clear(); }

    void set(Instant when) override {
        const uint64_t setting = ++shared_->setting;
        reactor_.call_at(when, [shared = shared_, setting] {
            if (shared->setting == setting) shared->ring();
        });
    }
    void clear() override { ++shared_->setting; }

private:
    // Outlives the alarm while an event of an earlier setting is still in the heap.
    struct Shared {
        std::function<void()> ring;
        uint64_t setting;
    };
    SimReactor& reactor_;
    std::shared_ptr<Shared> shared_;
};

SimReactor::SimReactor(uint64_t seed) : chance_(seed) {}
SimReactor::~SimReactor() = default;

void SimReactor::post(std::function<void()> work) { call_at(now_, std::move(work)); }
void SimReactor::schedule(std::coroutine_handle<> coroutine) { ready_.push_back(coroutine); }

void SimReactor::at_turn_end(TurnHook& hook) {
    if (std::ranges::find(hooks_, &hook) == hooks_.end()) hooks_.push_back(&hook);
}
void SimReactor::forget(TurnHook& hook) { std::erase(hooks_, &hook); }

std::unique_ptr<Alarm> SimReactor::make_alarm(std::function<void()> ring) {
    return std::make_unique<SimAlarm>(*this, std::move(ring));
}

WallTime SimReactor::wall_now() const {
    constexpr auto start = std::chrono::microseconds(1'700'000'000'000'000);
    return {start + std::chrono::duration_cast<std::chrono::microseconds>(now_.since_boot)};
}

void SimReactor::call_at(Instant when, std::function<void()> work) {
    const uint64_t number = next_number_++;
    // What is posted keeps its order; what waited for a time may come in any.
    const uint64_t tiebreak = when <= now_ ? 0 : chance_.next();
    events_.push({std::max(when, now_), tiebreak, number, std::move(work)});
}

void SimReactor::witness(uint64_t what) { hash_ = Chance(hash_ ^ what).next(); }

bool SimReactor::run_one() {
    if (!ready_.empty() || !hooks_.empty()) {
        turn();
        return true;
    }
    if (events_.empty()) return false;
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = event.when;
    witness(event.number ^ static_cast<uint64_t>(event.when.since_boot.count()));
    event.work();
    turn();
    return true;
}

void SimReactor::turn() {
    while (!ready_.empty() || !hooks_.empty()) {
        while (!ready_.empty()) {
            const auto coroutine = ready_.front();
            ready_.pop_front();
            coroutine.resume();
        }
        while (!hooks_.empty() && ready_.empty()) {
            TurnHook* hook = hooks_.front();
            hooks_.erase(hooks_.begin());
            hook->turn_end();
        }
    }
}

void SimReactor::run_until(Instant limit) {
    turn();
    while (!events_.empty() && events_.top().when <= limit) run_one();
    now_ = std::max(now_, limit);
}

bool SimReactor::run_until(const std::function<bool()>& condition, Instant limit) {
    while (!condition()) {
        const bool work_left = !ready_.empty() || !hooks_.empty();
        if (!work_left && (events_.empty() || events_.top().when > limit)) return false;
        run_one();
    }
    return true;
}

}  // namespace polis::runtime
