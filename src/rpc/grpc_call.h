// GrpcCall: the server's side of one gRPC call on an HTTP/2 stream.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "rpc/deadline_queue.h"
#include "rpc/http2_stream.h"
#include "rpc/message_reader.h"
#include "rpc/method_table.h"
#include "rpc/server.h"

namespace polis::rpc {

/// The fields of gRPC's own that matter to a call, and the rest.
struct GrpcRequest {
    Encoding encoding = Encoding::Identity;
    Instant deadline = Instant::never();
    std::vector<HeaderField> fields;  // The caller's metadata, still as it came.
};

/// Answers without any handler: a head that is also the trailers.
void answer_trailers_only(Http2Session& session, int32_t stream, const Status& status);
/// As answer_trailers_only, Unimplemented, saying which encodings are understood (grpc/doc/compression.md).
void refuse_encoding(Http2Session& session, int32_t stream, std::string_view encoding);

/// Starts its handler when the request is there: a unary one with its only message, a streaming one at once. Ends with
/// what the handler gives, or earlier with what went wrong; the handler is then cancelled and its result ignored.
class GrpcCall final : public Http2Stream, public Call, private DeadlineQueue::Entry {
public:
    GrpcCall(Http2Session& session, int32_t stream, MethodEntry& method, GrpcRequest request,
             const ServerOptions& options, DeadlineQueue& deadlines);

    void take_data(std::string_view octets) override;
    void take_end() override;

    std::string_view method() const override { return method_.name; }
    const Metadata& metadata() const override;
    const runtime::Peer& peer() const override { return peer_; }
    Instant deadline() const override { return Entry::deadline(); }
    Metadata& initial_metadata() override { return made(initial_metadata_); }
    Metadata& trailing_metadata() override { return made(trailing_metadata_); }
    void send_initial_metadata() override;
    runtime::Task<std::optional<Bytes>> read() override;
    runtime::Task<void> write(Bytes message) override;
    bool try_write(Bytes message) override;
    size_t buffered_bytes() const override { return queued_bytes(); }

private:
    struct Root;
    static Root run_unary(GrpcCall& call, Bytes request);
    static Root run_stream(GrpcCall& call);

    ~GrpcCall() override;
    void on_close(uint32_t error) override;
    bool submit_trailers() override;
    void deadline_passed() override;

    static Metadata& made(std::unique_ptr<Metadata>& metadata);
    void start(Root root);
    void handler_ended(Result<Outcome> outcome);
    void finish(Status status);
    void abort(Status status);
    void end_accounting(StatusCode code);
    void send_message(Bytes message);
    void account_input();

    MethodEntry& method_;
    const Instant began_;
    const ServerOptions& options_;
    DeadlineQueue& deadlines_;
    const runtime::Peer& peer_;
    MessageReader reader_;
    size_t assembled_bytes_ = 0;  // Our part of the session's.
    Encoding encoding_;           // Of the request; the answer may use it.
    bool running_ = false;        // The handler.
    bool finished_ = false;       // How the call ends is settled and counted.
    bool timed_out_ = false;
    Status status_;
    std::vector<HeaderField> fields_;
    mutable std::unique_ptr<Metadata> metadata_;  // Made from fields_ when first asked for.
    std::unique_ptr<Metadata> initial_metadata_;  // Likewise.
    std::unique_ptr<Metadata> trailing_metadata_;
};

}  // namespace polis::rpc
