#include "gateways/etcd/watch_message.h"

#include <cstring>
#include <string>
#include <utility>

#include "base/ensure.h"

namespace polis::gateways {

Bytes encode_watch_message(services::WatchMessage message, const etcdserverpb::ResponseHeader& node) {
    ENSURE(message.head.events_size() == 0);
    etcdserverpb::ResponseHeader& header = *message.head.mutable_header();
    header.set_cluster_id(node.cluster_id());
    header.set_member_id(node.member_id());
    header.set_raft_term(node.raft_term());

    const size_t head_bytes = message.head.ByteSizeLong();
    size_t bytes = head_bytes;
    for (const Bytes& event : message.events) bytes += event.size();

    std::string octets;
    octets.resize_and_overwrite(bytes, [&](char* out, size_t) {
        message.head.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(out));
        char* at = out + head_bytes;
        for (const Bytes& event : message.events) {
            std::memcpy(at, event.data(), event.size());
            at += event.size();
        }
        return bytes;  // libstdc++ may offer more room than was asked for.
    });
    return Bytes::take(std::move(octets));
}

}  // namespace polis::gateways
