// Owners of OpenSSL objects, and its errors as text. For sources of security/ only.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace polis::security {

template <auto release>
struct Releases {
    template <class T>
    void operator()(T* object) const {
        release(object);
    }
};
using BioPointer = std::unique_ptr<BIO, Releases<&BIO_free_all>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Releases<&EVP_PKEY_free>>;
using CertificatePointer = std::unique_ptr<X509, Releases<&X509_free>>;
using DigestContextPointer = std::unique_ptr<EVP_MD_CTX, Releases<&EVP_MD_CTX_free>>;

/// Invalid, with `what` and the newest of OpenSSL's errors; empties its queue.
inline std::unexpected<Error> openssl_failure(const std::string& what) {
    const unsigned long code = ERR_peek_last_error();
    const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
    ERR_clear_error();
    return fail(Code::Invalid, reason != nullptr ? what + ": " + reason : what);
}

/// A BIO that reads `text`, which must outlive it.
inline BioPointer reading(std::string_view text) {
    return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// What has been written to a memory BIO.
inline std::string written(const BioPointer& bio) {
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    return std::string(text, static_cast<size_t>(size));
}

/// Answers OpenSSL's question for a passphrase with "none", instead of asking on the terminal.
inline int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace polis::security
