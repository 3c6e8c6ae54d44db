#include "node/option_text.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <vector>

namespace polis::node {
namespace {

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const size_t comma = text.find(',');
        if (comma != 0) parts.emplace_back(text.substr(0, comma));
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    }
    return parts;
}

Result<std::map<std::string, std::string>> table_of(std::string_view text, std::string_view where) {
    std::map<std::string, std::string> table;
    for (const std::string& part : split(text)) {
        const size_t equals = part.find('=');
        if (equals == std::string::npos || equals == 0) {
            return fail(Code::Invalid, std::string(where) + " must be written name=text,name=text");
        }
        std::string& joined = table[part.substr(0, equals)];
        joined += (joined.empty() ? "" : ",") + part.substr(equals + 1);
    }
    return table;
}

// TOML's basic string (toml.io, v1.0.0): quotes, backslashes and control characters escaped.
std::string basic_string_of(std::string_view text) {
    std::string out = "\"";
    for (const char letter : text) {
        const auto octet = static_cast<unsigned char>(letter);
        if (letter == '"' || letter == '\\') {
            out += '\\';
            out += letter;
        } else if (octet < 0x20 || octet == 0x7f) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04X", octet);
            out += escaped;
        } else {
            out += letter;
        }
    }
    return out + "\"";
}

// How many octets the character at the front of `text` takes, or zero if it is none (RFC 3629, section 4).
size_t character_bytes(std::string_view text) {
    const auto octet = [text](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u; };
    const auto follows = [octet](size_t at, unsigned lowest = 0x80, unsigned highest = 0xbf) {
        return octet(at) >= lowest && octet(at) <= highest;
    };
    const unsigned first = octet(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        // Neither what fits into fewer octets nor a surrogate.
        const bool second = follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
        return second && follows(2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool second = follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
        return second && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const size_t bytes = character_bytes(text);
        if (bytes == 0) return false;
        text.remove_prefix(bytes);
    }
    return true;
}

// Levenshtein (1966), one row at a time.
size_t edits_between(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = std::exchange(row[0], i);
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row[b.size()];
}

std::string_view last_part(std::string_view key) { return key.substr(key.rfind('.') + 1); }

}  // namespace

const Option* find_option(std::string_view key) {
    const auto place = std::ranges::find(options(), key, &Option::key);
    return place == options().end() ? nullptr : &*place;
}

Result<void> check_bounds(const Option& option, int64_t number, std::string_view where) {
    if (number >= option.minimum && number <= option.maximum) return {};
    const std::string lowest = std::to_string(option.minimum);
    const std::string bounds = option.maximum == INT64_MAX
                                   ? "be at least " + lowest
                                   : "lie between " + lowest + " and " + std::to_string(option.maximum);
    return fail(Code::Invalid, std::string(where) + " must " + bounds);
}

Result<Value> value_of_text(const Option& option, std::string_view text, std::string_view where) {
    const Value like = option.get(Config());
    // A file could not hold it either.
    if (!is_utf8(text)) return fail(Code::Invalid, std::string(where) + " must be UTF-8");
    if (std::holds_alternative<std::string>(like)) return Value(std::string(text));
    if (std::holds_alternative<bool>(like)) {
        if (text != "true" && text != "false") {
            return fail(Code::Invalid, std::string(where) + " must be true or false");
        }
        return Value(text == "true");
    }
    if (std::holds_alternative<int64_t>(like)) {
        int64_t number = 0;
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
        if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
            return fail(Code::Invalid, std::string(where) + " must be a whole number");
        }
        TRY(check_bounds(option, number, where));
        return Value(number);
    }
    if (std::holds_alternative<std::vector<std::string>>(like)) return Value(split(text));
    LET(auto table, table_of(text, where));
    return Value(std::move(table));
}

std::string toml_of(const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return basic_string_of(*text);
    if (const auto* number = std::get_if<int64_t>(&value)) return std::to_string(*number);
    if (const auto* yes = std::get_if<bool>(&value)) return *yes ? "true" : "false";
    std::string out;
    if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
        for (const std::string& text : *texts) out += (out.empty() ? "" : ", ") + basic_string_of(text);
        return "[" + out + "]";
    }
    for (const auto& [name, text] : std::get<std::map<std::string, std::string>>(value)) {
        out += (out.empty() ? "" : ", ") + basic_string_of(name) + " = " + basic_string_of(text);
    }
    return out.empty() ? "{}" : "{ " + out + " }";
}

std::string suggestion(std::string_view key) {
    constexpr size_t key_bytes_max = 64;  // No option's is half as long; the search is quadratic.
    if (key.size() > key_bytes_max) return {};
    const Option* best = nullptr;
    size_t best_edits = key.size() / 3 + 1;  // What differs in more than a third is another word.
    for (const Option& option : options()) {
        // The right name in the wrong section is the commonest slip.
        const size_t edits = last_part(option.key) == last_part(key) ? 1 : edits_between(key, option.key);
        if (edits < best_edits) {
            best_edits = edits;
            best = &option;
        }
    }
    return best == nullptr ? "" : ": did you mean " + std::string(best->key) + "?";
}

}  // namespace polis::node
