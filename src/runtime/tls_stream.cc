// TLS over any stream, with OpenSSL between two buffers of ours: it sees no socket.
#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/ensure.h"
#include "runtime/tls.h"
#include "runtime/tls_context.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

constexpr size_t record_bytes_max = 16u << 10;    // Plain text in one record (RFC 8446 section 5.1).
constexpr size_t unsent_bytes_max = 128u << 10;   // What is encrypted ahead of one write to the transport.
constexpr size_t input_bytes_initial = 4u << 10;  // Enough for a handshake's flights and small requests ...
constexpr size_t input_bytes_large = 64u << 10;   // ... and for those who fill that. Idle connections stay small.

std::string text_of(const ASN1_STRING* string) {
    unsigned char* octets = nullptr;
    const int size = ASN1_STRING_to_UTF8(&octets, string);
    if (size < 0) return "";
    std::string text(reinterpret_cast<char*>(octets), static_cast<size_t>(size));
    OPENSSL_free(octets);
    // "good.com\0.evil.com" must not pass for good.com anywhere.
    return text.find('\0') == std::string::npos ? text : "";
}

std::string common_name_of(const X509* certificate) {
    const X509_NAME* subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    return at < 0 ? "" : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

std::string ip_text_of(const ASN1_OCTET_STRING* octets) {
    char text[INET6_ADDRSTRLEN] = "";
    const int size = ASN1_STRING_length(octets);
    if (size != 4 && size != 16) return "";
    inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(octets), text, sizeof(text));
    return text;
}

std::vector<std::string> alternative_names_of(const X509* certificate) {
    std::vector<std::string> names;
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> list(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
        &GENERAL_NAMES_free);
    for (int i = 0; i < sk_GENERAL_NAME_num(list.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(list.get(), i);
        std::string text;
        if (name->type == GEN_DNS) text = text_of(name->d.dNSName);
        if (name->type == GEN_IPADD) text = ip_text_of(name->d.iPAddress);
        if (!text.empty()) names.push_back(std::move(text));
    }
    return names;
}

class TlsStream : public Stream {
public:
    TlsStream(std::unique_ptr<Stream> transport, std::shared_ptr<const TlsContext> context, SslPointer ssl);

    Task<void> handshake();
    Task<size_t> read_some(std::span<std::byte> target) override;
    Task<void> write(std::span<const std::string_view> parts) override;
    Task<void> finish() override;
    void close() override { transport_->close(); }
    const Peer& peer() const override { return peer_; }

private:
    struct BioMethod;
    static int bio_read(BIO* bio, char* target, int size);
    static int bio_write(BIO* bio, const char* octets, int size);
    static long bio_control(BIO* bio, int command, long, void*);

    size_t read_decrypted(std::span<std::byte> target);
    Result<void> encrypt(std::string_view octets);
    Task<void> fill();
    Task<void> flush();
    void learn_about_peer();
    Error failure(const std::string& doing, int ssl_error);
    Error not_ready() const { return {Code::Io, "TLS with " + to_string(peer_.address) + " is not established"}; }

    std::unique_ptr<Stream> transport_;
    std::shared_ptr<const TlsContext> context_;  // Its callbacks point into it.
    SslPointer ssl_;
    Peer peer_;
    bool established_ = false;

    std::vector<std::byte> input_;  // From the transport, [begin, end) not yet taken by OpenSSL.
    size_t input_begin_ = 0;
    size_t input_end_ = 0;
    bool transport_ended_ = false;

    std::string unsent_;   // From OpenSSL, for the transport ...
    std::string sending_;  // ... and what is on its way there.
    bool sending_now_ = false;
    bool output_broken_ = false;  // A write stopped half-way: records can no longer be told apart by the peer.
    Signal sent_;
    std::string record_;  // Small parts gathered into one record.
};

// OpenSSL's view of the two buffers.
struct TlsStream::BioMethod {
    BioMethod() : method(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "polis stream")) {
        ENSURE(method != nullptr);
        BIO_meth_set_read(method, &TlsStream::bio_read);
        BIO_meth_set_write(method, &TlsStream::bio_write);
        BIO_meth_set_ctrl(method, &TlsStream::bio_control);
    }
    BIO_METHOD* method;  // For ever.
};

