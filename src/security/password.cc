#include "security/password.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include <charconv>
#include <memory>

#include "base/ensure.h"

namespace polis::security {
namespace {

constexpr size_t bcrypt_hash_characters = 60;

struct WipeCryptData {
    void operator()(crypt_data* data) const {
        OPENSSL_cleanse(data, sizeof(*data));
        delete data;
    }
};

bool is_acceptable(std::string_view password) {
    return !password.empty() && password.size() <= password_bytes_max && password.find('\0') == std::string_view::npos;
}

// Empty if crypt refuses `setting`.
std::string run_crypt(const Secret& password, const std::string& setting) {
    const std::unique_ptr<crypt_data, WipeCryptData> data(new crypt_data{});
    Secret terminated{std::string(password.reveal())};  // A std::string's text ends in a zero.
    const char* hash = crypt_rn(terminated.reveal().data(), setting.c_str(), data.get(), sizeof(*data));
    return hash != nullptr ? hash : "";
}

}  // namespace

Result<std::string> hash_password(const Secret& password, std::span<const std::byte, bcrypt_salt_bytes> salt,
                                  unsigned cost) {
    if (!is_acceptable(password.reveal())) {
        return fail(Code::Invalid,
                    "a password has 1.." + std::to_string(password_bytes_max) + " octets, none of them zero");
    }
    if (cost < 4 || cost > 31) return fail(Code::Invalid, "the bcrypt cost must be 4..31");
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    const char* made = crypt_gensalt_rn("$2a$", cost, reinterpret_cast<const char*>(salt.data()),
                                        static_cast<int>(salt.size()), setting, sizeof(setting));
    ENSURE(made != nullptr);
    std::string hash = run_crypt(password, setting);
    ENSURE(hash.size() == bcrypt_hash_characters);
    return hash;
}

bool verify_password(const Secret& password, std::string_view hash) {
    if (!cost_of_hash(hash) || !is_acceptable(password.reveal())) return false;
    const std::string again = run_crypt(password, std::string(hash));
    return equal_in_constant_time(again, hash);
}

Result<unsigned> cost_of_hash(std::string_view hash) {
    const auto invalid = [] { return fail(Code::Invalid, "not a bcrypt hash"); };
    if (hash.size() != bcrypt_hash_characters) return invalid();
    if (!hash.starts_with("$2a$") && !hash.starts_with("$2b$") && !hash.starts_with("$2y$")) return invalid();
    unsigned cost = 0;
    const auto [end, error] = std::from_chars(hash.data() + 4, hash.data() + 6, cost);
    if (error != std::errc() || end != hash.data() + 6 || hash[6] != '$' || cost < 4 || cost > 31) return invalid();
    return cost;
}

}  // namespace polis::security
