// Value: the origin behind the command, and the rule that keeps primary order.
#include "consensus/paxos/value.h"

#include <string>
#include <string_view>

namespace polis::consensus {
namespace {

void put(std::string& octets, uint64_t value) {
    for (size_t at = 0; at < sizeof value; ++at) octets += static_cast<char>(value >> (8 * at) & 0xff);
}

uint64_t little_endian(std::string_view octets) {
    uint64_t value = 0;
    for (size_t at = octets.size(); at-- > 0;) value = value << 8 | static_cast<uint8_t>(octets[at]);
    return value;
}

// Above every ballot of that epoch, below every one of the next: nobody leads under it.
Ballot end_of(Ballot run) { return {run.epoch, NodeId{~uint64_t{0}}}; }

}  // namespace

Bytes with_origin(const Bytes& command, Ballot origin) {
    std::string octets;
    octets.reserve(command.size() + origin_bytes);
    octets.append(command.view());
    put(octets, origin.epoch);
    put(octets, number_of(origin.node));
    return Bytes::take(std::move(octets));
}

std::optional<Entry> value_of(const Entry& stored) {
    Entry value{stored.index, {}, stored.kind, {}};
    const Bytes& payload = stored.payload;
    if (payload.size() < origin_bytes) {
        if (stored.kind != EntryKind::Noop || !payload.empty()) return std::nullopt;
        return value;
    }
    const size_t size = payload.size() - origin_bytes;
    const std::string_view origin = payload.view().substr(size);
    value.ballot = {little_endian(origin.substr(0, 8)), NodeId{little_endian(origin.substr(8))}};
    value.payload = payload.slice(0, size);
    if (value.ballot.epoch > epoch_max || value.ballot.node == end_of({}).node) return std::nullopt;
    return value;
}

Entry in_primary_order(Entry value, Ballot before) {
    const bool begins = value.kind == EntryKind::Noop && value.ballot > before;
    const bool follows = value.ballot == before && before.epoch > 0;
    if (begins || follows) return value;
    return {value.index, end_of(before), EntryKind::Noop, Bytes()};
}

}  // namespace polis::consensus
