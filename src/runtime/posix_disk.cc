#include "runtime/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace polis::runtime {
namespace {

Code code_of(int error) {
    switch (error) {
        case ENOSPC:
        case EDQUOT: return Code::NoSpace;
        case ENOENT:
        case ENOTDIR: return Code::NotFound;
        case EEXIST:
        case ENOTEMPTY: return Code::Exists;
        case EACCES:
        case EPERM:
        case EROFS: return Code::Denied;
        default: return Code::Io;
    }
}

std::unexpected<Error> failed(std::string_view what, std::string_view path, int error) {
    return fail(code_of(error),
                std::string(what) + " " + std::string(path) + ": " + std::generic_category().message(error));
}

// The error of the operating system is not one that the process may survive.
[[noreturn]] void end_process(std::string_view event, const std::string& path, int error) {
    log::error(event, {"path", path}, {"error", std::generic_category().message(error)});
    std::abort();
}

template <class Call>
auto retried(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR) result = call();
    return result;
}

// The next parts as the kernel wants them, beginning `skip` octets into the first.
class Gather {
public:
    explicit Gather(std::span<const std::string_view> parts) : parts_(parts) { drop(0); }

    bool empty() const { return parts_.empty(); }

    std::span<const iovec> next() {
        const size_t count = std::min(parts_.size(), vectors_.size());
        for (size_t i = 0; i < count; ++i) {
            const std::string_view part = i == 0 ? parts_[0].substr(skip_) : parts_[i];
            vectors_[i] = {const_cast<char*>(part.data()), part.size()};
        }
        return std::span(vectors_).first(count);
    }
    void drop(size_t written) {
        skip_ += written;
        while (!parts_.empty() && skip_ >= parts_.front().size()) {
            skip_ -= parts_.front().size();
            parts_ = parts_.subspan(1);
        }
    }

private:
    std::span<const std::string_view> parts_;
    size_t skip_ = 0;
    std::array<iovec, 64> vectors_;
};

// 0, or the errno.
int write_all(int descriptor, uint64_t offset, std::span<const std::string_view> parts) {
    Gather gather(parts);
    while (!gather.empty()) {
        const std::span<const iovec> vectors = gather.next();
        const ssize_t count = retried([&] {
            return ::pwritev(descriptor, vectors.data(), static_cast<int>(vectors.size()), static_cast<off_t>(offset));
        });
        if (count < 0) return errno;
        offset += static_cast<uint64_t>(count);
        gather.drop(static_cast<size_t>(count));
    }
    return 0;
}

// What every file system of today that takes O_DIRECT asks of a write's place in the file and in memory.
constexpr size_t direct_alignment = 4096;

bool is_aligned(uint64_t offset, std::string_view octets) {
    return offset % direct_alignment == 0 && octets.size() % direct_alignment == 0 &&
           reinterpret_cast<uintptr_t>(octets.data()) % direct_alignment == 0;
}

// Writes past the page cache and returns when the device has it: one call, no copy. 0, or the errno.
int write_direct(int descriptor, uint64_t offset, std::string_view octets) {
    while (!octets.empty()) {
        const iovec vector{const_cast<char*>(octets.data()), octets.size()};
        const ssize_t count =
            retried([&] { return ::pwritev2(descriptor, &vector, 1, static_cast<off_t>(offset), RWF_DSYNC); });
        if (count < 0) return errno;
        offset += static_cast<uint64_t>(count);
        octets.remove_prefix(static_cast<size_t>(count));
    }
    return 0;
}

void sync_or_end(int descriptor, const std::string& path) {
    if (retried([&] { return ::fdatasync(descriptor); }) != 0) end_process("fdatasync_failed", path, errno);
}

class PosixFile : public File {
public:
    PosixFile(std::string path, int descriptor, Workers& workers, Workers& durable_writer)
        : path_(std::move(path)), descriptor_(descriptor), workers_(workers), durable_writer_(durable_writer) {}
    ~PosixFile() override {
        ::close(descriptor_);
        if (direct_ >= 0) ::close(direct_);
    }

    Task<void> write(uint64_t offset, std::span<const std::string_view> parts) override {
        const auto work = [this, offset, parts] { return write_all(descriptor_, offset, parts); };
        const int error = co_await OnWorker(workers_, work);
        if (error != 0) co_return failed("cannot write", path_, error);
        co_return done();
    }

