#include "codec/http1/serialiser.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ensure.h"

namespace polis::codec {
namespace {

Result<void> append_fields(std::string& head, std::span<const Http1Field> fields) {
    for (const auto& [name, value] : fields) {
        if (!is_token(name)) return fail(Code::Invalid, "malformed header field name");
        if (!is_field_value(value))
            return fail(Code::Invalid, "forbidden character in header field " + std::string(name));
        head.append(name).append(": ").append(value).append("\r\n");
    }
    head.append("\r\n");
    return {};
}

}  // namespace

Result<std::string> http1_request_head(std::string_view method, std::string_view target,
                                       std::span<const Http1Field> fields) {
    const auto visible = [](char c) { return c > 0x20 && c < 0x7f; };
    if (!is_token(method)) return fail(Code::Invalid, "malformed method");
    if (target.empty() || !std::ranges::all_of(target, visible)) return fail(Code::Invalid, "malformed target");
    std::string head = fmt::format("{} {} HTTP/1.1\r\n", method, target);
    TRY(append_fields(head, fields));
    return head;
}

Result<std::string> http1_response_head(int status, std::span<const Http1Field> fields) {
    ENSURE(status >= 100 && status <= 599);
    std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, http1_reason(status));
    TRY(append_fields(head, fields));
    return head;
}

std::string http1_chunk_prefix(size_t size) {
    ENSURE(size > 0);
    return fmt::format("{:x}\r\n", size);
}

std::string_view http1_reason(int status) {
    switch (status) {
        case 100: return "Continue";
        case 101: return "Switching Protocols";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 206: return "Partial Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 417: return "Expectation Failed";
        case 426: return "Upgrade Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        case 507: return "Insufficient Storage";
        default: return "Status";
    }
}

}  // namespace polis::codec
