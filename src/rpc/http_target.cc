#include "rpc/http_target.h"

#include "base/ascii.h"

namespace polis::rpc {
namespace {

std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
    std::string decoded;
    decoded.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_space) {
            decoded += ' ';
        } else if (text[i] != '%') {
            decoded += text[i];
        } else {
            if (i + 2 >= text.size()) return std::nullopt;
            const int high = hex_value(text[i + 1]);
            const int low = hex_value(text[i + 2]);
            if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
            decoded += static_cast<char>(high << 4 | low);
            i += 2;
        }
    }
    return decoded;
}

bool add_parameters(std::string_view text, HttpTarget& target) {
    while (!text.empty()) {
        const size_t end = text.find('&');
        const std::string_view pair = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (pair.empty()) continue;
        const size_t equals = pair.find('=');
        std::optional<std::string> name = decode(pair.substr(0, equals), true);
        std::optional<std::string> value =
            decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
        if (!name || !value) return false;
        target.query.insert_or_assign(*std::move(name), *std::move(value));
    }
    return true;
}

}  // namespace

std::optional<HttpTarget> parse_target(std::string_view text) {
    if (text == "*") return HttpTarget{"*", {}};
    if (!text.starts_with('/')) return std::nullopt;
    const size_t question = text.find('?');
    std::optional<std::string> path = decode(text.substr(0, question), false);
    if (!path) return std::nullopt;
    HttpTarget target{*std::move(path), {}};
    if (question != std::string_view::npos && !add_parameters(text.substr(question + 1), target)) return std::nullopt;
    return target;
}

}  // namespace polis::rpc
