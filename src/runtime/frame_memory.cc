#include "runtime/frame_memory.h"

namespace polis::runtime {

constinit thread_local FrameMemory::Pool FrameMemory::pool_{};

// Gives everything back when the thread ends.
struct FrameMemory::Releaser {
    Releaser() { pool_.usable = true; }
    ~Releaser() {
        pool_.usable = false;
        pool_.ended = true;
        for (Kept& kept : pool_.kept) {
            while (kept.first != nullptr) {
                Unused* const unused = kept.first;
                kept.first = unused->next;
                ::operator delete(unused);
            }
            kept.bytes = 0;
        }
    }
};

// Too much is kept already, or the thread has kept nothing before, or keeps nothing any more.
void FrameMemory::free_for_good(void* frame) noexcept {
    if (!pool_.ended) {
        [[maybe_unused]] static thread_local const Releaser releaser;
    }
    ::operator delete(frame);
}

size_t FrameMemory::kept_bytes() {
    size_t bytes = 0;
    for (const Kept& kept : pool_.kept) bytes += kept.bytes;
    return bytes;
}

}  // namespace polis::runtime
