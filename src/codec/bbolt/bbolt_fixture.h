// Buckets in memory for the tests of bbolt files: to write them, and to read them back.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codec/bbolt/reader.h"
#include "codec/bbolt/writer.h"

namespace polis::codec {

using Pairs = std::map<std::string, std::string>;
using Buckets = std::map<std::string, Pairs>;

/// Gives the pairs of a map. REQUIRES: the map outlives it.
class MapSource final : public BboltPairSource {
public:
    explicit MapSource(const Pairs& pairs) : at_(pairs.begin()), end_(pairs.end()) {}

    Result<std::optional<BboltPair>> next() override {
        if (at_ == end_) return std::optional<BboltPair>();
        const BboltPair pair{.key = at_->first, .value = at_->second};
        ++at_;
        return pair;
    }

private:
    Pairs::const_iterator at_;
    Pairs::const_iterator end_;
};

/// REQUIRES: `buckets` outlive what is returned.
inline std::vector<BboltBucket> sources_of(const Buckets& buckets) {
    std::vector<BboltBucket> sources;
    for (const auto& [name, pairs] : buckets) {
        const Pairs* const map = &pairs;
        sources.push_back({.name = name, .open = [map]() -> Result<std::unique_ptr<BboltPairSource>> {
                               return std::make_unique<MapSource>(*map);
                           }});
    }
    return sources;
}

/// The whole file, taken in pieces of about `piece_bytes`.
inline Result<std::string> file_of(const Buckets& buckets, size_t piece_bytes = 32768) {
    LET(const BboltPlan size, plan_bbolt(sources_of(buckets)));
    BboltWriter writer(sources_of(buckets), size);
    std::string file;
    for (;;) {
        LET(const std::string piece, writer.next(piece_bytes));
        if (piece.empty()) return file;
        file += piece;
    }
}

/// All buckets of the root and their pairs. Errors: those of the reader.
inline Result<Buckets> buckets_of(const BboltReader& reader) {
    Buckets buckets;
    LET(BboltCursor root, reader.root());
    for (;;) {
        LET(const std::optional<BboltEntry> entry, root.next());
        if (!entry) return buckets;
        if (!entry->is_bucket) return fail(Code::Invalid, "a pair in the root");
        Pairs& pairs = buckets[std::string(entry->key)];
        LET(BboltCursor cursor, root.bucket(*entry));
        for (;;) {
            LET(const std::optional<BboltEntry> pair, cursor.next());
            if (!pair) break;
            pairs.emplace(pair->key, pair->value);
        }
    }
}

inline Result<Buckets> buckets_of(std::string_view file) {
    const BboltMemorySource source(file);
    LET(const BboltReader reader, BboltReader::open(source));
    return buckets_of(reader);
}

}  // namespace polis::codec
