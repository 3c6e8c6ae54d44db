#include "rpc/http2_session.h"

#include <array>

#include "base/ensure.h"
#include "base/log.h"
#include "rpc/http2_stream.h"

namespace polis::rpc {
namespace {

constexpr size_t idle_buffer_bytes = 2u << 10;   // Each open connection costs this much while nothing happens.
constexpr size_t busy_buffer_bytes = 64u << 10;  // A read gathers this much at most.
constexpr size_t outbox_bytes_max = 256u << 10;  // A write gathers about this much.
constexpr size_t queued_frames_max = 1024;       // A peer that does not read: no more is read from it, above.
constexpr size_t lingered_bytes_max = 1u << 20;  // What is read and dropped after our last word ...
constexpr Duration linger_time = std::chrono::seconds(1);  // ... so that a reset does not overtake it.

nghttp2_nv field_of(std::string_view name, std::string_view value, uint8_t flags) {
    const auto octets = [](std::string_view text) {
        return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));  // nghttp2 reads only.
    };
    return {octets(name), octets(value), name.size(), value.size(), flags};
}

}  // namespace

nghttp2_nv borrowed_field(std::string_view name, std::string_view value) {
    return field_of(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

nghttp2_nv copied_field(std::string_view name, std::string_view value) {
    return field_of(name, value, NGHTTP2_NV_FLAG_NONE);
}

namespace {

// Lets the coroutines that are ready run first.
struct yield {
    bool await_ready() const noexcept { return false; }
    template <runtime::TaskPromise P>
    void await_suspend(std::coroutine_handle<P> self) {
        self.promise().context.reactor->schedule(self);
    }
    void await_resume() const noexcept {}
};

runtime::Task<void> wait_for(runtime::Completion<void>& completion) { co_return co_await completion.wait(); }

}  // namespace

// nghttp2's callbacks, turned into calls on the session (its user pointer).
struct Http2Session::Callbacks {
    static Http2Session& of(void* user) { return *static_cast<Http2Session*>(user); }

    static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* header, void* user) {
        return of(user).begin_frame(*header);
    }
    static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        return of(user).begin_headers(*frame);
    }
    static int header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value, uint8_t,
                      void* user) {
        return of(user).header(*frame, name, value);
    }
    static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        return of(user).frame_received(*frame);
    }
    static int data(nghttp2_session* raw, uint8_t, int32_t id, const uint8_t* octets, size_t size, void* user) {
        Http2Session& self = of(user);
        self.unreturned_bytes_ += size;
        Http2Stream* const stream = self.stream_of(id);
        if (stream && stream->count_body(size)) {
            stream->take_data({reinterpret_cast<const char*>(octets), size});
        } else {
            if (stream) (void)nghttp2_submit_rst_stream(raw, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
            (void)nghttp2_session_consume_stream(raw, id, size);
        }
        self.return_credit();
        return 0;
    }
    static int stream_closed(nghttp2_session*, int32_t id, uint32_t error, void* user) {
        if (Http2Stream* stream = of(user).stream_of(id)) stream->close(error);
        return 0;
    }
    static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        of(user).frame_sent(*frame);
        return 0;
    }
    // Only a header block can be too large for nghttp2; its stream would wait for it for ever. A request's it ends itself.
    static int frame_not_sent(nghttp2_session* raw, const nghttp2_frame* frame, int error, void* user) {
        const bool answers = frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat != NGHTTP2_HCAT_REQUEST;
        if (!answers || nghttp2_session_get_stream_local_close(raw, frame->hd.stream_id) != 0) return 0;
        log::debug("answer_not_sent", {"stream", frame->hd.stream_id}, {"why", nghttp2_strerror(error)});
        (void)nghttp2_submit_rst_stream(raw, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
        of(user).wake();
        return 0;
    }
    static int invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* user) {
        return of(user).invalid_frame();
    }
    static int send_data(nghttp2_session*, nghttp2_frame* frame, const uint8_t* header, size_t size,
                         nghttp2_data_source*, void* user) {
        constexpr size_t frame_header_bytes = 9;
        Outbox& outbox = of(user).outbox_;
        if (outbox.bytes() >= outbox_bytes_max) return NGHTTP2_ERR_WOULDBLOCK;  // Asked again after the next write.
        Http2Stream* const stream = of(user).stream_of(frame->hd.stream_id);
        if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        outbox.append(std::string_view(reinterpret_cast<const char*>(header), frame_header_bytes));
        stream->send(size, outbox);
        return 0;
    }

    static const nghttp2_session_callbacks* table() {
        static const nghttp2_session_callbacks* const made = [] {
            nghttp2_session_callbacks* callbacks = nullptr;
            ENSURE(nghttp2_session_callbacks_new(&callbacks) == 0);
            nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, begin_frame);
            nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
            nghttp2_session_callbacks_set_on_header_callback2(callbacks, header);
            nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_received);
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data);
            nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closed);
            nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frame_sent);
            nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, frame_not_sent);
            nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, invalid_frame);
            nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
            return callbacks;
        }();
        return made;
    }
};

