#include "cluster/envelope.h"

#include <iterator>

#include "base/octets.h"

namespace polis::cluster {

Bytes encode(const Envelope& envelope) {
    const uint64_t numbers[] = {envelope.format,
                                envelope.feature_level,
                                envelope.tenant,
                                envelope.auth_revision,
                                static_cast<uint64_t>(envelope.leader_time.since_epoch.count()),
                                number_of(envelope.origin),
                                envelope.sequence,
                                envelope.outstanding_from,
                                envelope.trace,
                                envelope.principal.size()};
    char head[std::size(numbers) * varint_bytes_max];
    char* end = head;
    for (const uint64_t number : numbers) end = write_varint(end, number);
    return Bytes::join({{head, end}, envelope.principal, envelope.command});
}

Result<Envelope> decode_envelope(const Bytes& octets) {
    OctetReader in(octets);
    Envelope envelope;
    const uint64_t format = in.varint();
    if (in.ok() && format != 1) {
        return fail(Code::Invalid, "command envelope of format " + std::to_string(format) +
                                       ", this release reads format 1: upgrade this node");
    }
    const uint64_t feature_level = in.varint();
    const uint64_t tenant = in.varint();
    envelope.auth_revision = in.varint();
    const uint64_t leader_time = in.varint();
    envelope.origin = NodeId{in.varint()};
    envelope.sequence = in.varint();
    envelope.outstanding_from = in.varint();
    envelope.trace = in.varint();
    envelope.principal = std::string(in.text());
    if (!in.ok()) return fail(Code::Invalid, "command envelope is cut short");
    if (feature_level > UINT32_MAX || tenant > UINT32_MAX || leader_time > INT64_MAX) {
        return fail(Code::Invalid, "command envelope with a number that is too large for its field");
    }
    envelope.feature_level = static_cast<uint32_t>(feature_level);
    envelope.tenant = static_cast<uint32_t>(tenant);
    envelope.leader_time.since_epoch = std::chrono::microseconds(static_cast<int64_t>(leader_time));
    envelope.command = octets.slice(octets.size() - in.rest().size());
    return envelope;
}

}  // namespace polis::cluster