TlsStream::TlsStream(std::unique_ptr<Stream> transport, std::shared_ptr<const TlsContext> context, SslPointer ssl)
    : transport_(std::move(transport)), context_(std::move(context)), ssl_(std::move(ssl)), peer_(transport_->peer()) {
    static const BioMethod method;
    BIO* bio = BIO_new(method.method);
    ENSURE(bio != nullptr);
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);  // Takes the one reference for both directions.
    peer_.tls = true;
}

int TlsStream::bio_read(BIO* bio, char* target, int size) {
    auto& self = *static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const size_t count = std::min(static_cast<size_t>(size), self.input_end_ - self.input_begin_);
    if (count == 0) {
        if (self.transport_ended_) return 0;
        BIO_set_retry_read(bio);
        return -1;
    }
    std::memcpy(target, self.input_.data() + self.input_begin_, count);
    self.input_begin_ += count;
    return static_cast<int>(count);
}

int TlsStream::bio_write(BIO* bio, const char* octets, int size) {
    BIO_clear_retry_flags(bio);
    static_cast<TlsStream*>(BIO_get_data(bio))->unsent_.append(octets, static_cast<size_t>(size));
    return size;
}

long TlsStream::bio_control(BIO* bio, int command, long, void*) {
    const auto& self = *static_cast<const TlsStream*>(BIO_get_data(bio));
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return self.transport_ended_ && self.input_begin_ == self.input_end_;
    return 0;
}

Task<void> TlsStream::handshake() {
    if (established_) co_return done();
    for (;;) {
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl_.get());
        if (result == 1) break;
        const int error = SSL_get_error(ssl_.get(), result);
        if (error != SSL_ERROR_WANT_READ) {
            const Error why = failure("handshake", error);
            // The alert tells the peer why; whether it arrives changes nothing for us.
            const Result<void> ignored = co_await flush();
            static_cast<void>(ignored);
            co_return std::unexpected(why);
        }
        CO_TRY(co_await flush());
        CO_TRY(co_await fill());
    }
    CO_TRY(co_await flush());
    established_ = true;
    learn_about_peer();
    co_return done();
}

Task<size_t> TlsStream::read_some(std::span<std::byte> target) {
    ENSURE(!target.empty());
    if (!established_) co_return std::unexpected(not_ready());
    for (;;) {
        ERR_clear_error();
        size_t count = 0;
        const int result = SSL_read_ex(ssl_.get(), target.data(), target.size(), &count);
        const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
        if (result == 1) count += read_decrypted(target.subspan(count));
        // A read may answer something (KeyUpdate). A write under way takes it along; waiting for that could last.
        if (!unsent_.empty() && !sending_now_) CO_TRY(co_await flush());
        if (result == 1) co_return count;
        if (error == SSL_ERROR_ZERO_RETURN) co_return 0;
        if (error != SSL_ERROR_WANT_READ) co_return std::unexpected(failure("read", error));
        CO_TRY(co_await fill());
    }
}

// What is left in whole records that have arrived; a failure shows again at the next read.
size_t TlsStream::read_decrypted(std::span<std::byte> target) {
    size_t total = 0;
    while (total < target.size()) {
        size_t count = 0;
        ERR_clear_error();
        if (SSL_read_ex(ssl_.get(), target.data() + total, target.size() - total, &count) != 1) break;
        total += count;
    }
    return total;
}

Task<void> TlsStream::write(std::span<const std::string_view> parts) {
    if (!established_) co_return std::unexpected(not_ready());
    for (std::string_view part : parts) {
        while (!part.empty()) {
            if (record_.empty() && part.size() >= record_bytes_max) {
                CO_TRY(encrypt(part.substr(0, record_bytes_max)));
                part.remove_prefix(record_bytes_max);
            } else {
                const size_t count = std::min(part.size(), record_bytes_max - record_.size());
                record_.append(part.substr(0, count));
                part.remove_prefix(count);
                if (record_.size() == record_bytes_max) {
                    CO_TRY(encrypt(record_));
                    record_.clear();
                }
            }
            if (unsent_.size() >= unsent_bytes_max) CO_TRY(co_await flush());
        }
    }
    if (!record_.empty()) CO_TRY(encrypt(record_));
    record_.clear();
    co_return co_await flush();
}

