#include "gateways/etcd/session.h"

#include <algorithm>

namespace polis::gateways {
namespace {

constexpr size_t versions_max = 64;
constexpr Duration learner_recheck = std::chrono::seconds(1);

/// Whether `text` is UTF-8 as gRPC metadata has to be: no overlong form, no surrogate, nothing above U+10FFFF.
bool is_utf8(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        const auto octet = [&](size_t ahead) -> uint32_t {
            return at + ahead < text.size() ? static_cast<uint8_t>(text[at + ahead]) : 0;
        };
        const uint32_t lead = octet(0);
        const size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
        if (length == 0) return false;
        uint32_t point = length == 1 ? lead : lead & (0x7fu >> length);
        for (size_t ahead = 1; ahead < length; ++ahead) {
            if (octet(ahead) >> 6 != 2) return false;
            point = point << 6 | (octet(ahead) & 0x3f);
        }
        constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
        if (point < smallest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
        at += length;
    }
    return true;
}

}  // namespace

CallHeaders headers_of(const rpc::Metadata& metadata) {
    CallHeaders headers;
    std::string_view authorization;
    for (const auto& [name, value] : metadata.fields()) {
        // The lengths alone rule out nearly every field.
        switch (name.size()) {
            case 5:
                if (name == "token" && headers.token.empty()) headers.token = value;
                break;
            case 9:
                if (name == "hasleader") headers.requires_leader = value == "true";
                break;
            case 11:
                if (name == "traceparent" && headers.traceparent.empty()) headers.traceparent = value;
                break;
            case 13:
                if (name == "authorization" && authorization.empty()) authorization = value;
                break;
            case 18:
                if (name == "client-api-version") headers.client_api_version = value;
                break;
            default: break;
        }
    }
    if (headers.token.empty()) headers.token = authorization;
    return headers;
}

Answer<Caller> Admission::admit(const rpc::Call& call, CallKind kind, bool learner_may) {
    if (!learner_may && is_learner()) return std::unexpected(status_of(Complaint::NotSupportedForLearner));
    const CallHeaders headers = headers_of(call.metadata());
    if (!is_utf8(headers.client_api_version)) {
        return std::unexpected(status_of(Complaint::InvalidClientApiVersion));
    }
    count(kind, headers.client_api_version.empty() ? "unknown" : headers.client_api_version);
    if (headers.requires_leader && !has_leader()) return std::unexpected(status_of(Complaint::NoLeader));

    Caller caller;
    caller.requires_leader = headers.requires_leader;
    caller.credentials.token = headers.token;
    const auto trace = parse_traceparent(headers.traceparent);
    caller.credentials.trace = trace ? *trace : traces_.next();
    if (options_.notes_phases && kind == CallKind::Unary)
        caller.credentials.phases = std::make_shared<services::RequestPhases>();
    if (options_.certificate_identity) caller.credentials.common_name = call.peer().certificate_common_name;
    return caller;
}

bool Admission::has_leader() const { return cluster_.status(GroupId::Coord).leader != NodeId::Nobody; }

bool Admission::is_leader() const { return cluster_.status(GroupId::Coord).leader == cluster_.self(); }

bool Admission::is_learner() {
    const Instant now = reactor_.now();
    if (!learner_ && now < learner_known_until_) return false;
    const std::vector<cluster::Member> members = cluster_.members();
    const auto self = std::ranges::find(members, cluster_.self(), &cluster::Member::id);
    learner_ = self != members.end() && self->learner;
    learner_known_until_ = now + learner_recheck;
    return learner_;
}

void Admission::count(CallKind kind, std::string_view version) {
    for (VersionCount& entry : counts_) {
        if (entry.kind == kind && entry.client_api_version == version) {
            ++entry.calls;
            return;
        }
    }
    if (counts_.size() >= versions_max && version != "other") return count(kind, "other");
    counts_.push_back({kind, std::string(version), 1});
}

}  // namespace polis::gateways
