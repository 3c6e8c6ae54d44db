#include "storage/kv/transfer.h"

#include <string>
#include <utility>

#include "base/hash.h"
#include "base/octets.h"

namespace polis::storage {
namespace {

constexpr size_t frame_header_bytes = 8;
constexpr size_t pair_header_bytes = 8;
constexpr size_t body_bytes_max = 256u << 20;
constexpr char pairs_kind = 1;
constexpr char end_kind = 2;

/// REQUIRES: `octets` holds as many.
template <class Number>
Number number_at(std::string_view octets) {
    return OctetReader(octets).number<Number>();
}

uint32_t frame_crc(uint64_t number, std::string_view body) {
    OctetWriter prefix;
    prefix.number(number);
    return crc32c(body, crc32c(prefix.str()));
}

/// Room for the header, which seal() fills in, and the kind.
OctetWriter begin_frame(char kind) {
    OctetWriter frame;
    frame.number(uint64_t{0});
    frame.number(static_cast<uint8_t>(kind));
    return frame;
}

Result<std::string> seal(OctetWriter frame, uint64_t number) {
    const std::string_view body = std::string_view(frame.str()).substr(frame_header_bytes);
    if (body.size() > body_bytes_max) {
        return fail(Code::Invalid, "a pair of " + std::to_string(body.size()) +
                                       " bytes cannot be exported, the limit is " + std::to_string(body_bytes_max));
    }
    const uint32_t crc = frame_crc(number, body);
    frame.patch(0, static_cast<uint32_t>(body.size()));
    frame.patch(sizeof(uint32_t), crc);
    return frame.take();
}

std::unexpected<Error> damaged(const char* what) {
    return fail(Code::Corrupt, std::string("the exported stream is damaged: ") + what + "; fetch it again");
}

/// Puts a stream that arrives in pieces together and takes it apart into frames.
class FrameReader {
public:
    explicit FrameReader(const ChunkSource& source) : source_(source) {}

    /// The next frame's body, verified; valid until the next call.
    Result<std::string_view> next() {
        buffer_.erase(0, used_);
        used_ = 0;
        TRY(fill(frame_header_bytes));
        const auto length = number_at<uint32_t>(buffer_);
        if (length == 0 || length > body_bytes_max) return damaged("a frame's length is impossible");
        TRY(fill(frame_header_bytes + length));
        const std::string_view body = std::string_view(buffer_).substr(frame_header_bytes, length);
        const auto crc = number_at<uint32_t>(std::string_view(buffer_).substr(4));
        if (crc != frame_crc(number_, body)) return damaged("a frame's checksum differs");
        ++number_;
        used_ = frame_header_bytes + length;
        return body;
    }

    bool is_drained() const { return used_ == buffer_.size(); }

private:
    Result<void> fill(size_t bytes) {
        while (buffer_.size() < bytes) {
            LET(const std::string piece, source_());
            if (piece.empty()) return damaged("it ends early");
            buffer_ += piece;
        }
        return {};
    }

    const ChunkSource& source_;
    std::string buffer_;
    size_t used_ = 0;      // Of buffer_, by the frame given last.
    uint64_t number_ = 0;  // Of the next frame.
};

/// Checks pairs and gathers them.
class PairReader {
public:
    explicit PairReader(const KeyRange& range) : range_(range) {}
    /// Goes on behind `count` pairs, the last of them under `last_key`.
    PairReader(const KeyRange& range, uint64_t count, std::string last_key)
        : range_(range), last_key_(std::move(last_key)), count_(count) {}

    /// The pairs of one frame's body, without its kind; valid until the next call.
    Result<const Batch*> read(std::string_view body) {
        batch_.clear();
        while (!body.empty()) {
            if (body.size() < pair_header_bytes) return damaged("a pair is cut");
            const uint64_t key_bytes = number_at<uint32_t>(body);
            const uint64_t value_bytes = number_at<uint32_t>(body.substr(4));
            body.remove_prefix(pair_header_bytes);
            if (key_bytes + value_bytes > body.size()) return damaged("a pair is cut");
            const std::string_view key = body.substr(0, key_bytes);
            if (count_ > 0 && key <= last_key_) return damaged("keys do not ascend");
            if (!range_.contains(key)) {
                return fail(Code::Invalid, "key " + escaped(key) + " lies outside the range to import into");
            }
            batch_.put(key, body.substr(key_bytes, value_bytes));
            last_key_ = key;
            ++count_;
            body.remove_prefix(key_bytes + value_bytes);
        }
        return &batch_;
    }

