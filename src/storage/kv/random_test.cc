// Random histories: an overlay over either store shows what a std::map shows, through writes, flushes and crashes.
#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "storage/kv/overlay.h"
#include "storage/kv/store_fixture.h"

namespace polis::storage {
namespace {

using Pairs = std::map<std::string, std::string>;

/// Short keys of few letters, the least and the greatest octet among them, so that changes meet.
std::string any_key(Chance& chance) {
    constexpr std::string_view letters("\0abc\xff", 5);
    std::string key(chance.below(5), '\0');
    for (char& octet : key) octet = letters[chance.below(letters.size())];
    return key;
}

/// One change, or a step in the life of the changes gathered so far.
struct Step {
    enum class Kind : uint8_t { Put, Remove, RemoveRange, Write, Flush, Erase } kind = Kind::Put;
    std::string key;
    std::string other;  // Value, or end of the range.
};

Step any_step(Chance& chance) {
    using enum Step::Kind;
    constexpr Step::Kind kinds[] = {Put,    Put,    Put,         Put,         Put,   Put,   Put,   Put,
                                    Remove, Remove, RemoveRange, RemoveRange, Write, Write, Flush, Erase};
    Step step;
    step.kind = kinds[chance.below(std::size(kinds))];
    step.key = any_key(chance);
    step.other = any_key(chance);
    return step;
}

std::vector<Step> any_steps(uint64_t seed) {
    Chance chance(seed);
    std::vector<Step> steps;
    for (uint64_t n = chance.below(80); n > 0; --n) steps.push_back(any_step(chance));
    return steps;
}

void remove_range(Pairs& pairs, const KeyRange& range) {
    std::erase_if(pairs, [&](const auto& pair) { return range.contains(pair.first); });
}

/// Compares what a cursor shows with `expected`, from both ends and around `key`.
void check_cursor(Cursor& cursor, const Pairs& expected, const std::string& key) {
    auto at = expected.begin();
    for (cursor.seek(""); cursor.valid(); cursor.next(), ++at) {
        ASSERT_TRUE(at != expected.end());
        ASSERT_TRUE(cursor.key() == at->first);
        ASSERT_TRUE(cursor.value() == at->second);
    }
    ASSERT_TRUE(at == expected.end());
    for (cursor.seek_before(""); cursor.valid(); cursor.previous()) {
        ASSERT_TRUE(at != expected.begin());
        --at;
        ASSERT_TRUE(cursor.key() == at->first);
        ASSERT_TRUE(cursor.value() == at->second);
    }
    ASSERT_TRUE(at == expected.begin());

    at = expected.lower_bound(key);
    cursor.seek(key);
    ASSERT_TRUE(cursor.valid() == (at != expected.end()));
    if (cursor.valid()) {
        cursor.previous();
        ASSERT_TRUE(cursor.valid() == (at != expected.begin()));
        if (cursor.valid()) {
            cursor.next();
            ASSERT_TRUE(cursor.key() == at->first);
        }
    }
    if (key.empty()) return;
    cursor.seek_before(key);
    ASSERT_TRUE(cursor.valid() == (at != expected.begin()));
    if (!cursor.valid()) return;
    cursor.next();
    ASSERT_TRUE(cursor.valid() == (at != expected.end()));
    if (cursor.valid()) {
        ASSERT_TRUE(cursor.key() == at->first);
    }
}

Pairs part(Pairs pairs, const KeyRange& range) {
    std::erase_if(pairs, [&](const auto& pair) { return !range.contains(pair.first); });
    return pairs;
}

/// A store, the overlay on it, and the maps that both must equal.
class History {
public:
    explicit History(Store& store) : store_(store), overlay_(store) {}

    void take(const Step& step) {
        const KeyRange range{step.key, step.other};
        switch (step.kind) {
            case Step::Kind::Put:
                overlay_.put(step.key, step.other);
                seen_[step.key] = step.other;
                break;
            case Step::Kind::Remove:
                overlay_.remove(step.key);
                seen_.erase(step.key);
                break;
            case Step::Kind::RemoveRange:
                overlay_.remove_range(range);
                remove_range(seen_, range);
                break;
            case Step::Kind::Write: write(); break;
            case Step::Kind::Flush: ASSERT_TRUE(store_.flush().has_value()); break;
            case Step::Kind::Erase:
                write();
                ASSERT_TRUE(store_.erase(range).has_value());
                remove_range(seen_, range);
                stored_ = seen_;
                break;
        }
        check(range);
    }

private:
    void write() {
        ASSERT_TRUE(store_.write(overlay_.batch()).has_value());
        overlay_.clear();
        stored_ = seen_;
    }

    void check(const KeyRange& range) {
        check_cursor(*overlay_.cursor({}), seen_, range.first);
        check_cursor(*overlay_.cursor(range), part(seen_, range), range.first + "b");
        check_cursor(*store_.cursor(range), part(stored_, range), range.last);
        const auto found = seen_.find(range.first);
        const auto value = overlay_.get(range.first).value();
        ASSERT_TRUE(value.has_value() == (found != seen_.end()));
        if (value) {
            ASSERT_TRUE(*value == found->second);
        }
    }

    Store& store_;
    Overlay overlay_;
    Pairs seen_;    // With the changes.
    Pairs stored_;  // Without.
};

TEST(RandomHistory, OfAMemoryStoreEqualsAMap) {
    for (uint64_t seed = 1; seed <= 100 && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        MemoryFixture fixture;
        History history(fixture.store());
        for (const Step& step : any_steps(seed)) history.take(step);
    }
}

TEST(RandomHistory, OfARocksdbStoreEqualsAMap) {
    RocksdbFixture fixture;  // One database for all: opening one takes longer than a history.
    for (uint64_t seed = 1; seed <= 20 && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        ASSERT_TRUE(fixture.store().erase({}));
        History history(fixture.store());
        for (const Step& step : any_steps(seed)) history.take(step);
    }
}

/// Writes what `step` says to `store` and does the same to `pairs`.
void write_step(Store& store, const Step& step, Pairs& pairs) {
    Batch batch;
    if (step.kind == Step::Kind::RemoveRange) {
        batch.remove_range({step.key, step.other});
        remove_range(pairs, {step.key, step.other});
    } else {
        batch.put(step.key, step.other);
        pairs[step.key] = step.other;
    }
    ASSERT_TRUE(store.write(batch));
}

// What is left after a crash is what some prefix of the writes made, and all that was flushed is in it.
TEST(RandomHistory, OfAMemoryStoreLosesASuffixAtACrash) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        MemoryStore store;
        std::vector<Pairs> possible = {{}};  // After each write since the last flush.
        for (const Step& step : any_steps(seed)) {
            Pairs pairs = possible.back();
            if (step.kind == Step::Kind::Flush) {
                ASSERT_TRUE(store.flush());
                possible = {pairs};
                continue;
            }
            write_step(store, step, pairs);
            possible.push_back(pairs);
        }
        store.crash(seed);
        Pairs left;
        const auto cursor = store.cursor({});
        for (cursor->seek(""); cursor->valid(); cursor->next()) left.emplace(cursor->key(), cursor->value());
        ASSERT_NE(std::find(possible.begin(), possible.end(), left), possible.end());
        store.crash(seed + 1);
        check_cursor(*store.cursor({}), left, "a");  // What survived one crash survives the next.
    }
}

}  // namespace
}  // namespace polis::storage
