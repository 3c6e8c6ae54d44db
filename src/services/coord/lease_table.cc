#include "services/coord/lease_table.h"

#include <algorithm>
#include <string>

#include "base/ensure.h"
#include "services/coord/store_keys.h"

namespace polis::services {

std::string LeaseTable::encode(const Lease& lease) {
    std::string record;
    append_big_endian(record, static_cast<uint64_t>(lease.ttl_seconds));
    if (lease.remaining_seconds > 0) append_big_endian(record, static_cast<uint64_t>(lease.remaining_seconds));
    return record;
}

Result<LeaseTable::Lease> LeaseTable::parse(std::string_view record) {
    if (record.size() != 8 && record.size() != 16)
        return fail(Code::Corrupt, "a lease's record is not what was written");
    Lease lease{.ttl_seconds = static_cast<int64_t>(read_big_endian(record))};
    if (record.size() == 16) lease.remaining_seconds = static_cast<int64_t>(read_big_endian(record.substr(8)));
    if (lease.ttl_seconds > ttl_seconds_max)
        return fail(Code::Corrupt, "a lease was granted for longer than any can be");
    if (lease.remaining_seconds < 0 || lease.remaining_seconds > std::max<int64_t>(lease.ttl_seconds, 0))
        return fail(Code::Corrupt, "a lease has more time left than it was granted");
    return lease;
}

void LeaseTable::save(storage::Overlay& state, int64_t id, const Lease& lease) {
    state.put(lease_key(id), encode(lease));
    leases_[id] = lease;
}

Result<void> LeaseTable::load(const StateReader& reader) {
    leases_.clear();
    const storage::KeyRange range = range_of(Table::Leases);
    const auto cursor = reader.cursor(range);
    for (cursor->seek(range.first); cursor->valid(); cursor->next()) {
        LET(leases_[parse_lease_key(cursor->key())], parse(cursor->value()));
    }
    return cursor->status();
}

const LeaseTable::Lease* LeaseTable::find(int64_t id) const {
    const auto found = leases_.find(id);
    return found == leases_.end() ? nullptr : &found->second;
}

Allowed LeaseTable::grant(storage::Overlay& state, int64_t id, int64_t ttl_seconds) {
    if (id == 0) return refuse(Refusal::LeaseNotFound);
    if (ttl_seconds > ttl_seconds_max) return refuse(Refusal::LeaseTtlTooLarge);
    if (leases_.contains(id)) return refuse(Refusal::LeaseExists);
    save(state, id, {.ttl_seconds = ttl_seconds});
    return {};
}

void LeaseTable::checkpoint(storage::Overlay& state, int64_t id, int64_t remaining_seconds) {
    const Lease* found = find(id);
    if (!found) return;  // Revoked meanwhile.
    Lease lease = *found;
    lease.remaining_seconds = std::clamp<int64_t>(remaining_seconds, 0, std::max<int64_t>(lease.ttl_seconds, 0));
    if (lease.remaining_seconds != found->remaining_seconds) save(state, id, lease);
}

std::vector<Bytes> LeaseTable::keys_of(const StateReader& reader, int64_t id) {
    std::vector<Bytes> keys;
    const storage::KeyRange range = attachments_of(id);
    const auto cursor = reader.cursor(range);
    for (cursor->seek(range.first); cursor->valid(); cursor->next())
        keys.push_back(Bytes::copy(parse_attachment_key(cursor->key())));
    ENSURE(cursor->status().has_value());
    return keys;
}

void LeaseTable::remove(storage::Overlay& state, int64_t id) {
    ENSURE(leases_.erase(id) == 1);
    state.remove(lease_key(id));
}

}  // namespace polis::services
