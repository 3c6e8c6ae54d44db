#include "node/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

namespace polis::node {
namespace {

std::unexpected<Error> cannot(const std::string& what, const std::string& path, int error) {
    const Code code = error == EACCES || error == EPERM ? Code::Denied : error == ENOENT ? Code::NotFound : Code::Io;
    return fail(code, "cannot " + what + " " + path + ": " + std::strerror(error));
}

std::string lock_path(const std::string& directory) { return directory + "/LOCK"; }

}  // namespace

Result<DirectoryLock> DirectoryLock::take(const std::string& directory) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) return cannot("make", directory, error.value());
    if (::chmod(directory.c_str(), 0700) != 0) return cannot("close to others", directory, errno);
    const std::string path = lock_path(directory);
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return cannot("open", path, errno);
    DirectoryLock lock(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return cannot("lock", path, errno);
        return fail(Code::Exists, directory + " is in use by another polis process: stop it first");
    }
    const std::string process = std::to_string(::getpid()) + "\n";
    if (::ftruncate(descriptor, 0) != 0 ||
        ::pwrite(descriptor, process.data(), process.size(), 0) != static_cast<ssize_t>(process.size())) {
        return cannot("write", path, errno);
    }
    return lock;
}

Result<std::optional<pid_t>> DirectoryLock::holder(const std::string& directory) {
    const std::string path = lock_path(directory);
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return cannot("open", path, errno);
    const DirectoryLock closed_at_the_end(descriptor);
    // A shared lock is refused only while somebody has the exclusive one.
    if (::flock(descriptor, LOCK_SH | LOCK_NB) == 0) return std::optional<pid_t>();
    if (errno != EWOULDBLOCK) return cannot("look at the lock of", path, errno);
    char text[32];
    const ssize_t count = ::pread(descriptor, text, sizeof text, 0);
    pid_t process = 0;
    if (count <= 0 || std::from_chars(text, text + count, process).ec != std::errc() || process <= 0) {
        return fail(Code::Io, path + " is locked, but does not say by which process");
    }
    return std::optional<pid_t>(process);
}

DirectoryLock::~DirectoryLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace polis::node
