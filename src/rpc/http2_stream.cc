#include "rpc/http2_stream.h"

#include <algorithm>

#include "base/ensure.h"

namespace polis::rpc {
namespace {

ssize_t pull_callback(nghttp2_session* session, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                      nghttp2_data_source*, void*) {
    // Looked up, not taken from the source: the stream may have been closed because the connection ends.
    auto* const stream = static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
    if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return stream->pull(length, *flags);
}

}  // namespace

Http2Stream::~Http2Stream() {
    ENSURE(closed_ && users_ == 0);
    unlink();
    session_->remove();
}

void Http2Stream::close(uint32_t error) {
    ENSURE(!closed_);
    closed_ = true;
    retain();  // What follows may let go of the last user.
    on_close(error);
    if (held_bytes_ > 0) session_->release(held_bytes_);
    held_bytes_ = 0;
    scope_.cancel();
    wake_reader();
    wake_writer();
    let_go();
}

void Http2Stream::let_go() {
    ENSURE(users_ > 0);
    --users_;
    if (users_ == 0 && closed_) delete this;
}

ssize_t Http2Stream::pull(size_t bytes_max, uint32_t& flags) {
    const size_t count = std::min(bytes_max, queue_.bytes());
    if (count == 0 && !body_ended_) {
        deferred_ = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (body_ended_ && count == queue_.bytes()) {
        flags |= NGHTTP2_DATA_FLAG_EOF;
        if (submit_trailers()) flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return static_cast<ssize_t>(count);
}

void Http2Stream::send(size_t bytes, Outbox& outbox) {
    queue_.take(bytes, [&outbox](auto piece) { outbox.append(std::move(piece)); });
    wake_writer();
}

void Http2Stream::submit_head(std::span<const nghttp2_nv> fields, bool with_body) {
    ENSURE(!head_sent_ && !closed_);
    head_sent_ = true;
    nghttp2_data_provider provider{};
    provider.read_callback = pull_callback;
    // Fails only when the stream or the session is going away, which on_close tells.
    (void)nghttp2_submit_response(session_->raw(), id_, fields.data(), fields.size(), with_body ? &provider : nullptr);
    session_->wake();
}

void Http2Stream::submit_request(std::span<const nghttp2_nv> fields) {
    ENSURE(!head_sent_ && !closed_ && id_ == 0);
    head_sent_ = true;
    nghttp2_data_provider provider{};
    provider.read_callback = pull_callback;
    id_ = nghttp2_submit_request(session_->raw(), nullptr, fields.data(), fields.size(), &provider, this);
    ENSURE(id_ > 0);  // The session takes requests: its owner has asked.
    session_->wake();
}

void Http2Stream::push(Bytes octets, SendQueue::Framing framing) {
    ENSURE(!body_ended_);
    queue_.push(std::move(octets), framing);
    if (deferred_) {
        deferred_ = false;
        (void)nghttp2_session_resume_data(session_->raw(), id_);
    }
    session_->wake();
}

void Http2Stream::end_body() {
    if (body_ended_) return;
    body_ended_ = true;
    if (deferred_) {
        deferred_ = false;
        (void)nghttp2_session_resume_data(session_->raw(), id_);
    }
    session_->wake();
}

void Http2Stream::reset(uint32_t error) {
    if (closed_) return;
    (void)nghttp2_submit_rst_stream(session_->raw(), NGHTTP2_FLAG_NONE, id_, error);
    session_->wake();
}

runtime::Task<void> Http2Stream::wait_for_arrival() {
    ENSURE(reader_ == nullptr);
    runtime::Completion<void> arrival;
    reader_ = &arrival;
    Result<void> woken = co_await arrival.wait();
    reader_ = nullptr;
    co_return woken;
}

runtime::Task<void> Http2Stream::wait_for_room() {
    ENSURE(writer_ == nullptr);
    runtime::Completion<void> room;
    writer_ = &room;
    Result<void> woken = co_await room.wait();
    writer_ = nullptr;
    co_return woken;
}

void Http2Stream::wake_reader() {
    if (reader_) reader_->complete({});
}

void Http2Stream::wake_writer() {
    if (writer_) writer_->complete({});
}

void Http2Stream::hold(size_t bytes) {
    held_bytes_ += bytes;
    session_->hold(bytes);
}

void Http2Stream::release(size_t bytes) {
    ENSURE(bytes <= held_bytes_);
    held_bytes_ -= bytes;
    session_->release(bytes);
    consume(bytes);
}

void Http2Stream::consume(size_t bytes) {
    if (closed_ || bytes == 0) return;
    (void)nghttp2_session_consume_stream(session_->raw(), id_, bytes);
    session_->wake_to_send();
}

}  // namespace polis::rpc