    Task<void> write_durably(uint64_t offset, std::span<const std::string_view> parts) override {
        const auto work = [this, offset, parts] {
            if (parts.size() == 1 && is_aligned(offset, parts[0]) && open_direct()) {
                const int error = write_direct(direct_, offset, parts[0]);
                if (error != EINVAL && error != EOPNOTSUPP) return error;
                takes_direct_ = false;
            }
            const int error = write_all(descriptor_, offset, parts);
            if (error == 0) sync_or_end(descriptor_, path_);
            return error;
        };
        const int error = co_await OnWorker(durable_writer_, work);
        if (error == 0) co_return done();
        if (code_of(error) != Code::NoSpace) end_process("durable_write_failed", path_, error);
        co_return failed("cannot write", path_, error);
    }

    Task<size_t> read(uint64_t offset, std::span<std::byte> target) override {
        const auto work = [this, offset, target]() -> std::pair<size_t, int> {
            size_t filled = 0;
            while (filled < target.size()) {
                const ssize_t count = retried([&] {
                    return ::pread(descriptor_, target.data() + filled, target.size() - filled,
                                   static_cast<off_t>(offset + filled));
                });
                if (count < 0) return {filled, errno};
                if (count == 0) break;
                filled += static_cast<size_t>(count);
            }
            return {filled, 0};
        };
        const auto [filled, error] = co_await OnWorker(workers_, work);
        if (error != 0) co_return failed("cannot read", path_, error);
        co_return filled;
    }

    Task<void> sync() override {
        const auto work = [this] {
            sync_or_end(descriptor_, path_);
            return true;
        };
        co_await OnWorker(workers_, work);
        co_return done();
    }

    Task<void> truncate(uint64_t size_bytes) override {
        const auto work = [this, size_bytes] {
            const int result = retried([&] { return ::ftruncate(descriptor_, static_cast<off_t>(size_bytes)); });
            return result == 0 ? 0 : errno;
        };
        const int error = co_await OnWorker(workers_, work);
        if (error != 0) co_return failed("cannot truncate", path_, error);
        co_return done();
    }

    Task<uint64_t> size_bytes() override {
        struct stat facts{};
        if (::fstat(descriptor_, &facts) != 0) co_return failed("cannot stat", path_, errno);
        co_return static_cast<uint64_t>(facts.st_size);
    }

private:
    // A second descriptor of the same file, for aligned durable writes. False if the file system has no such thing.
    bool open_direct() {
        if (direct_ >= 0 || !takes_direct_) return takes_direct_;
        const std::string self = "/proc/self/fd/" + std::to_string(descriptor_);
        direct_ = retried([&] { return ::open(self.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC); });
        takes_direct_ = direct_ >= 0;
        return takes_direct_;
    }

    const std::string path_;
    const int descriptor_;
    int direct_ = -1;           // Used, like takes_direct_, by the durable writer's thread only ...
    bool takes_direct_ = true;  // ... until the last of its writes has ended.
    Workers& workers_;
    Workers& durable_writer_;
};

// The path as the *at() calls want it: the root itself is ".".
const char* relative(const std::string& path) { return path.empty() ? "." : path.c_str(); }

int flags_of(OpenMode mode) {
    switch (mode) {
        case OpenMode::Read: return O_RDONLY | O_CLOEXEC;
        case OpenMode::ReadWrite: return O_RDWR | O_CLOEXEC;
        case OpenMode::Create: return O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    }
    std::abort();
}

int make_all(int root, const std::string& path) {
    for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
        const std::string prefix = path.substr(0, end);
        if (!prefix.empty() && ::mkdirat(root, prefix.c_str(), 0700) != 0 && errno != EEXIST) return errno;
        if (end == std::string::npos) break;
    }
    // What is there by that name may be a file.
    struct stat facts{};
    if (::fstatat(root, relative(path), &facts, 0) != 0) return errno;
    return S_ISDIR(facts.st_mode) ? 0 : ENOTDIR;
}

std::pair<std::vector<std::string>, int> names_in(int root, const std::string& path) {
    std::vector<std::string> names;
    const int descriptor = ::openat(root, relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return {names, errno};
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(descriptor), ::closedir);
    if (!directory) {
        const int error = errno;
        ::close(descriptor);
        return {names, error};
    }
    errno = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
        errno = 0;
    }
    const int error = errno;
    std::ranges::sort(names);
    return {names, error};
}

