// What a node that is nobody yet asks of the members it was told of, and their answer: the octets of both.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/id.h"
#include "base/result.h"

namespace polis::cluster {

/// A founder asks each other founder to take note of its disk before it takes part; a node that was added asks who it is.
struct JoinQuestion {
    ClusterId founding{};      // The cluster that it founds with its peers; None if it only wants to join.
    NodeId founder{};          // Its own id there.
    uint64_t incarnation = 0;  // Of its disk.
    std::vector<std::string> peer_urls;

    friend bool operator==(const JoinQuestion&, const JoinQuestion&) = default;
};

struct JoinAnswer {
    /// True: the cluster exists, and you are `node` in it. False, with the `cluster` that you found: your disk was noted, durably. False, without:
    /// the one you ask is nobody itself.
    bool is_formed = false;
    ClusterId cluster{};
    NodeId node{};
    std::string consensus;
    std::vector<Bytes> members;  // encode_meta_reply of each.

    friend bool operator==(const JoinAnswer&, const JoinAnswer&) = default;
};

Bytes encode(const JoinQuestion& question);
Bytes encode(const JoinAnswer& answer);
/// Errors: Invalid: says what is wrong.
Result<JoinQuestion> decode_join_question(const Bytes& octets);
Result<JoinAnswer> decode_join_answer(const Bytes& octets);

}  // namespace polis::cluster
