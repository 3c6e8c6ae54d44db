// Commands: what coord's etcd half puts into the log, and the replies that come back from applying it.
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "services/coord/refused.h"

namespace polis::services {

/// The first octet of a command; what follows is the request named, in etcd's encoding unless it says otherwise.
/// Numbers are for ever: they are in logs on disk.
enum class CommandKind : uint8_t {
    Put = 1,             // PutRequest
    DeleteRange = 2,     // DeleteRangeRequest
    Txn = 3,             // TxnRequest
    Compact = 4,         // CompactionRequest
    StepCompaction = 5,  // Eight octets, most significant first: how many changes to look at.
    LeaseGrant = 6,      // LeaseGrantRequest, with an id and a TTL of at least the minimum.
    LeaseRevoke = 7,     // LeaseRevokeRequest, asked for by a client.
    LeaseExpire = 8,     // LeaseRevokeRequest, by the leader: it needs no permission.
    Alarm = 9,           // AlarmRequest
    AutoCompact = 10,    // CompactionRequest, by the leader: it needs no permission.
    RaiseAlarm = 11,     // AlarmRequest, by a node about itself: it needs no permission.
    LeaseCheckpoint =
        12,            // LeaseCheckpointRequest, by the leader: it needs no permission. 0 left: the note is taken away.
    AuthEnable = 16,   // Nothing.
    AuthDisable = 17,  // Nothing.
    Authenticate = 18,          // Authenticated (auth_table.h): the password was checked before.
    UserAdd = 19,               // AuthUserAddRequest; the password only as hashedPassword. Likewise below.
    UserGet = 20,               // AuthUserGetRequest
    UserList = 21,              // Nothing.
    UserDelete = 22,            // AuthUserDeleteRequest
    UserChangePassword = 23,    // AuthUserChangePasswordRequest
    UserGrantRole = 24,         // AuthUserGrantRoleRequest
    UserRevokeRole = 25,        // AuthUserRevokeRoleRequest
    RoleAdd = 26,               // AuthRoleAddRequest
    RoleGet = 27,               // AuthRoleGetRequest
    RoleList = 28,              // Nothing.
    RoleDelete = 29,            // AuthRoleDeleteRequest
    RoleGrantPermission = 30,   // AuthRoleGrantPermissionRequest
    RoleRevokePermission = 31,  // AuthRoleRevokePermissionRequest
};

Bytes encode_command(CommandKind kind, std::string_view request);
Bytes encode_command(CommandKind kind, const google::protobuf::MessageLite& request);

/// A reply is 0 and the response, or 1 and the refusal, or 2: the command could not be understood.
Bytes encode_reply(const google::protobuf::MessageLite& response);
/// The same as a PutResponse with nothing but the revision in its header.
Bytes encode_put_reply(int64_t revision);
Bytes encode_reply(Refusal refusal);
Bytes encode_misunderstood();

/// Gives the response's octets. Errors: Invalid (this node's version is newer than the cluster's), Corrupt.
Result<std::expected<std::string_view, Refusal>> parse_reply(const Bytes& reply);

/// Errors: as parse_reply.
template <class Message>
Result<Reply<Message>> decode_reply(const Bytes& reply) {
    LET(const auto response, parse_reply(reply));
    if (!response) return Reply<Message>(refuse(response.error()));
    Message message;
    if (!message.ParseFromArray(response->data(), static_cast<int>(response->size())))
        return fail(Code::Corrupt, "a reply of coord's model is not a " + message.GetTypeName());
    return Reply<Message>(std::move(message));
}

}  // namespace polis::services
