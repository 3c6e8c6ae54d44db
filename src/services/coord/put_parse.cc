#include "services/coord/put_parse.h"

#include <cstdint>

#include "codec/etcd/rpc.pb.h"

namespace polis::services {

namespace {

// Wire types of protobuf's encoding.
constexpr uint64_t varint_type = 0;
constexpr uint64_t fixed_64_type = 1;
constexpr uint64_t length_type = 2;
constexpr uint64_t fixed_32_type = 5;

/// Takes fields off the front of an encoding.
class Fields {
public:
    explicit Fields(const Bytes& octets) : octets_(octets) {}

    bool at_end() const { return at_ == octets_.size(); }

    std::optional<uint64_t> varint() {
        uint64_t number = 0;
        for (uint32_t shift = 0; shift < 64 && at_ < octets_.size(); shift += 7) {
            const auto octet = static_cast<uint8_t>(octets_.data()[at_++]);
            number |= static_cast<uint64_t>(octet & 0x7f) << shift;
            if (octet < 0x80) return number;
        }
        return std::nullopt;
    }

    std::optional<Bytes> bytes() {
        const auto length = varint();
        if (!length || *length > octets_.size() - at_) return std::nullopt;
        at_ += *length;
        return octets_.slice(at_ - *length, *length);
    }

    bool skip(uint64_t type) {
        switch (type) {
            case varint_type: return varint().has_value();
            case fixed_64_type: return skip_octets(8);
            case length_type: return bytes().has_value();
            case fixed_32_type: return skip_octets(4);
            default: return false;
        }
    }

private:
    bool skip_octets(size_t count) {
        if (octets_.size() - at_ < count) return false;
        at_ += count;
        return true;
    }

    const Bytes& octets_;
    size_t at_ = 0;
};

bool read_field(PutCommand& put, Fields& fields, uint64_t number, uint64_t type) {
    using Request = etcdserverpb::PutRequest;
    if (type == length_type && (number == Request::kKeyFieldNumber || number == Request::kValueFieldNumber)) {
        auto octets = fields.bytes();
        if (!octets) return false;
        (number == Request::kKeyFieldNumber ? put.key : put.value) = *std::move(octets);
        return true;
    }
    if (type != varint_type) return fields.skip(type);
    const auto value = fields.varint();
    if (!value) return false;
    switch (number) {
        case Request::kLeaseFieldNumber: put.lease = static_cast<int64_t>(*value); break;
        case Request::kPrevKvFieldNumber: put.prev_kv = *value != 0; break;
        case Request::kIgnoreValueFieldNumber: put.ignore_value = *value != 0; break;
        case Request::kIgnoreLeaseFieldNumber: put.ignore_lease = *value != 0; break;
        default: break;
    }
    return true;
}

}  // namespace

std::optional<PutCommand> parse_put(const Bytes& request) {
    PutCommand put;
    Fields fields(request);
    while (!fields.at_end()) {
        const auto tag = fields.varint();
        if (!tag || *tag >> 3 == 0) return std::nullopt;
        if (!read_field(put, fields, *tag >> 3, *tag & 7)) return std::nullopt;
    }
    return put;
}

}  // namespace polis::services
