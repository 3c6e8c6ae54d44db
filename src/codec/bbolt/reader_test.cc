#include "codec/bbolt/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/random.h"
#include "codec/bbolt/bbolt_fixture.h"

namespace polis::codec {
namespace {

using testing::HasSubstr;

constexpr size_t page_bytes = 4096;

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// A snapshot that etcd 3.4.23 made: 14 writes, a deletion, a lease, a role, two users. Without the 32 octets of
/// SHA-256 at its end.
std::string golden_file() {
    std::string file = read_file(std::string(POLIS_SOURCE_DIR) + "/tests/golden/etcd-3.4-snapshot.db");
    EXPECT_EQ(file.size() % 512, 32u);
    file.resize(file.size() - 32);
    return file;
}

/// Puts `meta` on page `id` of a file with pages of `size`.
void set_meta(std::string& file, BboltPageId id, const BboltMeta& meta, size_t size = page_bytes) {
    std::string page;
    append_bbolt(page, BboltPageHeader{.id = id, .flags = bbolt_meta_page, .count = 0, .overflow = 0});
    append_bbolt(page, meta);
    file.replace(id * size, page.size(), page);
}

BboltMeta meta_of(std::string_view file, BboltPageId id) {
    return load_bbolt_meta(file.substr(id * page_bytes + bbolt_page_header_bytes)).value();
}

template <class Integer>
void set(std::string& file, size_t offset, Integer value) {
    std::string octets;
    append_bbolt(octets, value);
    file.replace(offset, octets.size(), octets);
}

std::string error_of(std::string_view file) {
    const auto buckets = buckets_of(file);
    if (buckets) return "none";
    EXPECT_EQ(buckets.error().code, Code::Corrupt);
    return buckets.error().what;
}

/// Two buckets, the first with a branch over several leaves. Pages: 2.. leaves, then their branch.
class DamagedBboltFile : public testing::Test {
protected:
    DamagedBboltFile() {
        Buckets buckets;
        for (int i = 0; i < 200; ++i) buckets["a"]["key" + std::to_string(1000 + i)] = std::string(100, 'v');
        buckets["b"]["k"] = "v";
        file_ = file_of(buckets).value();
        for (branch_ = 2; load_bbolt_page_header(page(branch_)).flags != bbolt_branch_page;) ++branch_;
    }

    std::string_view page(BboltPageId id) const { return std::string_view(file_).substr(id * page_bytes, page_bytes); }
    size_t offset(BboltPageId id) const { return id * page_bytes; }

