#include "gateways/etcd/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "base/ensure.h"

namespace polis::gateways {
namespace {

using runtime::Task;

enum Opcode : uint8_t { Continuation = 0, Text = 1, Binary = 2, Close = 8, Ping = 9, Pong = 10 };

constexpr size_t control_bytes_max = 125;

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

bool has_token(std::string_view list, std::string_view token) {
    while (!list.empty()) {
        const size_t comma = std::min(list.find(','), list.size());
        std::string_view entry = list.substr(0, comma);
        while (entry.starts_with(' ')) entry.remove_prefix(1);
        while (entry.ends_with(' ')) entry.remove_suffix(1);
        if (equals_ignoring_case(entry, token)) return true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

/// RFC 6455 §4.2.2: base64(SHA-1(key + a fixed GUID)).
std::string accept_of(std::string_view key) {
    const std::string salted = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
    unsigned size = 0;
    ENSURE(EVP_Digest(salted.data(), salted.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
    std::array<unsigned char, 4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1> text;
    const int length = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(size));
    return {reinterpret_cast<const char*>(text.data()), static_cast<size_t>(length)};
}

uint64_t big_endian(std::string_view octets) {
    uint64_t value = 0;
    for (const char octet : octets) value = value << 8 | static_cast<uint8_t>(octet);
    return value;
}

}  // namespace

bool is_websocket(const rpc::HttpRequest& request) {
    return request.method == "GET" && has_token(request.headers.find("connection").value_or(""), "upgrade") &&
           has_token(request.headers.find("upgrade").value_or(""), "websocket");
}

Result<rpc::Metadata> websocket_answer(const rpc::Metadata& headers) {
    const std::string_view key = headers.find("sec-websocket-key").value_or("");
    if (key.size() != 24) return fail(Code::Invalid, "Sec-WebSocket-Key is not the base64 of 16 octets");
    if (headers.find("sec-websocket-version").value_or("") != "13") {
        return fail(Code::Invalid, "Sec-WebSocket-Version must be 13");
    }
    rpc::Metadata answer;
    answer.add("upgrade", "websocket");
    answer.add("sec-websocket-accept", accept_of(key));
    return answer;
}

std::string websocket_frame(uint8_t opcode, std::string_view payload) {
    std::string frame(1, static_cast<char>(0x80 | opcode));
    const auto append = [&](uint64_t value, int octets) {
        for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8) frame += static_cast<char>(value >> shift);
    };
    if (payload.size() < 126) {
        append(payload.size(), 1);
    } else if (payload.size() <= 0xffff) {
        append(126, 1);
        append(payload.size(), 2);
    } else {
        append(127, 1);
        append(payload.size(), 8);
    }
    return frame.append(payload);
}

Task<Bytes> Websocket::read() {
    std::string message;
    bool begun = false;
    while (!closed_) {
        CO_LET(Frame frame, co_await read_frame());
        switch (frame.opcode) {
            case Ping: CO_TRY(co_await send(Pong, std::move(frame.payload))); continue;
            case Pong: continue;
            case Close: closed_ = true; continue;
            case Text:
            case Binary:
                if (begun) co_return fail(Code::Invalid, "websocket: a message begins within another");
                break;
            case Continuation:
                if (!begun) co_return fail(Code::Invalid, "websocket: a continuation of nothing");
                break;
            default: co_return fail(Code::Invalid, "websocket: unknown opcode");
        }
        begun = true;
        if (message.size() + frame.payload.size() > message_bytes_max_) {
            co_return fail(Code::Invalid, "websocket: the message is too long");
        }
        message += frame.payload;
        if (!frame.final) continue;
        if (!message.empty()) co_return Bytes::take(std::move(message));
        begun = false;  // An empty message says nothing; an empty result would mean the end.
    }
    co_return fail(Code::Canceled, "websocket: closed by the client");
}

Task<void> Websocket::write(std::string line) { return send(Text, std::move(line)); }

Task<void> Websocket::close() {
    const std::string normal("\x03\xe8", 2);
    CO_TRY(co_await send(Close, normal));
    co_return co_await stream_.finish();
}

Task<Websocket::Frame> Websocket::read_frame() {
    CO_LET(const std::string head, co_await read_exactly(2));
    const uint8_t first = static_cast<uint8_t>(head[0]), second = static_cast<uint8_t>(head[1]);
    Frame frame{.final = (first & 0x80) != 0, .opcode = static_cast<uint8_t>(first & 0x0f), .payload = {}};
    if ((first & 0x70) != 0) co_return fail(Code::Invalid, "websocket: reserved bits without an extension");
    if ((second & 0x80) == 0) co_return fail(Code::Invalid, "websocket: a client's frame must be masked");
    uint64_t bytes = second & 0x7f;
    if (bytes >= 126) {
        CO_LET(const std::string length, co_await read_exactly(bytes == 126 ? 2 : 8));
        bytes = big_endian(length);
    }
    const bool control = frame.opcode >= Close;
    if (control && (bytes > control_bytes_max || !frame.final)) {
        co_return fail(Code::Invalid, "websocket: a control frame is long or fragmented");
    }
    if (bytes > message_bytes_max_) co_return fail(Code::Invalid, "websocket: the frame is too long");
    CO_LET(const std::string mask, co_await read_exactly(4));
    CO_LET(frame.payload, co_await read_exactly(bytes));
    for (size_t at = 0; at < frame.payload.size(); ++at) {
        frame.payload[at] = static_cast<char>(frame.payload[at] ^ mask[at % 4]);
    }
    co_return frame;
}

Task<std::string> Websocket::read_exactly(size_t bytes) {
    while (arrived_.size() < bytes) {
        std::array<std::byte, 4096> piece;
        CO_LET(const size_t count, co_await stream_.read_some(piece));
        if (count == 0) co_return fail(Code::Io, "websocket: the connection ended without a goodbye");
        arrived_.append(as_view(std::span(piece).first(count)));
    }
    std::string taken = arrived_.substr(0, bytes);
    arrived_.erase(0, bytes);
    co_return taken;
}

Task<void> Websocket::send(uint8_t opcode, std::string payload) {
    // A pong is sent by the reading task beside the answers of the writing one.
    while (writing_) CO_TRY(co_await written_.wait());
    writing_ = true;
    const std::string frame = websocket_frame(opcode, payload);
    const Result<void> sent = co_await stream_.write(frame);
    writing_ = false;
    written_.notify_all();
    co_return sent;
}

}  // namespace polis::gateways
