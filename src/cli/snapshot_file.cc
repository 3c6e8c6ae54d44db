#include "cli/snapshot_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/ensure.h"

namespace polis::cli {
namespace {

constexpr size_t digest_bytes = 32;  // SHA-256

}  // namespace

Result<std::unique_ptr<SnapshotFile>> SnapshotFile::open(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return fail(errno == ENOENT ? Code::NotFound : Code::Io, "cannot open " + path + ": " + std::strerror(errno));
    }
    auto file = std::unique_ptr<SnapshotFile>(new SnapshotFile(descriptor));
    struct stat status{};
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(Code::Io, path + " is no file that can be read");
    }
    const auto bytes = static_cast<uint64_t>(status.st_size);
    // Databases are whole sectors long; what goes beyond is the digest (etcd tells it the same way).
    if (bytes % 512 != digest_bytes) {
        return fail(Code::Corrupt, path + " has no digest at its end: is it a snapshot, and is it whole?");
    }
    file->bytes_ = bytes - digest_bytes;
    TRY(file->verify(path));
    return file;
}

SnapshotFile::~SnapshotFile() { ::close(descriptor_); }

Result<std::string> SnapshotFile::read(uint64_t offset, size_t count) const {
    std::string octets(count, '\0');
    size_t filled = 0;
    while (filled < count) {
        const ssize_t got =
            ::pread(descriptor_, octets.data() + filled, count - filled, static_cast<off_t>(offset + filled));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return fail(Code::Io, "the snapshot cannot be read to its end");
        filled += static_cast<size_t>(got);
    }
    return octets;
}

Result<void> SnapshotFile::verify(const std::string& path) const {
    constexpr uint64_t piece_bytes = 1u << 20;
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    ENSURE(context != nullptr);
    ENSURE(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
    for (uint64_t offset = 0; offset < bytes_; offset += piece_bytes) {
        LET(const std::string piece, read(offset, static_cast<size_t>(std::min(piece_bytes, bytes_ - offset))));
        EVP_DigestUpdate(context.get(), piece.data(), piece.size());
    }
    unsigned char digest[digest_bytes];
    EVP_DigestFinal_ex(context.get(), digest, nullptr);
    LET(const std::string stored, read(bytes_, digest_bytes));
    if (std::memcmp(digest, stored.data(), sizeof digest) != 0) {
        return fail(Code::Corrupt, path + " is damaged: its digest does not match");
    }
    return {};
}

}  // namespace polis::cli
