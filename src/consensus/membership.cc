// Membership as a value: questions about it, and its encoding on disk.
#include "consensus/membership.h"

#include <cstdint>

namespace polis::consensus {
namespace {

constexpr char format = 1;
constexpr uint32_t nodes_max = 1024;  // Of one list: no group is larger, and a damaged count allocates nothing.

bool has(const std::vector<NodeId>& nodes, NodeId node) { return std::binary_search(nodes.begin(), nodes.end(), node); }

void put(std::string& octets, uint64_t value, size_t width) {
    for (size_t at = 0; at < width; ++at) octets += static_cast<char>(value >> (8 * at) & 0xff);
}

uint64_t little_endian(std::string_view octets) {
    uint64_t value = 0;
    for (size_t at = octets.size(); at-- > 0;) value = value << 8 | static_cast<uint8_t>(octets[at]);
    return value;
}

bool is_sorted_set(const std::vector<NodeId>& nodes) {
    return std::adjacent_find(nodes.begin(), nodes.end(), std::greater_equal<>()) == nodes.end() &&
           (nodes.empty() || nodes.front() != NodeId::Nobody);
}

bool disjoint(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
    return std::none_of(a.begin(), a.end(), [&](NodeId node) { return has(b, node); });
}

Result<std::vector<NodeId>> take_list(std::string_view& octets) {
    if (octets.size() < 4) return fail(Code::Invalid, "membership ends inside a count");
    const uint64_t count = little_endian(octets.substr(0, 4));
    octets.remove_prefix(4);
    if (count > nodes_max || octets.size() < count * 8) return fail(Code::Invalid, "membership ends inside a list");
    std::vector<NodeId> nodes;
    for (uint64_t at = 0; at < count; ++at) nodes.push_back(NodeId{little_endian(octets.substr(at * 8, 8))});
    octets.remove_prefix(count * 8);
    return nodes;
}

}  // namespace

bool Membership::votes(NodeId node) const { return has(voters, node) || has(outgoing, node); }

bool Membership::contains(NodeId node) const { return votes(node) || has(learners, node); }

std::vector<NodeId> Membership::everyone() const {
    std::vector<NodeId> nodes;
    nodes.reserve(voters.size() + outgoing.size() + learners.size());
    for (const auto* list : {&voters, &outgoing, &learners}) nodes.insert(nodes.end(), list->begin(), list->end());
    std::sort(nodes.begin(), nodes.end());
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    return nodes;
}

Result<void> check(const Membership& membership) {
    for (const auto* list :
         {&membership.voters, &membership.outgoing, &membership.learners, &membership.next_learners}) {
        if (!is_sorted_set(*list)) return fail(Code::Invalid, "a list of members repeats one or is not sorted");
        if (list->size() > nodes_max) return fail(Code::Invalid, "more than 1024 members in one list");
    }
    if (membership.voters.empty()) return fail(Code::Invalid, "a group needs at least one voter");
    const bool apart = disjoint(membership.learners, membership.voters) &&
                       disjoint(membership.learners, membership.outgoing) &&
                       disjoint(membership.next_learners, membership.voters);
    if (!apart) return fail(Code::Invalid, "a member cannot be voter and learner at once");
    for (const NodeId node : membership.next_learners) {
        if (!has(membership.outgoing, node)) return fail(Code::Invalid, "a voter to be a learner is no outgoing voter");
    }
    return {};
}

Bytes encode(const Membership& membership) {
    std::string octets(1, format);
    for (const auto* list :
         {&membership.voters, &membership.outgoing, &membership.learners, &membership.next_learners}) {
        put(octets, list->size(), 4);
        for (const NodeId node : *list) put(octets, number_of(node), 8);
    }
    return Bytes::take(std::move(octets));
}

Result<Membership> decode_membership(std::string_view octets) {
    if (octets.empty() || octets.front() != format) return fail(Code::Invalid, "membership of an unknown format");
    octets.remove_prefix(1);
    Membership membership;
    for (auto* list : {&membership.voters, &membership.outgoing, &membership.learners, &membership.next_learners}) {
        LET(*list, take_list(octets));
    }
    if (!octets.empty()) return fail(Code::Invalid, "octets follow a membership");
    TRY(check(membership));
    return membership;
}

}  // namespace polis::consensus
