// The part of Host that adds, removes and promotes members, and brings every group's consensus to what was decided.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/octets.h"
#include "cluster/host.h"

namespace polis::cluster {
namespace {

constexpr auto configure_wait = std::chrono::seconds(5);

}  // namespace

std::vector<Member> Host::members() const {
    if (meta_.cluster() == ClusterId::None) return known_members_;
    std::vector<Member> members;
    for (const auto& [id, record] : meta_.members()) members.push_back(record.member);
    return members;
}

runtime::Task<void> Host::members_barrier() { return replicas_.at(GroupId::Meta)->read_barrier(); }

runtime::Task<Member> Host::command(MetaCommand command) {
    const Replica::Caller itself;
    CO_LET(const Bytes reply, co_await replicas_.at(GroupId::Meta)->propose(itself, encode_meta_command(command)));
    co_return decode_meta_reply(reply);
}

runtime::Task<Member> Host::add_member(std::vector<std::string> peer_urls, bool learner) {
    for (const std::string& url : peer_urls) CO_TRY(address_of_url(url));
    CO_TRY(co_await until_founded());
    // One at a time: a newcomer only learns at first, but whoever adds voters faster than they come up is about to lose count.
    for (const auto& [id, record] : meta_.members()) {
        const bool reached = id == identity_.node || record.member.learner || peers_->connected(id);
        if (!learner && !reached)
            co_return fail(Code::Stale, "a voting member cannot be reached: start or remove it first");
    }
    Member member;
    member.id = NodeId{world_.random.next()};
    member.peer_urls = std::move(peer_urls);
    member.learner = learner;
    MetaCommand add = AddMember{std::move(member)};
    CO_LET(Member added, co_await command(std::move(add)));
    CO_TRY(co_await until_configured(added.id, true));
    co_return added;
}

runtime::Task<void> Host::remove_member(NodeId id) {
    CO_TRY(co_await until_founded());
    MetaCommand remove = RemoveMember{id};
    CO_TRY(co_await command(std::move(remove)));
    co_return co_await until_configured(id, false);
}

runtime::Task<void> Host::update_member(NodeId id, std::vector<std::string> peer_urls) {
    for (const std::string& url : peer_urls) CO_TRY(address_of_url(url));
    CO_TRY(co_await until_founded());
    MetaCommand update = UpdateMember{id, std::move(peer_urls)};
    CO_TRY(co_await command(std::move(update)));
    co_return runtime::done();
}

runtime::Task<void> Host::promote_member(NodeId id) {
    CO_TRY(co_await until_founded());
    CO_TRY(co_await members_barrier());
    const NodeId leader = replicas_.at(GroupId::Meta)->leadership().leader;
    if (leader == identity_.node) {
        CO_TRY(co_await answer_promote(id));
    } else {
        OctetWriter body;
        body.number(number_of(id));
        CO_TRY(co_await peers_->request(leader, GroupId::Meta, static_cast<uint8_t>(HostRequest::Promote),
                                        Bytes::take(body.take())));
    }
    co_return runtime::done();
}

// On the leader, who alone knows how far a learner has come.
runtime::Task<Bytes> Host::answer_promote(NodeId id) {
    const auto member = meta_.members().find(id);
    if (member == meta_.members().end()) co_return fail(Code::NotFound, "no such member");
    if (!member->second.member.learner) co_return fail(Code::Invalid, "the member votes already");
    bool in_sync = member->second.incarnation != 0;  // It has started, and got so far as to say so.
    for (const auto& [group, replica] : replicas_) {
        if (!replica->leadership().ready) continue;
        const consensus::Status core = replica->core_status();
        const auto progress = std::ranges::find(core.progress, id, &consensus::Status::Progress::node);
        in_sync = in_sync && progress != core.progress.end() && progress->active &&
                  progress->matched.value >= core.last.value - core.last.value / 10;  // As etcd: nine tenths.
    }
    if (!in_sync) co_return fail(Code::Stale, "the learner has not caught up with the leader yet: try again later");
    MetaCommand promote = PromoteMember{id};
    CO_TRY(co_await command(std::move(promote)));
    co_return Bytes();
}

// The first moments of a cluster: its members are not yet written down.
runtime::Task<void> Host::until_founded() {
    const Instant give_up = world_.reactor.now() + configure_wait;
    while (!is_founded()) {
        const Result<void> changed = co_await runtime::with_deadline(give_up, changed_.wait());
        if (!changed && changed.error().code == Code::Timeout) {
            co_return fail(Code::Unavailable,
                           "the cluster has no leader yet: a majority of nodes must be up and connected");
        }
        CO_TRY(changed);
    }
    co_return runtime::done();
}

// Waits, for a while, until every group has (or has not) the member: after that a client may rely on it.
runtime::Task<void> Host::until_configured(NodeId id, bool present) {
    const Instant give_up = world_.reactor.now() + configure_wait;
    for (;;) {
        const bool everywhere = std::ranges::all_of(replicas_, [&](const auto& one) {
            const consensus::Membership& membership = one.second->membership();
            return membership.contains(id) == present && !membership.joint();
        });
        if (everywhere) co_return runtime::done();
        const Result<void> changed = co_await runtime::with_deadline(give_up, changed_.wait());
        if (!changed && changed.error().code == Code::Timeout) {
            co_return fail(Code::Unknown, "the change was decided, but not all groups have followed yet");
        }
        CO_TRY(changed);
    }
}

runtime::Task<void> Host::transfer_leadership(NodeId to) {
    bool led = false;
    undisturbed_since_ = world_.reactor.now() + options_.balance.after_demand;
    for (auto& [group, replica] : replicas_) {
        if (!replica->leadership().ready) continue;
        led = true;
        CO_TRY(co_await replica->transfer_leadership(to));
    }
    if (!led) co_return fail(Code::NotLeader, "this node leads nothing");
    co_return runtime::done();
}

std::vector<MemberHealth> Host::health() const {
    std::vector<MemberHealth> all;
    for (const Member& member : members()) {
        if (member.id == identity_.node) {
            all.push_back({.id = member.id, .connected = true, .alive = true, .heard_ago = Duration(0)});
            continue;
        }
        const PeerHealth peer = peers_->health(member.id);
        all.push_back({.id = member.id,
                       .connected = peer.connected,
                       .alive = peer.alive,
                       .phi = peer.phi,
                       .suspected = peer.suspected,
                       .heard_ago = peer.heard_ago});
    }
    return all;
}

GroupStatus Host::status(GroupId group) const { return replicas_.at(group)->status(); }

// ---- What follows from the decisions ----

void Host::members_changed() {
    if (!peers_ || !open_) return;
    std::vector<NodeId> present;
    for (const Member& member : members()) {
        present.push_back(member.id);
        std::vector<runtime::Address> addresses;
        for (const std::string& url : member.peer_urls) {
            if (Result<runtime::Address> address = address_of_url(url)) addresses.push_back(*std::move(address));
        }
        peers_->set_peer(member.id, std::move(addresses));
    }
    // One that was removed is still told so, by whoever leads, until its group has let it go.
    for (const NodeId node : peers_->known()) {
        const bool needed =
            std::ranges::any_of(replicas_, [node](const auto& one) { return one.second->membership().contains(node); });
        if (!needed && std::ranges::find(present, node) == present.end()) peers_->remove_peer(node);
    }
    peers_->check_admissions();
    if (meta_.cluster() != ClusterId::None && meta_.was_removed(identity_.node)) {
        fatal_channel_.try_push("this node was removed from the cluster");
    }
}

runtime::Task<void> Host::reconcile_loop() {
    for (;;) {
        const Instant next = world_.reactor.now() + options_.reconcile_interval;
        const Result<void> woken = co_await runtime::with_deadline(next, changed_.wait());
        if (!woken && woken.error().code != Code::Timeout) co_return woken;
        if (meta_.cluster() == ClusterId::None) continue;
        for (auto& [group, replica] : replicas_) {
            if (!replica->leadership().ready) continue;
            const Result<void> reconciled = co_await reconcile(*replica);
            if (!reconciled) {
                log::debug("reconcile_later", {"group", group}, {"why", reconciled.error().what});
            }
        }
        members_changed();
    }
}

// One step towards what the members should be: newcomers first learn, and vote once the core finds them caught up.
runtime::Task<void> Host::reconcile(GroupReplica& replica) {
    const consensus::Membership now = replica.core_status().membership;
    if (now.joint()) co_return runtime::done();
    std::vector<NodeId> voters;
    std::vector<NodeId> learners;
    std::vector<NodeId> newcomers;  // Should vote, do not yet.
    for (const auto& [id, record] : meta_.members()) {
        if (record.member.learner) {
            learners.push_back(id);
        } else if (now.votes(id)) {
            voters.push_back(id);
        } else {
            newcomers.push_back(id);
        }
    }
    std::vector<NodeId> first_learners = learners;
    first_learners.insert(first_learners.end(), newcomers.begin(), newcomers.end());
    std::ranges::sort(first_learners);
    if (voters.empty()) co_return runtime::done();
    if (voters != now.voters || first_learners != now.learners) {
        CO_TRY(co_await replica.reconfigure(voters, first_learners));
        changed_.notify_all();
        co_return runtime::done();
    }
    for (const NodeId newcomer : newcomers) {
        std::vector<NodeId> more = voters;
        more.push_back(newcomer);
        std::ranges::sort(more);
        std::vector<NodeId> rest = first_learners;
        std::erase(rest, newcomer);
        CO_TRY(co_await replica.reconfigure(more, rest));
        changed_.notify_all();
        co_return runtime::done();  // One at a time; the next round takes the next.
    }
    co_return runtime::done();
}

// The first leader writes down who founded the cluster; every node then says how it is reached.
runtime::Task<void> Host::found_and_publish() {
    for (;;) {
        const bool founded = meta_.cluster() != ClusterId::None;
        Result<Member> done = fail(Code::Unavailable, "waiting for a leader");
        if (!founded && replicas_.at(GroupId::Meta)->leadership().ready) {
            MetaCommand found =
                FoundCluster{.cluster = identity_.cluster, .feature_level = 1, .members = known_members_};
            done = co_await command(std::move(found));
            if (done) continue;
        } else if (founded && meta_.members().contains(identity_.node)) {
            MetaCommand publish = PublishMember{.id = identity_.node,
                                                .name = options_.name,
                                                .client_urls = options_.advertised_client_urls,
                                                .labels = options_.labels,
                                                .incarnation = identity_.incarnation};
            done = co_await command(std::move(publish));
            if (done) co_return runtime::done();
            if (done.error().code == Code::Stale) {
                fatal_channel_.try_push(done.error().what);
                co_return runtime::done();
            }
        }
        const Instant next = world_.reactor.now() + options_.reconcile_interval;
        const Result<void> woken = co_await runtime::with_deadline(next, changed_.wait());
        if (!woken && woken.error().code != Code::Timeout) co_return woken;
    }
}

}  // namespace polis::cluster