    std::string file_;
    BboltPageId branch_ = 0;
};

TEST(BboltReader, ReadsWhatEtcdWrote) {
    const Buckets buckets = buckets_of(golden_file()).value();
    std::vector<std::string> names;
    for (const auto& [name, pairs] : buckets) names.push_back(name);
    EXPECT_THAT(names, testing::ElementsAre("alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease",
                                            "members", "members_removed", "meta"));
    EXPECT_EQ(buckets.at("key").size(), 16u);
    EXPECT_EQ(buckets.at("lease").size(), 1u);
    EXPECT_EQ(buckets.at("members").size(), 1u);
    EXPECT_EQ(buckets.at("authUsers").count("alice"), 1u);
    EXPECT_EQ(buckets.at("cluster").at("clusterVersion"), "3.4.0");

    const std::string revision_15("\0\0\0\0\0\0\0\x0f_\0\0\0\0\0\0\0\0t", 18);  // The deletion, `t` for tombstone.
    EXPECT_THAT(buckets.at("key").at(revision_15), HasSubstr("/app/key2"));
    EXPECT_GT(buckets.at("key").rbegin()->second.size(), 6000u);
}

// The figures that `etcdctl snapshot status` gave when the file was made.
TEST(BboltReader, SumsUpWhatEtcdWrote) {
    const std::string file = golden_file();
    const BboltMemorySource source(file);
    const BboltSummary summary = summarize(BboltReader::open(source).value()).value();
    EXPECT_EQ(summary.hash, 4013238715u);
    EXPECT_EQ(summary.keys, 24u);
    EXPECT_EQ(summary.pages_lost, 0u);
    EXPECT_EQ(summary.pages_used + summary.pages_free, file.size() / page_bytes);
}

TEST(BboltReader, RefusesWhatIsNoBboltFile) {
    EXPECT_THAT(error_of(""), HasSubstr("neither meta"));
    EXPECT_THAT(error_of(std::string(100, 'x')), HasSubstr("neither meta"));
    EXPECT_THAT(error_of(std::string(100'000, '\0')), HasSubstr("neither meta"));
}

TEST_F(DamagedBboltFile, IsReadThroughEitherMeta) {
    const Buckets whole = buckets_of(file_).value();
    for (const BboltPageId id : {BboltPageId{0}, BboltPageId{1}}) {
        std::string file = file_;
        file[offset(id) + bbolt_page_header_bytes + 20] ^= 1;
        EXPECT_EQ(buckets_of(file).value(), whole);
    }
}

TEST_F(DamagedBboltFile, IsReadThroughTheNewerMeta) {
    BboltMeta newer = meta_of(file_, 0);
    newer.transaction += 1;
    newer.root = branch_;
    set_meta(file_, 1, newer);
    const BboltMemorySource source(file_);
    EXPECT_EQ(BboltReader::open(source).value().meta(), newer);
}

TEST_F(DamagedBboltFile, IsRefusedIfShorterThanItsMetaSays) {
    EXPECT_THAT(error_of(file_.substr(0, file_.size() - 1)), HasSubstr("pages but has"));
}

TEST_F(DamagedBboltFile, MayBeLongerThanItsMetaSays) { EXPECT_EQ(error_of(file_ + std::string(100'000, 'x')), "none"); }

TEST_F(DamagedBboltFile, IsRefusedIfItsRootDoesNotExist) {
    for (const BboltPageId root : {BboltPageId{0}, BboltPageId{1}, meta_of(file_, 0).high_water, ~BboltPageId{0}}) {
        BboltMeta meta = meta_of(file_, 0);
        meta.root = root;
        set_meta(file_, 0, meta);
        EXPECT_THAT(error_of(file_), HasSubstr("root does not exist"));
    }
}

TEST_F(DamagedBboltFile, IsRefusedIfAPageCarriesAnotherNumber) {
    set(file_, offset(branch_), uint64_t{branch_ + 1});
    EXPECT_THAT(error_of(file_), HasSubstr("carries number"));
}

TEST_F(DamagedBboltFile, IsRefusedIfAChildIsItsOwnParent) {
    set(file_, offset(branch_) + bbolt_page_header_bytes + 8, uint64_t{branch_});
    EXPECT_THAT(error_of(file_), HasSubstr("used twice"));
}

TEST_F(DamagedBboltFile, IsRefusedIfAChildDoesNotExist) {
    for (const BboltPageId child :
         {BboltPageId{0}, BboltPageId{1}, BboltPageId{file_.size() / page_bytes}, ~BboltPageId{0}}) {
        set(file_, offset(branch_) + bbolt_page_header_bytes + 8, child);
        EXPECT_THAT(error_of(file_), HasSubstr("does not exist"));
    }
}

TEST_F(DamagedBboltFile, IsRefusedIfTwoBucketsShareAPage) {
    const size_t root = offset(meta_of(file_, 0).root);
    const size_t values = root + bbolt_page_header_bytes + 2 * bbolt_element_bytes;
    const uint64_t first_tree = load_bbolt_u64(file_, values + 1);
    set(file_, values + 1 + bbolt_bucket_header_bytes + 1, first_tree);
    EXPECT_THAT(error_of(file_), HasSubstr("used twice"));
}

TEST_F(DamagedBboltFile, IsRefusedIfAnElementLiesOutsideItsPage) {
    set(file_, offset(2) + bbolt_page_header_bytes + 12, uint32_t{5000});
    EXPECT_THAT(error_of(file_), HasSubstr("lies outside"));
    set(file_, offset(2) + bbolt_page_header_bytes + 12, ~uint32_t{0});
    EXPECT_THAT(error_of(file_), HasSubstr("lies outside"));
    set(file_, offset(2) + bbolt_page_header_bytes + 4, ~uint32_t{0});
    EXPECT_THAT(error_of(file_), HasSubstr("lies outside"));
}

TEST_F(DamagedBboltFile, IsRefusedIfElementsOverlap) {
    const uint32_t position = load_bbolt_u32(file_, offset(2) + bbolt_page_header_bytes + bbolt_element_bytes + 4);
    set(file_, offset(2) + bbolt_page_header_bytes + bbolt_element_bytes + 4, uint32_t{position - 1});
    EXPECT_THAT(error_of(file_), HasSubstr("overlap"));
}

TEST_F(DamagedBboltFile, IsRefusedIfAPageHasMoreElementsThanRoom) {
    set(file_, offset(2) + 10, uint16_t{0xffff});
    EXPECT_THAT(error_of(file_), HasSubstr("more elements"));
}

TEST_F(DamagedBboltFile, IsRefusedIfKeysDoNotAscend) {
    const size_t begin = file_.find("key1003");
    file_.replace(begin, 7, "key1001");
    EXPECT_THAT(error_of(file_), HasSubstr("do not ascend"));
}

TEST_F(DamagedBboltFile, IsRefusedIfALeafBeginsBelowItsBranchKey) {
    const size_t second_leaf_key =
        offset(3) + bbolt_page_header_bytes + load_bbolt_page_header(page(3)).count * bbolt_element_bytes;
    file_.replace(second_leaf_key, 7, "key1000");
    EXPECT_THAT(error_of(file_), HasSubstr("do not ascend"));
}

TEST_F(DamagedBboltFile, IsRefusedIfOverflowGoesBeyondTheFile) {
    set(file_, offset(2) + 12, ~uint32_t{0});
    EXPECT_THAT(error_of(file_), HasSubstr("goes on beyond the file"));
}

TEST_F(DamagedBboltFile, IsRefusedIfAPageIsOfNoTree) {
    set(file_, offset(2) + 8, uint16_t{0x03});
    EXPECT_THAT(error_of(file_), HasSubstr("no part of a tree"));
    set(file_, offset(branch_) + 10, uint16_t{0});
    EXPECT_THAT(error_of(file_), HasSubstr("without children"));
}

TEST_F(DamagedBboltFile, NeverCrashesTheReaderWhateverItsOctets) {
    size_t refused = 0;
    for (uint64_t seed = 1; seed <= 800; ++seed) {
        Chance chance(seed);
        std::string file = file_;
        for (uint64_t n = 1 + chance.below(4); n > 0; --n) {
            file[2 * page_bytes + chance.below(file.size() - 2 * page_bytes)] = static_cast<char>(chance.next());
        }
        refused += !buckets_of(file).has_value();
    }
    EXPECT_GT(refused, 30u);
}

TEST(BboltReader, BoundsTheSizeOfAPage) {
    const std::string file = file_of({{"a", {{"k", std::string(100'000, 'v')}}}}).value();
    const BboltMemorySource source(file);
    const BboltReader reader = BboltReader::open(source, {.page_bytes_max = 64u << 10}).value();
    EXPECT_EQ(buckets_of(reader).error().code, Code::Invalid);
}

/// A file of 16 KiB pages with one inline bucket and a freelist, put together by hand as bbolt does on machines with
/// large pages.
std::string file_with_large_pages() {
    constexpr size_t size = 16384;
    std::string inline_bucket;
    append_bbolt(inline_bucket, uint64_t{0});  // No page of its own.
    append_bbolt(inline_bucket, uint64_t{7});  // Sequence.
    append_bbolt(inline_bucket, BboltPageHeader{.id = 0, .flags = bbolt_leaf_page, .count = 1, .overflow = 0});
    for (const uint32_t field : {0u, 16u, 1u, 5u}) append_bbolt(inline_bucket, field);
    inline_bucket += "kvalue";

    std::string root;
    append_bbolt(root, BboltPageHeader{.id = 3, .flags = bbolt_leaf_page, .count = 1, .overflow = 0});
    for (const uint32_t field : {bbolt_bucket_element, 16u, 6u, static_cast<uint32_t>(inline_bucket.size())}) {
        append_bbolt(root, field);
    }
    root += "bucket" + inline_bucket;

    std::string freelist;
    append_bbolt(freelist, BboltPageHeader{.id = 2, .flags = bbolt_freelist_page, .count = 1, .overflow = 0});
    append_bbolt(freelist, uint64_t{4});

    std::string file(5 * size, '\0');
    BboltMeta meta{.page_bytes = size, .root = 3, .root_sequence = 0, .freelist = 2, .high_water = 5, .transaction = 4};
    set_meta(file, 0, meta, size);
    meta.transaction = 5;
    set_meta(file, 1, meta, size);
    file.replace(2 * size, freelist.size(), freelist);
    file.replace(3 * size, root.size(), root);
    return file;
}

TEST(BboltReader, ReadsLargePagesInlineBucketsAndFreelists) {
    std::string file = file_with_large_pages();
    EXPECT_EQ(buckets_of(file).value(), (Buckets{{"bucket", {{"k", "value"}}}}));
    const BboltMemorySource source(file);
    const BboltReader reader = BboltReader::open(source).value();
    EXPECT_EQ(reader.meta().transaction, 5u);
    const BboltSummary summary = summarize(reader).value();
    EXPECT_EQ(summary.pages_used, 4u);
    EXPECT_EQ(summary.pages_free, 1u);
    EXPECT_EQ(summary.pages_lost, 0u);
}

TEST(BboltReader, FindsTheSecondMetaOfLargePagesWithoutTheFirst) {
    std::string file = file_with_large_pages();
    file[bbolt_page_header_bytes] ^= 1;
    EXPECT_EQ(buckets_of(file).value().size(), 1u);
}

TEST(BboltReader, RefusesAFreelistThatListsAUsedPage) {
    for (const uint64_t listed : {uint64_t{3}, uint64_t{2}, uint64_t{0}, uint64_t{5}, ~uint64_t{0}}) {
        std::string file = file_with_large_pages();
        set(file, 2 * 16384 + bbolt_page_header_bytes, listed);
        const BboltMemorySource source(file);
        EXPECT_EQ(summarize(BboltReader::open(source).value()).error().code, Code::Corrupt);
    }
}

TEST(BboltReader, BoundsTheSizeOfTheFreelist) {
    constexpr size_t size = 16384;
    std::string file = file_with_large_pages();
    file.resize(7 * size);
    std::string freelist;
    append_bbolt(freelist, BboltPageHeader{.id = 5, .flags = bbolt_freelist_page, .count = 1, .overflow = 1});
    append_bbolt(freelist, uint64_t{4});
    file.replace(5 * size, freelist.size(), freelist);
    const BboltMeta meta{
        .page_bytes = size, .root = 3, .root_sequence = 0, .freelist = 5, .high_water = 7, .transaction = 6};
    set_meta(file, 0, meta, size);
    const BboltMemorySource source(file);
    EXPECT_TRUE(summarize(BboltReader::open(source, {.page_bytes_max = 2 * size}).value()).has_value());
    const Result<BboltSummary> refused = summarize(BboltReader::open(source, {.page_bytes_max = size}).value());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::Invalid);
}

TEST(BboltReader, RefusesAFreelistLongerThanItsPage) {
    std::string file = file_with_large_pages();
    set(file, 2 * 16384 + 10, uint16_t{0xffff});
    set(file, 2 * 16384 + bbolt_page_header_bytes, ~uint64_t{0});
    const BboltMemorySource source(file);
    EXPECT_EQ(summarize(BboltReader::open(source).value()).error().code, Code::Corrupt);
}

}  // namespace
}  // namespace polis::codec
