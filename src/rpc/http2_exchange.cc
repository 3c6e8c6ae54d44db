#include "rpc/http2_exchange.h"

#include "base/ensure.h"
#include "base/log.h"
#include "rpc/http_body.h"

namespace polis::rpc {

// A coroutine without a parent, in the stream's own scope; frees itself.
struct Http2Exchange::Root {
    struct promise_type : runtime::detail::PromiseBase {
        promise_type(Http2Exchange& exchange, const HttpHandler&) {
            context = {&exchange.session().reactor(), &exchange.scope_};
        }
        Root get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};

Http2Exchange::Root Http2Exchange::run(Http2Exchange& exchange, const HttpHandler& handler) {
    bool ok = false;
    try {
        const Result<void> result = co_await handler(exchange);
        ok = result.has_value();
    } catch (const std::exception& exception) {
        log::error("handler_threw", {"path", exchange.request_.path}, {"what", exception.what()});
    }
    exchange.handler_ended(ok);
}

Http2Exchange::Http2Exchange(Http2Session& session, int32_t stream, const HttpHandler& handler, HttpRequest request,
                             const ServerOptions& options)
    : Http2Stream(session, stream), request_(std::move(request)), options_(options) {
    retain();
    session.reactor().schedule(run(*this, handler).handle);
}

void Http2Exchange::take_data(std::string_view octets) {
    hold(octets.size());
    received_.append(octets);
    wake_reader();
}

void Http2Exchange::take_end() {
    remote_ended_ = true;
    wake_reader();
}

runtime::Task<Bytes> Http2Exchange::read_piece() {
    while (received_.empty()) {
        if (remote_ended_) co_return Bytes();
        if (closed()) co_return fail(Code::Io, "the client is gone");
        CO_TRY(co_await wait_for_arrival());
    }
    Bytes piece = Bytes::take(std::move(received_));
    received_.clear();
    if (!closed()) release(piece.size());
    co_return piece;
}

runtime::Task<std::string> Http2Exchange::read_body(size_t bytes_max) {
    const BodyLimits limits{bytes_max, options_.http_body_timeout};
    Result<std::string> body = co_await gather_body(*this, session().reactor(), limits);
    late_ = !body && body.error().code == Code::Timeout;
    co_return body;
}

void Http2Exchange::send_head(int status, const Metadata& headers, std::optional<size_t> body_bytes) {
    const std::string status_text = std::to_string(status);
    const std::string length_text = body_bytes ? std::to_string(*body_bytes) : std::string();
    std::vector<nghttp2_nv> fields = {copied_field(":status", status_text)};
    for (const auto& [name, value] : headers.fields()) fields.push_back(copied_field(name, value));
    const bool with_body = may_have_body(status);
    if (body_bytes && with_body) fields.push_back(copied_field("content-length", length_text));
    submit_head(fields, with_body && !is_head() && body_bytes != 0);
}

runtime::Task<void> Http2Exchange::respond(int status, Metadata headers, std::string body) {
    ENSURE(!head_sent());
    if (closed()) co_return fail(Code::Io, "the client is gone");
    send_head(status, headers, body.size());
    if (!is_head() && !body.empty()) push(Bytes::take(std::move(body)), SendQueue::Framing::Raw);
    end_body();
    co_return runtime::done();
}

runtime::Task<void> Http2Exchange::begin(int status, Metadata headers) {
    ENSURE(!head_sent());
    if (closed()) co_return fail(Code::Io, "the client is gone");
    send_head(status, headers, std::nullopt);
    co_return runtime::done();
}

runtime::Task<void> Http2Exchange::write(std::string_view piece) {
    // Looked at first: begin() sent no head if the client was gone by then.
    if (closed()) co_return fail(Code::Io, "the client is gone");
    ENSURE(head_sent() && !body_ended());
    // Copied before the first wait: the caller's text need not live longer than this call's first step.
    Bytes copy = Bytes::copy(piece);
    while (!closed() && queued_bytes() >= options_.write_buffer_bytes) CO_TRY(co_await wait_for_room());
    if (closed()) co_return fail(Code::Io, "the client is gone");
    if (!is_head() && !copy.empty()) push(std::move(copy), SendQueue::Framing::Raw);
    co_return runtime::done();
}

runtime::Task<void> Http2Exchange::end() {
    if (closed()) co_return fail(Code::Io, "the client is gone");
    ENSURE(head_sent());
    end_body();
    co_return runtime::done();
}

runtime::Task<std::unique_ptr<runtime::Stream>> Http2Exchange::upgrade(Metadata) {
    co_return fail(Code::Invalid, "HTTP/2 has no protocol upgrade; the client must use HTTP/1.1");
}

void Http2Exchange::handler_ended(bool ok) {
    if (!closed() && !head_sent()) {
        send_head(late_ ? 408 : 500, {}, 0);
        end_body();
    } else if (!closed() && !body_ended()) {
        reset(NGHTTP2_INTERNAL_ERROR);  // The client must not take what it has for the whole.
    } else if (!closed() && !ok) {
        log::debug("handler_failed", {"path", request_.path});
    }
    let_go();
}

void Http2Exchange::on_close(uint32_t) { drop_queue(); }

}  // namespace polis::rpc
