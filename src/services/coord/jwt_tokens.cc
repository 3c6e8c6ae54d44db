#include "services/coord/jwt_tokens.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/ensure.h"

namespace polis::services {

namespace {

// A few kilobytes each; a client has one, and asks for the next when it is over.
constexpr size_t known_max = 10'000;
constexpr size_t token_bytes_max = 16u << 10;

int64_t seconds_of(WallTime time) { return std::chrono::floor<std::chrono::seconds>(time.since_epoch).count(); }

bool is_current(const JwtTokens::Claims& claims, WallTime now) {
    const int64_t second = seconds_of(now);
    return (!claims.ends || second < *claims.ends) && (!claims.begins || second >= *claims.begins);
}

/// A time claim, which may have a fraction (RFC 7519 NumericDate). False if there is one of another form.
bool take_date(const nlohmann::json& claims, const char* name, std::optional<int64_t>& into) {
    const auto found = claims.find(name);
    if (found == claims.end()) return true;
    if (!found->is_number()) return false;
    const double seconds = found->get<double>();
    constexpr double far = 1e15;  // 30 million years: what fits any further arithmetic.
    if (!(std::abs(seconds) < far)) return false;
    into = static_cast<int64_t>(std::floor(seconds));
    return true;
}

}  // namespace

std::optional<JwtTokens::Claims> parse_claims(std::string_view text) {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    const auto user = json.find("username");
    const auto revision = json.find("revision");
    if (user == json.end() || !user->is_string() || revision == json.end() || !revision->is_number())
        return std::nullopt;
    JwtTokens::Claims claims;
    claims.user = user->get<std::string>();
    // Go writes and reads it as a floating-point number.
    const double number = revision->get<double>();
    if (claims.user.empty() || !(number >= 0 && number < 9e15)) return std::nullopt;
    claims.revision = static_cast<uint64_t>(number);
    if (!take_date(json, "exp", claims.ends) || !take_date(json, "nbf", claims.begins)) return std::nullopt;
    return claims;
}

JwtTokens::JwtTokens(std::shared_ptr<const security::TokenKey> key, Duration ttl) : key_(std::move(key)), ttl_(ttl) {
    ENSURE(key_ != nullptr);
}

std::string JwtTokens::make(const std::string& user, uint64_t revision, WallTime now) const {
    const int64_t ends = seconds_of(now) + std::chrono::floor<std::chrono::seconds>(ttl_).count();
    const nlohmann::json claims = {{"username", user}, {"revision", revision}, {"exp", ends}};
    return key_->sign(claims.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
}

const JwtTokens::Claims* JwtTokens::find(const std::string& token, WallTime now) {
    if (const auto known = known_.find(token); known != known_.end()) {
        if (is_current(known->second, now)) return &known->second;
        known_.erase(known);
        return nullptr;
    }
    if (token.size() > token_bytes_max) return nullptr;
    const Result<std::string> verified = key_->verify(token);
    if (!verified) return nullptr;
    std::optional<Claims> claims = parse_claims(*verified);
    if (!claims || !is_current(*claims, now)) return nullptr;
    if (known_.size() >= known_max)
        std::erase_if(known_, [&](const auto& each) { return !is_current(each.second, now); });
    if (known_.size() >= known_max) known_.clear();
    return &known_.emplace(token, *std::move(claims)).first->second;
}

}  // namespace polis::services
