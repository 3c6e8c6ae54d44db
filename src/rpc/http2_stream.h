// Http2Stream: what every request on an HTTP/2 connection has in common, on either side: sending, receiving, waiting, ending.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/list.h"
#include "rpc/http2_session.h"
#include "rpc/send_queue.h"
#include "runtime/scope.h"
#include "runtime/wait.h"

namespace polis::rpc {

/// What a stream is closed with when its connection has ended under it; not an error code of HTTP/2's.
constexpr uint32_t connection_lost = UINT32_MAX;

/// Owned by its session's list, and deletes itself once nghttp2 has closed the stream *and* no user holds it any more. Users are
/// coroutines (a handler) or handles (a client's call).
class Http2Stream : public Linked<Http2StreamTag> {
public:
    Http2Stream(Http2Session& session, int32_t id) : session_(&session), id_(id) { session.add(*this); }
    Http2Stream(const Http2Stream&) = delete;
    Http2Stream& operator=(const Http2Stream&) = delete;

    /// The session tells, within nghttp2's callbacks.
    virtual void take_data(std::string_view octets) = 0;
    virtual void take_end() = 0;
    /// The stream is over: reset by either side (`error`), or the connection has ended (`connection_lost`), or both sides have finished.
    /// May delete this.
    void close(uint32_t error);

    int32_t id() const { return id_; }
    bool closed() const { return closed_; }
    bool remote_ended() const { return remote_ended_; }

    /// The request's head says how long its body is.
    void expect_body(std::optional<uint64_t> bytes) { expected_bytes_ = bytes; }
    /// The session tells of octets before they are taken. False if they are more than was said.
    bool count_body(size_t bytes) {
        body_bytes_ += bytes;
        return !expected_bytes_ || body_bytes_ <= *expected_bytes_;
    }
    /// At the body's end: no octet is missing.
    bool is_body_whole() const { return !expected_bytes_ || body_bytes_ == *expected_bytes_; }

    /// nghttp2 asks what can be sent, then for the octets.
    ssize_t pull(size_t bytes_max, uint32_t& flags);
    void send(size_t bytes, Outbox& outbox);

    /// Users: while there is one, this stays, even closed.
    void retain() { ++users_; }
    void let_go();

protected:
    virtual ~Http2Stream();

    /// Told once, before waits are cancelled.
    virtual void on_close(uint32_t error) = 0;
    /// Called when the last octet of the body goes out, to submit trailers; false if there are none.
    virtual bool submit_trailers() { return false; }

    /// Sends header fields; with a body, what is queued follows until `end_body`.
    void submit_head(std::span<const nghttp2_nv> fields, bool with_body);
    /// As client: opens the stream, with a body to follow.
    void submit_request(std::span<const nghttp2_nv> fields);
    void push(Bytes octets, SendQueue::Framing framing);
    void end_body();
    /// Forgets what is queued: nobody wants it any more.
    void drop_queue() { queue_ = {}; }
    void reset(uint32_t error);

    /// Sleep until something arrives / room is made / the stream closes; then look again. In the awaiting task's scope.
    runtime::Task<void> wait_for_arrival();
    runtime::Task<void> wait_for_room();
    void wake_reader();
    void wake_writer();

    /// Received octets are held, then let go, in the stream's and in the connection's window.
    void hold(size_t bytes);
    void release(size_t bytes);
    /// Taken at once: gives `bytes` back to the stream's window.
    void consume(size_t bytes);

    Http2Session& session() { return *session_; }
    size_t held_bytes() const { return held_bytes_; }
    size_t queued_bytes() const { return queue_.bytes(); }
    bool head_sent() const { return head_sent_; }
    bool body_ended() const { return body_ended_; }

    runtime::Scope scope_;

private:
    Http2Session* session_;
    int32_t id_;
    uint32_t users_ = 0;
    size_t held_bytes_ = 0;
    uint64_t body_bytes_ = 0;  // Received.
    std::optional<uint64_t> expected_bytes_;
    SendQueue queue_;
    runtime::Completion<void>* reader_ = nullptr;
    runtime::Completion<void>* writer_ = nullptr;

protected:
    bool remote_ended_ = false;

private:
    bool closed_ = false;
    bool head_sent_ = false;
    bool body_ended_ = false;
    bool deferred_ = false;  // nghttp2 waits for us to have something to send.
};

}  // namespace polis::rpc
