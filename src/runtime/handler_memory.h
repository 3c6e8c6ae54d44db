// HandlerMemory: room for one Asio operation inside its owner, so that waiting for a socket allocates nothing.
#pragma once

#include <cstddef>
#include <new>

#include "base/ensure.h"

namespace polis::runtime {

/// Memory for one operation at a time; a second one at once, or one that does not fit, goes to the heap.
class HandlerMemory {
public:
    HandlerMemory() = default;
    HandlerMemory(const HandlerMemory&) = delete;
    HandlerMemory& operator=(const HandlerMemory&) = delete;

    void* allocate(size_t bytes) {
        if (used_ || bytes > sizeof(room_)) return ::operator new(bytes);
        used_ = true;
        return room_;
    }
    void deallocate(void* memory) {
        if (memory != static_cast<void*>(room_)) return ::operator delete(memory);
        ENSURE(used_);
        used_ = false;
    }

    /// For `allocator_type` and `get_allocator` of a completion handler.
    template <class T>
    class Allocator {
    public:
        using value_type = T;
        explicit Allocator(HandlerMemory& memory) : memory_(&memory) {}
        template <class U>
        Allocator(const Allocator<U>& other) : memory_(other.memory_) {}
        T* allocate(size_t count) { return static_cast<T*>(memory_->allocate(count * sizeof(T))); }
        void deallocate(T* memory, size_t) { memory_->deallocate(memory); }
        friend bool operator==(const Allocator& a, const Allocator& b) { return a.memory_ == b.memory_; }

    private:
        template <class U>
        friend class Allocator;
        HandlerMemory* memory_;
    };

private:
    alignas(std::max_align_t) std::byte room_[192];
    bool used_ = false;
};

}  // namespace polis::runtime
