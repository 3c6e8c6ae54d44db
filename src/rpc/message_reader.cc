#include "rpc/message_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/ensure.h"
#include "rpc/compression.h"

namespace polis::rpc {
namespace {

// A peer that announces a large message gets this much at once; more as octets arrive.
constexpr size_t body_reserve_bytes = 64u << 10;

}  // namespace

void MessageReader::feed(std::string_view octets) {
    if (error_ || discarded_) return;
    if (!complete_) octets.remove_prefix(parse(octets));
    if (complete_ && !octets.empty()) backlog_.append(octets);
}

Bytes MessageReader::pop() {
    ENSURE(complete_);
    Bytes message = Bytes::take(std::move(body_));
    body_.clear();
    complete_ = false;
    prefix_size_ = 0;
    if (backlog_bytes() == 0) return message;

    const size_t taken = parse(std::string_view(backlog_).substr(backlog_offset_));
    if (error_) return message;
    backlog_offset_ += taken;
    if (backlog_bytes() == 0) {
        backlog_ = {};
        backlog_offset_ = 0;
    } else if (backlog_offset_ > backlog_.size() / 2) {
        backlog_.erase(0, backlog_offset_);  // At most one move an octet and halving: linear on the whole.
        backlog_offset_ = 0;
    }
    return message;
}

// Consumes octets up to the end of one message; returns how many.
size_t MessageReader::parse(std::string_view octets) {
    size_t taken = 0;
    while (taken < octets.size() && !complete_ && !error_) {
        const std::string_view rest = octets.substr(taken);
        taken += prefix_size_ < prefix_bytes ? take_prefix(rest) : take_body(rest);
    }
    return taken;
}

size_t MessageReader::take_prefix(std::string_view octets) {
    const size_t count = std::min(octets.size(), prefix_bytes - prefix_size_);
    std::memcpy(prefix_.data() + prefix_size_, octets.data(), count);
    prefix_size_ = static_cast<uint8_t>(prefix_size_ + count);
    if (prefix_size_ < prefix_bytes) return count;

    body_bytes_ = 0;
    for (size_t i = 1; i < prefix_bytes; ++i) body_bytes_ = body_bytes_ << 8 | static_cast<uint8_t>(prefix_[i]);
    if (prefix_[0] != 0 && prefix_[0] != 1) {
        refuse(StatusCode::Internal,
               "grpc: received unexpected payload format " + std::to_string(static_cast<uint8_t>(prefix_[0])));
    } else if (prefix_[0] == 1 && encoding_ == Encoding::Identity) {
        refuse(StatusCode::Internal, "grpc: compressed flag set with identity or empty encoding");
    } else if (body_bytes_ > message_bytes_max_) {
        refuse(StatusCode::ResourceExhausted, "grpc: received message larger than max (" + std::to_string(body_bytes_) +
                                                  " vs. " + std::to_string(message_bytes_max_) + ")");
    } else if (body_bytes_ == 0) {
        complete();
    }
    return count;
}

size_t MessageReader::take_body(std::string_view octets) {
    const size_t count = std::min(octets.size(), body_bytes_ - body_.size());
    if (body_.empty()) body_.reserve(std::min<size_t>(body_bytes_, std::max(count, body_reserve_bytes)));
    body_.append(octets.substr(0, count));
    if (body_.size() == body_bytes_) complete();
    return count;
}

void MessageReader::complete() {
    complete_ = true;
    if (prefix_[0] == 0) return;
    Result<std::string> plain = gunzip(body_, message_bytes_max_);
    if (plain) {
        body_ = *std::move(plain);
    } else if (plain.error().code == Code::Overloaded) {
        refuse(StatusCode::ResourceExhausted,
               "grpc: received message after decompression larger than max " + std::to_string(message_bytes_max_));
    } else {
        refuse(StatusCode::Internal, "grpc: failed to decompress the received message: " + plain.error().what);
    }
}

void MessageReader::refuse(StatusCode code, std::string why) {
    discard();
    error_ = Status{code, std::move(why), {}};
}

void MessageReader::discard() {
    discarded_ = true;
    complete_ = false;
    // Every call ends with this, and most have nothing left.
    if (!body_.empty()) body_ = {};
    if (!backlog_.empty()) backlog_ = {};
    backlog_offset_ = 0;
}

}  // namespace polis::rpc
