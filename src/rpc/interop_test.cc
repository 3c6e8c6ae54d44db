// The official gRPC interop cases (grpc/doc/interop-test-descriptions.md) with the real grpc++ client, through generic stubs.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <string>

#include "rpc/rpc_testing.h"

namespace polis::rpc {
namespace {

using namespace std::chrono_literals;

constexpr size_t large_request_bytes = 271828;
constexpr size_t large_response_bytes = 314159;

grpc::ByteBuffer buffer_of(const std::string& text) {
    const grpc::Slice slice(text);
    return grpc::ByteBuffer(&slice, 1);
}

std::string text_of(const grpc::ByteBuffer& buffer) {
    std::vector<grpc::Slice> slices;
    (void)buffer.Dump(&slices);
    std::string text;
    for (const grpc::Slice& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    return text;
}

// One call of the grpc++ client; every step waits for its end.
class ClientCall : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
public:
    ClientCall(grpc::GenericStub& stub, const std::string& method) : stub_(stub), method_(method) {}

    void start() {
        stub_.PrepareBidiStreamingCall(&context, method_, {}, this);
        AddHold();  // The call is not over before finish() says so, however early the server ends it.
        StartCall();
    }
    bool write(const std::string& text) {
        outgoing_ = buffer_of(text);
        StartWrite(&outgoing_);
        return wait_for(written_);
    }
    void writes_done() {
        StartWritesDone();
        (void)wait_for(half_closed_);
    }
    std::optional<std::string> read() {
        StartRead(&incoming_);
        if (!wait_for(read_)) return std::nullopt;
        return text_of(incoming_);
    }
    grpc::Status finish() {
        RemoveHold();
        (void)wait_for(ended_);
        return status_;
    }

    grpc::ClientContext context;

private:
    using Step = std::optional<bool>;  // Whether the step went well, once it has ended.

    void OnWriteDone(bool ok) override { complete(written_, ok); }
    void OnWritesDoneDone(bool ok) override { complete(half_closed_, ok); }
    void OnReadDone(bool ok) override { complete(read_, ok); }
    void OnDone(const grpc::Status& status) override {
        status_ = status;
        complete(ended_, true);
    }
    void complete(Step& step, bool ok) {
        const std::lock_guard lock(mutex_);
        step = ok;
        changed_.notify_all();
    }
    bool wait_for(Step& step) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&step] { return step.has_value(); });
        return *std::exchange(step, std::nullopt);
    }

    grpc::GenericStub& stub_;
    std::string method_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Step written_, half_closed_, read_, ended_;
    grpc::ByteBuffer outgoing_, incoming_;
    grpc::Status status_;
};

class Interop : public ::testing::Test {
protected:
    static ServerOptions options() {
        ServerOptions options;
        options.message_bytes_max = 4u << 20;
        return options;
    }
    Interop() {
        service_.add_to(routes_);
        server_.emplace(routes_, options());
        grpc::ChannelArguments arguments;
        arguments.SetMaxReceiveMessageSize(-1);
        channel_ = grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments);
        stub_.emplace(channel_);
    }

    grpc::Status unary(const std::string& method, const std::string& request, std::string& response,
                       grpc::ClientContext& context) {
        const grpc::ByteBuffer question = buffer_of(request);
        grpc::ByteBuffer answer;
        std::promise<grpc::Status> ended;
        stub_->UnaryCall(&context, method, {}, &question, &answer,
                         [&ended](grpc::Status status) { ended.set_value(std::move(status)); });
        grpc::Status status = ended.get_future().get();
        if (status.ok()) response = text_of(answer);
        return status;
    }
    grpc::Status unary(const std::string& method, const std::string& request, std::string& response) {
        grpc::ClientContext context;
        return unary(method, request, response, context);
    }

    template <class Condition>
    static bool eventually(Condition condition) {
        for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(5ms);
        return condition();
    }

    testing::InteropService service_;
    Routes routes_;
    std::optional<testing::ServerThread> server_;
    std::shared_ptr<grpc::Channel> channel_;
    std::optional<grpc::GenericStub> stub_;
};

TEST_F(Interop, EmptyUnaryEndsOk) {
    std::string response = "x";
    const grpc::Status status = unary("/interop.Test/Echo", "", response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response, "");
}

