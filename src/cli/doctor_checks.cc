#include "cli/doctor_checks.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "base/ensure.h"
#include "cli/top_table.h"

namespace polis::cli {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t lag_entries_max = 10'000;  // storage.keep_entries: whoever is further behind needs a snapshot.
constexpr auto skew_warning = milliseconds(500);
constexpr auto skew_failure = milliseconds(5000);
constexpr auto expiry_warning = std::chrono::days(30);
constexpr auto sync_warning = milliseconds(10);   // What etcd's documentation asks of a disk.
constexpr auto sync_failure = milliseconds(100);  // Two heartbeats.
constexpr uint64_t descriptors_wanted = 4096;

std::string milliseconds_text(Duration duration) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(duration.count()) / 1e6);
    return text;
}

std::vector<const MemberFacts*> answering(const ClusterFacts& facts) {
    std::vector<const MemberFacts*> found;
    for (const MemberFacts& member : facts.members) {
        if (member.unreachable.empty()) found.push_back(&member);
    }
    return found;
}

void check_reachable(const ClusterFacts& facts, std::vector<Finding>& findings) {
    for (const MemberFacts& member : facts.members) {
        if (member.unreachable.empty()) continue;
        findings.push_back({Verdict::Failure, "reachable", member.name + " does not answer: " + member.unreachable,
                            "look whether its process runs and what its log says; look whether " + member.endpoint +
                                " can be reached from here"});
    }
    if (answering(facts).size() == facts.members.size()) {
        findings.push_back(
            {Verdict::Ok, "reachable", "all " + std::to_string(facts.members.size()) + " members answer"});
    }
}

void check_leader(const ClusterFacts& facts, std::vector<Finding>& findings) {
    std::set<uint64_t> leaders;
    std::string without;
    for (const MemberFacts* member : answering(facts)) {
        if (member->leader == 0) without += (without.empty() ? "" : ", ") + member->name;
        if (member->leader != 0) leaders.insert(member->leader);
    }
    if (leaders.empty()) {
        findings.push_back({Verdict::Failure, "leader", "there is no leader: nothing can be written",
                            "more than half of the voting members must run and reach each other on their peer ports"});
    } else if (!without.empty()) {
        findings.push_back({Verdict::Failure, "leader", "no leader is known to " + without,
                            "it is cut off from the others: look at the network between their peer ports"});
    } else if (leaders.size() > 1) {
        findings.push_back({Verdict::Warning, "leader", "members name different leaders: leadership is just changing",
                            "run this again; if it stays so, look at the network between the peer ports"});
    } else {
        const auto place = std::ranges::find(facts.members, *leaders.begin(), &MemberFacts::id);
        const std::string name = place == facts.members.end() ? "a member that is not listed" : place->name;
        findings.push_back({Verdict::Ok, "leader", name + " leads"});
    }
}

void check_lag(const ClusterFacts& facts, std::vector<Finding>& findings) {
    uint64_t most = 0;
    for (const MemberFacts* member : answering(facts)) most = std::max(most, member->applied);
    bool all_close = true;
    for (const MemberFacts* member : answering(facts)) {
        const uint64_t lag = most - member->applied;
        if (lag <= lag_entries_max) continue;
        all_close = false;
        findings.push_back({Verdict::Warning, "lag", member->name + " is " + std::to_string(lag) + " entries behind",
                            "wait whether it catches up (`polis top`); if not, look at its disk and its network"});
    }
    if (all_close) findings.push_back({Verdict::Ok, "lag", "nobody is far behind"});
}

void check_peers(const ClusterFacts& facts, std::vector<Finding>& findings) {
    bool all_heard = true;
    bool any_page = false;
    for (const MemberFacts* member : answering(facts)) {
        if (!member->page) continue;
        any_page = true;
        for (const node::PeerView& peer : member->page->peers) {
            if (peer.connected && !peer.suspected) continue;
            all_heard = false;
            const std::string name = peer.name.empty() ? "a member that has not started" : peer.name;
            char phi[32];
            std::snprintf(phi, sizeof phi, "%.1f", peer.phi);
            const std::string seen = !peer.suspected ? "has no connection to " + name
                                     : !peer.silent_for
                                         ? "has never heard from " + name
                                         : "suspects " + name + ": silent for " +
                                               std::to_string(peer.silent_for->count()) + " ms, phi " + phi;
            findings.push_back(
                {Verdict::Failure, "peers", member->name + " " + seen,
                 "look whether it runs, and at the network and the certificates between their peer ports"});
        }
    }
    if (any_page && all_heard) findings.push_back({Verdict::Ok, "peers", "all members hear each other"});
}

