// Fuzzes what strangers send as JSON: bodies of every method, and streams of them in pieces.
#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <string_view>

#include "base/ensure.h"
#include "codec/etcd/election.pb.h"
#include "codec/etcd/lock.pb.h"
#include "codec/etcd/rpc.pb.h"
#include "gateways/etcd/json.h"
#include "gateways/etcd/json_paths.h"

namespace {

using polis::Result;

/// Whatever is taken must come back the same after having been written and read again.
void check_message(const std::string& type, std::string_view json) {
    const Result<polis::Bytes> octets = polis::gateways::octets_from_json(type, json);
    if (!octets) return;
    const Result<std::string> written = polis::gateways::json_from_octets(type, *octets);
    if (!written) return;  // A proto3 string that is not UTF-8.
    const Result<polis::Bytes> again = polis::gateways::octets_from_json(type, *written);
    ENSURE(again.has_value());
    ENSURE(polis::gateways::json_from_octets(type, *again).value() == *written);
}

/// The pieces in which a body arrives do not change the values found in it.
void check_splitter(std::string_view body, size_t piece_bytes) {
    polis::gateways::JsonSplitter whole(4096), pieces(4096);
    whole.feed(body);
    for (size_t at = 0; at < body.size(); at += piece_bytes) pieces.feed(body.substr(at, piece_bytes));
    for (;;) {
        const auto a = whole.next();
        const auto b = pieces.next();
        ENSURE(a.has_value() == b.has_value());
        if (!a) return;
        ENSURE(*a == *b);
        if (!*a) return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    v3lockpb::LockRequest::descriptor();
    v3electionpb::LeaderKey::descriptor();
    const std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
    const auto paths = polis::gateways::json_paths();
    std::string method(paths[data[0] % paths.size()].method.substr(1));
    method[method.find('/')] = '.';
    const auto* described = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(method);
    ENSURE(described != nullptr);
    check_message(described->input_type()->full_name(), body);
    check_splitter(body, data[1] % 7 + 1u);
    return 0;
}
