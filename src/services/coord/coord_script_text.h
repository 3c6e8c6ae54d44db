// The words of stories about coord: requests out of a line, answers as text. For tests.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "codec/etcd/rpc.pb.h"

namespace polis::services::script {

namespace pb = ::etcdserverpb;

inline const std::string first_key(1, '\0');

// What a line says that makes no sense, caught at the root like a number that is none.
[[noreturn]] inline void complain(const std::string& what) { throw std::invalid_argument(what); }

inline int64_t number_of(const std::string& word) { return std::stoll(word); }

inline void append_word(std::string& text, const std::string& word, const char* between = " ") {
    if (!text.empty()) text += between;
    text += word;
}

/// The words of a line, taken from the front.
class Line {
public:
    explicit Line(std::string_view text) {
        std::istringstream in{std::string(text)};
        std::copy(std::istream_iterator<std::string>(in), {}, std::back_inserter(words_));
    }
    bool done() const { return at_ == words_.size(); }
    const std::string& peek() const { return done() ? nothing_ : words_[at_]; }
    std::string take() {
        if (done()) complain("a word is missing at the end");
        return words_[at_++];
    }
    std::string take_text() {
        std::string word = take();
        return word == "\"\"" ? std::string() : word;
    }
    int64_t take_number() { return number_of(take()); }
    bool skip(std::string_view word) {
        if (peek() != word) return false;
        ++at_;
        return true;
    }

private:
    std::vector<std::string> words_;
    size_t at_ = 0;
    std::string nothing_;
};

struct Keys {
    std::string key, range_end;
};

inline std::string prefix_end(std::string prefix) {
    ++prefix.back();  // Stories use letters: none is 0xff.
    return prefix;
}

inline Keys take_keys(Line& line) {
    if (line.skip("all")) return {first_key, first_key};
    if (line.skip("from")) return {line.take_text(), first_key};
    if (line.skip("prefix")) {
        const std::string prefix = line.take();
        return {prefix, prefix_end(prefix)};
    }
    Keys keys{line.take_text(), {}};
    if (line.skip("to")) keys.range_end = line.take();
    return keys;
}

inline std::string text_of(const mvccpb::KeyValue& pair, bool versions = false) {
    std::string text = pair.key() + "=" + pair.value();
    if (!versions) return text;
    text += ":" + std::to_string(pair.create_revision()) + "/" + std::to_string(pair.mod_revision()) + "/" +
            std::to_string(pair.version());
    if (pair.lease() != 0) text += "/" + std::to_string(pair.lease());
    return text;
}

template <class Pairs>
std::string text_of_all(const Pairs& pairs, bool versions = false) {
    std::string text;
    for (const auto& pair : pairs) append_word(text, text_of(pair, versions));
    return text.empty() ? "nothing" : text;
}

// ---- Requests out of words ----

inline pb::PutRequest take_put(Line& line) {
    pb::PutRequest request;
    request.set_key(line.take_text());
    request.set_value(line.take_text());
    for (;;) {
        if (line.skip("lease")) {
            request.set_lease(line.take_number());
        } else if (line.skip("prev")) {
            request.set_prev_kv(true);
        } else if (line.skip("ignore_value")) {
            request.set_ignore_value(true);
        } else if (line.skip("ignore_lease")) {
            request.set_ignore_lease(true);
        } else {
            return request;
        }
    }
}

inline pb::RangeRequest::SortTarget target_named(const std::string& name) {
    static const std::map<std::string, pb::RangeRequest::SortTarget> targets = {{"key", pb::RangeRequest::KEY},
                                                                                {"version", pb::RangeRequest::VERSION},
                                                                                {"create", pb::RangeRequest::CREATE},
                                                                                {"mod", pb::RangeRequest::MOD},
                                                                                {"value", pb::RangeRequest::VALUE}};
    return targets.at(name);
}

struct Get {
    pb::RangeRequest request;
    bool versions = false;
};

inline bool take_bound(Line& line, pb::RangeRequest& request) {
    if (line.skip("limit")) {
        request.set_limit(line.take_number());
    } else if (line.skip("at")) {
        request.set_revision(line.take_number());
    } else if (line.skip("min_mod")) {
        request.set_min_mod_revision(line.take_number());
    } else if (line.skip("max_mod")) {
        request.set_max_mod_revision(line.take_number());
    } else if (line.skip("min_create")) {
        request.set_min_create_revision(line.take_number());
    } else if (line.skip("max_create")) {
        request.set_max_create_revision(line.take_number());
    } else {
        return false;
    }
    return true;
}

inline Get take_get(Line& line) {
    Get get;
    const Keys keys = take_keys(line);
    get.request.set_key(keys.key);
    get.request.set_range_end(keys.range_end);
    for (;;) {
        if (take_bound(line, get.request)) continue;
        if (line.skip("asc")) {
            get.request.set_sort_order(pb::RangeRequest::ASCEND);
        } else if (line.skip("desc")) {
            get.request.set_sort_order(pb::RangeRequest::DESCEND);
        } else if (line.skip("by")) {
            get.request.set_sort_target(target_named(line.take()));
        } else if (line.skip("count_only")) {
            get.request.set_count_only(true);
        } else if (line.skip("keys_only")) {
            get.request.set_keys_only(true);
        } else if (line.skip("serializable")) {
            get.request.set_serializable(true);
        } else if (line.skip("versions")) {
            get.versions = true;
        } else {
            return get;
        }
    }
}

inline pb::DeleteRangeRequest take_delete(Line& line) {
    pb::DeleteRangeRequest request;
    const Keys keys = take_keys(line);
    request.set_key(keys.key);
    request.set_range_end(keys.range_end);
    if (line.skip("prev")) request.set_prev_kv(true);
    return request;
}

inline void take_compare(Line& line, pb::Compare& compare) {
    const std::string what = line.take();
    const Keys keys = take_keys(line);
    compare.set_key(keys.key);
    compare.set_range_end(keys.range_end);
    static const std::map<std::string, pb::Compare::CompareResult> results = {{"=", pb::Compare::EQUAL},
                                                                              {"<", pb::Compare::LESS},
                                                                              {">", pb::Compare::GREATER},
                                                                              {"!=", pb::Compare::NOT_EQUAL}};
    compare.set_result(results.at(line.take()));
    if (what == "value") {
        compare.set_target(pb::Compare::VALUE);
        compare.set_value(line.take_text());
    } else if (what == "version") {
        compare.set_target(pb::Compare::VERSION);
        compare.set_version(line.take_number());
    } else if (what == "create") {
        compare.set_target(pb::Compare::CREATE);
        compare.set_create_revision(line.take_number());
    } else if (what == "mod") {
        compare.set_target(pb::Compare::MOD);
        compare.set_mod_revision(line.take_number());
    } else if (what == "lease") {
        compare.set_target(pb::Compare::LEASE);
        compare.set_lease(line.take_number());
    } else {
        complain("nothing is compared by " + what);
    }
}

inline pb::TxnRequest take_txn(Line& line);

inline void take_operation(Line& line, pb::RequestOp& operation) {
    if (line.skip("put")) {
        *operation.mutable_request_put() = take_put(line);
    } else if (line.skip("get")) {
        *operation.mutable_request_range() = take_get(line).request;
    } else if (line.skip("delete")) {
        *operation.mutable_request_delete_range() = take_delete(line);
    } else if (line.skip("(")) {
        if (!line.skip("txn")) complain("only a txn stands in brackets");
        *operation.mutable_request_txn() = take_txn(line);
        if (!line.skip(")")) complain("a bracket is not closed");
    } else if (!line.skip("empty")) {
        complain("no operation: " + line.peek());
    }
}

inline pb::TxnRequest take_txn(Line& line) {
    pb::TxnRequest request;
    if (line.skip("if")) {
        do take_compare(line, *request.add_compare());
        while (line.skip("and"));
    }
    if (line.skip("then")) {
        do take_operation(line, *request.add_success());
        while (line.skip(";"));
    }
    if (line.skip("else")) {
        do take_operation(line, *request.add_failure());
        while (line.skip(";"));
    }
    return request;
}

// ---- Answers as text ----

inline std::string text_of(const pb::TxnResponse& response);

inline std::string text_of(const pb::ResponseOp& operation) {
    switch (operation.response_case()) {
        case pb::ResponseOp::kResponsePut: {
            const auto& put = operation.response_put();
            return put.has_prev_kv() ? "put (was " + put.prev_kv().value() + ")" : "put";
        }
        case pb::ResponseOp::kResponseRange: return text_of_all(operation.response_range().kvs());
        case pb::ResponseOp::kResponseDeleteRange:
            return "deleted " + std::to_string(operation.response_delete_range().deleted());
        case pb::ResponseOp::kResponseTxn:
            return std::string("( ") + (operation.response_txn().succeeded() ? "yes: " : "no: ") +
                   text_of(operation.response_txn()) + " )";
        case pb::ResponseOp::RESPONSE_NOT_SET: break;
    }
    return "nothing at all";
}

inline std::string text_of(const pb::TxnResponse& response) {
    std::string text;
    for (const auto& operation : response.responses()) append_word(text, text_of(operation), " ; ");
    return text;
}

inline std::string text_of(const mvccpb::Event& event) {
    const bool put = event.type() == mvccpb::Event::PUT;
    std::string text = put ? "put " + text_of(event.kv()) : "delete " + event.kv().key();
    text += "@" + std::to_string(event.kv().mod_revision());
    if (event.has_prev_kv()) text += "(was " + event.prev_kv().value() + ")";
    return text;
}

inline std::string text_of(const pb::WatchResponse& response) {
    const std::string id = std::to_string(response.watch_id());
    std::string text;
    if (response.created()) text = "created " + id;
    if (response.canceled()) {
        append_word(text, "canceled " + id);
        if (response.compact_revision() != 0)
            append_word(text, "compacted " + std::to_string(response.compact_revision()));
        if (!response.cancel_reason().empty()) append_word(text, response.cancel_reason());
    }
    if (!text.empty()) return text;
    if (response.events().empty()) return "progress " + id + " at " + std::to_string(response.header().revision());
    text = id + ":";
    for (const auto& event : response.events()) append_word(text, text_of(event));
    return response.fragment() ? text + " more" : text;
}

}  // namespace polis::services::script
