// Fuzzes the HTTP/1 parsers: any split of the octets must mean the same as the whole, and what is accepted must survive being
// written again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/ensure.h"
#include "codec/http1/parser.h"
#include "codec/http1/serialiser.h"

namespace polis::codec {
namespace {

constexpr Http1Limits limits{.head_bytes_max = 512,
                             .target_bytes_max = 128,
                             .fields_max = 8,
                             .chunk_line_bytes_max = 32,
                             .trailer_bytes_max = 64};

struct Read {
    std::string body;
    size_t consumed = 0;
    bool ended = false;
    int refused = 0;
};

// Reads a body of which `piece` more octets arrive at a time.
Read read_body(const Http1Head& head, std::string_view octets, size_t piece) {
    Http1BodyReader reader(head, limits);
    Read read;
    size_t visible = std::min(piece, octets.size());
    for (;;) {
        const auto step = reader.step(octets.substr(read.consumed, visible - read.consumed));
        if (!step) {
            read.refused = step.error().status;
            return read;
        }
        read.body += step->piece;
        read.consumed += step->consumed;
        read.ended = step->ended;
        if (step->ended) return read;
        if (step->consumed > 0) continue;
        if (visible == octets.size()) return read;
        visible = std::min(octets.size(), visible + piece);
    }
}

void check_body(const Http1Head& head, std::string_view octets, size_t piece) {
    const Read one = read_body(head, octets, octets.size() + 1);
    const Read other = read_body(head, octets, piece);
    ENSURE(one.refused == other.refused && one.ended == other.ended);
    if (one.refused == 0) ENSURE(one.body == other.body && one.consumed == other.consumed);
}

void check_rewritten(const Http1Request& request) {
    const Result<std::string> again = http1_request_head(request.method, request.target, request.fields);
    ENSURE(again.has_value());
    if (again->size() > limits.head_bytes_max || request.minor_version == 0) return;
    Http1HeadParser parser(limits);
    const auto parsed = parser.request(*again);
    ENSURE(parsed.has_value() && parsed->has_value());
    ENSURE((*parsed)->fields == request.fields && (*parsed)->origin == request.origin);
    ENSURE((*parsed)->body == request.body && (*parsed)->content_length == request.content_length);
}

void check_request(std::string_view octets, size_t piece) {
    Http1HeadParser whole(limits);
    const auto at_once = whole.request(octets);
    Http1HeadParser split(limits);
    Http1Parsed<Http1Request> in_pieces = std::nullopt;
    for (size_t visible = 0; visible < octets.size() && in_pieces && !*in_pieces;) {
        visible = std::min(octets.size(), visible + piece);
        in_pieces = split.request(octets.substr(0, visible));
    }
    ENSURE(at_once.has_value() == in_pieces.has_value());
    if (!at_once) return;
    ENSURE(at_once->has_value() == in_pieces->has_value());
    if (!*at_once) return;
    const Http1Request& request = **at_once;
    ENSURE(request.fields == (*in_pieces)->fields && request.head_bytes == (*in_pieces)->head_bytes);
    check_rewritten(request);

    check_body(request, octets.substr(request.head_bytes), piece);
}

void check_response(std::string_view octets, std::string_view method, size_t piece) {
    Http1HeadParser whole(limits);
    const auto at_once = whole.response(octets, method);
    Http1HeadParser split(limits);
    Http1Parsed<Http1Response> in_pieces = std::nullopt;
    for (size_t visible = 0; visible < octets.size() && in_pieces && !*in_pieces;) {
        visible = std::min(octets.size(), visible + piece);
        in_pieces = split.response(octets.substr(0, visible), method);
    }
    ENSURE(at_once.has_value() == in_pieces.has_value());
    if (!at_once) return;
    ENSURE(at_once->has_value() == in_pieces->has_value());
    if (!*at_once) return;
    const Http1Response& response = **at_once;
    ENSURE(response.status == (*in_pieces)->status && response.fields == (*in_pieces)->fields);
    ENSURE(response.head_bytes == (*in_pieces)->head_bytes);
    check_body(response, octets.substr(response.head_bytes), piece);
}

}  // namespace
}  // namespace polis::codec

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    const size_t piece = 1 + data[0] % 16;
    const std::string_view octets(reinterpret_cast<const char*>(data) + 1, size - 1);
    polis::codec::check_request(octets, piece);
    polis::codec::check_response(octets, (data[0] & 0x80) != 0 ? "HEAD" : "GET", piece);
    return 0;
}