Http2Session::Http2Session(runtime::Reactor& reactor, runtime::Stream& transport, Side side, const Http2Limits& limits)
    : reactor_(reactor), transport_(transport), held_bytes_max_(limits.connection_window_bytes) {
    nghttp2_option* option = nullptr;
    ENSURE(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_no_auto_window_update(option, 1);
    // Requests' heads are checked by header_rules, which takes what Go's clients send.
    if (side == Side::Server) nghttp2_option_set_no_http_messaging(option, 1);
    // Rapid resets are counted by the server's own guard, on the reactor's clock.
    nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
    const int made = side == Side::Server ? nghttp2_session_server_new2(&session_, Callbacks::table(), this, option)
                                          : nghttp2_session_client_new2(&session_, Callbacks::table(), this, option);
    ENSURE(made == 0);
    nghttp2_option_del(option);

    const std::array<nghttp2_settings_entry, 5> settings = {{
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.header_bytes_max},
        // Without RFC 7540's priority tree: less memory and work a stream.
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    }};
    const size_t count = settings.size() - (side == Side::Server ? 1 : 0);  // Only clients may speak of push.
    ENSURE(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), count) == 0);
    ENSURE(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                 static_cast<int32_t>(limits.connection_window_bytes)) == 0);
}

void Http2Session::announce_streams_max(uint32_t streams_max) {
    if (ended_) return;
    const nghttp2_settings_entry setting{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max};
    // Refused only while too many earlier ones are unanswered: then this peer learns it from the streams that are refused.
    (void)nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &setting, 1);
    wake();
}

Http2Session::~Http2Session() {
    ENSURE(stream_count_ == 0 && writer_ == nullptr && paused_reader_ == nullptr);
    reactor_.forget(*this);
    nghttp2_session_del(session_);
}

runtime::Task<void> Http2Session::run(std::string received) {
    runtime::TaskGroup writer(reactor_);
    writer.spawn("http2_write", write_until_ended());
    Result<void> read = co_await read_loop(std::move(received));
    ended_ = true;
    end_streams();
    wake();  // The writer sends what is left (GOAWAY) and ends.
    (void)co_await runtime::with_deadline(reactor_.now() + linger_time, linger());
    transport_.close();
    (void)co_await writer.stop();

    // Handlers use the session until they end, whatever cancels us.
    runtime::Scope unbroken;
    runtime::Completion<void> gone;
    streams_gone_ = &gone;
    if (stream_count_ > 0) (void)co_await runtime::in_scope(unbroken, wait_for(gone));
    streams_gone_ = nullptr;
    co_return read;
}

void Http2Session::wake() {
    if (hooked_) return;
    hooked_ = true;
    reactor_.at_turn_end(*this);
}

