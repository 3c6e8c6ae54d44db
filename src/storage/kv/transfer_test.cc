#include "storage/kv/transfer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "storage/kv/memory_store.h"

namespace polis::storage {
namespace {

std::string key_of(int number) { return "key" + std::to_string(1000 + number); }

/// The frames of a store of `pairs` pairs, about three pairs a frame.
std::vector<std::string> frames_of(int pairs) {
    MemoryStore store;
    Batch batch;
    for (int i = 0; i < pairs; ++i) batch.put(key_of(i), "value" + std::to_string(i));
    EXPECT_TRUE(store.write(batch));
    std::vector<std::string> frames;
    EXPECT_TRUE(store.export_range({}, 70, [&](std::string_view frame) -> Result<void> {
        frames.emplace_back(frame);
        return {};
    }));
    return frames;
}

std::string joined(const std::vector<std::string>& frames) {
    std::string stream;
    for (const std::string& frame : frames) stream += frame;
    return stream;
}

/// Imports `stream`, given whole.
Result<void> import(std::string stream) {
    const auto source = [&]() -> Result<std::string> { return std::exchange(stream, {}); };
    return import_pairs({}, source, [](const Batch&) -> Result<void> { return {}; });
}

TEST(Transfer, TakesWhatItWrote) { EXPECT_TRUE(import(joined(frames_of(20)))); }

TEST(Transfer, NoticesEveryFlippedBit) {
    const std::string stream = joined(frames_of(8));
    for (size_t bit = 0; bit < stream.size() * 8; ++bit) {
        std::string damaged = stream;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
        const auto result = import(damaged);
        ASSERT_FALSE(result) << "bit " << bit;
        ASSERT_EQ(result.error().code, Code::Corrupt) << "bit " << bit;
    }
}

TEST(Transfer, NoticesThatAStreamWasCut) {
    const std::string stream = joined(frames_of(8));
    for (size_t length = 0; length < stream.size(); ++length) {
        ASSERT_EQ(import(stream.substr(0, length)).error().code, Code::Corrupt) << length << " octets";
    }
}

TEST(Transfer, NoticesFramesThatAreLostDoubledOrMoved) {
    const auto frames = frames_of(20);
    ASSERT_GT(frames.size(), 4u);
    auto lost = frames;
    lost.erase(lost.begin() + 1);
    EXPECT_EQ(import(joined(lost)).error().code, Code::Corrupt);
    auto doubled = frames;
    doubled.insert(doubled.begin() + 1, frames[1]);
    EXPECT_EQ(import(joined(doubled)).error().code, Code::Corrupt);
    auto moved = frames;
    std::swap(moved[1], moved[2]);
    EXPECT_EQ(import(joined(moved)).error().code, Code::Corrupt);
}

TEST(Transfer, NoticesThatAStreamGoesOn) { EXPECT_EQ(import(joined(frames_of(8)) + "x").error().code, Code::Corrupt); }

TEST(Transfer, GivesNothingOfADamagedFrameOn) {
    auto frames = frames_of(20);
    frames[1].back() ^= 1;
    std::string stream = joined(frames);
    size_t pairs = 0;
    const auto source = [&]() -> Result<std::string> { return std::exchange(stream, {}); };
    const auto count = [&](const Batch& batch) -> Result<void> {
        pairs += batch.count();
        return {};
    };
    EXPECT_FALSE(import_pairs({}, source, count));
    EXPECT_LE(pairs, 4u);  // Those of the first frame.
    EXPECT_GE(pairs, 1u);
}

TEST(Transfer, HashesLengthsToo) {
    const auto hash_of = [](const std::string& key, const std::string& value) {
        MemoryStore store;
        Batch batch;
        batch.put(key, value);
        EXPECT_TRUE(store.write(batch));
        return store.hash({}).value();
    };
    EXPECT_NE(hash_of("ab", "c"), hash_of("a", "bc"));
    EXPECT_NE(hash_of("a", ""), MemoryStore().hash({}).value());
}

}  // namespace
}  // namespace polis::storage