void check_clocks(const ClusterFacts& facts, std::vector<Finding>& findings) {
    const MemberFacts* first = nullptr;
    const MemberFacts* last = nullptr;
    for (const MemberFacts* member : answering(facts)) {
        if (!member->clock_ahead) continue;
        if (!first || *member->clock_ahead < *first->clock_ahead) first = member;
        if (!last || *member->clock_ahead > *last->clock_ahead) last = member;
    }
    if (first == last) return;  // Nobody to compare with.
    const Duration skew = *last->clock_ahead - *first->clock_ahead;
    const Duration error = first->clock_error + last->clock_error;
    const std::string seen = last->name + " is " + milliseconds_text(skew) + " ahead of " + first->name +
                             " (give or take " + milliseconds_text(error) + ")";
    const Verdict verdict = skew - error > skew_failure   ? Verdict::Failure
                            : skew - error > skew_warning ? Verdict::Warning
                                                          : Verdict::Ok;
    findings.push_back(
        {verdict, "clocks", seen,
         verdict == Verdict::Ok ? "" : "run a time service (chrony, systemd-timesyncd) on all machines"});
}

void check_alarms(const ClusterFacts& facts, std::vector<Finding>& findings) {
    for (const std::string& alarm : facts.alarms) {
        const bool space = alarm.starts_with("NOSPACE");
        findings.push_back(
            {Verdict::Failure, "alarms", "alarm " + alarm,
             space ? "compact and delete what is not needed, or raise etcd.quota_bytes; then `etcdctl alarm disarm`"
                   : "stop the member, remove its data directory and let it join anew; then `etcdctl alarm disarm`"});
    }
    if (facts.alarms.empty()) findings.push_back({Verdict::Ok, "alarms", "none is raised"});
}

void check_versions(const ClusterFacts& facts, std::vector<Finding>& findings) {
    std::set<std::string> versions;
    for (const MemberFacts* member : answering(facts)) versions.insert(member->version);
    if (versions.size() < 2) return;
    std::string all;
    for (const std::string& version : versions) all += (all.empty() ? "" : ", ") + version;
    findings.push_back({Verdict::Warning, "versions", "members are of different releases: " + all,
                        "finish the upgrade, one member at a time"});
}

void check_member(const MemberFacts& member, std::vector<Finding>& findings) {
    if (member.quota_bytes > 0 && member.store_bytes > member.quota_bytes / 10 * 8) {
        findings.push_back({Verdict::Warning, "quota",
                            member.name + " has filled " + bytes_text(static_cast<double>(member.store_bytes)) +
                                " of " + bytes_text(static_cast<double>(member.quota_bytes)),
                            "compact (etcd.auto_compaction_mode), delete, or raise etcd.quota_bytes"});
    }
    if (!member.page) return;
    const node::NodePage& page = *member.page;
    findings.push_back(check_disk_space(member.name + "'s data directory", page.disk_free_bytes, page.disk_bytes));
    findings.push_back(check_descriptors(member.name, page.descriptors_open, page.descriptors_max));
    if (page.log_syncs > 0 && page.log_sync_mean > sync_warning) {
        findings.push_back(
            {Verdict::Warning, "disk speed",
             member.name + "'s log takes " + milliseconds_text(page.log_sync_mean) + " a sync on average",
             "give the data directory a faster disk, or one of its own"});
    }
    if (!page.waiting_for_restart.empty()) {
        std::string keys;
        for (const std::string& key : page.waiting_for_restart) keys += (keys.empty() ? "" : ", ") + key;
        findings.push_back({Verdict::Warning, "restart", member.name + " runs with older values of " + keys,
                            "restart it when it suits"});
    }
}

const char* word_of(Verdict verdict) {
    return verdict == Verdict::Ok ? "ok" : verdict == Verdict::Warning ? "warning" : "FAILED";
}

}  // namespace

std::vector<Finding> check_cluster(const ClusterFacts& facts) {
    std::vector<Finding> findings;
    check_reachable(facts, findings);
    check_leader(facts, findings);
    check_peers(facts, findings);
    check_lag(facts, findings);
    check_alarms(facts, findings);
    check_clocks(facts, findings);
    check_versions(facts, findings);
    for (const MemberFacts* member : answering(facts)) check_member(*member, findings);
    return findings;
}

