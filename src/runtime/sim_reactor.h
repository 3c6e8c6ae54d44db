// SimReactor: the simulated twin of the reactor: virtual time, an event heap, one thread, nothing real.
#pragma once

#include <coroutine>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "runtime/reactor.h"
#include "runtime/task.h"

namespace polis::runtime {

/// Runs coroutines under virtual time. Events happen in the order of (time, a draw from the seed, number), so that two events
/// of one instant come in either order, and always in the same one for the same seed.
class SimReactor : public Reactor {
public:
    explicit SimReactor(uint64_t seed);
    ~SimReactor() override;

    void post(std::function<void()> work) override;
    void schedule(std::coroutine_handle<> coroutine) override;
    void at_turn_end(TurnHook& hook) override;
    void forget(TurnHook& hook) override;
    std::unique_ptr<Alarm> make_alarm(std::function<void()> ring) override;
    Instant now() const override { return now_; }
    WallTime wall_now() const override;
    bool is_current() const override { return true; }

    /// Calls `work` at `when` (at once if that has passed).
    void call_at(Instant when, std::function<void()> work);

    /// Runs one event and the turn it makes. False if nothing is left to happen.
    bool run_one();
    /// Runs until nothing is left or `limit` is reached; then the time is `limit`.
    void run_until(Instant limit);
    void run_for(Duration span) { run_until(now_ + span); }
    /// Runs until `condition` holds; false if `limit` came first.
    bool run_until(const std::function<bool()>& condition, Instant limit);

    /// A rolling hash of everything that happened: two runs of one seed give the same.
    uint64_t event_hash() const { return hash_; }
    /// Adds something observable (a message's bytes) to the hash.
    void witness(uint64_t what);

private:
    struct Event {
        Instant when;
        uint64_t tiebreak;
        uint64_t number;
        std::function<void()> work;
    };
    struct Later {
        bool operator()(const Event& a, const Event& b) const {
            return std::tie(a.when, a.tiebreak, a.number) > std::tie(b.when, b.tiebreak, b.number);
        }
    };
    class SimAlarm;

    void turn();

    Chance chance_;
    Instant now_{std::chrono::seconds(1000)};
    uint64_t next_number_ = 0;
    uint64_t hash_ = 0;
    std::priority_queue<Event, std::vector<Event>, Later> events_;
    std::deque<std::coroutine_handle<>> ready_;
    std::vector<TurnHook*> hooks_;
};

/// Runs `task` to its end on `reactor` and returns its result; for tests. REQUIRES: it ends within `limit` of virtual time.
template <class T>
Result<T> run(SimReactor& reactor, Task<T> task, Duration limit = std::chrono::hours(1));

}  // namespace polis::runtime

#include "runtime/sim_run.h"
