#include "node/auth_token.h"

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "node/duration.h"
#include "security/secret.h"

namespace polis::node {
namespace {

using security::Secret;
using security::TokenAlgorithm;
using security::TokenKey;

using Settings = std::map<std::string, std::string, std::less<>>;

std::unexpected<Error> invalid(const std::string& etcd_text, const std::string& more) {
    return fail(Code::Invalid, "auth: " + etcd_text + ": " + more);
}

Result<Settings> parse_settings(std::string_view text) {
    Settings settings;
    for (bool more = true; more;) {
        const size_t comma = text.find(',');
        const std::string_view field = text.substr(0, comma);
        more = comma != std::string_view::npos;
        text.remove_prefix(more ? comma + 1 : text.size());
        const size_t equals = field.find('=');
        const std::string_view name = field.substr(0, equals);
        if (equals == std::string_view::npos)
            return invalid("invalid auth options", "\"" + std::string(field) + "\" is not name=value");
        if (name != "pub-key" && name != "priv-key" && name != "sign-method" && name != "ttl")
            return invalid("invalid auth options", "\"" + std::string(name) + "\" is not known");
        if (!settings.emplace(name, field.substr(equals + 1)).second)
            return invalid("invalid auth options", "\"" + std::string(name) + "\" is there twice");
    }
    return settings;
}

/// What is set under `name`; empty if nothing is.
std::string setting(const Settings& settings, std::string_view name) {
    const auto found = settings.find(name);
    return found == settings.end() ? std::string() : found->second;
}

/// A file that anybody may read, unlike one with a secret.
Result<std::string> read_public_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (!file.good() && !file.eof()) return fail(Code::Io, "cannot read " + path);
    if (text.empty()) return fail(Code::Invalid, path + " is empty, or cannot be read");
    return text;
}

bool is_symmetric(TokenAlgorithm algorithm) { return security::name_of(algorithm).starts_with("HS"); }

Result<TokenKey> load_key(TokenAlgorithm algorithm, const Settings& settings) {
    const std::string private_file = setting(settings, "priv-key");
    const std::string public_file = setting(settings, "pub-key");
    if (private_file.empty()) {
        if (is_symmetric(algorithm))
            return invalid("missing key data", "priv-key must name the file with the shared secret");
        if (public_file.empty()) return invalid("missing key data", "pub-key or priv-key must name a PEM file");
        LET(const std::string pem, read_public_file(public_file));
        return TokenKey::verifying(algorithm, pem);
    }
    LET(const Secret secret, Secret::from_file(private_file));
    LET(TokenKey signing, TokenKey::signing(algorithm, secret));
    if (!public_file.empty() && !is_symmetric(algorithm)) {
        LET(const std::string pem, read_public_file(public_file));
        LET(const TokenKey verifying, TokenKey::verifying(algorithm, pem));
        if (!verifying.verify(signing.sign("{}")))
            return invalid("public and private keys don't match", "give both of one pair, or priv-key alone");
    }
    return signing;
}

}  // namespace

Result<AuthToken> load_auth_token(std::string_view option) {
    if (option == "simple" || option.empty()) return AuthToken();
    constexpr std::string_view prefix = "jwt,";
    if (!option.starts_with(prefix))
        return invalid("invalid auth options", "neither \"simple\" nor \"jwt,sign-method=...,priv-key=...\"");
    LET(const Settings settings, parse_settings(option.substr(prefix.size())));
    const auto algorithm = security::token_algorithm_named(setting(settings, "sign-method"));
    if (!algorithm) return invalid("invalid auth signature method", algorithm.error().what);
    AuthToken token;
    if (const std::string ttl = setting(settings, "ttl"); !ttl.empty()) {
        const Result<Duration> span = parse_duration(ttl);
        if (!span || *span < std::chrono::seconds(1))
            return invalid("invalid auth options", "ttl must be a duration of a second or more, such as 5m");
        token.ttl = *span;
    }
    LET(TokenKey key, load_key(*algorithm, settings));
    token.key = std::make_shared<const TokenKey>(std::move(key));
    return token;
}

}  // namespace polis::node