void Http2Session::wake_to_send() {
    if (hooked_ || feeding_) return;  // It will be looked at.
    if (nghttp2_session_want_write(session_) != 0) wake();
}

// Most of what is sent leaves here, in one system call and without a task. The writer is for what the transport does not take
// at once, and for the end.
void Http2Session::turn_end() {
    hooked_ = false;
    if (!writer_) return;  // It is at work and looks for more before it sleeps.
    fill_outbox();
    if (!outbox_.empty()) {
        // An error is told by the writer, whose own attempt fails likewise.
        const size_t sent = transport_.try_write(outbox_.parts()).value_or(0);
        bytes_sent_ += sent;
        outbox_.drop(sent);
    }
    if (!outbox_.empty() || nghttp2_session_want_write(session_) != 0 || is_over()) writer_->complete({});
}

runtime::Task<void> Http2Session::write_until_ended() {
    Result<void> result = co_await write_loop();
    written_.complete({});
    co_return result;
}

runtime::Task<void> Http2Session::write_loop() {
    for (;;) {
        fill_outbox();
        if (outbox_.empty()) {
            if (paused_reader_) paused_reader_->complete({});
            if (finished()) break;
            runtime::Completion<void> something;
            writer_ = &something;
            Result<void> woken = co_await something.wait();
            writer_ = nullptr;
            CO_TRY(std::move(woken));
            continue;
        }
        writing_ = true;
        Result<void> written = co_await transport_.write(outbox_.parts());
        writing_ = false;
        if (!written) {
            ended_ = true;
            transport_.close();  // Ends the reader, too, unless it waits for this writer.
            if (paused_reader_) paused_reader_->complete({});
            co_return written;
        }
        bytes_sent_ += outbox_.bytes();
        outbox_.clear();
    }
    ended_ = true;
    if (reading_) reading_->cancel();
    co_return co_await transport_.finish();
}

void Http2Session::fill_outbox() {
    while (outbox_.bytes() < outbox_bytes_max) {
        const uint8_t* octets = nullptr;
        const ssize_t size = nghttp2_session_mem_send(session_, &octets);
        ENSURE(size >= 0);  // Out of memory, or a callback of ours failed.
        if (size == 0) break;
        outbox_.append(std::string_view(reinterpret_cast<const char*>(octets), static_cast<size_t>(size)));
    }
}

bool Http2Session::finished() const { return nghttp2_session_want_write(session_) == 0 && is_over(); }

bool Http2Session::is_over() const { return ended_ || nghttp2_session_want_read(session_) == 0; }

runtime::Task<void> Http2Session::read_loop(std::string received) {
    const runtime::Context here = co_await runtime::this_context();
    buffer_.resize(idle_buffer_bytes);
    wake();
    bytes_received_ += received.size();
    if (!received.empty()) CO_TRY(feed(received));
    received = {};
    while (!ended_) {
        runtime::Scope reading(*here.scope);
        reading_ = &reading;
        Result<void> read = co_await runtime::in_scope(reading, read_while_unchanged());
        reading_ = nullptr;
        const bool interrupted = !read && reading.canceled() && !here.scope->canceled();
        if (!interrupted) co_return read;
        if (quiet_) buffer_ = std::string(idle_buffer_bytes, '\0');
    }
    co_return runtime::done();
}

runtime::Task<void> Http2Session::read_while_unchanged() {
    while (!ended_) {
        if (writing_ && nghttp2_session_get_outbound_queue_size(session_) > queued_frames_max) {
            runtime::Completion<void> caught_up;
            paused_reader_ = &caught_up;
            Result<void> woken = co_await caught_up.wait();
            paused_reader_ = nullptr;
            CO_TRY(std::move(woken));
            continue;
        }
        const std::span<char> target(buffer_);
        CO_LET(const size_t count, co_await transport_.read_some(std::as_writable_bytes(target)));
        if (count == 0) break;
        bytes_received_ += count;
        quiet_ = false;
        CO_TRY(feed(std::string_view(buffer_).substr(0, count)));
        if (count < buffer_.size()) continue;
        // More is likely there: take it in larger pieces, but let the streams work on what has come first.
        if (buffer_.size() < busy_buffer_bytes) buffer_ = std::string(busy_buffer_bytes, '\0');
        co_await yield();
    }
    co_return runtime::done();
}

