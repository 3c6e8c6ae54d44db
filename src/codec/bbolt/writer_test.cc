#include "codec/bbolt/writer.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "codec/bbolt/bbolt_fixture.h"

namespace polis::codec {
namespace {

Pairs numbered_pairs(int count, size_t value_bytes) {
    Pairs pairs;
    for (int i = 0; i < count; ++i) pairs["key" + std::to_string(1'000'000 + i)] = std::string(value_bytes, 'v');
    return pairs;
}

BboltSummary summary_of(std::string_view file) {
    const BboltMemorySource source(file);
    return summarize(BboltReader::open(source).value()).value();
}

/// What was written is read back, and every page of the file has its place in a tree.
void expect_round_trip(const Buckets& buckets) {
    const std::string file = file_of(buckets).value();
    EXPECT_EQ(buckets_of(file).value(), buckets);
    EXPECT_EQ(file.size(), plan_bbolt(sources_of(buckets)).value().file_bytes());
    EXPECT_EQ(summary_of(file).pages_used, file.size() / 4096);
}

TEST(BboltWriter, WritesAFileWithoutBuckets) { expect_round_trip({}); }

TEST(BboltWriter, WritesEmptyBuckets) { expect_round_trip({{"alarm", {}}, {"auth", {}}}); }

TEST(BboltWriter, WritesTreesOfManyLevels) {
    expect_round_trip({{"few", numbered_pairs(3, 10)}, {"key", numbered_pairs(20'000, 40)}, {"z", {{"k", ""}}}});
}

TEST(BboltWriter, WritesValuesLargerThanAPage) {
    Pairs pairs = numbered_pairs(50, 100);
    pairs["key1000010x"] = std::string(5'000'000, 'x');
    pairs["key1000020x"] = std::string(4096 - 16 - 16 - 11, 'x');      // Fills a page exactly.
    pairs["key1000030x"] = std::string(4096 - 16 - 16 - 11 + 1, 'x');  // One more.
    expect_round_trip({{"key", pairs}});
}

// A page of two such keys is larger than a page already; the tree must grow narrower all the same.
TEST(BboltWriter, WritesTreesOfTheLongestKeys) {
    Pairs pairs;
    for (char c = 'a'; c <= 'z'; ++c) pairs[std::string(bbolt_key_bytes_max, c)] = "v";
    expect_round_trip({{"key", pairs}});
}

TEST(BboltWriter, WritesTheSameOctetsInPiecesOfAnySize) {
    const Buckets buckets = {{"a", numbered_pairs(1000, 100)}, {"b", numbered_pairs(10, 9000)}};
    const std::string file = file_of(buckets, 1'000'000'000).value();
    EXPECT_EQ(file_of(buckets, 1).value(), file);
    EXPECT_EQ(file_of(buckets, 32768).value(), file);
}

TEST(BboltWriter, GivesPiecesOfAboutTheSizeAskedFor) {
    const Buckets buckets = {{"a", numbered_pairs(10'000, 100)}};
    BboltWriter writer(sources_of(buckets), plan_bbolt(sources_of(buckets)).value());
    EXPECT_EQ(writer.next(1).value().size(), 8192u);  // The metas.
    const size_t piece = writer.next(32768).value().size();
    EXPECT_GE(piece, 32768u);
    EXPECT_LE(piece, 32768u + 2 * 4096u);  // A leaf may complete a branch.
}

TEST(BboltWriter, RefusesWhatTheFormatCannotHold) {
    const auto code = [](const Pairs& pairs) { return file_of({{"b", pairs}}).error().code; };
    EXPECT_EQ(code({{"", "v"}}), Code::Invalid);
    EXPECT_EQ(code({{std::string(bbolt_key_bytes_max + 1, 'k'), "v"}}), Code::Invalid);
}

/// Gives the same key twice.
class StutteringSource final : public BboltPairSource {
public:
    Result<std::optional<BboltPair>> next() override {
        if (given_++ == 2) return std::optional<BboltPair>();
        return BboltPair{.key = "again", .value = ""};
    }

private:
    int given_ = 0;
};

TEST(BboltWriter, RefusesKeysThatDoNotAscend) {
    const std::vector<BboltBucket> buckets = {{.name = "b", .open = []() -> Result<std::unique_ptr<BboltPairSource>> {
                                                   return std::make_unique<StutteringSource>();
                                               }}};
    EXPECT_EQ(plan_bbolt(buckets).error().code, Code::Invalid);
}

TEST(BboltWriter, NoticesThatPairsChangedAfterThePlan) {
    for (const auto& [planned, found] : {std::pair{1000, 2000}, std::pair{2000, 1000}}) {
        const Buckets before = {{"b", numbered_pairs(planned, 100)}};
        const Buckets after = {{"b", numbered_pairs(found, 100)}};
        const BboltPlan size = plan_bbolt(sources_of(before)).value();
        BboltWriter writer(sources_of(after), size);
        uint64_t bytes = 0;
        Result<std::string> piece;
        while ((piece = writer.next(32768)) && !piece->empty()) bytes += piece->size();
        EXPECT_EQ(piece.error().code, Code::Stale);
        EXPECT_LE(bytes, size.file_bytes());
    }
}

TEST(BboltWriter, PassesOnTheErrorOfASource) {
    const std::vector<BboltBucket> buckets = {
        {.name = "b", .open = []() -> Result<std::unique_ptr<BboltPairSource>> { return fail(Code::Io, "gone"); }}};
    EXPECT_EQ(plan_bbolt(buckets).error().code, Code::Io);
}

// Buckets of every shape: each seed draws how many pairs there are and how long keys and values tend to be.
TEST(BboltWriter, WritesWhatIsReadBackWhateverItIs) {
    for (uint64_t seed = 1; seed <= 25; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Chance chance(seed);
        Buckets buckets;
        for (uint64_t b = chance.below(5); b > 0; --b) {
            Pairs& pairs = buckets["bucket" + std::to_string(b)];
            const uint64_t key_bytes = 1 + chance.below(chance.happens(100) ? bbolt_key_bytes_max : 30);
            const uint64_t value_bytes = chance.below(chance.happens(200) ? 20'000 : 300);
            for (uint64_t i = chance.below(400); i > 0; --i) {
                std::string key(1 + chance.below(key_bytes), '\0');
                for (char& octet : key) octet = static_cast<char>(chance.next());
                pairs[key] = std::string(chance.below(value_bytes + 1), static_cast<char>(chance.next()));
            }
        }
        expect_round_trip(buckets);
    }
}

}  // namespace
}  // namespace polis::codec