    uint64_t count() const { return count_; }
    const std::string& last_key() const { return last_key_; }

private:
    const KeyRange& range_;
    Batch batch_;
    std::string last_key_;
    uint64_t count_ = 0;
};

}  // namespace

PairExporter::PairExporter(Cursor& pairs, size_t chunk_bytes) : pairs_(pairs), chunk_bytes_(chunk_bytes) {
    pairs_.seek("");
}

Result<std::string> PairExporter::next() {
    if (ended_) return std::string();
    OctetWriter frame = begin_frame(pairs_kind);
    const size_t empty_frame_bytes = frame.size();
    for (; pairs_.valid(); pairs_.next()) {
        const std::string_view key = pairs_.key();
        const std::string_view value = pairs_.value();
        const size_t bytes = frame.size() + key.size() + value.size() + pair_header_bytes;
        if (frame.size() > empty_frame_bytes && bytes > chunk_bytes_) break;
        frame.number(static_cast<uint32_t>(key.size()));
        frame.number(static_cast<uint32_t>(value.size()));
        frame.octets(key);
        frame.octets(value);
        ++count_;
    }
    TRY(pairs_.status());
    if (frame.size() == empty_frame_bytes) {
        frame = begin_frame(end_kind);
        frame.number(count_);
        ended_ = true;
    }
    return seal(std::move(frame), number_++);
}

Result<void> export_pairs(Cursor& pairs, size_t chunk_bytes, const ChunkSink& sink) {
    PairExporter exporter(pairs, chunk_bytes);
    for (;;) {
        LET(const std::string frame, exporter.next());
        if (frame.empty()) return {};
        TRY(sink(frame));
    }
}

Result<void> import_pairs(const KeyRange& range, const ChunkSource& source,
                          const std::function<Result<void>(const Batch&)>& write) {
    FrameReader frames(source);
    PairReader pairs(range);
    for (;;) {
        LET(const std::string_view body, frames.next());
        if (body.front() == pairs_kind) {
            LET(const Batch* batch, pairs.read(body.substr(1)));
            TRY(write(*batch));
        } else if (body.front() == end_kind && body.size() == 1 + sizeof(uint64_t)) {
            if (number_at<uint64_t>(body.substr(1)) != pairs.count()) return damaged("pairs are missing");
            if (!frames.is_drained()) return damaged("it goes on after its end");
            return {};
        } else {
            return damaged("a frame is of no known kind");
        }
    }
}

// The part of PairImporter that holds what the header need not show.
struct PairImporter::State {
    explicit State(PairProgress from) : pairs(everything, from.pairs, std::move(from.last_key)), number(from.frames) {}

    KeyRange everything;
    PairReader pairs;
    uint64_t number;
    bool ended = false;
};

PairImporter::PairImporter(PairProgress progress) : state_(std::make_unique<State>(std::move(progress))) {}
PairImporter::PairImporter(PairImporter&&) noexcept = default;
PairImporter& PairImporter::operator=(PairImporter&&) noexcept = default;
PairImporter::~PairImporter() = default;

PairProgress PairImporter::progress() const {
    return {.frames = state_->number, .pairs = state_->pairs.count(), .last_key = state_->pairs.last_key()};
}

bool PairImporter::ended() const { return state_->ended; }

Result<const Batch*> PairImporter::read(std::string_view frame) {
    if (frame.size() <= frame_header_bytes) return damaged("a frame is cut");
    const std::string_view body = frame.substr(frame_header_bytes);
    if (number_at<uint32_t>(frame) != body.size()) return damaged("a frame is cut");
    if (number_at<uint32_t>(frame.substr(4)) != frame_crc(state_->number, body)) {
        return damaged("a frame's checksum differs");
    }
    if (state_->ended) return damaged("it goes on after its end");
    ++state_->number;
    if (body.front() == pairs_kind) return state_->pairs.read(body.substr(1));
    if (body.front() != end_kind || body.size() != 1 + sizeof(uint64_t)) return damaged("a frame is of no known kind");
    if (number_at<uint64_t>(body.substr(1)) != state_->pairs.count()) return damaged("pairs are missing");
    state_->ended = true;
    return state_->pairs.read({});
}

Result<uint64_t> hash_pairs(Cursor& pairs) {
    uint64_t hash = 0;
    for (pairs.seek(""); pairs.valid(); pairs.next()) {
        // The lengths go in too: ("ab", "c") and ("a", "bc") must differ.
        hash = fast_hash(pairs.key(), hash + pairs.key().size());
        hash = fast_hash(pairs.value(), hash + pairs.value().size());
    }
    TRY(pairs.status());
    return hash;
}

}  // namespace polis::storage
