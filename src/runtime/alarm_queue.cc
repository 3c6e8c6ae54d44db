#include "runtime/alarm_queue.h"

#include <algorithm>

#include "base/ensure.h"

namespace polis::runtime {
namespace {
constexpr size_t arity = 4;
}

void AlarmQueue::set(Entry& entry, Instant when) {
    if (entry.is_set()) remove(entry.place_);
    slots_.emplace_back();
    sift_up(slots_.size() - 1, {when, &entry});
    ENSURE(slots_[entry.place_].entry == &entry);
}

void AlarmQueue::clear(Entry& entry) {
    if (entry.is_set()) remove(entry.place_);
}

void AlarmQueue::forget(Entry& entry) {
    clear(entry);
    if (ringing_ == &entry) ringing_ = nullptr;
}

void AlarmQueue::ring_due(Instant now, size_t rings_max) {
    for (size_t rung = 0; rung < rings_max && earliest() <= now; ++rung) {
        Entry* entry = slots_.front().entry;
        remove(0);
        // Called from a local, since the function may destroy the alarm that holds it.
        std::function<void()> ring = std::move(entry->ring_);
        ringing_ = entry;
        ring();
        if (ringing_ == entry) entry->ring_ = std::move(ring);
        ringing_ = nullptr;
    }
}

void AlarmQueue::remove(size_t place) {
    ENSURE(place < slots_.size());
    slots_[place].entry->place_ = Entry::nowhere;
    const Slot last = slots_.back();
    slots_.pop_back();
    if (place == slots_.size()) return;
    const bool rises = place > 0 && last.when < slots_[(place - 1) / arity].when;
    rises ? sift_up(place, last) : sift_down(place, last);
}

void AlarmQueue::sift_up(size_t place, Slot slot) {
    while (place > 0) {
        const size_t parent = (place - 1) / arity;
        if (slots_[parent].when <= slot.when) break;
        put(place, slots_[parent]);
        place = parent;
    }
    put(place, slot);
}

void AlarmQueue::sift_down(size_t place, Slot slot) {
    for (;;) {
        const size_t first = place * arity + 1;
        if (first >= slots_.size()) break;
        size_t least = first;
        for (size_t child = first + 1; child < std::min(first + arity, slots_.size()); ++child)
            if (slots_[child].when < slots_[least].when) least = child;
        if (slot.when <= slots_[least].when) break;
        put(place, slots_[least]);
        place = least;
    }
    put(place, slot);
}

}  // namespace polis::runtime
