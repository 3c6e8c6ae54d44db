// FrameMemory: memory of coroutine frames; a frame that ends makes room for the next without the allocator.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace polis::runtime {

/// A request makes a dozen frames of the same few sizes, again and again. Each thread keeps those that ended, by size, up to
/// `kept_bytes_max` a size; a frame may end on another thread than it began on. Under a sanitizer every frame comes from and
/// goes to the allocator, so that a use after its end is found.
class FrameMemory {
public:
    /// False under a sanitizer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    static constexpr bool enabled = false;
#elif defined(__clang__)
    static constexpr bool enabled = !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer);
#else
    static constexpr bool enabled = true;
#endif

    static constexpr size_t step_bytes = 16;          // The allocator's own.
    static constexpr size_t pooled_bytes_max = 2048;  // Larger frames are those of long-lived tasks.
    static constexpr size_t kept_bytes_max = 64u << 10;

    static void* allocate(size_t bytes) {
        if (!enabled || bytes > pooled_bytes_max) return ::operator new(bytes);
        const size_t place = place_of(bytes);
        Kept& kept = pool_.kept[place];
        Unused* const unused = kept.first;
        if (unused == nullptr) return ::operator new(size_at(place));
        kept.first = unused->next;
        kept.bytes -= size_at(place);
        return unused;
    }
    static void free(void* frame, size_t bytes) noexcept {
        if (!enabled || bytes > pooled_bytes_max) return ::operator delete(frame);
        const size_t place = place_of(bytes);
        Kept& kept = pool_.kept[place];
        if (kept.bytes + size_at(place) > kept_bytes_max || !pool_.usable) return free_for_good(frame);
        kept.first = new (frame) Unused{kept.first};
        kept.bytes += size_at(place);
    }

    /// How many octets this thread keeps for frames to come.
    static size_t kept_bytes();

private:
    struct Unused {
        Unused* next;
    };
    struct Kept {
        Unused* first = nullptr;
        size_t bytes = 0;
    };
    struct Pool {
        std::array<Kept, pooled_bytes_max / step_bytes> kept;
        bool usable = false;  // Between the thread's first frame and its end.
        bool ended = false;
    };
    struct Releaser;

    static size_t place_of(size_t bytes) { return (bytes - 1) / step_bytes; }
    static size_t size_at(size_t place) { return (place + 1) * step_bytes; }
    static void free_for_good(void* frame) noexcept;

    static constinit thread_local Pool pool_;
};

}  // namespace polis::runtime
