// Http2Session: one HTTP/2 connection, either side: moves octets between a stream and nghttp2, and events to its streams.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/list.h"
#include "rpc/outbox.h"
#include "runtime/stream.h"
#include "runtime/task_group.h"

namespace polis::rpc {

class Http2Stream;
struct Http2StreamTag;

/// A header name or value as nghttp2 keeps it, counted: keeping one copies nothing, and what the connection's header
/// compression has indexed is shared by all its streams.
class HeaderText {
public:
    HeaderText() = default;
    explicit HeaderText(nghttp2_rcbuf* text) : text_(text) { nghttp2_rcbuf_incref(text_); }
    HeaderText(HeaderText&& other) noexcept : text_(std::exchange(other.text_, nullptr)) {}
    HeaderText& operator=(HeaderText&& other) noexcept {
        std::swap(text_, other.text_);
        return *this;
    }
    ~HeaderText() {
        if (text_) nghttp2_rcbuf_decref(text_);
    }

    std::string_view view() const {
        if (!text_) return {};
        const nghttp2_vec octets = nghttp2_rcbuf_get_buf(text_);
        return {reinterpret_cast<const char*>(octets.base), octets.len};
    }
    bool empty() const { return view().empty(); }

private:
    nghttp2_rcbuf* text_ = nullptr;
};

struct HeaderField {
    HeaderText name;
    HeaderText value;
};

/// A field to send. The texts must live until nghttp2 has sent them (see borrowed_field), or are copied (copied_field).
nghttp2_nv borrowed_field(std::string_view name, std::string_view value);
nghttp2_nv copied_field(std::string_view name, std::string_view value);

struct Http2Limits {
    uint32_t stream_window_bytes;
    uint32_t connection_window_bytes;
    uint32_t streams_max;       // That the peer may have open.
    uint32_t header_bytes_max;  // Announced; enforced by the side's own code.
};

/// Reads whatever the peer sends, feeds it to nghttp2 as a whole, lets the streams' coroutines run, and sends all that has come
/// of it in one write at the end of the turn.
///
/// Flow control: each stream gives back its own window as its messages are taken. The connection's window is given back at
/// once while less than a window is held by slow streams in sum, so that a few of them do not hold up the others; above
/// that, only as they read. Memory for received octets is thus at most two connection windows.
///
/// Lifecycle: construct, run (until the connection ends), destroy. REQUIRES: all streams are gone when destroyed; run sees to it.
class Http2Session : public runtime::TurnHook {
public:
    enum class Side : uint8_t { Server, Client };

    Http2Session(runtime::Reactor& reactor, runtime::Stream& transport, Side side, const Http2Limits& limits);
    ~Http2Session() override;
    Http2Session(const Http2Session&) = delete;
    Http2Session& operator=(const Http2Session&) = delete;

    /// Serves the connection until it ends; `received` has been read from the transport before. Every stream has been
    /// closed and its work has ended when this returns.
    runtime::Task<void> run(std::string received);

    /// There may be something to send: looks at the end of this turn.
    void wake();
    /// The same, but only if nghttp2 has something; for what seldom leads to a frame.
    void wake_to_send();

    /// GOAWAY with `error` and debugging `text`; the connection is closed once that is sent. Not within an nghttp2 callback.
    void terminate(uint32_t error, std::string_view text);

    /// No new streams after those under way (as server: two-step GOAWAY); the connection ends with the last of them.
    void begin_drain();
    /// The second step: the peer has seen the first GOAWAY, so that its last streams are known now.
    void finish_drain();
    bool draining() const { return draining_; }

    /// Tells the peer how many streams it may have open from now on.
    void announce_streams_max(uint32_t streams_max);

    /// Gives memory of buffers back; to be called now and then while nothing happens.
    void trim();

    nghttp2_session* raw() { return session_; }
    runtime::Reactor& reactor() { return reactor_; }
    runtime::Stream& transport() { return transport_; }
    size_t stream_count() const { return stream_count_; }
    uint64_t bytes_received() const { return bytes_received_; }
    uint64_t bytes_sent() const { return bytes_sent_; }
    bool ended() const { return ended_; }

    /// Called by streams: they come and go, hold received octets, and let go of them.
    void add(Http2Stream& stream);
    void remove();
    void hold(size_t bytes);
    void release(size_t bytes);
    /// Messages under assembly, in sum over the streams; bounded by what the streams do when it is too much.
    void assemble(ptrdiff_t bytes) { assembled_bytes_ += bytes; }
    ptrdiff_t assembled_bytes() const { return assembled_bytes_; }

protected:
    /// Called within nghttp2's callbacks. A nonzero result ends the connection; set why with `abuse`.
    virtual int begin_frame(const nghttp2_frame_hd& header) = 0;
    virtual int begin_headers(const nghttp2_frame& frame) = 0;
    virtual int header(const nghttp2_frame& frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value) = 0;
    virtual int frame_received(const nghttp2_frame& frame) = 0;
    virtual void frame_sent(const nghttp2_frame& frame) = 0;
    virtual int invalid_frame() { return 0; }

    /// Remembers why the connection must end; the result is what the callback should return.
    int abuse(uint32_t error, std::string_view text);

    Http2Stream* stream_of(int32_t id);
    /// Calls `visit(Http2Stream&)` for each.
    template <class Visit>
    void for_each_stream(Visit visit) {
        streams_.for_each(visit);
    }

private:
    struct Callbacks;
    friend struct Callbacks;

    void turn_end() override;
    runtime::Task<void> write_until_ended();
    runtime::Task<void> write_loop();
    runtime::Task<void> read_loop(std::string received);
    runtime::Task<void> read_while_unchanged();
    runtime::Task<void> linger();
    Result<void> feed(std::string_view octets);
    void fill_outbox();
    void end_streams();
    void return_credit();
    bool finished() const;
    bool is_over() const;

    runtime::Reactor& reactor_;
    runtime::Stream& transport_;
    nghttp2_session* session_ = nullptr;
    const size_t held_bytes_max_;

    List<Http2Stream, Http2StreamTag> streams_;
    size_t stream_count_ = 0;
    runtime::Completion<void>* streams_gone_ = nullptr;

    Outbox outbox_;
    runtime::Completion<void>* writer_ = nullptr;         // While the writer sleeps.
    runtime::Completion<void>* paused_reader_ = nullptr;  // While the reader waits for the writer to catch up.
    runtime::Scope* reading_ = nullptr;                   // Of the read under way; cancelled to change its buffer.
    runtime::Completion<void> written_;                   // Completed when the writer has ended.
    bool hooked_ = false;
    bool feeding_ = false;  // Within nghttp2's callbacks for what was received.
    bool writing_ = false;
    bool draining_ = false;
    bool ended_ = false;  // The session takes no more octets.

    std::string buffer_;  // What is read goes here; small while idle.
    bool quiet_ = false;  // Nothing was read since the last trim().
    size_t held_bytes_ = 0;
    ptrdiff_t assembled_bytes_ = 0;
    size_t unreturned_bytes_ = 0;  // Received, and not yet given back to the connection's window.
    uint64_t bytes_received_ = 0;
    uint64_t bytes_sent_ = 0;
    uint32_t abuse_error_ = 0;
    std::string_view abuse_text_;
};

}  // namespace polis::rpc
