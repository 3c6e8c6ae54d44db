// OpenSslContext: loaded TLS settings. Inside runtime/ only; others see TlsContext (stream.h).
#pragma once

#include <openssl/ssl.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/stream.h"

namespace polis::runtime {

struct FreeSslContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslContextPointer = std::unique_ptr<SSL_CTX, FreeSslContext>;
using SslPointer = std::unique_ptr<SSL, FreeSsl>;

/// Immutable once made, so that reactors may share it (OpenSSL counts references and locks inside).
class OpenSslContext : public TlsContext {
public:
    /// A connection in the accepting state. The pointer's context must outlive the handshake.
    SslPointer make_server() const;
    /// A connection in the connecting state that verifies `host` unless the options say otherwise.
    SslPointer make_client(const std::string& host) const;

private:
    friend class TlsContext;
    OpenSslContext(TlsOptions options, SslContextPointer context)
        : options_(std::move(options)), context_(std::move(context)) {}

    static int choose_certificate(SSL* ssl, int* alert, void* self);
    static int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_bytes, const unsigned char* in,
                               unsigned int in_bytes, void* self);

    TlsOptions options_;
    SslContextPointer context_;
    std::map<std::string, SslContextPointer, std::less<>> by_server_name_;  // Lower case.
};

/// What OpenSSL's error queue says, joined, newest cause last; empties the queue. `otherwise` if it is empty.
std::string take_openssl_errors(const std::string& otherwise);

}  // namespace polis::runtime
