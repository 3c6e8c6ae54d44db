// What the parts of the model share while they apply one command. Included by model*.cc only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "services/coord/model.h"

namespace polis::services {

namespace pb = ::etcdserverpb;

/// One command while it is applied.
struct CoordModel::Context {
    storage::Overlay& state;
    Access access;
    const std::string& principal;
    LogIndex index;
};

/// Absent if the octets are no such message.
template <class Message>
std::optional<Message> parse(std::string_view octets) {
    Message message;
    if (!message.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) return std::nullopt;
    return message;
}

/// `response` as a reply, with the newest revision in its header.
template <class Response>
Bytes CoordModel::answer(Response response) const {
    response.mutable_header()->set_revision(mvcc_.applied_revision());
    return encode_reply(response);
}

}  // namespace polis::services
