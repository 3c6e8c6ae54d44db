#include "services/coord/newest_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"

namespace polis::services {
namespace {

using testing::ElementsAre;

constexpr int64_t all_visible = 1'000'000;
const Interval everything{{}, {}, true};

Version version_at(int64_t revision, size_t value_bytes = 10) {
    Version version;
    version.revision = {revision, 0};
    version.create_revision = revision;
    version.version = 1;
    version.value = Bytes::take(std::string(value_bytes, 'v'));
    return version;
}

void put(NewestCache& cache, const std::string& key, const Version& version) {
    cache.put(Bytes::copy(key), version, all_visible);
}

/// The keys of `interval`; nothing if the cache does not know them all.
std::optional<std::vector<std::string>> keys(NewestCache& cache, const Interval& interval) {
    std::vector<std::string> found;
    const bool whole = cache.scan(interval, [&found](std::string_view key, const Version& version) {
        if (!version.deleted()) found.emplace_back(key);
        return true;
    });
    return whole ? std::optional(found) : std::nullopt;
}

TEST(NewestCache, ScansNothingBeforeItKnowsAll) {
    NewestCache cache(1u << 20);
    put(cache, "a", version_at(2));
    EXPECT_EQ(keys(cache, everything), std::nullopt);
    EXPECT_FALSE(cache.knows_absent("b"));
    cache.set_complete();
    EXPECT_THAT(*keys(cache, everything), ElementsAre("a"));
    EXPECT_TRUE(cache.knows_absent("b"));
}

TEST(NewestCache, StaysCompleteAsKeysComeAndGo) {
    NewestCache cache(1u << 20);
    cache.set_complete();
    put(cache, "b", version_at(2));
    put(cache, "a", version_at(3));
    put(cache, "c", version_at(4));
    put(cache, "b", Version::tombstone({5, 0}));
    EXPECT_TRUE(cache.complete());
    EXPECT_THAT(*keys(cache, everything), ElementsAre("a", "c"));
    EXPECT_THAT(*keys(cache, {"a", "b", false}), ElementsAre("a"));
    EXPECT_THAT(*keys(cache, {"b", "c", false}), ElementsAre());
    EXPECT_THAT(*keys(cache, {"d", "c", false}), ElementsAre());
}

TEST(NewestCache, StopsAScanThatIsToldTo) {
    NewestCache cache(1u << 20);
    cache.set_complete();
    put(cache, "a", version_at(2));
    put(cache, "b", version_at(3));
    int seen = 0;
    EXPECT_FALSE(cache.scan(everything, [&seen](std::string_view, const Version&) { return ++seen < 1; }));
    EXPECT_EQ(seen, 1);
}

TEST(NewestCache, KnowsTheRangesAroundWhatItHasForgotten) {
    NewestCache cache(5'000);
    cache.set_complete();
    int64_t revision = 1;
    for (int i = 0; i < 10; ++i) put(cache, "k" + std::to_string(i), version_at(++revision, 500));
    ASSERT_FALSE(cache.complete());
    ASSERT_EQ(cache.find("k0"), nullptr);
    EXPECT_FALSE(cache.knows_absent("k0"));
    EXPECT_EQ(keys(cache, everything), std::nullopt);
    ASSERT_NE(cache.find("k8"), nullptr);
    EXPECT_THAT(*keys(cache, {"k8", "z", false}), ElementsAre("k8", "k9"));
    EXPECT_TRUE(cache.knows_absent("k8x"));
}

TEST(NewestCache, ForgetsNothingThatIsNotVisibleYet) {
    NewestCache cache(1);
    cache.put(Bytes::copy("a"), version_at(2), 1);
    EXPECT_NE(cache.find("a"), nullptr);
    cache.put(Bytes::copy("b"), version_at(3), 2);
    EXPECT_EQ(cache.find("a"), nullptr);
    EXPECT_NE(cache.find("b"), nullptr);
}

// Whatever it forgets, what it says it knows is what a map knows.
TEST(NewestCache, NeverContradictsAMap) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        Chance chance(seed);
        NewestCache cache(20'000);
        cache.set_complete();
        std::map<std::string, int64_t> model;
        const auto key = [&chance] { return "k" + std::to_string(100 + chance.below(200)); };
        int whole = 0;
        int64_t revision = 1;
        for (int step = 0; step < 5000; ++step) {
            const std::string changed = key();
            if (chance.happens(300)) {
                put(cache, changed, Version::tombstone({++revision, 0}));
                model.erase(changed);
            } else {
                put(cache, changed, version_at(++revision, chance.below(100)));
                model[changed] = revision;
            }
            const std::string looked_up = key();
            if (const Version* version = cache.find(looked_up)) {
                ASSERT_EQ(!version->deleted(), model.contains(looked_up)) << "seed " << seed;
            } else if (cache.knows_absent(looked_up)) {
                ASSERT_FALSE(model.contains(looked_up)) << "seed " << seed;
            }
            const Interval interval{key(), key(), chance.happens(100)};
            const auto found = keys(cache, interval);
            if (!found) continue;
            ++whole;
            std::vector<std::string> expected;
            for (const auto& [each, changed_at] : model)
                if (interval.contains(each)) expected.push_back(each);
            ASSERT_EQ(*found, expected) << "seed " << seed;
        }
        EXPECT_GT(whole, 100) << "seed " << seed;
        EXPECT_FALSE(cache.complete()) << "seed " << seed;
    }
}

}  // namespace
}  // namespace polis::services
