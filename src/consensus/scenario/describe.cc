// describe: inputs and outputs of consensus as text.
#include "consensus/scenario/describe.h"

#include <sstream>

namespace polis::consensus {
namespace {

std::ostream& operator<<(std::ostream& out, const LogPosition& position) {
    return out << position.index << '@' << position.ballot;
}
std::ostream& operator<<(std::ostream& out, const LogRange& range) { return out << range.first << ".." << range.last; }

std::ostream& operator<<(std::ostream& out, const std::vector<Entry>& entries) {
    if (entries.empty()) return out << "[]";
    const LogPosition first{entries.front().index, entries.front().ballot};
    const LogPosition last{entries.back().index, entries.back().ballot};
    return out << '[' << first << ".." << last << ']';
}

std::ostream& operator<<(std::ostream& out, const Membership& membership) {
    const auto list = [&](const char* name, const std::vector<NodeId>& nodes) {
        if (nodes.empty()) return;
        out << ' ' << name;
        for (const NodeId node : nodes) out << ' ' << number_of(node);
    };
    list("voters", membership.voters);
    list("outgoing", membership.outgoing);
    list("learners", membership.learners);
    list("next_learners", membership.next_learners);
    return out;
}

struct Describer {
    std::ostringstream out;

    void operator()(const Recovered& r) {
        out << "recovered " << r.hard_state.promised << " start " << r.start << " entries " << r.positions.size()
            << " tail " << r.tail.size() << " applied " << r.applied << " damaged " << r.damaged.size();
        out << r.membership;
    }
    void operator()(const Tick&) { out << "tick"; }
    void operator()(const Receive& r) { out << "from " << r.from << ": " << describe(r.message); }
    void operator()(const Stored& s) { out << "stored " << s.token; }
    void operator()(const StoreRefused& s) { out << "store refused " << s.token; }
    void operator()(const Fetched& f) { out << "fetched " << f.range << ' ' << f.entries; }
    void operator()(const Applied& a) { out << "applied " << a.index; }
    void operator()(const Propose& p) {
        out << "propose";
        for (const Proposal& proposal : p.proposals) out << ' ' << proposal.id << ':' << proposal.command;
    }
    void operator()(const ReadBarrier& r) { out << (r.kind == ReadKind::Lease ? "lease read " : "read ") << r.id; }
    void operator()(const Reconfigure& r) {
        out << "reconfigure " << r.id << " to " << r.voters.size() << " voters " << r.learners.size() << " learners";
    }
    void operator()(const TransferLeadership& t) { out << "transfer " << t.id << " to " << t.to; }
    void operator()(const Compacted& c) { out << "compacted " << c.position; }
    void operator()(const SnapshotInstalled& s) { out << "snapshot installed " << s.position << s.membership; }
    void operator()(const SnapshotSent& s) {
        out << "snapshot to " << s.to << " at " << s.position << (s.ok ? " arrived" : " failed");
    }
    void operator()(const Unreachable& u) { out << "unreachable " << u.node; }
    void operator()(const Liveness& l) { out << l.node << (l.alive ? " is alive" : " is dead"); }

    void operator()(const Send& s) { out << "-> " << s.to << ": " << describe(s.message); }
    void operator()(const Store& s) {
        out << "store " << s.token;
        if (s.write.reset_to) out << " reset to " << *s.write.reset_to;
        if (s.write.truncate_from) out << " truncate from " << *s.write.truncate_from;
        if (!s.write.entries.empty()) out << ' ' << s.write.entries;
        if (s.write.hard_state) {
            out << " term " << s.write.hard_state->promised << " vote " << s.write.hard_state->voted_for
                << " committed " << s.write.hard_state->committed;
        }
    }
    void operator()(const Fetch& f) { out << "fetch " << f.range; }
    void operator()(const Deliver& d) { out << "deliver " << d.entries; }
    void operator()(const ReadReady& r) { out << "read ready " << r.id << " at " << r.index; }
    void operator()(const Rejected& r) { out << "rejected " << r.id << ' ' << name_of(r.why) << ' ' << r.leader; }
    void operator()(const Abandoned& a) { out << "abandoned " << a.id; }
    void operator()(const Done& d) { out << "done " << d.id; }
    void operator()(const LeaderReady& l) { out << "leader ready " << l.ballot; }
    void operator()(const LeaderLost& l) { out << "leader lost " << l.ballot; }
    void operator()(const LeaderKnown& l) { out << "leader known " << l.leader << ' ' << l.ballot; }
    void operator()(const ConfigActive& c) { out << "active from " << c.index << c.membership; }
    void operator()(const NeedSnapshot& n) { out << "need snapshot to " << n.to << " at " << n.position; }
};

template <class Variant>
std::string text_of(const Variant& variant) {
    Describer describer;
    std::visit(describer, variant);
    return describer.out.str();
}

}  // namespace

std::string describe(const Message& message) {
    std::ostringstream out;
    out << "kind " << int{message.kind} << (message.rejected ? " rejected" : "") << " ballot " << message.ballot
        << " previous " << message.previous << " committed " << message.committed << " hint "
        << LogPosition{message.hint, message.hint_ballot} << " context " << message.context << ' ' << message.entries;
    return out.str();
}

std::string describe(const Input& input) { return text_of(input); }
std::string describe(const Output& output) { return text_of(output); }

}  // namespace polis::consensus
