#include "cluster/join.h"

#include "base/octets.h"

namespace polis::cluster {
namespace {

constexpr uint64_t urls_max = 1000;
constexpr uint64_t members_max = 10'000;

// A number of texts that follow. Errors: more than `items_max`, or more than there are octets for.
Result<uint64_t> count_in(OctetReader& in, uint64_t items_max, std::string_view what) {
    const uint64_t count = in.varint();
    if (count > items_max || count > in.rest().size()) {
        return fail(Code::Invalid, std::string(what) + " announces " + std::to_string(count) + " items");
    }
    return count;
}

}  // namespace

Bytes encode(const JoinQuestion& question) {
    OctetWriter out;
    out.number(number_of(question.founding));
    out.number(number_of(question.founder));
    out.number(question.incarnation);
    out.varint(question.peer_urls.size());
    for (const std::string& url : question.peer_urls) out.text(url);
    return Bytes::take(out.take());
}

Result<JoinQuestion> decode_join_question(const Bytes& octets) {
    OctetReader in(octets);
    JoinQuestion question;
    question.founding = ClusterId{in.number<uint64_t>()};
    question.founder = NodeId{in.number<uint64_t>()};
    question.incarnation = in.number<uint64_t>();
    LET(const uint64_t count, count_in(in, urls_max, "a request to join"));
    for (uint64_t i = 0; i < count && in.ok(); ++i) question.peer_urls.emplace_back(in.text());
    TRY(in.finish("a request to join"));
    return question;
}

Bytes encode(const JoinAnswer& answer) {
    OctetWriter out;
    out.number(static_cast<uint8_t>(answer.is_formed));
    out.number(number_of(answer.cluster));
    out.number(number_of(answer.node));
    out.text(answer.consensus);
    out.varint(answer.members.size());
    for (const Bytes& member : answer.members) out.text(member);
    return Bytes::take(out.take());
}

Result<JoinAnswer> decode_join_answer(const Bytes& octets) {
    OctetReader in(octets);
    JoinAnswer answer;
    const auto is_formed = in.number<uint8_t>();
    answer.is_formed = is_formed == 1;
    answer.cluster = ClusterId{in.number<uint64_t>()};
    answer.node = NodeId{in.number<uint64_t>()};
    answer.consensus = std::string(in.text());
    LET(const uint64_t count, count_in(in, members_max, "an answer to a request to join"));
    for (uint64_t i = 0; i < count && in.ok(); ++i) answer.members.push_back(Bytes::copy(in.text()));
    TRY(in.finish("an answer to a request to join"));
    if (is_formed > 1) return fail(Code::Invalid, "an answer to a request to join has an impossible flag");
    return answer;
}

}  // namespace polis::cluster