Finding check_certificate(const std::string& what, const Result<std::vector<security::CertificateSummary>>& chain,
                          const std::vector<std::string>& names, WallTime now) {
    const std::string renew = "make a new one (`polis init FOLDER --renew`) and `polis reload` the node";
    if (!chain)
        return {Verdict::Failure, "certificates", what + ": " + chain.error().what, "correct the file or its path"};
    for (const security::CertificateSummary& certificate : *chain) {
        const std::string who = what + " (" + certificate.common_name + ")";
        if (now < certificate.not_before) {
            return {Verdict::Failure, "certificates", who + " is not valid yet", "look at this machine's clock"};
        }
        if (now >= certificate.not_after) return {Verdict::Failure, "certificates", who + " has expired", renew};
        const auto left = certificate.not_after.since_epoch - now.since_epoch;
        const auto days = std::chrono::duration_cast<std::chrono::days>(left).count();
        if (left < expiry_warning) {
            return {Verdict::Warning, "certificates", who + " expires in " + std::to_string(days) + " days", renew};
        }
    }
    ENSURE(!chain->empty());
    const security::CertificateSummary& leaf = chain->front();
    for (const std::string& name : names) {
        const bool named = std::ranges::any_of(leaf.names, [&name](const std::string& other) {
            const size_t dot = name.find('.');
            return other == name ||
                   (other.starts_with("*.") && dot != std::string::npos && other.substr(1) == name.substr(dot));
        });
        if (!named) {
            return {Verdict::Failure, "certificates", what + " does not name " + name + ": those who dial it refuse it",
                    renew + ", with that name"};
        }
    }
    const auto left = leaf.not_after.since_epoch - now.since_epoch;
    return {Verdict::Ok, "certificates",
            what + " (" + leaf.common_name + ") is good for " +
                std::to_string(std::chrono::duration_cast<std::chrono::days>(left).count()) + " days"};
}

Finding check_disk_space(const std::string& where, uint64_t free_bytes, uint64_t bytes) {
    const std::string seen = where + " has " + bytes_text(static_cast<double>(free_bytes)) + " free of " +
                             bytes_text(static_cast<double>(bytes));
    constexpr uint64_t least_bytes = 256u << 20;  // A few segments of the log and a flush.
    const std::string next = "make room or move the data directory before writes are refused";
    if (free_bytes < least_bytes || free_bytes < bytes / 50) return {Verdict::Failure, "disk", seen, next};
    if (free_bytes < bytes / 10) return {Verdict::Warning, "disk", seen, next};
    return {Verdict::Ok, "disk", seen};
}

Finding check_sync_times(std::vector<Duration> times) {
    ENSURE(!times.empty());
    std::ranges::sort(times);
    const Duration middle = times[times.size() / 2];
    const Duration worst = times.back();
    const std::string seen = "a small durable write takes " + milliseconds_text(middle) + ", at worst " +
                             milliseconds_text(worst) + " of " + std::to_string(times.size());
    const std::string next = "give the data directory a faster disk, or one that nothing else writes to";
    if (middle > sync_failure) return {Verdict::Failure, "disk speed", seen, next};
    if (middle > sync_warning || worst > sync_failure) return {Verdict::Warning, "disk speed", seen, next};
    return {Verdict::Ok, "disk speed", seen};
}

Finding check_descriptors(const std::string& who, uint64_t open, uint64_t max) {
    const std::string seen = who + " has " + std::to_string(open) + " files open and may have " + std::to_string(max);
    const std::string next = "raise the limit: LimitNOFILE= of its unit, or ulimit -n, then restart it";
    if (open > max / 10 * 9) return {Verdict::Failure, "open files", seen, next};
    if (max < descriptors_wanted || open > max / 10 * 7) return {Verdict::Warning, "open files", seen, next};
    return {Verdict::Ok, "open files", seen};
}

bool has_failure(const std::vector<Finding>& findings) {
    return std::ranges::any_of(findings, [](const Finding& finding) { return finding.verdict == Verdict::Failure; });
}

std::string doctor_text(const std::vector<Finding>& findings) {
    std::string out;
    size_t counts[3] = {};
    for (const Finding& finding : findings) {
        char head[64];
        std::snprintf(head, sizeof head, "%-8s %-14s ", word_of(finding.verdict), finding.check.c_str());
        out += head + finding.what + "\n";
        if (!finding.next.empty()) out += std::string(24, ' ') + "-> " + finding.next + "\n";
        ++counts[static_cast<size_t>(finding.verdict)];
    }
    return out + std::to_string(counts[0]) + " ok, " + std::to_string(counts[1]) + " warnings, " +
           std::to_string(counts[2]) + " failed\n";
}

std::string doctor_json(const std::vector<Finding>& findings) {
    nlohmann::json list = nlohmann::json::array();
    for (const Finding& finding : findings) {
        const char* verdict = finding.verdict == Verdict::Failure ? "failed" : word_of(finding.verdict);
        list.push_back(
            {{"verdict", verdict}, {"check", finding.check}, {"what", finding.what}, {"next", finding.next}});
    }
    const nlohmann::json tree = {{"ok", !has_failure(findings)}, {"findings", std::move(list)}};
    return tree.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace polis::cli
