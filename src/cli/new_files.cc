#include "cli/new_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace polis::cli {
namespace {

std::unexpected<Error> cannot(const std::string& what, const std::string& path, int error) {
    const Code code = error == EEXIST                     ? Code::Exists
                      : error == ENOSPC                   ? Code::NoSpace
                      : error == EACCES || error == EPERM ? Code::Denied
                                                          : Code::Io;
    return fail(code, "cannot " + what + " " + path + ": " + std::strerror(error));
}

int write_whole(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(descriptor, text.data(), text.size());
        if (count < 0 && errno != EINTR) return errno;
        if (count > 0) text.remove_prefix(static_cast<size_t>(count));
    }
    return ::fsync(descriptor) == 0 ? 0 : errno;
}

Result<void> write_new(const std::string& path, std::string_view text, mode_t mode) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (descriptor < 0) return cannot("make", path, errno);
    const int error = write_whole(descriptor, text);
    ::close(descriptor);
    if (error == 0) return {};
    ::unlink(path.c_str());
    return cannot("write", path, error);
}

Result<void> sync_folder_of(const std::string& path) {
    const std::string folder = std::filesystem::path(path).parent_path().string();
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return cannot("open", folder, errno);
    const int error = ::fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    if (error != 0) return cannot("sync", folder, error);
    return {};
}

}  // namespace

Result<void> NewFiles::write() const {
    for (const File& file : files_) {
        std::error_code error;
        const std::filesystem::path folder = std::filesystem::path(file.path).parent_path();
        if (std::filesystem::exists(std::filesystem::symlink_status(file.path, error))) {
            return fail(Code::Exists, file.path + " is there already, and nothing is ever overwritten");
        }
        if (!folder.empty()) std::filesystem::create_directories(folder, error);
        if (error) return cannot("make", folder.string(), error.value());
    }
    for (size_t made = 0; made < files_.size(); ++made) {
        const Result<void> written = write_new(files_[made].path, files_[made].text.reveal(), files_[made].mode);
        if (written) continue;
        for (size_t i = 0; i < made; ++i) ::unlink(files_[i].path.c_str());
        return written;
    }
    return {};
}

Result<void> NewFiles::replace() const {
    const auto beside = [](const File& file) { return file.path + ".new"; };
    for (size_t made = 0; made < files_.size(); ++made) {
        ::unlink(beside(files_[made]).c_str());  // Of a time when this was broken off.
        const Result<void> written = write_new(beside(files_[made]), files_[made].text.reveal(), files_[made].mode);
        if (written) continue;
        for (size_t i = 0; i < made; ++i) ::unlink(beside(files_[i]).c_str());
        return written;
    }
    for (const File& file : files_) {
        if (::rename(beside(file).c_str(), file.path.c_str()) != 0) {
            return fail(Code::Io, "cannot replace " + file.path + ": " + std::strerror(errno) +
                                      "; some of the files are new already: mend this and do it again");
        }
    }
    for (const File& file : files_) TRY(sync_folder_of(file.path));
    return {};
}

std::vector<std::string> NewFiles::paths() const {
    std::vector<std::string> paths;
    for (const File& file : files_) paths.push_back(file.path);
    return paths;
}

}  // namespace polis::cli
