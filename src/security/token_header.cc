#include "security/token_header.h"

#include <optional>
#include <string>

namespace polis::security {
namespace {

// A reader of one flat JSON object. Values that do not matter are skipped, nesting counted.
class Reader {
public:
    explicit Reader(std::string_view text) : rest_(text) {}

    bool take(char letter) {
        skip_space();
        if (!rest_.starts_with(letter)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool at_end() {
        skip_space();
        return rest_.empty();
    }
    // Without its quotes; nothing if there is none here or it holds an escape or a control character.
    std::optional<std::string_view> take_plain_string() {
        if (!take('"')) return std::nullopt;
        for (size_t i = 0; i < rest_.size(); ++i) {
            if (rest_[i] == '\\' || static_cast<unsigned char>(rest_[i]) < 0x20) return std::nullopt;
            if (rest_[i] != '"') continue;
            const std::string_view text = rest_.substr(0, i);
            rest_.remove_prefix(i + 1);
            return text;
        }
        return std::nullopt;
    }
    // Any value; false if it does not end, or its brackets do not match.
    bool skip_value() {
        skip_space();
        const std::string_view before = rest_;
        std::string closers;  // Of what is open, the innermost last.
        while (!rest_.empty()) {
            const char letter = rest_.front();
            if (closers.empty() && (letter == ',' || letter == '}')) return rest_.size() < before.size();
            if (letter == '"') {
                if (!skip_string()) return false;
                continue;
            }
            if (letter == '{' || letter == '[') closers += letter == '{' ? '}' : ']';
            if (letter == '}' || letter == ']') {
                if (closers.empty() || closers.back() != letter) return false;
                closers.pop_back();
            }
            rest_.remove_prefix(1);
        }
        return false;
    }

private:
    void skip_space() {
        const size_t from = rest_.find_first_not_of(" \t\r\n");
        rest_.remove_prefix(from == std::string_view::npos ? rest_.size() : from);
    }
    bool skip_string() {
        for (size_t i = 1; i < rest_.size(); ++i) {
            if (rest_[i] == '\\') {
                ++i;
            } else if (rest_[i] == '"') {
                rest_.remove_prefix(i + 1);
                return true;
            }
        }
        return false;
    }
    std::string_view rest_;
};

}  // namespace

Result<TokenHeader> parse_token_header(std::string_view json) {
    const auto invalid = [] { return fail(Code::Invalid, "the token's header is not a JSON object as expected"); };
    Reader reader(json);
    TokenHeader header;
    bool has_algorithm = false;
    if (!reader.take('{')) return invalid();
    bool more = !reader.take('}');
    while (more) {
        const auto name = reader.take_plain_string();
        if (!name || !reader.take(':')) return invalid();
        if (*name == "alg") {
            const auto value = reader.take_plain_string();
            if (!value || has_algorithm) return invalid();  // Twice: readers differ in which one counts.
            has_algorithm = true;
            header.algorithm = *value;
        } else {
            header.has_critical = header.has_critical || *name == "crit";
            if (!reader.skip_value()) return invalid();
        }
        more = reader.take(',');
        if (!more && !reader.take('}')) return invalid();
    }
    if (!reader.at_end() || !has_algorithm) return invalid();
    return header;
}

}  // namespace polis::security
