// TLS over real loopback connections, with certificates made on the spot.
#include "runtime/tls.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "runtime/epoll_reactor.h"
#include "runtime/network_testing.h"
#include "runtime/stream_testing.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

using namespace std::chrono_literals;
using namespace testing;

struct Certificate {
    EVP_PKEY* key;
    X509* x509;
    std::string certificate_file, key_file;
    ~Certificate() {
        EVP_PKEY_free(key);
        X509_free(x509);
    }
};

struct Wanted {
    std::string name;                 // Common name.
    std::string alternatives = {};    // "DNS:a,IP:127.0.0.1"; empty for a CA.
    long days = 1;                    // Negative: expired.
    const Certificate* by = nullptr;  // Null: signs itself.
};

// Makes files in a directory of its own, removed at the end.
class Issuer {
public:
    Issuer() {
        char path[] = "/tmp/polis-tls-XXXXXX";
        directory_ = ::mkdtemp(path);
    }
    ~Issuer() { std::filesystem::remove_all(directory_); }

    std::unique_ptr<Certificate> issue(const Wanted& wanted) {
        auto made = std::unique_ptr<Certificate>(
            new Certificate{EVP_EC_gen("P-256"), X509_new(), file(wanted.name + ".pem"), file(wanted.name + ".key")});
        X509* x509 = made->x509;
        X509_set_version(x509, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial_);
        X509_gmtime_adj(X509_getm_notBefore(x509), -3 * 86400);
        X509_gmtime_adj(X509_getm_notAfter(x509), wanted.days * 86400);
        X509_set_pubkey(x509, made->key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(wanted.name.c_str()), -1, -1, 0);
        X509_set_issuer_name(x509, X509_get_subject_name(wanted.by ? wanted.by->x509 : x509));
        const bool authority = wanted.alternatives.empty();
        extend(x509, NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
        if (!authority) extend(x509, NID_subject_alt_name, wanted.alternatives);
        X509_sign(x509, wanted.by ? wanted.by->key : made->key, EVP_sha256());
        save(*made);
        return made;
    }
    std::string file(const std::string& name) const { return directory_ + "/" + name; }

private:
    static void extend(X509* x509, int kind, const std::string& value) {
        X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
        X509_add_ext(x509, extension, -1);
        X509_EXTENSION_free(extension);
    }
    static void save(const Certificate& made) {
        std::FILE* out = std::fopen(made.certificate_file.c_str(), "w");
        PEM_write_X509(out, made.x509);
        std::fclose(out);
        out = std::fopen(made.key_file.c_str(), "w");
        PEM_write_PrivateKey(out, made.key, nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(out);
    }
    std::string directory_;
    long serial_ = 0;
};

class Tls : public ::testing::TestWithParam<Sockets> {
protected:
    TlsOptions server_options() const {
        return {.certificate_file = server_->certificate_file, .key_file = server_->key_file};
    }
    TlsOptions client_options() const { return {.trusted_ca_file = ca_->certificate_file}; }
    TlsOptions mutual_server_options() const {
        TlsOptions options = server_options();
        options.trusted_ca_file = ca_->certificate_file;
        options.require_peer_certificate = true;
        return options;
    }
    static std::shared_ptr<const TlsContext> server(const TlsOptions& options) {
        auto context = TlsContext::server(options);
        EXPECT_TRUE(context.has_value()) << context.error().what;
        return *context;
    }
    static std::shared_ptr<const TlsContext> client(const TlsOptions& options) {
        auto context = TlsContext::client(options);
        EXPECT_TRUE(context.has_value()) << context.error().what;
        return *context;
    }

    // Both ends of one connection and how the handshakes ended.
    struct Met {
        std::unique_ptr<Stream> client, server;
        Result<void> client_result, server_result;
    };
    static Task<void> accept_one(Listener& listener, Met& met) {
        CO_LET(met.server, co_await listener.accept());
        met.server_result = co_await listener.handshake(*met.server);
        // TLS 1.3: the client is through before the server has judged its certificate, so let it see an answer.
        if (met.server_result) co_return co_await met.server->write("welcome");
        met.server.reset();
        co_return done();
    }
    static Task<void> meet_on(Network& network, Listener& listener, std::shared_ptr<const TlsContext> tls, Met& met) {
        const Context here = co_await this_context();
        TaskGroup group(*here.reactor);
        group.spawn("accept", accept_one(listener, met));
        auto connected = co_await network.connect(listener.address(), std::move(tls));
        if (connected) {
            met.client = *std::move(connected);
            const auto welcome = co_await read_exactly(*met.client, 7);
            if (!welcome) met.client_result = std::unexpected(welcome.error());
        } else {
            met.client_result = std::unexpected(connected.error());
        }
        co_return co_await group.join();
    }
    Met meet(const TlsOptions& server_side, const TlsOptions& client_side, const std::string& host = "127.0.0.1") {
        const auto listener = network_.listen({host, 0}, server(server_side));
        EXPECT_TRUE(listener.has_value());
        Met met;
        EXPECT_TRUE(run(reactor_, meet_on(network_, **listener, client(client_side), met)));
        return met;
    }

    Issuer issuer_;
    std::unique_ptr<Certificate> ca_ = issuer_.issue({.name = "ca"});
    std::unique_ptr<Certificate> server_ =
        issuer_.issue({.name = "server", .alternatives = "DNS:node.example,IP:127.0.0.1", .by = ca_.get()});
    EpollReactor reactor_;
    std::unique_ptr<Network> made_network_ = make_network(GetParam(), reactor_);
    Network& network_ = *made_network_;
};

Task<void> exchange(Stream& client, Stream& server, size_t bytes) {
    const std::string octets = pattern(bytes);
    const Context here = co_await this_context();
    TaskGroup group(*here.reactor);
    group.spawn("echo", echo(server));
    group.spawn("write", [](Stream& to, const std::string& what) -> Task<void> {
        CO_TRY(co_await to.write(what));
        co_return co_await to.finish();
    }(client, octets));
    const auto answer = co_await read_to_end(client);
    if (!answer) client.close();
    CO_TRY(co_await group.join());
    if (!answer) co_return std::unexpected(answer.error());
    if (*answer != octets) co_return fail(Code::Corrupt, "the answer differs");
    co_return done();
}

TEST_P(Tls, CarriesSmallAndLargeBothWays) {
    for (const size_t bytes : {1u, 16384u, 16385u, 5u << 20}) {
        Met met = meet(server_options(), client_options());
        ASSERT_TRUE(met.client_result.has_value()) << met.client_result.error().what;
        const auto exchanged = run(reactor_, exchange(*met.client, *met.server, bytes));
        EXPECT_TRUE(exchanged.has_value()) << exchanged.error().what;
    }
}

TEST_P(Tls, GathersSmallAndLargePartsInOrder) {
    Met met = meet(server_options(), client_options());
    const std::string large = pattern(50'000);
    const std::vector<std::string_view> parts = {"a", large, "", "bc", large, "d"};
    std::string expected;
    for (const auto part : parts) expected += part;
    EXPECT_TRUE(run(reactor_, met.client->write(parts)));
    EXPECT_TRUE(run(reactor_, read_exactly(*met.server, expected.size())).value() == expected);
}

TEST_P(Tls, TellsNothingOfAnUnverifiedPeer) {
    const Met met = meet(server_options(), client_options());
    EXPECT_TRUE(met.server->peer().tls);
    EXPECT_EQ(met.server->peer().certificate_common_name, "");
    EXPECT_TRUE(met.server->peer().certificate_names.empty());
}

TEST_P(Tls, TellsTheServersNames) {
    const Met met = meet(server_options(), client_options());
    EXPECT_EQ(met.client->peer().certificate_common_name, "server");
    EXPECT_EQ(met.client->peer().certificate_names, (std::vector<std::string>{"node.example", "127.0.0.1"}));
}

TEST_P(Tls, TellsTheClientsNamesUnderMutualTls) {
    const auto alice = issuer_.issue({.name = "alice", .alternatives = "DNS:alice.example", .by = ca_.get()});
    TlsOptions options = client_options();
    options.certificate_file = alice->certificate_file;
    options.key_file = alice->key_file;
    const Met met = meet(mutual_server_options(), options);
    ASSERT_TRUE(met.server_result.has_value()) << met.server_result.error().what;
    EXPECT_EQ(met.server->peer().certificate_common_name, "alice");
    EXPECT_EQ(met.server->peer().certificate_names, (std::vector<std::string>{"alice.example"}));
}

TEST_P(Tls, RefusesAClientWithoutCertificate) {
    const Met met = meet(mutual_server_options(), client_options());
    ASSERT_FALSE(met.server_result.has_value());
    EXPECT_NE(met.server_result.error().what.find("peer did not return a certificate"), std::string::npos)
        << met.server_result.error().what;
    ASSERT_FALSE(met.client_result.has_value());
    EXPECT_NE(met.client_result.error().what.find("certificate required"), std::string::npos)
        << met.client_result.error().what;
}

TEST_P(Tls, TakesAClientWithoutCertificateWhereNoneIsRequired) {
    TlsOptions options = mutual_server_options();
    options.require_peer_certificate = false;
    const Met met = meet(options, client_options());
    EXPECT_TRUE(met.server_result.has_value());
    EXPECT_EQ(met.server->peer().certificate_common_name, "");
}

TEST_P(Tls, RefusesAClientOfAnotherAuthority) {
    const auto other = issuer_.issue({.name = "other-ca"});
    const auto mallory = issuer_.issue({.name = "mallory", .alternatives = "DNS:m", .by = other.get()});
    TlsOptions options = client_options();
    options.certificate_file = mallory->certificate_file;
    options.key_file = mallory->key_file;
    const Met met = meet(mutual_server_options(), options);
    EXPECT_FALSE(met.server_result.has_value());
    EXPECT_FALSE(met.client_result.has_value());
}

TEST_P(Tls, ClientRefusesAServerOfAnotherAuthority) {
    const auto other = issuer_.issue({.name = "other-ca"});
    const Met met = meet(server_options(), {.trusted_ca_file = other->certificate_file});
    ASSERT_FALSE(met.client_result.has_value());
    EXPECT_EQ(met.client_result.error().code, Code::Io);
    EXPECT_NE(met.client_result.error().what.find("certificate verify failed"), std::string::npos)
        << met.client_result.error().what;
    EXPECT_FALSE(met.server_result.has_value());
}

TEST_P(Tls, ClientRefusesAWrongName) {
    TlsOptions options = client_options();
    options.server_name = "other.example";
    const Met met = meet(server_options(), options);
    ASSERT_FALSE(met.client_result.has_value());
    EXPECT_NE(met.client_result.error().what.find("hostname mismatch"), std::string::npos)
        << met.client_result.error().what;
}

TEST_P(Tls, ClientRefusesAWrongIpAddress) {
    TlsOptions options = client_options();
    options.server_name = "127.0.0.2";
    const Met met = meet(server_options(), options);
    ASSERT_FALSE(met.client_result.has_value());
    EXPECT_NE(met.client_result.error().what.find("IP address mismatch"), std::string::npos)
        << met.client_result.error().what;
}

TEST_P(Tls, ClientRefusesAnExpiredServer) {
    const auto old = issuer_.issue({.name = "old", .alternatives = "IP:127.0.0.1", .days = -1, .by = ca_.get()});
    const Met met = meet({.certificate_file = old->certificate_file, .key_file = old->key_file}, client_options());
    ASSERT_FALSE(met.client_result.has_value());
    EXPECT_NE(met.client_result.error().what.find("certificate has expired"), std::string::npos)
        << met.client_result.error().what;
}

TEST_P(Tls, UnverifyingClientTakesAnyServerButTellsNothingOfIt) {
    const Met met = meet(server_options(), {.verify_server = false});
    EXPECT_TRUE(met.client_result.has_value());
    EXPECT_EQ(met.client->peer().certificate_common_name, "");
}

TEST_P(Tls, ServerChoosesTheProtocolItPrefers) {
    TlsOptions server_side = server_options(), client_side = client_options();
    server_side.alpn = {"h2", "http/1.1"};
    client_side.alpn = {"http/1.1", "h2"};
    const Met met = meet(server_side, client_side);
    EXPECT_EQ(met.server->peer().alpn, "h2");
    EXPECT_EQ(met.client->peer().alpn, "h2");
}

TEST_P(Tls, ServerRefusesAClientThatOffersOnlyUnknownProtocols) {
    TlsOptions server_side = server_options(), client_side = client_options();
    server_side.alpn = {"h2"};
    client_side.alpn = {"spdy/1"};
    const Met met = meet(server_side, client_side);
    EXPECT_FALSE(met.server_result.has_value());
    EXPECT_FALSE(met.client_result.has_value());
}

TEST_P(Tls, ClientWithoutProtocolsIsServed) {
    TlsOptions server_side = server_options();
    server_side.alpn = {"h2"};
    const Met met = meet(server_side, client_options());
    EXPECT_TRUE(met.client_result.has_value());
    EXPECT_EQ(met.server->peer().alpn, "");
}

TEST_P(Tls, ServerNameChoosesTheCertificate) {
    const auto shop = issuer_.issue({.name = "shop", .alternatives = "DNS:shop.example", .by = ca_.get()});
    const auto wild = issuer_.issue({.name = "wild", .alternatives = "DNS:*.wild.example", .by = ca_.get()});
    TlsOptions server_side = server_options();
    server_side.by_server_name = {{"shop.example", shop->certificate_file, shop->key_file},
                                  {"*.wild.example", wild->certificate_file, wild->key_file}};
    const auto chosen_for = [&](const std::string& name) {
        TlsOptions client_side = client_options();
        client_side.server_name = name;
        Met met = meet(server_side, client_side);
        EXPECT_TRUE(met.client_result.has_value()) << met.client_result.error().what;
        EXPECT_EQ(met.server->peer().server_name, name);
        return met.client->peer().certificate_common_name;
    };
    EXPECT_EQ(chosen_for("shop.example"), "shop");
    EXPECT_EQ(chosen_for("SHOP.example"), "shop");
    EXPECT_EQ(chosen_for("a.wild.example"), "wild");
    EXPECT_EQ(chosen_for("node.example"), "server");
}

// Choosing a certificate by SNI must not lift the demand for the client's (CVE-2025-23419).
TEST_P(Tls, ChoiceByServerNameKeepsTheDemandForClientCertificates) {
    const auto shop = issuer_.issue({.name = "shop", .alternatives = "DNS:shop.example", .by = ca_.get()});
    TlsOptions server_side = mutual_server_options(), client_side = client_options();
    server_side.by_server_name = {{"shop.example", shop->certificate_file, shop->key_file}};
    client_side.server_name = "shop.example";
    EXPECT_FALSE(meet(server_side, client_side).server_result.has_value());
}

TEST_P(Tls, ReloadedCertificateServesNewConnectionsAndLeavesOldOnesAlone) {
    const auto renewed = issuer_.issue({.name = "renewed", .alternatives = "IP:127.0.0.1", .by = ca_.get()});
    const auto listener = network_.listen({"127.0.0.1", 0}, server(server_options()));
    const auto tls = client(client_options());
    Met before, after;
    ASSERT_TRUE(run(reactor_, meet_on(network_, **listener, tls, before)));
    (*listener)->set_tls(server({.certificate_file = renewed->certificate_file, .key_file = renewed->key_file}));
    ASSERT_TRUE(run(reactor_, meet_on(network_, **listener, tls, after)));
    EXPECT_EQ(before.client->peer().certificate_common_name, "server");
    EXPECT_EQ(after.client->peer().certificate_common_name, "renewed");
    EXPECT_TRUE(run(reactor_, exchange(*before.client, *before.server, 1000)));
}

TEST_P(Tls, SilentClientDelaysNoOther) {
    const auto listener = network_.listen({"127.0.0.1", 0}, server(server_options()));
    TaskGroup servers(reactor_);
    servers.spawn("accept", serve_echo(**listener, servers));
    const auto silent = run(reactor_, network_.connect((*listener)->address(), nullptr));
    ASSERT_TRUE(silent.has_value());
    const auto other = run(reactor_, network_.connect((*listener)->address(), client(client_options())));
    ASSERT_TRUE(other.has_value()) << other.error().what;
    EXPECT_EQ(run(reactor_, ask(**other, "hello")).value(), "hello");
    EXPECT_TRUE(run(reactor_, servers.stop()));
}

TEST_P(Tls, HandshakeWithASilentPeerEndsAtTheDeadline) {
    const auto listener = network_.listen({"127.0.0.1", 0}, nullptr);
    const auto late = reactor_.now() + 5ms;
    const auto stream =
        run(reactor_, with_deadline(late, network_.connect((*listener)->address(), client(client_options()))));
    ASSERT_FALSE(stream.has_value());
    EXPECT_EQ(stream.error().code, Code::Timeout);
}

TEST_P(Tls, PlainTextIsRefused) {
    const auto listener = network_.listen({"127.0.0.1", 0}, server(server_options()));
    const auto refused = [](Network& network, Listener& on) -> Task<void> {
        CO_LET(auto plain, co_await network.connect(on.address(), nullptr));
        CO_LET(auto accepted, co_await on.accept());
        CO_TRY(co_await plain->write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        co_return co_await on.handshake(*accepted);
    };
    const auto result = run(reactor_, refused(network_, **listener));
    ASSERT_FALSE(result.has_value());
    EXPECT_NE(result.error().what.find("http request"), std::string::npos) << result.error().what;
}

TEST_P(Tls, UseBeforeTheHandshakeIsAnError) {
    const auto listener = network_.listen({"127.0.0.1", 0}, server(server_options()));
    auto pair = run(reactor_, [](Network& network, Listener& on) -> Task<Pair> {
        Pair made;
        CO_LET(made.client, co_await network.connect(on.address(), nullptr));
        CO_LET(made.server, co_await on.accept());
        co_return made;
    }(network_, **listener));
    std::array<std::byte, 10> room;
    EXPECT_EQ(run(reactor_, pair->server->read_some(room)).error().code, Code::Io);
    EXPECT_EQ(run(reactor_, pair->server->write("secret")).error().code, Code::Io);
}

// Without close_notify the end may have been forged by whoever cut the connection.
TEST_P(Tls, EndWithoutNoticeIsAnError) {
    Met met = meet(server_options(), client_options());
    met.server.reset();
    EXPECT_EQ(run(reactor_, read_to_end(*met.client)).error().code, Code::Io);
}

TEST_P(Tls, FinishIsSeenAsTheEnd) {
    Met met = meet(server_options(), client_options());
    EXPECT_TRUE(run(reactor_, met.server->finish()));
    EXPECT_EQ(run(reactor_, read_to_end(*met.client)).value(), "");
    EXPECT_TRUE(run(reactor_, met.client->write("one more thing")));
    EXPECT_EQ(run(reactor_, read_exactly(*met.server, 14)).value(), "one more thing");
}

// A client that speaks `version` at most, with OpenSSL's own sockets. True if its handshake succeeds.
bool handshake_with_version(uint16_t port, int version) {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_security_level(context, 0);  // Or it would not offer the old versions at all.
    BIO* connection = BIO_new_ssl_connect(context);
    BIO_set_conn_hostname(connection, ("127.0.0.1:" + std::to_string(port)).c_str());
    const bool connected = BIO_do_connect(connection) == 1;
    BIO_free_all(connection);
    SSL_CTX_free(context);
    return connected;
}

TEST_P(Tls, TakesTheVersionsThatItsOptionsSay) {
    const auto taken = [this](bool tls13_only, int version) {
        TlsOptions options = server_options();
        options.tls13_only = tls13_only;
        const auto listener = network_.listen({"127.0.0.1", 0}, server(options));
        TaskGroup servers(reactor_);
        servers.spawn("accept", serve_echo(**listener, servers));
        std::atomic<int> result = -1;
        std::thread client([&, port = (*listener)->address().port] {
            result = handshake_with_version(port, version) ? 1 : 0;
            reactor_.post([] {});
        });
        reactor_.run_until([&] { return result >= 0; });
        client.join();
        EXPECT_TRUE(run(reactor_, servers.stop()));
        return result == 1;
    };
    EXPECT_TRUE(taken(false, TLS1_3_VERSION));
    EXPECT_TRUE(taken(false, TLS1_2_VERSION));
    EXPECT_FALSE(taken(false, TLS1_1_VERSION));
    EXPECT_TRUE(taken(true, TLS1_3_VERSION));
    EXPECT_FALSE(taken(true, TLS1_2_VERSION));
}

TEST_P(Tls, NamesTheFileThatIsWrong) {
    std::ofstream(issuer_.file("garbage")) << "this is not PEM\n";
    const auto other = issuer_.issue({.name = "unrelated", .alternatives = "DNS:x", .by = ca_.get()});
    const auto expect_error = [](const TlsOptions& options, const std::string& file, const std::string& why) {
        const auto context = TlsContext::server(options);
        ASSERT_FALSE(context.has_value());
        EXPECT_EQ(context.error().code, Code::Invalid);
        EXPECT_NE(context.error().what.find(file), std::string::npos) << context.error().what;
        EXPECT_NE(context.error().what.find(why), std::string::npos) << context.error().what;
    };
    TlsOptions options = server_options();
    options.certificate_file = issuer_.file("absent");
    expect_error(options, options.certificate_file, "No such file");
    options.certificate_file = issuer_.file("garbage");
    expect_error(options, options.certificate_file, "no PEM certificate");
    options = server_options();
    options.key_file = issuer_.file("garbage");
    expect_error(options, options.key_file, "no usable PEM key");
    options.key_file = issuer_.file("absent");
    expect_error(options, options.key_file, "No such file");
    options.key_file = other->key_file;
    expect_error(options, options.certificate_file, "key does not match");
    options = server_options();
    options.trusted_ca_file = issuer_.file("garbage");
    expect_error(options, options.trusted_ca_file, "no PEM certificate");
    options.trusted_ca_file = "";
    options.require_peer_certificate = true;
    EXPECT_FALSE(TlsContext::server(options).has_value());
}

INSTANTIATE_TEST_SUITE_P(Network, Tls, ::testing::Values(Sockets::OnTheReactor, Sockets::OnThreads), name_of);

}  // namespace
}  // namespace polis::runtime
