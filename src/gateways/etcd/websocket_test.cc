#include "gateways/etcd/websocket.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "runtime/sim_reactor.h"

namespace polis::gateways {
namespace {

// Hands out `input` in pieces of at most `piece` octets, then ends; keeps what is written.
class MemoryStream : public runtime::Stream {
public:
    MemoryStream(std::string input, size_t piece) : input_(std::move(input)), piece_(piece) {}

    runtime::Task<size_t> read_some(std::span<std::byte> target) override {
        const size_t count = std::min({target.size(), input_.size(), piece_});
        std::memcpy(target.data(), input_.data(), count);
        input_.erase(0, count);
        co_return count;
    }
    runtime::Task<void> write(std::span<const std::string_view> parts) override {
        for (const std::string_view part : parts) written += part;
        co_return runtime::done();
    }
    runtime::Task<void> finish() override { co_return runtime::done(); }
    void close() override {}
    const runtime::Peer& peer() const override { return peer_; }

    std::string written;

private:
    std::string input_;
    size_t piece_;
    runtime::Peer peer_;
};

/// A client's frame: masked. `first`: FIN, reserved bits and opcode.
std::string client_frame(uint8_t first, std::string payload) {
    std::string frame = websocket_frame(0, payload);
    const size_t header = frame.size() - payload.size();
    frame.resize(header);
    frame[0] = static_cast<char>(first);
    frame[1] = static_cast<char>(static_cast<uint8_t>(frame[1]) | 0x80);
    const std::string mask = "\x01\x02\x03\x04";
    for (size_t at = 0; at < payload.size(); ++at) payload[at] = static_cast<char>(payload[at] ^ mask[at % 4]);
    return frame + mask + payload;
}

struct Read {
    Result<Bytes> message;
    std::string written;
};

Read read_of(std::string input, size_t piece = 1000, size_t bytes_max = 100'000) {
    runtime::SimReactor reactor(1);
    MemoryStream stream(std::move(input), piece);
    Websocket socket(stream, bytes_max);
    Result<Bytes> message = runtime::run(reactor, socket.read());
    return {std::move(message), stream.written};
}

// RFC 6455 §1.3 and §5.7.
TEST(Websocket, AnswersTheHandshakeOfTheRfc) {
    rpc::Metadata headers;
    headers.add("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    headers.add("sec-websocket-version", "13");
    EXPECT_EQ(websocket_answer(headers)->find("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    EXPECT_FALSE(websocket_answer({}).has_value());
}

TEST(Websocket, ReadsTheFrameOfTheRfcInAnyPieces) {
    const std::string hello("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    for (size_t piece = 1; piece <= hello.size(); ++piece) EXPECT_EQ(read_of(hello, piece).message.value(), "Hello");
}

TEST(Websocket, JoinsFragmentsAndAnswersAPingBetween) {
    const Read read = read_of(client_frame(0x01, "ab") + client_frame(0x89, "p") + client_frame(0x80, "cd"));
    EXPECT_EQ(read.message.value(), "abcd");
    EXPECT_EQ(read.written, websocket_frame(10, "p"));
}

TEST(Websocket, ReadsAndWritesAllThreeLengths) {
    for (const size_t bytes : {125u, 126u, 65'535u, 65'536u}) {
        const std::string payload(bytes, 'x');
        EXPECT_EQ(read_of(client_frame(0x81, payload)).message->size(), bytes);
        EXPECT_EQ(websocket_frame(1, payload).size(), bytes + (bytes < 126 ? 2 : bytes <= 65'535 ? 4 : 10));
    }
}

// A watch outlives the end of an HTTP body, but not a client that has hung up.
TEST(Websocket, EndsTheCallAtTheClientsGoodbye) {
    EXPECT_EQ(read_of(client_frame(0x88, "")).message.error().code, Code::Canceled);
}

TEST(Websocket, RefusesWhatBreaksTheProtocol) {
    const std::string cases[] = {
        websocket_frame(1, "unmasked"),
        client_frame(0xc1, "reserved bit"),
        client_frame(0x80, "continues nothing"),
        client_frame(0x83, "bad opcode"),
        client_frame(0x09, "fragmented ping"),
        client_frame(0x89, std::string(126, 'x')),
        client_frame(0x01, "a") + client_frame(0x81, "b"),
    };
    for (const std::string& input : cases) {
        const auto message = read_of(input).message;
        ASSERT_FALSE(message.has_value());
        EXPECT_EQ(message.error().code, Code::Invalid);
    }
}

// Memory grows with what arrives and is allowed, not with the length that a client claims.
TEST(Websocket, RefusesMessagesOverTheLimit) {
    const std::string claim("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10);
    EXPECT_EQ(read_of(claim, 1000, 50).message.error().code, Code::Invalid);
    const std::string half(30, 'x');
    EXPECT_EQ(read_of(client_frame(0x01, half) + client_frame(0x80, half), 1000, 50).message.error().code,
              Code::Invalid);
}

TEST(Websocket, ReportsAConnectionThatEndsWithoutGoodbye) {
    EXPECT_EQ(read_of(client_frame(0x81, "abc").substr(0, 5)).message.error().code, Code::Io);
}

}  // namespace
}  // namespace polis::gateways
