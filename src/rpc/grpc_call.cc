#include "rpc/grpc_call.h"

#include <algorithm>
#include <array>

#include "base/ensure.h"
#include "base/log.h"
#include "rpc/compression.h"
#include "rpc/wire.h"

namespace polis::rpc {
namespace {

constexpr std::array<std::string_view, status_code_count> code_texts = {
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"};

// Compressing less costs more than it saves.
constexpr size_t compressed_bytes_min = 1024;

// Of a status' message: nghttp2 sends no header block over 64 KiB, and each octet may become three.
constexpr size_t status_message_bytes_max = 4096;

// As much of a status' message as is sent, whole characters of UTF-8.
std::string_view bounded(std::string_view message) {
    if (message.size() <= status_message_bytes_max) return message;
    const auto continues = [&message](size_t at) { return (static_cast<uint8_t>(message[at]) & 0xc0) == 0x80; };
    constexpr size_t continuation_octets_max = 3;
    size_t size = status_message_bytes_max;
    while (continues(size) && size > status_message_bytes_max - continuation_octets_max) --size;
    return message.substr(0, size);
}

std::array<nghttp2_nv, 2> response_head() {
    return {borrowed_field(":status", "200"), borrowed_field("content-type", "application/grpc")};
}

void append_metadata(std::vector<nghttp2_nv>& fields, const Metadata* metadata, std::vector<std::string>& encoded) {
    if (!metadata) return;
    // Texts in `encoded` must not move once pointed to.
    encoded.reserve(encoded.size() + metadata->fields().size());
    for (const auto& [name, value] : metadata->fields()) {
        if (!is_binary_name(name)) {
            fields.push_back(copied_field(name, value));
            continue;
        }
        encoded.push_back(base64_encode(value));
        fields.push_back(copied_field(name, encoded.back()));
    }
}

// grpc-status and what goes with it. `encoded` keeps texts alive until the fields are submitted.
std::vector<nghttp2_nv> trailer_fields(const Status& status, const Metadata* metadata,
                                       std::vector<std::string>& encoded) {
    std::vector<nghttp2_nv> fields;
    encoded.reserve(2 + (metadata ? metadata->fields().size() : 0));
    fields.push_back(borrowed_field("grpc-status", code_texts[static_cast<size_t>(status.code)]));
    if (!status.message.empty()) {
        encoded.push_back(percent_encode(bounded(status.message)));
        fields.push_back(copied_field("grpc-message", encoded.back()));
    }
    if (!status.details.empty()) {
        encoded.push_back(base64_encode(status.details));
        fields.push_back(copied_field("grpc-status-details-bin", encoded.back()));
    }
    append_metadata(fields, metadata, encoded);
    return fields;
}

void submit_trailers_only(Http2Session& session, int32_t stream, std::span<const nghttp2_nv> head,
                          const Status& status) {
    std::vector<std::string> encoded;
    std::vector<nghttp2_nv> fields = trailer_fields(status, nullptr, encoded);
    fields.insert(fields.begin(), head.begin(), head.end());
    (void)nghttp2_submit_response(session.raw(), stream, fields.data(), fields.size(), nullptr);
    session.wake();
}

// What the messages being received on one connection may hold in sum, before new ones are refused.
ptrdiff_t assembled_bytes_max(const ServerOptions& options) {
    return static_cast<ptrdiff_t>(std::max<uint64_t>(64u << 20, 4 * uint64_t{options.message_bytes_max}));
}

Status expired() { return {StatusCode::DeadlineExceeded, "context deadline exceeded", {}}; }

}  // namespace

void answer_trailers_only(Http2Session& session, int32_t stream, const Status& status) {
    const auto head = response_head();
    submit_trailers_only(session, stream, head, status);
}

void refuse_encoding(Http2Session& session, int32_t stream, std::string_view encoding) {
    const auto [ok, type] = response_head();
    const std::array head = {ok, type, borrowed_field("grpc-accept-encoding", "identity,gzip")};
    const std::string why = "grpc: Decompressor is not installed for grpc-encoding \"" + std::string(encoding) + "\"";
    submit_trailers_only(session, stream, head, {StatusCode::Unimplemented, why, {}});
}

// A coroutine without a parent, in the call's own scope; frees itself.
struct GrpcCall::Root {
    struct promise_type : runtime::detail::PromiseBase {
        explicit promise_type(GrpcCall& call) { context = {&call.session().reactor(), &call.scope_}; }
        promise_type(GrpcCall& call, Bytes&) : promise_type(call) {}
        Root get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};

GrpcCall::Root GrpcCall::run_unary(GrpcCall& call, Bytes request) {
    Result<Outcome> outcome = Outcome();
    try {
        outcome = co_await (*call.method_.unary)(call, std::move(request));
    } catch (const std::exception& exception) {
        log::error("handler_threw", {"method", call.method_.name}, {"what", exception.what()});
        outcome = Outcome::of(Status{StatusCode::Internal, "the handler failed", {}});
    }
    call.handler_ended(std::move(outcome));
}

GrpcCall::Root GrpcCall::run_stream(GrpcCall& call) {
    Result<Outcome> outcome = Outcome();
    try {
        Result<Status> status = co_await (*call.method_.stream)(call);
        if (status) {
            outcome = Outcome::of(*std::move(status));
        } else {
            outcome = std::unexpected(std::move(status).error());
        }
    } catch (const std::exception& exception) {
        log::error("handler_threw", {"method", call.method_.name}, {"what", exception.what()});
        outcome = Outcome::of(Status{StatusCode::Internal, "the handler failed", {}});
    }
    call.handler_ended(std::move(outcome));
}

GrpcCall::GrpcCall(Http2Session& session, int32_t stream, MethodEntry& method, GrpcRequest request,
                   const ServerOptions& options, DeadlineQueue& deadlines)
    : Http2Stream(session, stream),
      method_(method),
      began_(session.reactor().now()),
      options_(options),
      deadlines_(deadlines),
      peer_(session.transport().peer()),
      reader_(options.message_bytes_max, request.encoding),
      encoding_(request.encoding),
      fields_(std::move(request.fields)) {
    ++method_.started;
    deadlines_.add(*this, request.deadline);
    if (method_.stream) start(run_stream(*this));
}

GrpcCall::~GrpcCall() { ENSURE(finished_ && !running_); }

void GrpcCall::start(Root root) {
    ENSURE(!running_);
    running_ = true;
    retain();
    session().reactor().schedule(root.handle);
}

void GrpcCall::take_data(std::string_view octets) {
    if (finished_) return consume(octets.size());
    hold(octets.size());
    reader_.feed(octets);
    account_input();
    if (reader_.error()) return abort(*reader_.error());
    if (session().assembled_bytes() > assembled_bytes_max(options_)) {
        return abort({StatusCode::ResourceExhausted, "too many large messages at once on this connection", {}});
    }
    wake_reader();
}

void GrpcCall::take_end() {
    remote_ended_ = true;
    if (finished_) return;
    if (reader_.partial()) return abort({StatusCode::Internal, "grpc: the request ends within a message", {}});
    if (!method_.unary) return wake_reader();

    if (!reader_.ready()) return abort({StatusCode::Internal, "grpc: a unary request without a message", {}});
    if (reader_.backlog_bytes() > 0) {
        return abort({StatusCode::Internal, "grpc: a unary request with more than one message", {}});
    }
    ++method_.messages_received;
    Bytes request = reader_.pop();
    account_input();
    start(run_unary(*this, std::move(request)));
}

// Only what lies behind the message that is read next is held back from the peer.
void GrpcCall::account_input() {
    release(held_bytes() - reader_.backlog_bytes());
    session().assemble(static_cast<ptrdiff_t>(reader_.assembled_bytes()) - static_cast<ptrdiff_t>(assembled_bytes_));
    assembled_bytes_ = reader_.assembled_bytes();
}

const Metadata& GrpcCall::metadata() const {
    if (metadata_) return *metadata_;
    metadata_ = std::make_unique<Metadata>();
    for (const HeaderField& field : fields_) {
        const std::string_view name = field.name.view();
        const std::string_view value = field.value.view();
        if (!is_binary_name(name)) {
            metadata_->add(std::string(name), std::string(value));
        } else if (std::optional<std::string> octets = base64_decode(value)) {
            metadata_->add(std::string(name), *std::move(octets));
        }
    }
    return *metadata_;
}

Metadata& GrpcCall::made(std::unique_ptr<Metadata>& metadata) {
    if (!metadata) metadata = std::make_unique<Metadata>();
    return *metadata;
}

void GrpcCall::send_initial_metadata() {
    if (head_sent() || closed()) return;
    const auto head = response_head();
    if (!initial_metadata_ && encoding_ == Encoding::Identity) return submit_head(head, true);

    std::vector<nghttp2_nv> fields(head.begin(), head.end());
    if (encoding_ == Encoding::Gzip) fields.push_back(borrowed_field("grpc-encoding", "gzip"));
    std::vector<std::string> encoded;
    append_metadata(fields, initial_metadata_.get(), encoded);
    submit_head(fields, true);
}

runtime::Task<std::optional<Bytes>> GrpcCall::read() {
    for (;;) {
        if (finished_ || closed()) co_return fail(Code::Canceled, "the call has ended");
        if (reader_.ready()) {
            ++method_.messages_received;
            std::optional<Bytes> message(reader_.pop());
            account_input();
            if (reader_.error()) abort(*reader_.error());
            co_return message;
        }
        if (remote_ended_) co_return std::optional<Bytes>();
        CO_TRY(co_await wait_for_arrival());
    }
}

runtime::Task<void> GrpcCall::write(Bytes message) {
    while (!finished_ && !closed() && queued_bytes() >= options_.write_buffer_bytes) CO_TRY(co_await wait_for_room());
    if (finished_ || closed()) co_return fail(Code::Canceled, "the call has ended");
    send_message(std::move(message));
    co_return runtime::done();
}

bool GrpcCall::try_write(Bytes message) {
    if (finished_ || closed() || queued_bytes() >= options_.write_buffer_bytes) return false;
    send_message(std::move(message));
    return true;
}

void GrpcCall::send_message(Bytes message) {
    ++method_.messages_sent;
    send_initial_metadata();
    if (encoding_ == Encoding::Gzip && message.size() >= compressed_bytes_min) {
        return push(Bytes::take(gzip(message)), SendQueue::Framing::GrpcCompressed);
    }
    push(std::move(message), SendQueue::Framing::Grpc);
}

void GrpcCall::handler_ended(Result<Outcome> outcome) {
    ENSURE(running_);
    running_ = false;
    if (!finished_ && !closed()) {
        Status status = outcome ? std::move(outcome->status) : status_of(outcome.error());
        if (timed_out_ && !status.ok()) status = expired();
        if (status.ok() && method_.unary) send_message(std::move(outcome->message));
        finish(std::move(status));
    }
    let_go();
}

void GrpcCall::finish(Status status) {
    ENSURE(!finished_);
    end_accounting(status.code);
    status_ = std::move(status);
    reader_.discard();
    account_input();
    if (closed()) return;
    if (!head_sent() && (initial_metadata_ || status_.ok())) send_initial_metadata();
    if (head_sent()) return end_body();

    std::vector<std::string> encoded;
    std::vector<nghttp2_nv> fields = trailer_fields(status_, trailing_metadata_.get(), encoded);
    const auto head = response_head();
    fields.insert(fields.begin(), head.begin(), head.end());
    submit_head(fields, false);
}

// The call ends for a reason of ours; what is queued is sent nevertheless, in front of the trailers.
void GrpcCall::abort(Status status) {
    if (finished_) return;
    finish(std::move(status));
    scope_.cancel();
    wake_reader();
    wake_writer();
}

void GrpcCall::end_accounting(StatusCode code) {
    finished_ = true;
    deadlines_.remove(*this);
    ++method_.handled[static_cast<size_t>(code)];
    method_.handling.note(session().reactor().fresh_now() - began_);
}

bool GrpcCall::submit_trailers() {
    ENSURE(finished_);
    if (status_.ok() && !trailing_metadata_) {
        const nghttp2_nv field = borrowed_field("grpc-status", "0");
        (void)nghttp2_submit_trailer(session().raw(), id(), &field, 1);
        return true;
    }
    std::vector<std::string> encoded;
    const std::vector<nghttp2_nv> fields = trailer_fields(status_, trailing_metadata_.get(), encoded);
    (void)nghttp2_submit_trailer(session().raw(), id(), fields.data(), fields.size());
    return true;
}

void GrpcCall::on_close(uint32_t) {
    drop_queue();
    if (!finished_) end_accounting(StatusCode::Cancelled);
    reader_.discard();
    session().assemble(-static_cast<ptrdiff_t>(assembled_bytes_));
    assembled_bytes_ = 0;
}

void GrpcCall::deadline_passed() {
    timed_out_ = true;
    if (!running_) return abort(expired());
    scope_.cancel(Code::Timeout);
}

}  // namespace polis::rpc
