#include "services/coord/lease_table.h"

#include <string>

#include "base/ensure.h"
#include "services/coord/store_keys.h"

namespace polis::services {

Result<void> LeaseTable::load(const StateReader& reader) {
    leases_.clear();
    const storage::KeyRange range = range_of(Table::Leases);
    const auto cursor = reader.cursor(range);
    for (cursor->seek(range.first); cursor->valid(); cursor->next()) {
        if (cursor->value().size() != 8) return fail(Code::Corrupt, "a lease's record is not what was written");
        leases_[parse_lease_key(cursor->key())] = {static_cast<int64_t>(read_big_endian(cursor->value()))};
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
    std::string record;
    append_big_endian(record, static_cast<uint64_t>(ttl_seconds));
    state.put(lease_key(id), record);
    leases_[id] = {ttl_seconds};
    return {};
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
