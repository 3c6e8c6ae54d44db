// Random histories against a naive model: every version of every key in a std::map. And the same history in other batches.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "services/coord/model_fixture.h"

namespace polis::services {
namespace {

constexpr int steps = 2000;

/// What a key was from a revision on; absent: nothing.
struct NaiveVersion {
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    std::string value;
    friend bool operator==(const NaiveVersion&, const NaiveVersion&) = default;
};

/// Keeps everything for ever and looks at all of it for every question.
class NaiveStore {
public:
    int64_t revision = 1;

    std::optional<NaiveVersion> at(const std::string& key, int64_t when) const {
        std::optional<NaiveVersion> found;
        const auto versions = keys_.find(key);
        if (versions == keys_.end()) return found;
        for (const auto& [made, version] : versions->second)
            if (made <= when) found = version;
        return found;
    }
    std::map<std::string, NaiveVersion> range(const Interval& interval, int64_t when) const {
        std::map<std::string, NaiveVersion> found;
        for (const auto& [key, versions] : keys_)
            if (interval.contains(key))
                if (const auto version = at(key, when)) found.emplace(key, *version);
        return found;
    }
    void put(const std::string& key, const std::string& value, int64_t when) {
        const auto before = at(key, when);
        keys_[key][when] = before ? NaiveVersion{before->create_revision, when, before->version + 1, value}
                                  : NaiveVersion{when, when, 1, value};
        events_.push_back({when, key, value});
    }
    int64_t remove(const Interval& interval, int64_t when) {
        const auto gone = range(interval, when);
        for (const auto& [key, version] : gone) {
            keys_[key][when] = std::nullopt;
            events_.push_back({when, key, std::nullopt});
        }
        return static_cast<int64_t>(gone.size());
    }

    struct Event {
        int64_t revision;
        std::string key;
        std::optional<std::string> value;  // Absent: deleted.
        friend bool operator==(const Event&, const Event&) = default;
    };
    const std::vector<Event>& events() const { return events_; }

private:
    std::map<std::string, std::map<int64_t, std::optional<NaiveVersion>>> keys_;
    std::vector<Event> events_;
};

std::string random_key(Chance& chance) {
    constexpr std::string_view letters("\0\1a\xff", 4);
    std::string key;
    for (uint64_t i = 0; i <= chance.below(3); ++i) key.push_back(letters[chance.below(letters.size())]);
    return key;
}

std::string random_end(Chance& chance) {
    if (chance.happens(300)) return {};
    if (chance.happens(200)) return std::string(1, '\0');
    return random_key(chance);
}

/// One random history, checked step by step.
class History {
public:
    explicit History(uint64_t seed) : chance_(seed), fixture_(seed % 2 == 0 ? 1u << 20 : 2048) {}

    void run() {
        for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) step();
        check_events();
    }

private:
    void step() {
        switch (chance_.below(10)) {
            case 0:
            case 1:
            case 2: return put();
            case 3: return remove();
            case 4:
            case 5: return transact();
            case 6:
            case 7:
            case 8: return read();
            default: return compact_or_restart();
        }
    }

    void put() {
        const std::string key = random_key(chance_);
        const std::string value = std::to_string(chance_.below(1000));
        naive_.put(key, value, ++naive_.revision);
        EXPECT_EQ(fixture_.put(key, value), naive_.revision);
    }

    void remove() {
        const std::string key = random_key(chance_);
        const std::string end = random_end(chance_);
        const int64_t removed = naive_.remove(Interval::of(key, end), naive_.revision + 1);
        if (removed > 0) ++naive_.revision;
        EXPECT_EQ(fixture_.remove(key, end), removed);
        EXPECT_EQ(fixture_.model().mvcc().applied_revision(), naive_.revision);
    }

    /// A compare on one key, then puts of different keys or a delete of a range, in the branch taken.
    void transact() {
        pb::TxnRequest request;
        const std::string compared = random_key(chance_);
        const auto version = naive_.at(compared, naive_.revision);
        auto& compare = *request.add_compare();
        compare.set_key(compared);
        compare.set_target(pb::Compare::MOD);
        const int64_t modified = version ? version->mod_revision : 0;
        const bool holds = chance_.happens(500);
        compare.set_mod_revision(holds ? modified : modified + 1);
        auto& branch = holds ? *request.mutable_success() : *request.mutable_failure();
        const int64_t when = naive_.revision + 1;
        bool changes = false;
        if (chance_.happens(300)) {
            const std::string key = random_key(chance_);
            const std::string end = random_end(chance_);
            auto& operation = *branch.Add()->mutable_request_delete_range();
            operation.set_key(key);
            operation.set_range_end(end);
            changes = naive_.remove(Interval::of(key, end), when) > 0;
        } else {
            std::map<std::string, std::string> puts;
            for (uint64_t i = 0; i < chance_.below(4); ++i) puts[random_key(chance_)] = std::to_string(i);
            for (const auto& [key, value] : puts) {
                auto& operation = *branch.Add()->mutable_request_put();
                operation.set_key(key);
                operation.set_value(value);
                naive_.put(key, value, when);
                changes = true;
            }
        }
        if (changes) ++naive_.revision;
        const auto reply = fixture_.txn(request);
        ASSERT_TRUE(reply.has_value());
        EXPECT_EQ(reply->succeeded(), holds);
        EXPECT_EQ(reply->header().revision(), naive_.revision);
    }

