// DeadlineQueue: the deadlines of all calls of a server behind one alarm; a call that ends within its first turn costs nothing.
#pragma once

#include <memory>
#include <set>
#include <utility>

#include "base/list.h"
#include "base/time.h"
#include "runtime/reactor.h"

namespace polis::rpc {

/// Most calls end in the turn in which they came. Entries wait in a list until that turn is over; only those still there
/// are sorted.
class DeadlineQueue : public runtime::TurnHook {
public:
    class Entry : public Linked<Entry> {
    public:
        /// Instant::never() for none.
        Instant deadline() const { return deadline_; }

    protected:
        ~Entry() = default;

    private:
        friend class DeadlineQueue;
        virtual void deadline_passed() = 0;
        Instant deadline_ = Instant::never();
        bool sorted_ = false;
    };

    explicit DeadlineQueue(runtime::Reactor& reactor);
    ~DeadlineQueue() override;

    /// Calls `entry.deadline_passed()` once at `deadline`, unless it is removed before. REQUIRES: not in the queue.
    void add(Entry& entry, Instant deadline);
    /// Nothing if it is not in the queue.
    void remove(Entry& entry);

private:
    void turn_end() override;
    void ring();
    void arm();

    runtime::Reactor& reactor_;
    std::unique_ptr<runtime::Alarm> alarm_;
    Instant armed_ = Instant::never();
    bool hooked_ = false;
    List<Entry, Entry> fresh_;
    std::set<std::pair<Instant, Entry*>> sorted_;
};

}  // namespace polis::rpc
