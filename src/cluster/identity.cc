#include "cluster/identity.h"

#include <openssl/sha.h>

#include <charconv>
#include <cstring>
#include <map>
#include <string_view>

namespace polis::cluster {
namespace {

constexpr char file_name[] = "node.toml";
constexpr uint64_t file_bytes_max = 64u << 10;

std::string hex(uint64_t value) {
    char digits[20];
    std::snprintf(digits, sizeof digits, "%016lx", static_cast<unsigned long>(value));
    return digits;
}

// The file is TOML of the plainest kind, `name = value` lines: what this program writes itself.
std::map<std::string, std::string, std::less<>> lines_of(std::string_view text) {
    std::map<std::string, std::string, std::less<>> values;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const size_t equals = line.find(" = ");
        if (line.starts_with('#') || equals == std::string_view::npos) continue;
        std::string_view value = line.substr(equals + 3);
        if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
        values.emplace(line.substr(0, equals), value);
    }
    return values;
}

Result<uint64_t> number_in(const std::map<std::string, std::string, std::less<>>& values, std::string_view name,
                           int base) {
    const auto place = values.find(name);
    uint64_t value = 0;
    if (place != values.end()) {
        const char* end = place->second.data() + place->second.size();
        const auto parsed = std::from_chars(place->second.data(), end, value, base);
        if (parsed.ec == std::errc() && parsed.ptr == end) return value;
    }
    return fail(Code::Corrupt, std::string(file_name) + ": " + std::string(name) + " is missing or no number");
}

constexpr std::string_view founder_prefix = "founder-";

Result<uint64_t> hex_number(std::string_view text) {
    uint64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) return value;
    return fail(Code::Corrupt, std::string(file_name) + ": \"" + std::string(text) + "\" is no number");
}

}  // namespace

runtime::Task<std::optional<Identity>> load_identity(runtime::World world) {
    const Result<std::string> text = co_await runtime::read_file(world.disk, file_name, file_bytes_max);
    if (!text && text.error().code == Code::NotFound) co_return std::optional<Identity>();
    if (!text) co_return std::unexpected(text.error());
    const auto values = lines_of(*text);
    Identity identity;
    CO_LET(const uint64_t format, number_in(values, "format", 10));
    if (format != identity.format) {
        co_return fail(Code::Corrupt, "the data directory is of format " + std::to_string(format) +
                                          ", this release reads format 1: start the release that wrote it");
    }
    CO_LET(const uint64_t cluster, number_in(values, "cluster", 16));
    CO_LET(const uint64_t node, number_in(values, "node", 16));
    CO_LET(identity.incarnation, number_in(values, "incarnation", 16));
    CO_LET(identity.boot, number_in(values, "boot", 10));
    identity.cluster = ClusterId{cluster};
    identity.node = NodeId{node};
    if (const auto place = values.find("consensus"); place != values.end()) identity.consensus = place->second;
    if (const auto place = values.find("founding"); place != values.end()) identity.founding = place->second == "true";
    for (auto line = values.lower_bound(founder_prefix); line != values.end(); ++line) {
        if (!line->first.starts_with(founder_prefix)) break;
        CO_LET(const uint64_t founder, hex_number(std::string_view(line->first).substr(founder_prefix.size())));
        CO_LET(const uint64_t incarnation, hex_number(line->second));
        identity.founders[NodeId{founder}] = incarnation;
    }
    co_return std::optional(identity);
}

runtime::Task<void> save_identity(runtime::World world, Identity identity) {
    std::string text =
        "# Who this node is. Written by polis; a change of it makes the node a stranger to its cluster.\n";
    text += "format = " + std::to_string(identity.format) + "\n";
    text += "cluster = \"" + hex(number_of(identity.cluster)) + "\"\n";
    text += "node = \"" + hex(number_of(identity.node)) + "\"\n";
    text += "incarnation = \"" + hex(identity.incarnation) + "\"\n";
    text += "consensus = \"" + identity.consensus + "\"\n";
    text += "boot = " + std::to_string(identity.boot) + "\n";
    if (identity.founding) text += "founding = true\n";
    for (const auto& [founder, incarnation] : identity.founders) {
        text += std::string(founder_prefix) + hex(number_of(founder)) + " = \"" + hex(incarnation) + "\"\n";
    }
    return runtime::write_file_atomically(world.disk, file_name, std::move(text));
}

uint64_t derived_id(std::string_view token, const std::vector<std::string>& texts) {
    std::string all(token);
    for (const std::string& text : texts) all += '\0' + text;
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest);
    uint64_t id = 0;
    std::memcpy(&id, digest, sizeof id);
    return id == 0 ? 1 : id;
}

}  // namespace polis::cluster