int sync_directory_at(int root, const std::string& root_name, const std::string& path) {
    const int descriptor = ::openat(root, relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return errno;
    if (retried([&] { return ::fsync(descriptor); }) != 0) {
        end_process("directory_sync_failed", root_name + "/" + path, errno);
    }
    ::close(descriptor);
    return 0;
}

int remove_at(int root, const std::string& path) {
    if (::unlinkat(root, relative(path), 0) == 0) return 0;
    if (errno != EISDIR) return errno;  // Linux's word for a directory; EPERM means a file that is kept.
    return ::unlinkat(root, relative(path), AT_REMOVEDIR) == 0 ? 0 : errno;
}

}  // namespace

Result<std::unique_ptr<PosixDisk>> PosixDisk::open_root(std::string root, Options options) {
    const int descriptor = ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return failed("cannot open directory", root, errno);
    return std::unique_ptr<PosixDisk>(new PosixDisk(std::move(root), descriptor, options));
}

PosixDisk::PosixDisk(std::string root, int root_descriptor, Options options)
    : root_(std::move(root)),
      root_descriptor_(root_descriptor),
      workers_({.threads = options.threads, .spin_max = Duration(0)}),
      durable_writer_({.threads = 1, .spin_max = options.spin_max}) {}

PosixDisk::~PosixDisk() { ::close(root_descriptor_); }

Task<std::unique_ptr<File>> PosixDisk::open(std::string path, OpenMode mode) {
    const auto work = [this, &path, mode]() -> std::pair<int, int> {
        const int descriptor =
            retried([&] { return ::openat(root_descriptor_, relative(path), flags_of(mode), 0600); });
        return {descriptor, descriptor < 0 ? errno : 0};
    };
    const auto [descriptor, error] = co_await OnWorker(workers_, work);
    if (error != 0) co_return failed("cannot open", path, error);
    std::unique_ptr<File> file = std::make_unique<PosixFile>(path, descriptor, workers_, durable_writer_);
    co_return file;
}

Task<void> PosixDisk::make_directories(std::string path) {
    const auto work = [this, &path] { return make_all(root_descriptor_, path); };
    const int error = co_await OnWorker(workers_, work);
    if (error != 0) co_return failed("cannot make directory", path, error);
    co_return done();
}

Task<std::vector<std::string>> PosixDisk::list(std::string path) {
    const auto work = [this, &path] { return names_in(root_descriptor_, path); };
    auto [names, error] = co_await OnWorker(workers_, work);
    if (error != 0) co_return failed("cannot list", path, error);
    co_return std::move(names);
}

Task<void> PosixDisk::rename(std::string from, std::string to) {
    const auto work = [this, &from, &to] {
        return ::renameat(root_descriptor_, from.c_str(), root_descriptor_, to.c_str()) == 0 ? 0 : errno;
    };
    const int error = co_await OnWorker(workers_, work);
    if (error != 0) co_return failed("cannot rename " + from + " to", to, error);
    co_return done();
}

Task<void> PosixDisk::remove(std::string path) {
    const auto work = [this, &path] { return remove_at(root_descriptor_, path); };
    const int error = co_await OnWorker(workers_, work);
    if (error != 0) co_return failed("cannot remove", path, error);
    co_return done();
}

Task<void> PosixDisk::sync_directory(std::string path) {
    const auto work = [this, &path] { return sync_directory_at(root_descriptor_, root_, path); };
    const int error = co_await OnWorker(workers_, work);
    if (error != 0) co_return failed("cannot open directory", path, error);
    co_return done();
}

Task<uint64_t> PosixDisk::free_bytes() {
    const auto work = [this]() -> std::pair<uint64_t, int> {
        struct statvfs facts{};
        if (retried([&] { return ::fstatvfs(root_descriptor_, &facts); }) != 0) return {0, errno};
        return {uint64_t{facts.f_bavail} * facts.f_frsize, 0};
    };
    const auto [bytes, error] = co_await OnWorker(workers_, work);
    if (error != 0) co_return failed("cannot ask for the free space of", root_, error);
    co_return bytes;
}

}  // namespace polis::runtime
