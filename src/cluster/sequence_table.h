// SequenceTable: values by numbers that only rise, most of which leave in about the order they came.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "base/ensure.h"

namespace polis::cluster {

/// A window over the numbers from the lowest that is here to the highest ever added: finding, adding and removing cost a few
/// instructions. Memory follows the width of the window, so numbers should have few gaps and nothing should stay for ever.
template <class T>
class SequenceTable {
public:
    /// REQUIRES: `number` is above all added before.
    T& add(uint64_t number, T value) {
        if (slots_.empty()) first_ = number;
        ENSURE(number >= first_ + slots_.size());
        while (first_ + slots_.size() < number) slots_.emplace_back();
        ++size_;
        return *slots_.emplace_back(std::move(value));
    }

    /// Null if it is not here.
    T* find(uint64_t number) {
        if (number < first_ || number - first_ >= slots_.size()) return nullptr;
        std::optional<T>& slot = slots_[number - first_];
        return slot ? &*slot : nullptr;
    }

    /// Removes and returns it, if it is here.
    std::optional<T> take(uint64_t number) {
        if (find(number) == nullptr) return std::nullopt;
        std::optional<T> taken = std::exchange(slots_[number - first_], std::nullopt);
        --size_;
        while (!slots_.empty() && !slots_.front()) {
            slots_.pop_front();
            ++first_;
        }
        return taken;
    }

    /// REQUIRES: not empty.
    uint64_t lowest() const {
        ENSURE(size_ > 0);
        return first_;  // The front slot is never vacant.
    }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    /// Calls `visit(number, T&)` for each, in order; it must not add or remove.
    template <class Visit>
    void for_each(Visit visit) {
        for (size_t i = 0; i < slots_.size(); ++i) {
            if (slots_[i]) visit(first_ + i, *slots_[i]);
        }
    }

private:
    std::deque<std::optional<T>> slots_;
    uint64_t first_ = 0;  // The number of slots_.front().
    size_t size_ = 0;     // Of slots_ that are not vacant.
};

}  // namespace polis::cluster
