#include "rpc/compression.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "base/ensure.h"

namespace polis::rpc {
namespace {

constexpr int gzip_window_bits = 16 + MAX_WBITS;  // zlib: 16 selects the gzip wrapper.
constexpr size_t inflate_step_bytes = 16u << 10;

Bytef* input_of(std::string_view octets) {
    return reinterpret_cast<Bytef*>(const_cast<char*>(octets.data()));  // zlib's input is not const, nor written.
}

}  // namespace

std::string gzip(std::string_view octets) {
    ENSURE(octets.size() <= std::numeric_limits<uInt>::max());
    z_stream state{};
    ENSURE(deflateInit2(&state, Z_BEST_SPEED, Z_DEFLATED, gzip_window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string packed(deflateBound(&state, static_cast<uLong>(octets.size())), '\0');
    state.next_in = input_of(octets);
    state.avail_in = static_cast<uInt>(octets.size());
    state.next_out = reinterpret_cast<Bytef*>(packed.data());
    state.avail_out = static_cast<uInt>(packed.size());
    const int ended = deflate(&state, Z_FINISH);
    packed.resize(packed.size() - state.avail_out);
    deflateEnd(&state);
    ENSURE(ended == Z_STREAM_END);
    return packed;
}

Result<std::string> gunzip(std::string_view octets, size_t bytes_max) {
    if (octets.size() > std::numeric_limits<uInt>::max()) return fail(Code::Overloaded, "gzip member over 4 GiB");
    z_stream state{};
    ENSURE(inflateInit2(&state, gzip_window_bits) == Z_OK);
    state.next_in = input_of(octets);
    state.avail_in = static_cast<uInt>(octets.size());
    std::string plain;
    size_t produced = 0;
    int result = Z_OK;
    while (result == Z_OK && produced <= bytes_max) {
        // One octet more than allowed, to tell "exactly the limit" from "over it".
        plain.resize(std::min(bytes_max + 1, std::max(produced * 2, produced + inflate_step_bytes)));
        state.next_out = reinterpret_cast<Bytef*>(plain.data() + produced);
        state.avail_out = static_cast<uInt>(plain.size() - produced);
        result = inflate(&state, Z_NO_FLUSH);
        produced = plain.size() - state.avail_out;
        if (result == Z_BUF_ERROR && state.avail_out == 0) result = Z_OK;
    }
    const bool trailing = state.avail_in > 0;
    inflateEnd(&state);
    if (produced > bytes_max) return fail(Code::Overloaded, "more than " + std::to_string(bytes_max) + " bytes");
    if (result != Z_STREAM_END || trailing) return fail(Code::Invalid, "not one whole gzip member");
    plain.resize(produced);
    return plain;
}

}  // namespace polis::rpc
