// PairImporter: takes an export frame by frame, notices whatever is missing, and goes on where another one stopped.
#include <gtest/gtest.h>

#include <vector>

#include "storage/kv/memory_store.h"
#include "storage/kv/transfer.h"

namespace polis::storage {
namespace {

std::vector<std::string> frames_of(int pairs) {
    MemoryStore store;
    Batch batch;
    for (int i = 0; i < pairs; ++i) batch.put("key" + std::to_string(1000 + i), "value" + std::to_string(i));
    EXPECT_TRUE(store.write(batch).has_value());
    const auto cursor = store.cursor({});
    PairExporter exporter(*cursor, 70);
    std::vector<std::string> frames;
    for (;;) {
        Result<std::string> frame = exporter.next();
        EXPECT_TRUE(frame.has_value());
        if (!frame || frame->empty()) return frames;
        frames.push_back(*std::move(frame));
    }
}

uint64_t pairs_in(PairImporter& importer, const std::string& frame) {
    const Result<const Batch*> batch = importer.read(frame);
    EXPECT_TRUE(batch.has_value()) << batch.error().what;
    return batch ? (*batch)->count() : 0;
}

TEST(PairImporter, TakesAWholeExport) {
    PairImporter importer;
    uint64_t pairs = 0;
    for (const std::string& frame : frames_of(20)) {
        EXPECT_FALSE(importer.ended());
        pairs += pairs_in(importer, frame);
    }
    EXPECT_TRUE(importer.ended());
    EXPECT_EQ(pairs, 20u);
}

TEST(PairImporter, AnEmptyStoreIsOneFrame) {
    const auto frames = frames_of(0);
    ASSERT_EQ(frames.size(), 1u);
    PairImporter importer;
    EXPECT_EQ(pairs_in(importer, frames[0]), 0u);
    EXPECT_TRUE(importer.ended());
}

TEST(PairImporter, NoticesFramesThatAreLostDoubledOrCut) {
    const auto frames = frames_of(20);
    for (size_t at = 0; at < frames.size(); ++at) {
        PairImporter importer;
        for (size_t before = 0; before < at; ++before) pairs_in(importer, frames[before]);
        if (at > 0) {
            EXPECT_EQ(importer.read(frames[at - 1]).error().code, Code::Corrupt) << "doubled " << at;
        }
        if (at + 1 < frames.size()) {
            EXPECT_EQ(importer.read(frames[at + 1]).error().code, Code::Corrupt) << "lost " << at;
        }
        for (size_t size = 0; size < frames[at].size(); ++size) {
            ASSERT_EQ(importer.read(std::string_view(frames[at]).substr(0, size)).error().code, Code::Corrupt);
        }
        // None of that has moved it.
        pairs_in(importer, frames[at]);
    }
}

TEST(PairImporter, TakesNothingBehindTheEnd) {
    const auto frames = frames_of(3);
    PairImporter importer;
    for (const std::string& frame : frames) pairs_in(importer, frame);
    EXPECT_EQ(importer.read(frames.back()).error().code, Code::Corrupt);
}

TEST(PairImporter, GoesOnWhereAnotherStopped) {
    const auto frames = frames_of(20);
    for (size_t stop = 0; stop < frames.size(); ++stop) {
        PairImporter first;
        uint64_t pairs = 0;
        for (size_t at = 0; at < stop; ++at) pairs += pairs_in(first, frames[at]);
        const PairProgress progress = first.progress();
        EXPECT_EQ(progress.frames, stop);
        EXPECT_EQ(progress.pairs, pairs);
        PairImporter second(progress);
        for (size_t at = stop; at < frames.size(); ++at) pairs += pairs_in(second, frames[at]);
        EXPECT_TRUE(second.ended());
        EXPECT_EQ(pairs, 20u);
    }
}

// Told that it has come further than it has, it misses what is missing.
TEST(PairImporter, AFalseProgressIsNoticedAtTheEnd) {
    const auto frames = frames_of(20);
    PairImporter first;
    for (size_t at = 0; at + 1 < frames.size(); ++at) pairs_in(first, frames[at]);
    PairProgress progress = first.progress();
    --progress.pairs;
    PairImporter second(progress);
    EXPECT_EQ(second.read(frames.back()).error().code, Code::Corrupt);
}

}  // namespace
}  // namespace polis::storage