TEST_F(Interop, LargeUnaryCarriesWholeMessagesBothWays) {
    std::string response;
    std::string request = std::to_string(large_response_bytes) + ",";
    request.resize(large_request_bytes, '\0');
    const grpc::Status status = unary("/interop.Test/Sized", request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.size(), large_response_bytes);
}

TEST_F(Interop, ClientStreamingSumsAllMessages) {
    ClientCall call(*stub_, "/interop.Test/Sum");
    call.start();
    for (const size_t size : {27182u, 8u, 1828u, 45904u}) EXPECT_TRUE(call.write(std::string(size, '\0')));
    call.writes_done();
    EXPECT_EQ(call.read(), "74922");
    EXPECT_EQ(call.read(), std::nullopt);
    EXPECT_TRUE(call.finish().ok());
}

TEST_F(Interop, ServerStreamingSendsAllMessages) {
    ClientCall call(*stub_, "/interop.Test/Many");
    call.start();
    EXPECT_TRUE(call.write("31415,9,2653,58979"));
    call.writes_done();
    for (const size_t size : {31415u, 9u, 2653u, 58979u}) EXPECT_EQ(call.read().value_or("").size(), size);
    EXPECT_EQ(call.read(), std::nullopt);
    EXPECT_TRUE(call.finish().ok());
}

TEST_F(Interop, PingPongAnswersEachMessageBeforeTheNext) {
    ClientCall call(*stub_, "/interop.Test/PingPong");
    call.start();
    for (const size_t size : {31415u, 9u, 2653u, 58979u}) {
        std::string request = std::to_string(size) + ",";
        request.resize(1000 + size / 2, '\0');
        EXPECT_TRUE(call.write(request));
        EXPECT_EQ(call.read().value_or("").size(), size);
    }
    call.writes_done();
    EXPECT_EQ(call.read(), std::nullopt);
    EXPECT_TRUE(call.finish().ok());
}

TEST_F(Interop, EmptyStreamEndsOk) {
    ClientCall call(*stub_, "/interop.Test/PingPong");
    call.start();
    call.writes_done();
    EXPECT_EQ(call.read(), std::nullopt);
    EXPECT_TRUE(call.finish().ok());
}

