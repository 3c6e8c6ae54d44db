#include "runtime/disk.h"

#include <algorithm>

namespace polis::runtime {
namespace {

std::string directory_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

}  // namespace

Task<std::string> read_file(Disk& disk, std::string path, uint64_t bytes_max) {
    CO_LET(const std::unique_ptr<File> file, co_await disk.open(path, OpenMode::Read));
    CO_LET(const uint64_t size, co_await file->size_bytes());
    if (size > bytes_max) {
        co_return fail(Code::Invalid, path + " has " + std::to_string(size) + " bytes, more than the limit of " +
                                          std::to_string(bytes_max));
    }
    std::string content(size, '\0');
    const std::span<std::byte> target = std::as_writable_bytes(std::span(content));
    CO_LET(const size_t count, co_await file->read(0, target));
    content.resize(count);
    co_return content;
}

Task<void> write_file_atomically(Disk& disk, std::string path, std::string content) {
    const std::string temporary = path + ".tmp";
    // What an earlier, interrupted call left behind is of no use to anyone.
    const Result<void> removed = co_await disk.remove(temporary);
    if (!removed && removed.error().code != Code::NotFound) co_return removed;

    CO_LET(std::unique_ptr<File> file, co_await disk.open(temporary, OpenMode::Create));
    const std::string_view part = content;
    const Result<void> written = co_await file->write_durably(0, std::span(&part, 1));
    file.reset();
    if (!written) {
        const Result<void> cleaned = co_await disk.remove(temporary);  // Gives a full disk its bytes back.
        if (!cleaned) co_return cleaned;
        co_return written;
    }
    CO_TRY(co_await disk.rename(temporary, path));
    CO_TRY(co_await disk.sync_directory(directory_of(path)));
    co_return done();
}

}  // namespace polis::runtime
