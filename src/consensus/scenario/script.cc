// Scripts: the interpreter.
#include "consensus/scenario/script.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "consensus/message.h"

namespace polis::consensus {
namespace {

using std::chrono::milliseconds;
using Words = std::vector<std::string>;

Words words_of(std::string_view line) {
    line = line.substr(0, line.find('#'));
    std::istringstream in{std::string(line)};
    Words words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

std::string joined(const Words& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

// A word that is no number, like a word that is missing, is a std::logic_error: caught at the root.
uint64_t number_of(const std::string& word) { return std::stoull(word); }

class Player {
public:
    explicit Player(const Protocol& protocol) : world_(protocol, 1) { world_.record_story(); }

    void line(const Words& words) {
        const std::string& verb = words.front();
        const Words rest(words.begin() + 1, words.end());
        if (set_up(verb, rest)) return;
        start_all();
        if (verb == "expect") {
            expect(rest);
        } else {
            if (!act(verb, rest) && !fail_or_mend(verb, rest) && !by_hand(verb, rest)) {
                complain("unknown: " + verb);
            }
            if (automatic_) world_.settle();
        }
        if (!world_.violation().empty()) complain(world_.violation());
    }

    // What is wrong with the line, first; empty if nothing is.
    const std::string& complaint() const { return complaint_; }

    std::string story() const { return world_.story(); }

private:
    static NodeId id(const std::string& word) { return NodeId{number_of(word)}; }
    static std::vector<NodeId> ids(const Words& words) {
        std::vector<NodeId> nodes;
        for (const std::string& word : words) nodes.push_back(id(word));
        return nodes;
    }
    void complain(std::string what) {
        if (complaint_.empty()) complaint_ = std::move(what);
    }
    GroupNode& node(const std::string& word) { return world_.node(id(word)); }
    Status status_of(const std::string& word) {
        if (node(word).log != nullptr) return node(word).log->status();
        complain("node " + word + " is down");
        return {};
    }
    static void need(const Words& words, size_t count) { static_cast<void>(words.at(count - 1)); }
    // The words behind `name`, up to the next of the `others`.
    static Words section(const Words& words, const std::string& name, const Words& others) {
        Words found;
        auto at = std::find(words.begin(), words.end(), name);
        if (at == words.end()) return found;
        for (++at; at != words.end() && std::find(others.begin(), others.end(), *at) == others.end(); ++at) {
            found.push_back(*at);
        }
        return found;
    }

    bool set_up(const std::string& verb, const Words& words) {
        if (started_) return false;
        if (verb == "protocols") return true;  // See concerns().
        if (verb == "nodes") {
            const Words titles{"learners", "spare"};
            Words all{"voters"};
            all.insert(all.end(), words.begin(), words.end());
            Membership first;
            first.voters = ids(section(all, "voters", titles));
            first.learners = ids(section(all, "learners", titles));
            for (const NodeId member : first.everyone()) world_.add(member, first, options_);
            for (const NodeId spare : ids(section(all, "spare", titles))) world_.add(spare, {}, options_);
        } else if (verb == "option") {
            need(words, 2);
            set_option(words[0], words[1]);
        } else if (verb == "priority") {
            need(words, 2);
            node(words[0]).options.priority = static_cast<uint32_t>(number_of(words[1]));
        } else if (verb == "log") {
            need(words, 1);
            write_log(node(words[0]).disk, {words.begin() + 1, words.end()});
        } else if (verb == "term") {
            need(words, 2);
            node(words[0]).disk.hard_state.promised = {number_of(words[1]), NodeId::Nobody};
        } else if (verb == "committed") {
            need(words, 2);
            node(words[0]).disk.hard_state.committed = LogIndex(number_of(words[1]));
        } else if (verb == "damage") {
            need(words, 2);
            for (size_t at = 1; at < words.size(); ++at) {
                node(words[0]).disk.damaged.insert(LogIndex(number_of(words[at])));
            }
        } else {
            return false;
        }
        return true;
    }

    void write_log(GroupDisk& disk, const Words& ballots) const {
        for (const std::string& word : ballots) {
            const LogIndex index = disk.entries.empty() ? LogIndex(1) : disk.entries.rbegin()->first.next();
            const Ballot ballot{number_of(word), NodeId::Nobody};
            Entry entry{index, ballot, EntryKind::Command, Bytes::copy("e" + std::to_string(index.value))};
            if (word.ends_with('n')) entry = {index, ballot, EntryKind::Noop, Bytes()};
            disk.entries[index] = world_.protocol().stored(entry);
            disk.hard_state.promised = std::max(disk.hard_state.promised, ballot);
        }
    }

    void set_option(const std::string& name, const std::string& value) {
        const bool on = value == "on";
        if (name == "pre_vote") {
            options_.pre_vote = on;
        } else if (name == "check_quorum") {
            options_.check_quorum = on;
        } else if (name == "catch_up_entries") {
            options_.catch_up_entries = number_of(value);
        } else if (name == "cache_bytes_max") {
            options_.cache_bytes_max = number_of(value);
        } else if (name == "message_bytes_max") {
            options_.message_bytes_max = number_of(value);
        } else if (name == "inflight_messages_max") {
            options_.inflight_messages_max = static_cast<uint32_t>(number_of(value));
        } else if (name == "uncommitted_bytes_max") {
            options_.uncommitted_bytes_max = number_of(value);
        } else if (name == "quiesce_after") {
            options_.quiesce_after = milliseconds(number_of(value));
        } else if (name == "deliver_bytes_max") {
            options_.deliver_bytes_max = number_of(value);
        } else {
            complain("no option " + name);
        }
    }

    void start_all() {
        if (started_) return;
        started_ = true;
        for (const auto& [member, unused] : world_.nodes()) world_.start(member);
        world_.settle();
    }

    bool act(const std::string& verb, const Words& words) {
        if (verb == "elect") {
            elect(words);
        } else if (verb == "run") {
            need(words, 1);
            world_.run(milliseconds(number_of(words[0])));
        } else if (verb == "wait") {
            need(words, 1);
            world_.pass(milliseconds(number_of(words[0])));
        } else if (verb == "propose") {
            need(words, 2);
            RequestId request = world_.propose(node(words[0]).id, {words.begin() + 1, words.end()});
            for (size_t at = 1; at < words.size(); ++at) names_[words[at]] = request++;
        } else if (verb == "read") {
            need(words, 2);
            const bool lease = words.size() > 2 && words[2] == "lease";
            names_[words[1]] = world_.read(node(words[0]).id, lease ? ReadKind::Lease : ReadKind::Index);
        } else if (verb == "reconfigure") {
            need(words, 4);
            const Words titles{"voters", "learners"};
            names_[words[1]] = world_.reconfigure(node(words[0]).id, ids(section(words, "voters", titles)),
                                                  ids(section(words, "learners", titles)));
        } else if (verb == "transfer") {
            need(words, 4);
            names_[words[1]] = world_.transfer(node(words[0]).id, id(words[3]));
        } else if (verb == "manual" || verb == "auto") {
            automatic_ = verb == "auto";
        } else if (verb == "settle") {
            world_.settle();
        } else {
            return false;
        }
        return true;
    }

    void elect(const Words& words) {
        need(words, 1);
        GroupNode& candidate = node(words[0]);
        for (int tries = 0; tries < 300 && world_.violation().empty(); ++tries) {
            const Status status = status_of(words[0]);
            if (!complaint_.empty()) return;
            if (status.role == Status::Role::Leader && status.ready) return;
            world_.pass(milliseconds(10));
            if (world_.clock_of(candidate) >= candidate.log->next_deadline()) world_.tick(candidate.id);
            world_.settle();
        }
        complain(words[0] + " is not elected");
    }

    bool fail_or_mend(const std::string& verb, const Words& words) {
        if (verb == "heal" && words.empty()) {
            world_.heal_all();
            return true;
        }
        if (verb == "cut") {
            need(words, 2);
            const bool one_way = words[1] == "->";
            const NodeId from = id(words[0]);
            const NodeId to = id(words.back());
            world_.cut(from, to);
            if (!one_way) world_.cut(to, from);
        } else if (verb == "heal") {
            need(words, 2);
            world_.heal(id(words[0]), id(words[1]));
            world_.heal(id(words[1]), id(words[0]));
        } else if (verb == "isolate") {
            for (const auto& [other, unused] : world_.nodes()) {
                if (other == node(words.at(0)).id) continue;
                world_.cut(node(words[0]).id, other);
                world_.cut(other, node(words[0]).id);
            }
        } else if (verb == "crash") {
            world_.crash(node(words.at(0)).id, words.size() > 1 && words[1] == "unflushed" ? UINT64_MAX : 0);
        } else if (verb == "restart") {
            world_.start(node(words.at(0)).id);
        } else if (verb == "damage") {
            for (size_t at = 1; at < words.size(); ++at)
                world_.damage(node(words[0]).id, LogIndex(number_of(words[at])));
        } else if (verb == "compact") {
            need(words, 2);
            world_.compact(node(words[0]).id, LogIndex(number_of(words[1])));
        } else if (verb == "pause" || verb == "resume") {
            node(words.at(0)).paused = verb == "pause";
        } else if (verb == "unreachable") {
            need(words, 2);
            world_.unreachable(node(words[0]).id, id(words[1]));
        } else if (verb == "disk") {
            need(words, 2);
            node(words[0]).disk_slow = words[1] == "slow";
            node(words[0]).disk_full = words[1] == "full";
        } else {
            return false;
        }
        return true;
    }

    bool by_hand(const std::string& verb, const Words& words) {
        if (verb == "deliver" || verb == "drop" || verb == "reverse" || verb == "duplicate") {
            need(words, 2);
            move_packets(verb, id(words[0]), id(words[1]));
        } else if (verb == "store") {
            while (world_.finish_store(node(words.at(0)).id)) continue;
        } else if (verb == "fetch") {
            while (world_.finish_fetch(node(words.at(0)).id)) continue;
        } else if (verb == "apply") {
            world_.apply(node(words.at(0)).id, UINT64_MAX);
        } else if (verb == "tick") {
            world_.tick(node(words.at(0)).id);
        } else {
            return false;
        }
        return true;
    }

    // What is on the way now, in its order or against it; what it causes stays on the way.
    void move_packets(const std::string& verb, NodeId from, NodeId to) {
        std::vector<size_t> places;
        for (size_t at = 0; at < world_.packets(); ++at) {
            if (world_.packet(at).from == from && world_.packet(at).to == to) places.push_back(at);
        }
        if (places.empty()) return complain("nothing is on the way");
        if (verb == "duplicate") {
            for (const size_t place : places) world_.duplicate(place);
            return;
        }
        if (verb == "reverse") std::reverse(places.begin(), places.end());
        for (size_t at = 0; at < places.size(); ++at) {
            const size_t place = places[at];
            verb == "drop" ? world_.lose(place) : world_.arrive(place);
            for (size_t later = at + 1; later < places.size(); ++later) places[later] -= places[later] > place ? 1 : 0;
        }
    }

    void expect(const Words& words) {
        need(words, 2);
        const std::string& what = words[0];
        const Words rest(words.begin() + 1, words.end());
        if (what == "leader") {
            same(std::to_string(polis::number_of(world_.leader())), rest[0]);
        } else if (what == "no") {
            same(std::to_string(polis::number_of(world_.leader())), "0");
        } else if (what == "ended") {
            expect_ended(rest);
        } else if (what == "read") {
            same(std::to_string(request(rest[0]).index.value), rest.at(2));
        } else if (what == "silence") {
            const uint64_t sent = world_.sent();
            world_.run(milliseconds(number_of(rest[0])));
            same(std::to_string(world_.sent() - sent) + " messages", "0 messages");
        } else if (what == "packets") {
            same(std::to_string(world_.packets()), rest[0]);
        } else if (what == "stores") {
            same(std::to_string(node(rest[0]).stores.size()), rest.at(1));
        } else if (what == "log" || what == "ballots" || what == "delivered") {
            expect_entries(what, rest);
        } else {
            expect_status(what, rest);
        }
    }

    void expect_entries(const std::string& what, const Words& words) {
        const GroupNode& of = node(words[0]);
        Words found;
        if (what == "delivered") {
            for (const auto& [index, entry] : world_.decided()) {
                const bool counts = index <= of.delivered.index && entry.kind == EntryKind::Command;
                if (counts) found.push_back(entry.payload.str());
            }
        } else {
            for (const auto& [index, stored] : of.disk.entries) {
                const Entry entry = world_.protocol().meant_by(stored);
                if (what == "ballots") found.push_back(std::to_string(stored.ballot.epoch));
                if (what == "log" && entry.kind == EntryKind::Command) found.push_back(entry.payload.str());
            }
        }
        same(joined(found), joined({words.begin() + 1, words.end()}));
    }

    void expect_status(const std::string& what, const Words& words) {
        const bool negated = what == "not";
        const Status status = status_of(words.at(negated ? 1 : 0));
        const auto list = [](const std::vector<NodeId>& nodes) {
            Words found;
            for (const NodeId member : nodes) found.push_back(std::to_string(polis::number_of(member)));
            return joined(found);
        };
        const std::string wanted = joined({words.begin() + 1, words.end()});
        if (what == "role") {
            constexpr const char* names[] = {"learner", "follower", "candidate", "leader"};
            same(names[static_cast<size_t>(status.role)], wanted);
        } else if (what == "term") {
            same(std::to_string(status.ballot.epoch), wanted);
        } else if (what == "committed") {
            same(std::to_string(status.committed.value), wanted);
        } else if (what == "first") {
            same(std::to_string(status.first.value), wanted);
        } else if (what == "voters") {
            same(list(status.membership.voters), wanted);
        } else if (what == "learners") {
            same(list(status.membership.learners), wanted);
        } else if (what == "quiet" || (negated && words[0] == "quiet")) {
            same(status.quiet ? "quiet" : "not quiet", negated ? "not quiet" : "quiet");
        } else if (what == "joint" || negated) {
            same(status.membership.joint() ? "joint" : "not joint", negated ? "not joint" : "joint");
        } else {
            complain("unknown expectation: " + what);
        }
    }

    const GroupRequest& request(const std::string& name) { return world_.requests().at(names_.at(name)); }

    void expect_ended(const Words& words) {
        need(words, 2);
        const GroupRequest& of = request(words[0]);
        constexpr const char* names[] = {"open", "delivered", "done", "ready", "rejected", "abandoned"};
        std::string ending = names[static_cast<size_t>(of.ending)];
        if (words.size() > 2 && of.ending == Ending::Rejected) ending += " " + std::string(name_of(of.why));
        same(ending, joined({words.begin() + 1, words.end()}));
    }

    void same(const std::string& found, const std::string& wanted) {
        if (found != wanted) complain("found: " + found);
    }

    GroupWorld world_;
    Options options_;
    std::map<std::string, RequestId> names_;
    bool started_ = false;
    bool automatic_ = true;
    std::string complaint_;
};

}  // namespace

Result<void> play(std::string_view script, const Protocol& protocol) {
    Player player(protocol);
    std::istringstream lines{std::string(script)};
    size_t number = 0;
    for (std::string text; std::getline(lines, text);) {
        ++number;
        const Words words = words_of(text);
        if (words.empty()) continue;
        std::string wrong;
        try {
            player.line(words);
            wrong = player.complaint();
        } catch (const std::logic_error& error) {
            wrong = std::string("a word is missing or means nothing here: ") + error.what();
        }
        if (wrong.empty()) continue;
        return fail(Code::Invalid, std::to_string(number) + ": " + text + ": " + wrong + "\n" + player.story());
    }
    return {};
}

bool concerns(std::string_view script, const Protocol& protocol) {
    std::istringstream lines{std::string(script)};
    for (std::string text; std::getline(lines, text);) {
        const Words words = words_of(text);
        if (words.empty() || words.front() != "protocols") continue;
        return std::find(words.begin() + 1, words.end(), protocol.name) != words.end();
    }
    return true;
}

}  // namespace polis::consensus
