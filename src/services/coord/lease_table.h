// LeaseTable: which leases exist and for how long each was granted. Who renews and expires them is the leader's soft state.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "services/coord/refused.h"
#include "services/coord/state_reader.h"
#include "storage/kv/overlay.h"

namespace polis::services {

/// The replicated half of leases. Attached keys are in the store only (Table::Attachments).
class LeaseTable {
public:
    struct Lease {
        int64_t ttl_seconds = 0;  // As granted.
    };

    /// The most that etcd grants, in seconds.
    static constexpr int64_t ttl_seconds_max = 9'000'000'000;

    Result<void> load(const StateReader& reader);

    /// Null if there is none of that id.
    const Lease* find(int64_t id) const;
    Allowed grant(storage::Overlay& state, int64_t id, int64_t ttl_seconds);
    /// The keys attached to it, in order.
    static std::vector<Bytes> keys_of(const StateReader& reader, int64_t id);
    /// REQUIRES: it exists and no key is attached any more.
    void remove(storage::Overlay& state, int64_t id);

    const std::map<int64_t, Lease>& all() const { return leases_; }

private:
    std::map<int64_t, Lease> leases_;
};

}  // namespace polis::services
