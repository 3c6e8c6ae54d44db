// AlarmTable: which members have raised which alarms. While one is up, some commands are refused.
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "codec/etcd/rpc.pb.h"
#include "services/coord/refused.h"
#include "services/coord/state_reader.h"
#include "storage/kv/overlay.h"

namespace polis::services {

class AlarmTable {
public:
    Result<void> load(const StateReader& reader);

    bool raised(etcdserverpb::AlarmType alarm) const;
    std::vector<etcdserverpb::AlarmMember> all() const;

    /// What the request asks for; the response lists what it concerned. An alarm that is up already is not raised twice,
    /// one that is down is not listed.
    etcdserverpb::AlarmResponse apply(storage::Overlay& state, const etcdserverpb::AlarmRequest& request);

private:
    using Raised = std::pair<etcdserverpb::AlarmType, uint64_t>;  // Alarm, member.

    std::set<Raised> raised_;
};

}  // namespace polis::services
