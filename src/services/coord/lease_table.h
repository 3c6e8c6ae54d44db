// LeaseTable: which leases exist and for how long each was granted. Who renews and expires them is the leader's soft state.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
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
        int64_t remaining_seconds =
            0;  // Of the term, as a leader last noted it; 0: nothing noted. At most ttl_seconds.

        /// What a new leader gives it.
        int64_t term_seconds() const { return remaining_seconds > 0 ? remaining_seconds : ttl_seconds; }
    };

    /// The most that etcd grants, in seconds.
    static constexpr int64_t ttl_seconds_max = 9'000'000'000;

    Result<void> load(const StateReader& reader);

    /// A record of table Leases. Errors: Corrupt.
    static Result<Lease> parse(std::string_view record);
    static std::string encode(const Lease& lease);

    /// Null if there is none of that id.
    const Lease* find(int64_t id) const;
    Allowed grant(storage::Overlay& state, int64_t id, int64_t ttl_seconds);
    /// Notes how much of its term is left; 0 takes the note away. Nothing if there is no such lease.
    void checkpoint(storage::Overlay& state, int64_t id, int64_t remaining_seconds);
    /// The keys attached to it, in order.
    static std::vector<Bytes> keys_of(const StateReader& reader, int64_t id);
    /// REQUIRES: it exists and no key is attached any more.
    void remove(storage::Overlay& state, int64_t id);

    const std::map<int64_t, Lease>& all() const { return leases_; }

private:
    void save(storage::Overlay& state, int64_t id, const Lease& lease);

    std::map<int64_t, Lease> leases_;
};

}  // namespace polis::services
