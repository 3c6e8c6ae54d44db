// The part of Host in which a node without an identity founds a cluster with others, or joins one.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "base/log.h"
#include "cluster/host.h"
#include "cluster/join.h"

namespace polis::cluster {
namespace {

constexpr auto ask_again_after = std::chrono::milliseconds(200);
constexpr auto join_wait = std::chrono::seconds(60);
constexpr auto tell_again_after = std::chrono::seconds(5);
constexpr auto lost_after =
    std::chrono::seconds(1);  // A member silent for so long may be replaced by one that claims its place.

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
    if (options_.join) co_return co_await join_cluster();
    CO_LET(const Identity founder, founder_identity(options_));
    identity_.cluster = founder.cluster;
    identity_.node = founder.node;
    identity_.founding = true;
    // Before anybody hears of this disk: one that forgot its own name after a crash would be taken for wiped.
    CO_TRY(co_await save_own_identity());
    co_return co_await found_cluster();
}

// A wiped disk looks like a new one, and must not vote or acknowledge again under its old name. So each founder takes part only after every
// other one has noted its disk, durably, for good: as long as one of them has its own disk, it knows a wiped one.
runtime::Task<void> Host::found_cluster() {
    ENSURE(identity_.founding);
    const NodeId founder = identity_.node;
    std::vector<Member> missing = founders_of(options_);
    std::erase_if(missing, [founder](const Member& member) { return member.id == founder; });
    Instant tell_at = world_.reactor.now() + tell_again_after;
    while (!missing.empty()) {
        std::string why;
        for (auto member = missing.begin(); member != missing.end();) {
            const Result<bool> noted = co_await register_with(*member);
            if (identity_.node != founder)
                co_return runtime::done();  // It lives elsewhere now: in the lost one's place.
            if (!noted) why = noted.error().what;
            member = noted && *noted ? missing.erase(member) : std::next(member);
        }
        if (missing.empty()) break;
        if (world_.reactor.now() >= tell_at) {
            tell_at = world_.reactor.now() + tell_again_after;
            log::warn("founding_waits", {"for", missing.front().peer_urls.front()}, {"and_others", missing.size() - 1},
                      {"why", why});
        }
        CO_TRY(co_await runtime::sleep_for(ask_again_after));
    }
    identity_.founding = false;
    founder_ = true;
    co_return runtime::done();
}

// True: that founder knows our disk. False: it is nobody itself yet.
runtime::Task<bool> Host::register_with(Member founder) {
    Result<bool> noted = fail(Code::Invalid, "no usable peer URL");
    for (const std::string& url : founder.peer_urls) {
        Result<runtime::Address> address = address_of_url(url);
        if (!address) continue;
        noted = co_await ask_to_join(*std::move(address));
        if (noted) break;
    }
    co_return noted;
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

// As a founder: true if our disk was noted there. Else: true if this node has become a member of what it found there. False: the other
// one is nobody yet. A founder that is told another name was wiped, and has been given a new place: identity_ says so.
runtime::Task<bool> Host::ask_to_join(runtime::Address address) {
    const JoinQuestion question{.founding = identity_.founding ? identity_.cluster : ClusterId::None,
                                .founder = identity_.founding ? identity_.node : NodeId::Nobody,
                                .incarnation = identity_.incarnation,
                                .peer_urls = options_.advertised_peer_urls};
    Bytes asked = encode(question);
    CO_LET(const Bytes octets, co_await ask_at(std::move(address), std::move(asked)));
    CO_LET(const JoinAnswer answer, decode_join_answer(octets));
    if (!answer.is_formed) co_return identity_.founding&& answer.cluster == identity_.cluster;
    if (answer.node == NodeId::Nobody || answer.cluster == ClusterId::None) {
        co_return fail(Code::Invalid, "the member names nobody");
    }
    if (identity_.founding) log::warn("disk_was_replaced", {"was", identity_.node}, {"is", answer.node});
    CO_LET(known_members_, members_in(answer));
    identity_.cluster = answer.cluster;
    identity_.node = answer.node;
    identity_.consensus = answer.consensus;
    identity_.founding = founder_ = false;
    identity_.founders.clear();
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
        const Result<JoinAnswer> answer = decode_join_answer(*octets);
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
    CO_LET(const JoinQuestion question, decode_join_question(octets));
    JoinAnswer answer;
    if (identity_.cluster == ClusterId::None) co_return encode(answer);
    if (question.founding != ClusterId::None) {
        CO_LET(const bool noted, co_await note_founder(question));
        answer.cluster = identity_.cluster;
        if (noted) co_return encode(answer);
    } else if (!open_ || !is_founded()) {
        co_return encode(answer);
    }
    CO_TRY(co_await members_barrier());

    answer.is_formed = true;
    answer.cluster = identity_.cluster;
    answer.consensus = identity_.consensus;
    CO_LET(answer.node, co_await place_for(question));
    for (const auto& [id, record] : meta_.members()) answer.members.push_back(encode_meta_reply(record.member));
    co_return encode(answer);
}

// True: the founder's disk is known here, as the one that it says; durably. False: it is another than the cluster knows.
runtime::Task<bool> Host::note_founder(JoinQuestion question) {
    if (question.founding != identity_.cluster) {
        co_return fail(Code::Denied, "another cluster lives here: check the initial cluster and the token");
    }
    const std::vector<Member> founders = founders_of(options_);
    const auto noted = identity_.founders.find(question.founder);
    if (noted != identity_.founders.end() && noted->second == question.incarnation) co_return true;
    const auto member = meta_.members().find(question.founder);
    const bool published = member != meta_.members().end() && member->second.incarnation != 0;
    if (published && member->second.incarnation == question.incarnation) co_return true;
    const bool gone = is_founded() && member == meta_.members().end();
    if (published || gone || noted != identity_.founders.end()) {
        if (open_ && is_founded()) co_return false;
        co_return fail(
            Code::Unavailable,
            "this founder had another disk before, and the cluster is not formed yet: if it never was, wipe all its "
            "founders' data directories and start them again");
    }
    if (std::ranges::find(founders, question.founder, &Member::id) == founders.end() ||
        question.founder == identity_.node) {
        co_return fail(Code::Denied, "you are none of the founders known here: check the initial cluster");
    }
    identity_.founders[question.founder] = question.incarnation;
    CO_TRY(co_await save_own_identity());
    co_return true;
}

// Who the asker is in the cluster: a member that was added, or one in the place of the member whose disk was lost.
runtime::Task<NodeId> Host::place_for(JoinQuestion question) {
    if (question.founding != ClusterId::None) {
        CO_LET(const Member member, co_await replace_lost(question.founder, question.incarnation));
        co_return member.id;
    }
    std::vector<std::string> urls = question.peer_urls;
    std::ranges::sort(urls);
    for (const auto& [id, record] : meta_.members()) {
        std::vector<std::string> theirs = record.member.peer_urls;
        std::ranges::sort(theirs);
        if (theirs != urls) continue;
        if (record.incarnation == 0 || record.incarnation == question.incarnation) co_return id;
        CO_LET(const Member member, co_await replace_lost(id, question.incarnation));
        co_return member.id;
    }
    co_return fail(Code::NotFound, "no member has your peer URLs: add it first (polis member add)");
}

// A member that lives is not lost, whoever claims its place: a second process was started with its addresses.
runtime::Task<Member> Host::replace_lost(NodeId lost, uint64_t incarnation) {
    const std::optional<Instant> heard = peers_->last_heard(lost);
    const bool lives = lost == identity_.node || (heard && world_.reactor.now() - *heard < lost_after);
    if (lives)
        co_return fail(Code::Unavailable, "the member whose place you claim is alive, with another disk than yours");
    MetaCommand replace = ReplaceMember{.lost = lost, .id = NodeId{world_.random.next()}, .incarnation = incarnation};
    co_return co_await command(std::move(replace));
}

// One at a time: two writers of one file would meet in its temporary name.
runtime::Task<void> Host::save_own_identity() {
    while (saving_) CO_TRY(co_await saved_.wait());
    saving_ = true;
    const Result<void> saved = co_await save_identity(world_, identity_);
    saving_ = false;
    saved_.notify_all();
    co_return saved;
}

}  // namespace polis::cluster
