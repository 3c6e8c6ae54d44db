#include "runtime/system_random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/ensure.h"

namespace polis::runtime {

void SystemRandom::fill(std::span<std::byte> target) {
    while (!target.empty()) {
        const ssize_t count = ::getrandom(target.data(), target.size(), 0);
        if (count < 0) {
            ENSURE(errno == EINTR);  // Nothing else can go wrong with valid arguments on kernels since 3.17.
            continue;
        }
        target = target.subspan(static_cast<size_t>(count));
    }
}

}  // namespace polis::runtime
