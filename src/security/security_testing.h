// Keys and files for tests of security/. For tests only.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "security/openssl_pointers.h"
#include "security/secret.h"

namespace polis::security::testing {

/// A directory that is gone afterwards.
class Directory {
public:
    Directory() {
        char path[] = "/tmp/polis-security-XXXXXX";
        path_ = ::mkdtemp(path);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() { std::filesystem::remove_all(path_); }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

inline Secret private_pem(EVP_PKEY* key) {
    const BioPointer text(BIO_new(BIO_s_mem()));
    PEM_write_bio_PKCS8PrivateKey(text.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return Secret(written(text));
}
inline std::string public_pem(EVP_PKEY* key) {
    const BioPointer text(BIO_new(BIO_s_mem()));
    PEM_write_bio_PUBKEY(text.get(), key);
    return written(text);
}

}  // namespace polis::security::testing
