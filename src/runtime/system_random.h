// SystemRandom: the kernel's generator, for ids, tokens and secrets.
#pragma once

#include "runtime/random.h"

namespace polis::runtime {

/// getrandom(2). Waits at early boot until the kernel has gathered entropy; after that it never blocks. Any thread.
class SystemRandom : public Random {
public:
    void fill(std::span<std::byte> target) override;
};

}  // namespace polis::runtime
