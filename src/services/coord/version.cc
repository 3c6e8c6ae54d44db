#include "services/coord/version.h"

namespace polis::services {

namespace {

void append_varint(std::string& octets, uint64_t number) {
    while (number >= 0x80) {
        octets.push_back(static_cast<char>(number | 0x80));
        number >>= 7;
    }
    octets.push_back(static_cast<char>(number));
}

/// Takes a varint off the front of `octets`; absent if there is no whole one.
std::optional<uint64_t> take_varint(std::string_view& octets) {
    uint64_t number = 0;
    for (uint32_t shift = 0; shift < 64 && !octets.empty(); shift += 7) {
        const auto octet = static_cast<uint8_t>(octets.front());
        octets.remove_prefix(1);
        number |= static_cast<uint64_t>(octet & 0x7f) << shift;
        if (octet < 0x80) return number;
    }
    return std::nullopt;
}

constexpr char live = 0;
constexpr char dead = 1;

}  // namespace

void append_record_head(std::string& record, const Version& version) {
    record.push_back(version.deleted() ? dead : live);
    if (version.deleted()) return;
    append_varint(record, static_cast<uint64_t>(version.create_revision));
    append_varint(record, static_cast<uint64_t>(version.version));
    append_varint(record, static_cast<uint64_t>(version.lease));
}

std::string record_head(const Version& version) {
    std::string head;
    append_record_head(head, version);
    return head;
}

Result<Version> parse_record(Revision revision, std::string_view record) {
    const auto damaged = [] { return fail(Code::Corrupt, "a version's record is not what was written"); };
    if (record.empty()) return damaged();
    const char kind = record.front();
    record.remove_prefix(1);
    if (kind == dead && record.empty()) return Version::tombstone(revision);
    if (kind != live) return damaged();
    const auto create_revision = take_varint(record);
    const auto count = take_varint(record);
    const auto lease = take_varint(record);
    if (!create_revision || !count || !lease || *create_revision == 0) return damaged();
    Version version;
    version.revision = revision;
    version.create_revision = static_cast<int64_t>(*create_revision);
    version.version = static_cast<int64_t>(*count);
    version.lease = static_cast<int64_t>(*lease);
    version.value = Bytes::copy(record);
    return version;
}

void append_revision_record(std::string& record, bool deleted, std::string_view key) {
    record.push_back(deleted ? dead : live);
    record.append(key);
}

std::string revision_record(bool deleted, std::string_view key) {
    std::string record;
    append_revision_record(record, deleted, key);
    return record;
}

Result<RevisionRecord> parse_revision_record(std::string_view record) {
    if (record.size() < 2 || (record.front() != live && record.front() != dead))
        return fail(Code::Corrupt, "a revision's record is not what was written");
    return RevisionRecord{record.front() == dead, record.substr(1)};
}

void fill(mvccpb::KeyValue& message, std::string_view key, const Version& version, bool keys_only) {
    message.set_key(key.data(), key.size());
    message.set_create_revision(version.create_revision);
    message.set_mod_revision(version.revision.main);
    message.set_version(version.version);
    message.set_lease(version.lease);
    if (!keys_only && !version.value.empty()) message.set_value(version.value.data(), version.value.size());
}

int64_t cost_of(size_t key_bytes, size_t value_bytes) {
    constexpr int64_t fixed_bytes = 64;  // Both keys' prefixes and revisions, and the record's head, rounded up.
    return fixed_bytes + static_cast<int64_t>(2 * key_bytes + value_bytes);
}

}  // namespace polis::services