Result<void> Http2Session::feed(std::string_view octets) {
    feeding_ = true;
    const ssize_t taken =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(octets.data()), octets.size());
    feeding_ = false;
    wake_to_send();
    if (abuse_error_ != 0) {
        terminate(abuse_error_, abuse_text_);
        return fail(Code::Invalid, std::string(abuse_text_));
    }
    if (taken < 0) {
        if (taken == NGHTTP2_ERR_FLOODED) terminate(NGHTTP2_ENHANCE_YOUR_CALM, "too many frames to answer");
        return fail(Code::Invalid, nghttp2_strerror(static_cast<int>(taken)));
    }
    if (nghttp2_session_want_read(session_) == 0) ended_ = true;
    return {};
}

// After the last word: reads and drops until the peer has hung up, so that our closing does not reset the connection while
// that word is on its way.
runtime::Task<void> Http2Session::linger() {
    CO_TRY(co_await written_.wait());
    size_t dropped = 0;
    buffer_.resize(idle_buffer_bytes);
    const std::span<char> target(buffer_);
    while (dropped < lingered_bytes_max) {
        CO_LET(const size_t count, co_await transport_.read_some(std::as_writable_bytes(target)));
        if (count == 0) break;
        dropped += count;
    }
    co_return runtime::done();
}

void Http2Session::terminate(uint32_t error, std::string_view text) {
    const int32_t last = nghttp2_session_get_last_proc_stream_id(session_);
    (void)nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, error, reinterpret_cast<const uint8_t*>(text.data()),
                                text.size());
    ended_ = true;
    if (reading_) reading_->cancel();
    wake();
}

void Http2Session::begin_drain() {
    if (draining_ || ended_) return;
    draining_ = true;
    (void)nghttp2_submit_shutdown_notice(session_);
    wake();
}

void Http2Session::finish_drain() {
    const int32_t last = nghttp2_session_get_last_proc_stream_id(session_);
    (void)nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
    wake();
}

void Http2Session::trim() {
    if (!writing_ && outbox_.empty()) outbox_.trim();
    if (quiet_ && buffer_.size() > idle_buffer_bytes && reading_) reading_->cancel();
    quiet_ = true;
}

int Http2Session::abuse(uint32_t error, std::string_view text) {
    abuse_error_ = error;
    abuse_text_ = text;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

Http2Stream* Http2Session::stream_of(int32_t id) {
    return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

void Http2Session::add(Http2Stream& stream) {
    streams_.push_back(stream);
    ++stream_count_;
}

void Http2Session::remove() {
    ENSURE(stream_count_ > 0);
    --stream_count_;
    if (stream_count_ == 0 && streams_gone_) streams_gone_->complete({});
}

void Http2Session::hold(size_t bytes) { held_bytes_ += bytes; }

void Http2Session::release(size_t bytes) {
    ENSURE(bytes <= held_bytes_);
    held_bytes_ -= bytes;
    return_credit();
}

void Http2Session::return_credit() {
    if (unreturned_bytes_ == 0 || held_bytes_ > held_bytes_max_) return;
    (void)nghttp2_session_consume_connection(session_, std::exchange(unreturned_bytes_, 0));
    wake_to_send();
}

void Http2Session::end_streams() {
    streams_.for_each([this](Http2Stream& stream) {
        if (stream.closed()) return;
        (void)nghttp2_session_set_stream_user_data(session_, stream.id(), nullptr);
        stream.close(connection_lost);
    });
}

}  // namespace polis::rpc
