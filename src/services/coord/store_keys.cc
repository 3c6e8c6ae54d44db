#include "services/coord/store_keys.h"

#include <limits>

#include "base/ensure.h"

namespace polis::services {

namespace {

// After a key comes 00 01; a 00 inside a key becomes 00 FF. So a key's end sorts before any continuation of it, and the
// order of escaped keys is the order of keys.
constexpr std::string_view terminator("\x00\x01", 2);
constexpr size_t revision_bytes = 12;

void append_escaped(std::string& octets, std::string_view key) {
    for (;;) {
        const size_t zero = key.find('\0');
        octets.append(key.substr(0, zero));
        if (zero == std::string_view::npos) return;
        octets.append("\x00\xff", 2);
        key.remove_prefix(zero + 1);
    }
}

void append_big_endian_32(std::string& octets, uint32_t number) {
    const char bytes[] = {static_cast<char>(number >> 24), static_cast<char>(number >> 16),
                          static_cast<char>(number >> 8), static_cast<char>(number)};
    octets.append(bytes, sizeof bytes);
}

uint32_t read_big_endian_32(std::string_view octets) {
    uint32_t number = 0;
    for (size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<uint8_t>(octets[i]);
    return number;
}

uint32_t narrow_sub(int64_t sub) {
    ENSURE(sub >= 0);
    ENSURE(sub <= std::numeric_limits<uint32_t>::max());
    return static_cast<uint32_t>(sub);
}

}  // namespace

void append_big_endian(std::string& octets, uint64_t number) {
    append_big_endian_32(octets, static_cast<uint32_t>(number >> 32));
    append_big_endian_32(octets, static_cast<uint32_t>(number));
}

uint64_t read_big_endian(std::string_view octets) {
    ENSURE(octets.size() >= 8);
    return static_cast<uint64_t>(read_big_endian_32(octets)) << 32 | read_big_endian_32(octets.substr(4));
}

storage::KeyRange range_of(Table table) {
    const char first = static_cast<char>(table);
    return {std::string(1, first), std::string(1, static_cast<char>(first + 1))};
}

void append_versions_prefix(std::string& stored, std::string_view key) {
    stored.reserve(stored.size() + 1 + key.size() + terminator.size() + revision_bytes);
    stored.push_back(static_cast<char>(Table::Versions));
    append_escaped(stored, key);
    stored.append(terminator);
}

std::string versions_prefix(std::string_view key) {
    std::string stored;
    append_versions_prefix(stored, key);
    return stored;
}

void append_version_key(std::string& stored, std::string_view key, Revision revision) {
    append_versions_prefix(stored, key);
    append_big_endian(stored, ~static_cast<uint64_t>(revision.main));
    append_big_endian_32(stored, ~narrow_sub(revision.sub));
}

std::string version_key(std::string_view key, Revision revision) {
    std::string stored;
    append_version_key(stored, key, revision);
    return stored;
}

std::string version_seek_key(std::string_view key, int64_t main) {
    std::string stored = versions_prefix(key);
    append_big_endian(stored, ~static_cast<uint64_t>(main));
    return stored;
}

storage::KeyRange versions_of(const Interval& interval) {
    return {versions_prefix(interval.first),
            interval.open_ended ? range_of(Table::Versions).last : versions_prefix(interval.last)};
}

std::string VersionPlace::key() const {
    std::string_view escaped = prefix.substr(1, prefix.size() - 1 - terminator.size());
    std::string key;
    key.reserve(escaped.size());
    for (;;) {
        const size_t zero = escaped.find('\0');
        if (zero == std::string_view::npos) return key.append(escaped);
        key.append(escaped.substr(0, zero + 1));
        escaped.remove_prefix(zero + 2);
    }
}

VersionPlace parse_version_key(std::string_view stored) {
    ENSURE(stored.size() >= 1 + terminator.size() + revision_bytes);
    const std::string_view numbers = stored.substr(stored.size() - revision_bytes);
    return {stored.substr(0, stored.size() - revision_bytes),
            {static_cast<int64_t>(~read_big_endian(numbers)), ~read_big_endian_32(numbers.substr(8))}};
}

std::string revision_key(Revision revision) {
    std::string stored(1, static_cast<char>(Table::Revisions));
    append_big_endian(stored, static_cast<uint64_t>(revision.main));
    append_big_endian_32(stored, narrow_sub(revision.sub));
    return stored;
}

Revision parse_revision_key(std::string_view stored) {
    ENSURE(stored.size() == 1 + revision_bytes);
    return {static_cast<int64_t>(read_big_endian(stored.substr(1))), read_big_endian_32(stored.substr(9))};
}

std::string lease_key(int64_t id) {
    std::string stored(1, static_cast<char>(Table::Leases));
    append_big_endian(stored, static_cast<uint64_t>(id));
    return stored;
}

int64_t parse_lease_key(std::string_view stored) {
    ENSURE(stored.size() == 9);
    return static_cast<int64_t>(read_big_endian(stored.substr(1)));
}

storage::KeyRange attachments_of(int64_t id) {
    std::string first = attachment_key(id, {});
    std::string last(1, static_cast<char>(Table::Attachments));
    const uint64_t next = static_cast<uint64_t>(id) + 1;
    if (next == 0) return {std::move(first), range_of(Table::Attachments).last};
    append_big_endian(last, next);
    return {std::move(first), std::move(last)};
}

std::string attachment_key(int64_t id, std::string_view key) {
    std::string stored(1, static_cast<char>(Table::Attachments));
    append_big_endian(stored, static_cast<uint64_t>(id));
    return stored.append(key);
}

std::string_view parse_attachment_key(std::string_view stored) {
    ENSURE(stored.size() > 9);
    return stored.substr(9);
}

std::string named_key(Table table, std::string_view name) {
    std::string stored(1, static_cast<char>(table));
    return stored.append(name);
}

}  // namespace polis::services
