#include "base/ensure.h"

#include <cstdio>
#include <cstdlib>

namespace polis {

void broken_invariant(const char* file, int line, const char* condition) noexcept {
    std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
    std::abort();
}

}  // namespace polis
