// The part of Host in which a node without an identity founds a cluster with others, or joins one.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/octets.h"
#include "cluster/host.h"

namespace polis::cluster {
namespace {

constexpr auto ask_again_after = std::chrono::milliseconds(200);
constexpr auto join_wait = std::chrono::seconds(60);

// What a node without identity says of itself, and what it is told.
struct JoinQuestion {
    ClusterId founding{};  // The cluster that it would found with its peers; None if it only wants to join.
    NodeId founder{};      // Its own id there.
    uint64_t incarnation = 0;
    std::vector<std::string> peer_urls;
};
struct JoinAnswer {
    bool is_formed = false;  // Else: this node is as new as you are.
    ClusterId cluster{};
    NodeId node{};  // Who you are now.
    std::string consensus;
    std::vector<Bytes> members;  // encode_meta_reply of each.
};

Bytes encode(const JoinQuestion& question) {
    OctetWriter out;
    out.number(number_of(question.founding));
    out.number(number_of(question.founder));
    out.number(question.incarnation);
    out.varint(question.peer_urls.size());
    for (const std::string& url : question.peer_urls) out.text(url);
    return Bytes::take(out.take());
}

Result<JoinQuestion> decode_question(const Bytes& octets) {
    OctetReader in(octets);
    JoinQuestion question;
    question.founding = ClusterId{in.number<uint64_t>()};
    question.founder = NodeId{in.number<uint64_t>()};
    question.incarnation = in.number<uint64_t>();
    const uint64_t count = in.varint();
    for (uint64_t i = 0; i < count && in.ok(); ++i) question.peer_urls.emplace_back(in.text());
    TRY(in.finish("a request to join"));
    return question;
}

Bytes encode(const JoinAnswer& answer) {
    OctetWriter out;
    out.number(static_cast<uint8_t>(answer.is_formed));
    out.number(number_of(answer.cluster));
    out.number(number_of(answer.node));
    out.text(answer.consensus);
    out.varint(answer.members.size());
    for (const Bytes& member : answer.members) out.text(member);
    return Bytes::take(out.take());
}

Result<JoinAnswer> decode_answer(const Bytes& octets) {
    OctetReader in(octets);
    JoinAnswer answer;
    answer.is_formed = in.number<uint8_t>() != 0;
    answer.cluster = ClusterId{in.number<uint64_t>()};
    answer.node = NodeId{in.number<uint64_t>()};
    answer.consensus = std::string(in.text());
    const uint64_t count = in.varint();
    for (uint64_t i = 0; i < count && in.ok(); ++i) answer.members.push_back(Bytes::copy(in.text()));
    TRY(in.finish("an answer to a request to join"));
    return answer;
}

Result<std::vector<Member>> members_in(const JoinAnswer& answer) {
    std::vector<Member> members;
    for (const Bytes& octets : answer.members) {
        LET(Member member, decode_meta_reply(octets));
        members.push_back(std::move(member));
    }
    return members;
}

}  // namespace

std::vector<Member> founders_of(const HostOptions& options) {
    std::map<std::string, Member> by_name;
    for (const auto& [name, url] : options.initial) {
        by_name[name].name = name;
        by_name[name].peer_urls.push_back(url);
    }
    std::vector<Member> members;
    for (auto& [name, member] : by_name) {
        std::ranges::sort(member.peer_urls);
        member.id = NodeId{derived_id(options.token, member.peer_urls)};
        // Who has not started has no name yet, as etcd shows it: it publishes its own.
        member.name.clear();
        members.push_back(std::move(member));
    }
    std::ranges::sort(members, {}, &Member::id);
    return members;
}

Result<Identity> founder_identity(const HostOptions& options) {
    const std::vector<Member> founders = founders_of(options);
    std::vector<std::string> all_urls;
    for (const Member& member : founders) {
        all_urls.insert(all_urls.end(), member.peer_urls.begin(), member.peer_urls.end());
    }
    std::ranges::sort(all_urls);
    std::vector<std::string> own_urls = options.advertised_peer_urls;
    std::ranges::sort(own_urls);
    const auto self = std::ranges::find(founders, own_urls, &Member::peer_urls);
    if (self == founders.end()) {
        return fail(Code::Invalid, "the initial cluster does not name this node's advertised peer URLs (" +
                                       (own_urls.empty() ? std::string("none") : own_urls.front()) + ")");
    }
    Identity identity;
    // Not a member's id, even if there is but one.
    identity.cluster = ClusterId{derived_id("cluster of " + options.token, all_urls)};
    identity.node = self->id;
    identity.consensus = options.consensus;
    return identity;
}

std::vector<runtime::Address> Host::founder_addresses() const {
    std::vector<runtime::Address> addresses;
    for (const auto& [name, url] : options_.initial) {
        if (name == options_.name) continue;
        if (Result<runtime::Address> address = address_of_url(url)) addresses.push_back(*std::move(address));
    }
    return addresses;
}

runtime::Task<void> Host::become_somebody() {
    identity_.consensus = options_.consensus;
    if (options_.join) return join_cluster();
    return found_cluster();
}

runtime::Task<void> Host::found_cluster() {
    CO_LET(const Identity founder, founder_identity(options_));
    identity_.cluster = founder.cluster;
    identity_.node = founder.node;

    // A wiped disk looks like a new one. If the others have formed the cluster before, this node is not the member it thinks it is.
    const Instant give_up = world_.reactor.now() + options_.founding_wait;
    for (;;) {
        CO_LET(const bool settled, co_await ask_founders());
        if (settled) break;
        if (world_.reactor.now() >= give_up) {
            founder_ = true;
            log::warn("founding_without_all",
                      {"why", "not all founding members answered; if this disk was in use before, stop"});
            break;
        }
        CO_TRY(co_await runtime::sleep_for(ask_again_after));
    }
    co_return runtime::done();
}

// True once it is known what this node is: a founder (all others are new, too), or one that came back without its disk.
runtime::Task<bool> Host::ask_founders() {
    const Identity founding = identity_;
    size_t as_new_as_we = 0;
    const std::vector<runtime::Address> others = founder_addresses();
    for (const runtime::Address& address : others) {
        const Result<bool> joined = co_await ask_to_join(address);
        if (joined && *joined) {
            log::warn("disk_was_replaced", {"was", founding.node}, {"is", identity_.node});
            co_return true;
        }
        if (joined) ++as_new_as_we;
    }
    founder_ = as_new_as_we == others.size();
    co_return founder_;
}

runtime::Task<void> Host::join_cluster() {
    const Instant give_up = world_.reactor.now() + join_wait;
    std::string why = "no address of a member was given";
    while (world_.reactor.now() < give_up) {
        for (const runtime::Address& address : founder_addresses()) {
            const Result<bool> joined = co_await ask_to_join(address);
            if (joined && *joined) co_return runtime::done();
            why = joined ? "the member itself has not joined yet" : joined.error().what;
            if (!joined && joined.error().code == Code::NotFound) co_return std::unexpected(joined.error());
        }
        CO_TRY(co_await runtime::sleep_for(ask_again_after));
    }
    co_return fail(Code::Unavailable, "no member let this node in: " + why);
}

// True: this node has become a member of what it found there. False: the other one is as new as we are.
runtime::Task<bool> Host::ask_to_join(runtime::Address address) {
    const NodeId founder = options_.join ? NodeId::Nobody : identity_.node;
    const JoinQuestion question{.founding = options_.join ? ClusterId::None : identity_.cluster,
                                .founder = founder,
                                .incarnation = identity_.incarnation,
                                .peer_urls = options_.advertised_peer_urls};
    Bytes asked = encode(question);
    CO_LET(const Bytes octets, co_await ask_at(std::move(address), std::move(asked)));
    CO_LET(const JoinAnswer answer, decode_answer(octets));
    if (!answer.is_formed || answer.node == NodeId::Nobody) co_return false;
    identity_.cluster = answer.cluster;
    identity_.node = answer.node;
    identity_.consensus = answer.consensus;
    CO_LET(known_members_, members_in(answer));
    founder_ = false;
    co_return true;
}

// A node that died after it had joined and before group Meta reached it knows nobody: it asks once more.
runtime::Task<void> Host::learn_members() {
    for (const runtime::Address& address : founder_addresses()) {
        const JoinQuestion question{.founding = ClusterId::None,
                                    .founder = NodeId::Nobody,
                                    .incarnation = identity_.incarnation,
                                    .peer_urls = options_.advertised_peer_urls};
        Bytes asked = encode(question);
        const Result<Bytes> octets = co_await ask_at(address, std::move(asked));
        if (!octets) continue;
        const Result<JoinAnswer> answer = decode_answer(*octets);
        if (!answer || !answer->is_formed || answer->node != identity_.node) continue;
        CO_LET(known_members_, members_in(*answer));
        co_return runtime::done();
    }
    co_return fail(Code::Unavailable, "no member of the initial cluster answered");
}

runtime::Task<Bytes> Host::ask_at(runtime::Address address, Bytes question) {
    const Instant give_up = world_.reactor.now() + std::chrono::seconds(3);
    runtime::Task<Bytes> asked = peers_->request_at(std::move(address), GroupId::Meta,
                                                    static_cast<uint8_t>(HostRequest::Join), std::move(question));
    co_return co_await runtime::with_deadline(give_up, std::move(asked));
}

runtime::Task<Bytes> Host::answer_join(Bytes octets) {
    CO_LET(const JoinQuestion question, decode_question(octets));
    JoinAnswer answer;
    if (!open_ || meta_.cluster() == ClusterId::None) co_return encode(answer);
    CO_TRY(co_await members_barrier());

    answer.is_formed = true;
    answer.cluster = identity_.cluster;
    answer.consensus = identity_.consensus;
    if (question.founding != ClusterId::None) {
        if (question.founding != identity_.cluster) {
            co_return fail(Code::Denied, "another cluster lives here: check the initial cluster and the token");
        }
        const auto known = meta_.members().find(question.founder);
        const bool is_founder = known != meta_.members().end() && known->second.incarnation == 0;
        if (is_founder) {
            // It is a founder that comes late.
            answer.is_formed = false;
            co_return encode(answer);
        }
        CO_LET(const Member member, co_await replace_lost(question.founder, question.incarnation));
        answer.node = member.id;
    } else {
        std::vector<std::string> urls = question.peer_urls;
        std::ranges::sort(urls);
        for (const auto& [id, record] : meta_.members()) {
            std::vector<std::string> theirs = record.member.peer_urls;
            std::ranges::sort(theirs);
            if (theirs != urls) continue;
            if (record.incarnation == 0 || record.incarnation == question.incarnation) {
                answer.node = id;
            } else {
                CO_LET(const Member member, co_await replace_lost(id, question.incarnation));
                answer.node = member.id;
            }
            break;
        }
        if (answer.node == NodeId::Nobody) {
            co_return fail(Code::NotFound, "no member has your peer URLs: add it first (polis member add)");
        }
    }
    for (const auto& [id, record] : meta_.members()) answer.members.push_back(encode_meta_reply(record.member));
    co_return encode(answer);
}

runtime::Task<Member> Host::replace_lost(NodeId lost, uint64_t incarnation) {
    return command(ReplaceMember{.lost = lost, .id = NodeId{world_.random.next()}, .incarnation = incarnation});
}

}  // namespace polis::cluster
