#include "runtime/durable_directories.h"

namespace polis::runtime {

Task<void> make_directories_durably(Disk& disk, std::string path) {
    CO_TRY(co_await disk.make_directories(path));
    // A name is durable when the directory that holds it is: up to the root, as any of them may be new.
    while (!path.empty()) {
        const size_t slash = path.rfind('/');
        path.resize(slash == std::string::npos ? 0 : slash);
        CO_TRY(co_await disk.sync_directory(path));
    }
    co_return done();
}

}  // namespace polis::runtime
