// The stream in which a store's pairs travel, and their hash: the same for every kind of store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "storage/kv/store.h"

namespace polis::storage {

/// Makes a stream of all pairs that a cursor has, one frame a call, so that whoever sends it keeps the pace.
///
/// Wire, little-endian: frame*; frame = length u32, crc u32, body of `length` octets. The CRC-32C covers the frame's
/// number (u64, from 0) and the body, so a frame that is lost, doubled or moved is noticed. Body = kind u8, then
///   kind 1, pairs: (key length u32, value length u32, key, value)+, keys ascending over the whole stream;
///   kind 2, end, exactly once and last: number of pairs u64.
class PairExporter {
public:
    /// Frames are of about `chunk_bytes`. REQUIRES: `pairs` outlives it and is moved by nobody else.
    PairExporter(Cursor& pairs, size_t chunk_bytes);

    /// The next frame; empty after the last. Errors: the cursor's; Invalid for a pair larger than a frame may be (256
    /// MiB).
    Result<std::string> next();

private:
    Cursor& pairs_;
    size_t chunk_bytes_;
    uint64_t number_ = 0;  // Of the next frame.
    uint64_t count_ = 0;   // Of the pairs so far.
    bool ended_ = false;
};

/// Writes all frames of a PairExporter to `sink`. Errors: the exporter's, the sink's.
Result<void> export_pairs(Cursor& pairs, size_t chunk_bytes, const ChunkSink& sink);

/// How far a PairImporter has come: all that it needs to go on from there, in another process if need be.
struct PairProgress {
    uint64_t frames = 0;
    uint64_t pairs = 0;
    std::string last_key;
};

/// Takes a PairExporter's frames apart, one whole frame a call, so that whoever receives them keeps the pace.
class PairImporter {
public:
    PairImporter() : PairImporter(PairProgress()) {}
    /// Goes on behind the frames that `progress` tells of.
    explicit PairImporter(PairProgress progress);
    PairImporter(PairImporter&&) noexcept;
    PairImporter& operator=(PairImporter&&) noexcept;
    ~PairImporter();

    /// The pairs of the next frame, checked; valid until the next call. Errors: Corrupt: a damaged, missing or
    /// repeated frame.
    Result<const Batch*> read(std::string_view frame);

    PairProgress progress() const;

    /// The last frame has come, and no pair is missing.
    bool ended() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Reads what export_pairs wrote, cut anyhow, and gives it to `write`, one batch of puts a frame.
///
/// Nothing of a frame is given on before its checksum is verified. Memory grows with what arrives, by at most a
/// frame.
/// Errors: Corrupt if the stream is damaged, ends early or goes on after its end; Invalid for a key outside `range`;
/// those of `source` and `write`.
Result<void> import_pairs(const KeyRange& range, const ChunkSource& source,
                          const std::function<Result<void>(const Batch&)>& write);

/// A hash over all pairs that `pairs` has, in order. Equal for equal pairs on every platform and in every store (XXH3's
/// output is fixed since xxHash 0.8).
Result<uint64_t> hash_pairs(Cursor& pairs);

}  // namespace polis::storage