Result<void> TlsStream::encrypt(std::string_view octets) {
    ENSURE(octets.size() <= record_bytes_max);
    ERR_clear_error();
    size_t count = 0;
    const int result = SSL_write_ex(ssl_.get(), octets.data(), octets.size(), &count);
    if (result != 1) return std::unexpected(failure("write", SSL_get_error(ssl_.get(), result)));
    ENSURE(count == octets.size());  // Our output buffer is never full.
    return {};
}

Task<void> TlsStream::finish() {
    if (!established_) co_return std::unexpected(not_ready());
    ERR_clear_error();
    SSL_shutdown(ssl_.get());  // Queues close_notify; it cannot fail in a way that would matter now.
    CO_TRY(co_await flush());
    co_return co_await transport_->finish();
}

Task<void> TlsStream::fill() {
    ENSURE(input_begin_ == input_end_);
    if (input_.empty()) input_.resize(input_bytes_initial);
    CO_LET(const size_t count, co_await transport_->read_some(input_));
    input_begin_ = 0;
    input_end_ = count;
    transport_ended_ = count == 0;
    if (count < input_.size() || input_.size() >= input_bytes_large) co_return done();
    std::vector<std::byte> larger(input_bytes_large);
    std::ranges::copy(input_, larger.begin());
    input_ = std::move(larger);
    co_return done();
}

// Sends what is unsent; one at a time, whoever comes second waits for the first.
Task<void> TlsStream::flush() {
    while (sending_now_ || !unsent_.empty()) {
        if (output_broken_) {
            co_return fail(Code::Io, "an earlier write to " + to_string(peer_.address) + " was cut short");
        }
        if (sending_now_) {
            CO_TRY(co_await sent_.wait());
            continue;
        }
        sending_now_ = true;
        sending_.swap(unsent_);
        const Result<void> written = co_await transport_->write(sending_);
        sending_.clear();
        sending_now_ = false;
        output_broken_ = !written.has_value();
        sent_.notify_all();
        CO_TRY(written);
    }
    if (sending_.capacity() > 2 * unsent_bytes_max) sending_.shrink_to_fit();
    co_return done();
}

void TlsStream::learn_about_peer() {
    const unsigned char* alpn = nullptr;
    unsigned int alpn_bytes = 0;
    SSL_get0_alpn_selected(ssl_.get(), &alpn, &alpn_bytes);
    peer_.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_bytes);
    const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    if (name != nullptr) peer_.server_name = name;

    const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    const bool verified =
        (SSL_get_verify_mode(ssl_.get()) & SSL_VERIFY_PEER) != 0 && SSL_get_verify_result(ssl_.get()) == X509_V_OK;
    if (certificate == nullptr || !verified) return;
    peer_.certificate_common_name = common_name_of(certificate);
    peer_.certificate_names = alternative_names_of(certificate);
}

Error TlsStream::failure(const std::string& doing, int ssl_error) {
    std::string why = take_openssl_errors(ssl_error == SSL_ERROR_SYSCALL || transport_ended_
                                              ? "the peer closed the connection"
                                              : "protocol error " + std::to_string(ssl_error));
    const long verified = SSL_get_verify_result(ssl_.get());
    if (verified != X509_V_OK && (SSL_get_verify_mode(ssl_.get()) & SSL_VERIFY_PEER) != 0) {
        why += std::string(": ") + X509_verify_cert_error_string(verified);
    }
    return {Code::Io, "TLS " + doing + " with " + to_string(peer_.address) + ": " + why};
}

}  // namespace

std::unique_ptr<Stream> make_tls_server_stream(std::unique_ptr<Stream> transport,
                                               std::shared_ptr<const TlsContext> context) {
    SslPointer ssl = static_cast<const OpenSslContext&>(*context).make_server();
    return std::make_unique<TlsStream>(std::move(transport), std::move(context), std::move(ssl));
}

Task<void> tls_handshake(Stream& stream) {
    auto* tls = dynamic_cast<TlsStream*>(&stream);
    if (tls == nullptr) co_return done();
    co_return co_await tls->handshake();
}

Task<std::unique_ptr<Stream>> tls_connect(std::unique_ptr<Stream> transport, std::shared_ptr<const TlsContext> context,
                                          std::string host) {
    SslPointer ssl = static_cast<const OpenSslContext&>(*context).make_client(host);
    auto stream = std::make_unique<TlsStream>(std::move(transport), std::move(context), std::move(ssl));
    CO_TRY(co_await stream->handshake());
    co_return stream;
}

}  // namespace polis::runtime
