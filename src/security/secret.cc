#include "security/secret.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace polis::security {
namespace {

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    int number() const { return number_; }

private:
    int number_;
};

std::unexpected<Error> cannot_read(const std::string& path, int error) {
    return fail(error == ENOENT ? Code::NotFound : Code::Io, "cannot read " + path + ": " + std::strerror(error));
}

}  // namespace

void Secret::wipe(std::string& text) {
    // Short strings live inside the object, and a moved-from one may still hold its old octets there.
    text.resize(text.capacity());
    OPENSSL_cleanse(text.data(), text.size());
    text.clear();
}

Result<Secret> Secret::from_file(const std::string& path, size_t bytes_max) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.number() < 0) return cannot_read(path, errno);
    struct stat status{};
    if (::fstat(file.number(), &status) != 0) return cannot_read(path, errno);
    if ((status.st_mode & S_IROTH) != 0) {
        return fail(Code::Denied, path + " holds a secret, but everybody may read it: chmod o-r " + path);
    }
    std::string text(bytes_max + 1, '\0');
    size_t size = 0;
    while (size < text.size()) {
        const ssize_t count = ::read(file.number(), text.data() + size, text.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return cannot_read(path, errno);
        if (count == 0) break;
        size += static_cast<size_t>(count);
    }
    const bool too_long = size > bytes_max;
    text.resize(size);
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    Secret secret(std::move(text));
    if (too_long) return fail(Code::Invalid, path + " is longer than " + std::to_string(bytes_max) + " bytes");
    if (secret.empty()) return fail(Code::Invalid, path + " holds no secret: it is empty");
    return secret;
}

bool operator==(const Secret& a, const Secret& b) { return equal_in_constant_time(a.text_, b.text_); }

bool equal_in_constant_time(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace polis::security