TEST_F(Interop, CancelAfterBeginCancelsTheHandler) {
    ClientCall call(*stub_, "/interop.Test/PingPong");
    call.start();
    ASSERT_TRUE(eventually([&] { return service_.running == 1; }));
    call.context.TryCancel();
    EXPECT_EQ(call.finish().error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_TRUE(eventually([&] { return service_.cancelled == 1; }));
}

TEST_F(Interop, CancelAfterFirstResponseCancelsTheHandler) {
    ClientCall call(*stub_, "/interop.Test/PingPong");
    call.start();
    EXPECT_TRUE(call.write("31415"));
    EXPECT_EQ(call.read().value_or("").size(), 31415u);
    call.context.TryCancel();
    EXPECT_EQ(call.finish().error_code(), grpc::StatusCode::CANCELLED);
    EXPECT_TRUE(eventually([&] { return service_.cancelled == 1; }));
}

TEST_F(Interop, TimeoutOnSleepingServerEndsBothSides) {
    ClientCall call(*stub_, "/interop.Test/PingPong");
    call.context.set_deadline(std::chrono::system_clock::now() + 50ms);
    call.start();
    (void)call.write("1");
    while (call.read()) {
    }
    EXPECT_EQ(call.finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    EXPECT_TRUE(eventually([&] { return service_.running == 0; }));
}

TEST_F(Interop, StatusCodeAndMessageReachTheClient) {
    std::string response;
    const grpc::Status status = unary("/interop.Test/Fail", "2 test status message", response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNKNOWN);
    EXPECT_EQ(status.error_message(), "test status message");
}

TEST_F(Interop, SpecialStatusMessageIsPercentEncoded) {
    std::string response;
    const std::string special = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n 100%";
    const grpc::Status status = unary("/interop.Test/Fail", "2 " + special, response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNKNOWN);
    EXPECT_EQ(status.error_message(), special);
}

TEST_F(Interop, StatusDetailsReachTheClient) {
    std::string response;
    const grpc::Status status = unary("/interop.Test/Fail", "9 details", response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(status.error_details(), std::string("\x01\x00\xff", 3));
}

TEST_F(Interop, UnimplementedMethodIsNamed) {
    std::string response;
    const grpc::Status status = unary("/interop.Test/Nothing", "", response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_EQ(status.error_message(), "unknown method Nothing for service interop.Test");
}

TEST_F(Interop, UnimplementedServiceIsNamed) {
    std::string response;
    const grpc::Status status = unary("/interop.Nobody/Echo", "", response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_EQ(status.error_message(), "unknown service interop.Nobody");
}

TEST_F(Interop, CustomMetadataIsEchoedInitialAndTrailing) {
    grpc::ClientContext context;
    const std::string octets("\xab\xab\x00\xab", 4);
    context.AddMetadata("x-grpc-test-echo-initial", "test_initial_metadata_value");
    context.AddMetadata("x-grpc-test-echo-trailing-bin", octets);
    std::string response;
    const grpc::Status status = unary("/interop.Test/Metadata", "hello", response, context);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response, "hello");
    const auto& initial = context.GetServerInitialMetadata();
    const auto& trailing = context.GetServerTrailingMetadata();
    ASSERT_EQ(initial.count("x-grpc-test-echo-initial"), 1u);
    EXPECT_EQ(initial.find("x-grpc-test-echo-initial")->second, "test_initial_metadata_value");
    ASSERT_EQ(trailing.count("x-grpc-test-echo-trailing-bin"), 1u);
    EXPECT_EQ(trailing.find("x-grpc-test-echo-trailing-bin")->second, octets);
}

TEST_F(Interop, CompressedUnaryIsUnderstoodAndAnsweredInKind) {
    grpc::ClientContext context;
    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    std::string response;
    const std::string request(100'000, 'z');
    const grpc::Status status = unary("/interop.Test/Echo", request, response, context);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response, request);
}

TEST_F(Interop, TooLargeMessageIsRefusedWithBothSizes) {
    std::string response;
    const grpc::Status status = unary("/interop.Test/Echo", std::string((4u << 20) + 1, 'x'), response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(status.error_message(), "grpc: received message larger than max (4194305 vs. 4194304)");
}

TEST_F(Interop, MessageOfTheLargestSizePassesThroughASmallerWindow) {
    std::string response;
    const grpc::Status status = unary("/interop.Test/Echo", std::string(4u << 20, 'x'), response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.size(), 4u << 20);
}

TEST_F(Interop, UnaryDeadlineEndsTheHandler) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 50ms);
    std::string response;
    const grpc::Status status = unary("/interop.Test/Sleep", "", response, context);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    EXPECT_TRUE(eventually([&] { return service_.running == 0; }));
    EXPECT_EQ(service_.cancelled, 1);
}

TEST_F(Interop, WriterWaitsForAClientThatDoesNotRead) {
    ClientCall call(*stub_, "/interop.Test/Flood");
    call.start();
    ASSERT_TRUE(call.read().has_value());
    std::this_thread::sleep_for(200ms);
    const size_t before = service_.flooded_bytes;
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(service_.flooded_bytes, before);
    EXPECT_LT(before, 64u << 20);
    call.context.TryCancel();
    (void)call.finish();
}

TEST_F(Interop, DroppedChannelLeavesNoConnection) {
    {
        ClientCall call(*stub_, "/interop.Test/PingPong");
        call.start();
        ASSERT_TRUE(eventually([&] { return service_.running == 1; }));
        call.context.TryCancel();
        (void)call.finish();
    }
    stub_.reset();
    channel_.reset();
    EXPECT_TRUE(eventually([&] { return service_.running == 0; }));
    EXPECT_TRUE(eventually(
        [&] { return server_->on_server([](Server& server) { return server.stats().connections_open; }) == 0; }));
}

TEST_F(Interop, StatsCountCallsByMethodAndCode) {
    std::string response;
    (void)unary("/interop.Test/Echo", "a", response);
    (void)unary("/interop.Test/Fail", "5 gone", response);
    const ServerStats stats = server_->on_server([](Server& server) { return server.stats(); });
    const ServerStats::Method& echo = stats.methods.at("/interop.Test/Echo");
    EXPECT_EQ(echo.started, 1u);
    EXPECT_EQ(echo.handled.at(StatusCode::Ok), 1u);
    EXPECT_EQ(echo.messages_received, 1u);
    EXPECT_EQ(echo.messages_sent, 1u);
    EXPECT_EQ(stats.methods.at("/interop.Test/Fail").handled.at(StatusCode::NotFound), 1u);
    EXPECT_GT(stats.bytes_received, 0u);
    EXPECT_GT(stats.bytes_sent, 0u);
}

}  // namespace
}  // namespace polis::rpc
