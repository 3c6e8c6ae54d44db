#include "rpc/header_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace polis::rpc {
namespace {

constexpr unsigned bit_of(FieldName pseudo) { return 1u << static_cast<unsigned>(pseudo); }
constexpr unsigned required = bit_of(FieldName::Method) | bit_of(FieldName::Scheme) | bit_of(FieldName::Path);

// RFC 9110, section 5.6.2, without the upper case that HTTP/2 forbids.
constexpr std::array<bool, 256> name_octets = [] {
    std::array<bool, 256> octets{};
    for (const char octet : std::string_view("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"))
        octets[static_cast<uint8_t>(octet)] = true;
    return octets;
}();

bool is_name(std::string_view name) {
    return !name.empty() &&
           std::ranges::all_of(name, [](char octet) { return name_octets[static_cast<uint8_t>(octet)]; });
}

// Whether one of the eight octets is below 0x0e: subtracting borrows into its highest bit, which was not set.
bool holds_control(uint64_t octets) {
    constexpr uint64_t ones = 0x0101010101010101;
    return ((octets - ones * 0x0e) & ~octets & ones * 0x80) != 0;
}

bool holds_forbidden(std::string_view value) {
    return std::ranges::any_of(value, [](char octet) { return octet == '\0' || octet == '\r' || octet == '\n'; });
}

// No zero, CR or LF. Eight octets are looked at as one word; the few values with a control character octet by octet.
bool is_value(std::string_view value) {
    constexpr size_t word_bytes = sizeof(uint64_t);
    if (value.size() < word_bytes) return !holds_forbidden(value);
    const auto word_at = [value](size_t place) {
        uint64_t word = 0;
        std::memcpy(&word, value.data() + place, word_bytes);
        return word;
    };
    bool suspicious = holds_control(word_at(value.size() - word_bytes));
    for (size_t place = 0; place + word_bytes <= value.size(); place += word_bytes)
        suspicious |= holds_control(word_at(place));
    return !suspicious || !holds_forbidden(value);
}

// The length has been looked at already: what is compared is a constant number of octets.
template <size_t size>
bool is(std::string_view name, const char (&expected)[size]) {
    return std::memcmp(name.data(), expected, size - 1) == 0;
}

}  // namespace

FieldName field_name(std::string_view name) {
    if (name.empty()) return FieldName::Other;
    const FieldName otherwise = name.front() == ':' ? FieldName::OtherPseudo : FieldName::Other;
    switch (name.size()) {
        case 2: return is(name, "te") ? FieldName::Te : otherwise;
        case 5: return is(name, ":path") ? FieldName::Path : otherwise;
        case 7:
            if (is(name, ":method")) return FieldName::Method;
            if (is(name, ":scheme")) return FieldName::Scheme;
            return is(name, "upgrade") ? FieldName::OfConnection : otherwise;
        case 10:
            if (is(name, ":authority")) return FieldName::Authority;
            return is(name, "connection") || is(name, "keep-alive") ? FieldName::OfConnection : otherwise;
        case 12:
            if (is(name, "content-type")) return FieldName::ContentType;
            return is(name, "grpc-timeout") ? FieldName::GrpcTimeout : otherwise;
        case 13: return is(name, "grpc-encoding") ? FieldName::GrpcEncoding : otherwise;
        case 14: return is(name, "content-length") ? FieldName::ContentLength : otherwise;
        case 16: return is(name, "proxy-connection") ? FieldName::OfConnection : otherwise;
        case 17: return is(name, "transfer-encoding") ? FieldName::OfConnection : otherwise;
        case 20: return is(name, "grpc-accept-encoding") ? FieldName::GrpcAcceptEncoding : otherwise;
        default: return otherwise;
    }
}

bool HeaderRules::admit(const NamedField& field) {
    if (malformed_) return false;
    if (field.known <= FieldName::OtherPseudo) {
        malformed_ = regular_began_ || !admit_pseudo(field);
        return !malformed_;
    }
    regular_began_ = true;
    malformed_ =
        !admit_trailer(field) || (field.known == FieldName::ContentLength && !admit_content_length(field.value));
    return !malformed_;
}

bool HeaderRules::admit_trailer(const NamedField& field) {
    if (malformed_) return false;
    switch (field.known) {
        case FieldName::Te: malformed_ = field.value != "trailers"; break;
        case FieldName::Other: malformed_ = !is_name(field.name) || !is_value(field.value); break;
        default: malformed_ = field.known <= FieldName::OfConnection || !is_value(field.value); break;
    }
    return !malformed_;
}

bool HeaderRules::admit_pseudo(const NamedField& field) {
    if (field.known == FieldName::OtherPseudo || !is_value(field.value)) return false;
    const unsigned bit = bit_of(field.known);
    if (seen_ & bit) return false;
    seen_ = static_cast<uint8_t>(seen_ | bit);
    return !field.value.empty() || field.known == FieldName::Authority;
}

bool HeaderRules::admit_content_length(std::string_view value) {
    uint64_t bytes = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bytes);
    // Digits alone: no sign, no list of equal values, which only a proxy would make. And said once.
    if (error != std::errc() || end != value.data() + value.size() || content_length_) return false;
    content_length_ = bytes;
    return true;
}

bool HeaderRules::is_complete() const { return !malformed_ && (seen_ & required) == required; }

}  // namespace polis::rpc
