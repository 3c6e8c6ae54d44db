// AlarmQueue: which alarm rings next, cheap with many that never do (a timeout is nearly always cleared).
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "base/time.h"

namespace polis::runtime {

/// A four-ary heap of alarms that know their place in it: setting and clearing cost O(log n) at worst and a few
/// comparisons for the usual timeout, which lies later than most. Owns nothing. One thread.
class AlarmQueue {
public:
    /// One alarm. REQUIRES: cleared from its queue before it dies.
    class Entry {
    public:
        explicit Entry(std::function<void()> ring) : ring_(std::move(ring)) {}
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        bool is_set() const { return place_ != nowhere; }

    private:
        friend class AlarmQueue;
        static constexpr size_t nowhere = std::numeric_limits<size_t>::max();

        std::function<void()> ring_;
        size_t place_ = nowhere;  // Index in slots_.
    };

    /// Makes `entry` ring at `when`, whatever was set before.
    void set(Entry& entry, Instant when);
    void clear(Entry& entry);
    /// `entry` dies: clears it and keeps hands off it, even if it is the one that rings right now.
    void forget(Entry& entry);

    /// When the next one is due; never() if none is set.
    Instant earliest() const { return slots_.empty() ? Instant::never() : slots_.front().when; }

    /// Rings at most `rings_max` alarms that are due at `now`, earliest first. What rings may set, clear and destroy
    /// any alarm, itself included.
    void ring_due(Instant now, size_t rings_max);

    size_t size() const { return slots_.size(); }

private:
    struct Slot {
        Instant when;
        Entry* entry;
    };

    void remove(size_t place);
    void sift_up(size_t place, Slot slot);
    void sift_down(size_t place, Slot slot);
    void put(size_t place, Slot slot) {
        slots_[place] = slot;
        slot.entry->place_ = place;
    }

    std::vector<Slot> slots_;  // slots_[i] is due no later than slots_[4i+1 .. 4i+4].
    Entry* ringing_ = nullptr;
};

}  // namespace polis::runtime
