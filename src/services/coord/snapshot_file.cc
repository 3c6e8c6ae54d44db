#include "services/coord/snapshot_file.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "codec/etcd/lease.pb.h"
#include "codec/etcd/rpc.pb.h"
#include "services/coord/etcd_record.h"
#include "services/coord/lease_table.h"
#include "services/coord/store_keys.h"

namespace polis::services {

namespace {

using Pair = std::pair<std::string, std::string>;
using codec::BboltPair;
using codec::BboltPairSource;

/// Few pairs, made in advance.
class ReadyPairs : public BboltPairSource {
public:
    explicit ReadyPairs(std::vector<Pair> pairs) : pairs_(std::move(pairs)) {}

    Result<std::optional<BboltPair>> next() override {
        if (next_ == pairs_.size()) return std::optional<BboltPair>();
        const Pair& pair = pairs_[next_++];
        return std::optional<BboltPair>({pair.first, pair.second});
    }

private:
    std::vector<Pair> pairs_;
    size_t next_ = 0;
};

/// Each pair of one table of ours, turned into one of etcd's.
class TablePairs : public BboltPairSource {
public:
    using Turn = std::function<Result<Pair>(const StateReader&, std::string_view key, std::string_view value)>;

    TablePairs(std::shared_ptr<const storage::View> view, Table table, Turn turn)
        : view_(std::move(view)), reader_(*view_), turn_(std::move(turn)) {
        const storage::KeyRange range = range_of(table);
        cursor_ = reader_.cursor(range);
        cursor_->seek(range.first);
    }

    Result<std::optional<BboltPair>> next() override {
        TRY(cursor_->status());
        if (!cursor_->valid()) return std::optional<BboltPair>();
        LET(pair_, turn_(reader_, cursor_->key(), cursor_->value()));
        cursor_->next();
        return std::optional<BboltPair>({pair_.first, pair_.second});
    }

private:
    std::shared_ptr<const storage::View> view_;
    ReaderOf<storage::View> reader_;
    Turn turn_;
    std::unique_ptr<storage::Cursor> cursor_;
    Pair pair_;
};

codec::BboltBucket ready_bucket(std::string name, std::vector<Pair> pairs) {
    std::ranges::sort(pairs);
    return {std::move(name), [pairs = std::move(pairs)]() -> Result<std::unique_ptr<BboltPairSource>> {
                return std::make_unique<ReadyPairs>(pairs);
            }};
}

codec::BboltBucket table_bucket(std::string name, const std::shared_ptr<const storage::View>& view, Table table,
                                TablePairs::Turn turn) {
    return {std::move(name), [view, table, turn = std::move(turn)]() -> Result<std::unique_ptr<BboltPairSource>> {
                return std::make_unique<TablePairs>(view, table, turn);
            }};
}

// ---- Tables, turned ----

Result<Pair> turn_change(const StateReader& reader, std::string_view key, std::string_view value) {
    const Revision place = parse_revision_key(key);
    LET(const RevisionRecord record, parse_revision_record(value));
    LET(std::string stored, etcd_value(reader, place, record));
    return Pair(etcd_revision_key(place, record.deleted), std::move(stored));
}

Result<Pair> turn_lease(const StateReader&, std::string_view key, std::string_view value) {
    LET(const LeaseTable::Lease stored, LeaseTable::parse(value));
    leasepb::Lease lease;
    lease.set_id(parse_lease_key(key));
    lease.set_ttl(stored.ttl_seconds);
    lease.set_remainingttl(stored.remaining_seconds);
    return Pair(std::string(key.substr(1)), lease.SerializeAsString());
}

Result<Pair> turn_alarm(const StateReader&, std::string_view key, std::string_view) {
    if (key.size() != 17) return fail(Code::Corrupt, "an alarm's record is not what was written");
    etcdserverpb::AlarmMember alarm;
    alarm.set_memberid(read_big_endian(key.substr(1)));
    alarm.set_alarm(static_cast<etcdserverpb::AlarmType>(read_big_endian(key.substr(9))));
    return Pair(alarm.SerializeAsString(), std::string());
}

Result<Pair> turn_named(const StateReader&, std::string_view key, std::string_view value) {
    return Pair(std::string(key.substr(1)), std::string(value));
}

// ---- Small buckets ----

std::string big_endian(uint64_t number) {
    std::string octets;
    append_big_endian(octets, number);
    return octets;
}

std::vector<Pair> auth_pairs(const storage::View& view) {
    const auto enabled = view.get(named_key(Table::Meta, "auth enabled"));
    const auto revision = view.get(named_key(Table::Meta, "auth revision"));
    const bool on = enabled && *enabled && **enabled == "1";
    return {{"authEnabled", std::string(1, on ? '\1' : '\0')},
            {"authRevision", revision && *revision ? **revision : big_endian(1)}};
}

std::vector<Pair> meta_pairs(const storage::View& view, const SnapshotOrigin& origin) {
    nlohmann::json state;
    state["voters"] = nlohmann::json::array();
    for (const cluster::Member& member : origin.members)
        state[member.learner ? "learners" : "voters"].push_back(number_of(member.id));
    state["auto_leave"] = false;
    std::vector<Pair> pairs{{"consistent_index", big_endian(std::max<uint64_t>(origin.consistent_index, 1))},
                            {"term", big_endian(std::max<uint64_t>(origin.term, 1))},
                            {"confState", state.dump()}};
    for (const auto& [ours, theirs] :
         {std::pair("compacted", "scheduledCompactRev"), std::pair("compaction finished", "finishedCompactRev")}) {
        const auto stored = view.get(named_key(Table::Meta, ours));
        if (stored && *stored && (*stored)->size() == 8)
            pairs.emplace_back(theirs, etcd_revision_key({static_cast<int64_t>(read_big_endian(**stored)), 0}, false));
    }
    return pairs;
}

std::vector<Pair> member_pairs(const SnapshotOrigin& origin) {
    std::vector<Pair> pairs;
    for (const cluster::Member& member : origin.members) {
        nlohmann::json json;
        json["id"] = number_of(member.id);
        json["peerURLs"] = member.peer_urls;
        if (member.learner) json["isLearner"] = true;
        if (!member.name.empty()) json["name"] = member.name;
        if (!member.client_urls.empty()) json["clientURLs"] = member.client_urls;
        char hex[17];
        std::snprintf(hex, sizeof hex, "%" PRIx64, number_of(member.id));
        pairs.emplace_back(hex, json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    }
    return pairs;
}

}  // namespace

std::vector<codec::BboltBucket> snapshot_buckets(std::shared_ptr<const storage::View> view,
                                                 const SnapshotOrigin& origin) {
    std::vector<codec::BboltBucket> buckets;
    buckets.push_back(table_bucket("alarm", view, Table::Alarms, turn_alarm));
    buckets.push_back(ready_bucket("auth", auth_pairs(*view)));
    buckets.push_back(table_bucket("authRoles", view, Table::Roles, turn_named));
    buckets.push_back(table_bucket("authUsers", view, Table::Users, turn_named));
    buckets.push_back(ready_bucket(
        "cluster", {{"clusterVersion", "3.5.0"}, {"downgrade", R"({"target-version":"","enabled":false})"}}));
    buckets.push_back(table_bucket("key", view, Table::Revisions, turn_change));
    buckets.push_back(table_bucket("lease", view, Table::Leases, turn_lease));
    buckets.push_back(ready_bucket("members", member_pairs(origin)));
    buckets.push_back(ready_bucket("members_removed", {}));
    buckets.push_back(ready_bucket("meta", meta_pairs(*view, origin)));
    return buckets;
}

}  // namespace polis::services
