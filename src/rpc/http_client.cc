#include "rpc/http_client.h"

#include <array>
#include <vector>

#include "base/ascii.h"
#include "codec/http1/parser.h"
#include "codec/http1/serialiser.h"

namespace polis::rpc {
namespace {

constexpr size_t read_bytes = 16u << 10;

Result<std::string> head_of(const HttpCall& call) {
    const std::string host = runtime::to_string(call.address);
    const std::string length = std::to_string(call.body.size());
    std::vector<codec::Http1Field> fields = {{"host", host}, {"connection", "close"}};
    if (!call.body.empty()) fields.push_back({"content-length", length});
    for (const auto& [name, value] : call.headers.fields()) fields.push_back({name, value});
    return codec::http1_request_head(call.method, call.target, fields);
}

// Appends what comes; false at the end of the connection.
runtime::Task<bool> read_more(runtime::Stream& stream, std::string& buffer) {
    const size_t before = buffer.size();
    buffer.resize(before + read_bytes);
    const std::span<char> target = std::span(buffer).subspan(before);
    const Result<size_t> count = co_await stream.read_some(std::as_writable_bytes(target));
    buffer.resize(before + count.value_or(0));
    if (!count) co_return std::unexpected(count.error());
    co_return *count > 0;
}

// The head of the final answer; `buffer` is left with what follows it. The views of the head are not valid any more: what is
// needed is in `answer`.
runtime::Task<codec::Http1Head> read_head(runtime::Stream& stream, std::string& buffer, std::string method,
                                          HttpAnswer& answer) {
    codec::Http1HeadParser parser({});
    for (;;) {
        const auto parsed = parser.response(buffer, method);
        if (!parsed) co_return fail(Code::Invalid, std::string(parsed.error().why));
        if (*parsed) {
            const codec::Http1Response& response = **parsed;
            answer.status = response.status;
            codec::Http1Head head = response;
            head.fields.clear();
            if (response.status / 100 != 1) {
                for (const auto& [name, value] : response.fields) {
                    answer.headers.add(lower_case(name), std::string(value));
                }
            }
            buffer.erase(0, head.head_bytes);
            parser.restart();
            if (answer.status / 100 != 1) co_return head;
            continue;
        }
        CO_LET(const bool more, co_await read_more(stream, buffer));
        if (!more) co_return fail(Code::Io, "the connection ended before the answer");
    }
}

runtime::Task<std::string> read_body(runtime::Stream& stream, std::string& buffer, codec::Http1Head head,
                                     size_t bytes_max) {
    codec::Http1BodyReader reader(head, {});
    std::string body;
    while (!reader.ended()) {
        const auto step = reader.step(buffer);
        if (!step) co_return fail(Code::Invalid, std::string(step.error().why));
        if (body.size() + step->piece.size() > bytes_max) co_return fail(Code::Invalid, "the answer is too large");
        body.append(step->piece);
        buffer.erase(0, step->consumed);
        if (step->consumed > 0 || step->ended) continue;
        CO_LET(const bool more, co_await read_more(stream, buffer));
        if (more) continue;
        if (reader.may_end_with_connection()) break;
        co_return fail(Code::Io, "the connection ended within the answer");
    }
    co_return body;
}

}  // namespace

runtime::Task<HttpAnswer> http_request(runtime::Network& network, HttpCall call) {
    CO_LET(const std::string head, head_of(call));
    CO_LET(const std::unique_ptr<runtime::Stream> stream, co_await network.connect(call.address, call.tls));
    const std::array<std::string_view, 2> parts = {head, call.body};
    CO_TRY(co_await stream->write(parts));
    HttpAnswer answer;
    std::string buffer;
    CO_LET(codec::Http1Head answer_head, co_await read_head(*stream, buffer, call.method, answer));
    CO_LET(answer.body, co_await read_body(*stream, buffer, std::move(answer_head), call.answer_bytes_max));
    stream->close();
    co_return answer;
}

runtime::Task<HttpAnswer> http_get(runtime::Network& network, runtime::Address address, std::string target) {
    HttpCall call;
    call.address = std::move(address);
    call.target = std::move(target);
    co_return co_await http_request(network, std::move(call));
}

}  // namespace polis::rpc
