// Types of the cluster in etcd's words: members, headers, versions.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>
#include <string_view>
#include <vector>

#include "cluster/api.h"
#include "codec/etcd/rpc.pb.h"

namespace polis::gateways {

etcdserverpb::Member to_wire(const cluster::Member& member);
google::protobuf::RepeatedPtrField<etcdserverpb::Member> to_wire(const std::vector<cluster::Member>& members);

/// Whether etcd takes these as a member's peer URLs: at least one; http or https with host:port and no path, or unix, unixs.
/// Surrounding blanks are allowed. Source: client/pkg/types/urls.go.
bool are_peer_urls(const std::vector<std::string>& urls);

/// How Downgrade's version field reads: "3.5" or "3.5.4".
struct ShortVersion {
    uint64_t major = 0, minor = 0;
    friend bool operator==(const ShortVersion&, const ShortVersion&) = default;
};
/// Errors: Invalid if it is neither of the two (a pre-release or build suffix after the patch is allowed, as in semver).
Result<ShortVersion> parse_version(std::string_view text);

/// "memberID:7 alarm:NOSPACE ", as Status lists an alarm among its errors.
std::string alarm_text(const etcdserverpb::AlarmMember& alarm);

}  // namespace polis::gateways