    void read() {
        const std::string key = random_key(chance_);
        const std::string end = random_end(chance_);
        const auto when = static_cast<int64_t>(chance_.between(static_cast<uint64_t>(std::max<int64_t>(compacted_, 1)),
                                                               static_cast<uint64_t>(naive_.revision)));
        const auto expected = naive_.range(Interval::of(key, end), when);
        const auto response = fixture_.range(key, end, when);
        EXPECT_EQ(response.count(), static_cast<int64_t>(expected.size()));
        ASSERT_EQ(response.kvs_size(), static_cast<int>(expected.size()));
        auto pair = expected.begin();
        for (const auto& found : response.kvs()) {
            EXPECT_EQ(found.key(), pair->first);
            EXPECT_EQ((NaiveVersion{found.create_revision(), found.mod_revision(), found.version(), found.value()}),
                      pair->second);
            ++pair;
        }
        const auto alone = naive_.at(key, when);
        EXPECT_EQ(fixture_.get(key, when), alone ? std::optional(alone->value) : std::nullopt);
    }

    void compact_or_restart() {
        if (chance_.happens(500)) return fixture_.reload();
        if (chance_.happens(500)) return fixture_.step_compaction(1 + chance_.below(20));
        const int64_t low = compacted_ + 1;
        if (low < 1 || low > naive_.revision) return;
        const auto revision =
            static_cast<int64_t>(chance_.between(static_cast<uint64_t>(low), static_cast<uint64_t>(naive_.revision)));
        ASSERT_TRUE(fixture_.compact(revision).has_value());
        compacted_ = revision;
        if (chance_.happens(500)) fixture_.finish_compaction();
    }

    void check_events() {
        std::vector<NaiveStore::Event> published;
        for (const Change& change : fixture_.history())
            published.push_back({change.version.revision.main, change.key.str(),
                                 change.version.deleted() ? std::nullopt : std::optional(change.version.value.str())});
        EXPECT_EQ(published, naive_.events());
        fixture_.finish_compaction();
        const auto existing = naive_.range(Interval{{}, {}, true}, naive_.revision);
        EXPECT_EQ(fixture_.model().mvcc().totals().keys, static_cast<int64_t>(existing.size()));
    }

    Chance chance_;
    ModelFixture fixture_;
    NaiveStore naive_;
    int64_t compacted_ = 0;
};

TEST(Model, AgreesWithANaiveOneOnRandomHistories) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        History(seed).run();
        ASSERT_FALSE(::testing::Test::HasFailure());
    }
}

Bytes random_command(Chance& chance) {
    if (chance.happens(50)) {
        pb::CompactionRequest request;
        request.set_revision(static_cast<int64_t>(chance.below(400)));
        return encode_command(CommandKind::Compact, request);
    }
    if (chance.happens(100)) return encode_command(CommandKind::StepCompaction, std::string("\0\0\0\0\0\0\0\x05", 8));
    if (chance.happens(200)) {
        pb::DeleteRangeRequest request;
        request.set_key(random_key(chance));
        request.set_range_end(random_end(chance));
        request.set_prev_kv(true);
        return encode_command(CommandKind::DeleteRange, request);
    }
    if (chance.happens(200)) {
        pb::LeaseGrantRequest request;
        request.set_id(static_cast<int64_t>(chance.below(5)));
        request.set_ttl(10);
        return encode_command(CommandKind::LeaseGrant, request);
    }
    if (chance.happens(100)) {
        pb::LeaseRevokeRequest request;
        request.set_id(static_cast<int64_t>(chance.below(5)));
        return encode_command(CommandKind::LeaseRevoke, request);
    }
    pb::PutRequest request;
    request.set_key(random_key(chance));
    request.set_value(std::to_string(chance.below(100)));
    request.set_lease(chance.happens(300) ? static_cast<int64_t>(chance.below(5)) : 0);
    request.set_prev_kv(true);
    return encode_command(CommandKind::Put, request);
}

// Nodes batch as their disks allow, and start with other caches: replies and state must not show it.
TEST(Model, GivesTheSameInAnyBatchesAndWithAnyCache) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Chance chance(seed);
        ModelFixture one_by_one;
        ModelFixture batched(2048);
        for (int i = 0; i < 500; ++i) {
            const Bytes command = random_command(chance);
            EXPECT_EQ(one_by_one.run({{}, 0, command}), batched.apply({{}, 0, command}));
            if (chance.happens(200)) batched.commit();
            if (chance.happens(10)) one_by_one.reload();
        }
        batched.commit();
        EXPECT_EQ(one_by_one.store_hash(), batched.store_hash());
        ASSERT_FALSE(::testing::Test::HasFailure());
    }
}

}  // namespace
}  // namespace polis::services
