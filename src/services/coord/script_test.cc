// Stories about coord: the interpreter of the language, and that it notices what is wrong.
#include <array>
#include <map>
#include <stdexcept>

#include "services/coord/coord_fixture.h"
#include "services/coord/coord_script.h"
#include "services/coord/coord_script_text.h"

namespace polis::services {
namespace {

using namespace std::chrono_literals;
using script::Line;

// In the order of Refusal.
constexpr auto refusal_names = std::to_array<std::string_view>({"EmptyKey",
                                                                "KeyNotFound",
                                                                "ValueProvided",
                                                                "LeaseProvided",
                                                                "TooManyOperations",
                                                                "DuplicateKey",
                                                                "Compacted",
                                                                "FutureRevision",
                                                                "NoSpace",
                                                                "Corrupt",
                                                                "RequestTooLarge",
                                                                "InvalidSortOption",
                                                                "RangeStreamUnsupported",
                                                                "LeaseNotFound",
                                                                "LeaseExists",
                                                                "LeaseTtlTooLarge",
                                                                "TooManyRequests",
                                                                "UserEmpty",
                                                                "UserExists",
                                                                "UserNotFound",
                                                                "RoleEmpty",
                                                                "RoleExists",
                                                                "RoleNotFound",
                                                                "RoleNotGranted",
                                                                "PermissionNotGiven",
                                                                "PermissionNotGranted",
                                                                "PermissionDenied",
                                                                "RootUserMissing",
                                                                "RootRoleMissing",
                                                                "AuthFailed",
                                                                "AuthNotEnabled",
                                                                "NoPasswordUser",
                                                                "InvalidAuthToken",
                                                                "AuthOldRevision",
                                                                "InvalidAuthManagement",
                                                                "MemberNotFound",
                                                                "TokenVerifyOnly",
                                                                "UserRateExceeded"});
static_assert(refusal_names.size() == static_cast<size_t>(Refusal::UserRateExceeded) + 1);

/// What came of a line.
struct Answer {
    std::string text;
    std::map<std::string, std::string> facts;
    std::string refused;  // "refused NAME" or "failed NAME"; empty: it was done.

    void fact(const std::string& name, const std::string& value) { facts[name] = value; }
    void fact(const std::string& name, int64_t value) { facts[name] = std::to_string(value); }
};

Duration duration_of(const std::string& word) {
    const int64_t number = script::number_of(word);
    if (word.ends_with("ms")) return std::chrono::milliseconds(number);
    if (word.ends_with("m")) return std::chrono::minutes(number);
    if (word.ends_with("h")) return std::chrono::hours(number);
    return std::chrono::seconds(number);
}

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

class Player {
public:
    /// Plays one line. What is wrong with it; empty if nothing is.
    std::string line(std::string_view text) {
        const size_t arrow = text.find("=>");
        Line line(text.substr(0, arrow));
        if (line.done()) return {};
        if (!fixture_ && line.skip("option")) {
            set_option(line);
            return {};
        }
        if (!fixture_) fixture_ = std::make_unique<CoordFixture>(options_);
        answer_ = {};
        who_ = line.skip("as") ? users_.at(line.take()) : Credentials();
        const std::string verb = line.take();
        if (!keys(verb, line) && !watches(verb, line) && !leases(verb, line) && !users(verb, line) &&
            !world(verb, line))
            script::complain("unknown: " + verb);
        if (!line.done()) script::complain("what is \"" + line.peek() + "\" for?");
        return difference(arrow == std::string_view::npos ? std::string_view() : text.substr(arrow + 2));
    }

private:
    Coord& coord() { return *fixture_->coord; }

    void set_option(Line& line) {
        const std::string name = line.take();
        const int64_t value = line.take_number();
        if (name == "quota_bytes") {
            options_.quota_bytes = static_cast<uint64_t>(value);
        } else if (name == "operations_per_txn_max") {
            options_.operations_per_txn_max = static_cast<uint32_t>(value);
        } else if (name == "request_bytes_max") {
            options_.request_bytes_max = static_cast<uint64_t>(value);
        } else if (name == "progress_s") {
            options_.watch_progress_interval = std::chrono::seconds(value);
        } else if (name == "checkpoint_s") {
            options_.lease_checkpoint_interval = std::chrono::seconds(value);
        } else {
            script::complain("no option " + name);
        }
    }

    /// What of the answer is not as expected; empty if all is.
    std::string difference(std::string_view expected) const {
        std::string_view rest = trimmed(expected);
        const bool refusal = rest.starts_with("refused ") || rest.starts_with("failed ");
        if (!answer_.refused.empty() || refusal)
            return rest == answer_.refused ? "" : "found: " + (answer_.refused.empty() ? "done" : answer_.refused);
        while (!rest.empty()) {
            const size_t bar = rest.find('|');
            const std::string_view part = trimmed(rest.substr(0, bar));
            rest = bar == std::string_view::npos ? std::string_view() : rest.substr(bar + 1);
            const auto fact = answer_.facts.find(std::string(part.substr(0, part.find(' '))));
            const std::string found = fact == answer_.facts.end() ? answer_.text : fact->first + " " + fact->second;
            if (part != found) return "found: " + found;
        }
        return {};
    }

    /// Runs a call to its end; the answer is what `tell` says of its response.
    template <class Response, class Tell>
    void ask(runtime::Task<Reply<Response>> task, Tell tell) {
        auto result = run(fixture_->reactor, std::move(task));
        if (!result) {
            answer_.refused = "failed " + std::string(name_of(result.error().code));
        } else if (!*result) {
            answer_.refused = "refused " + std::string(refusal_names.at(static_cast<size_t>(result->error())));
        } else {
            answer_.fact("revision", (*result)->header().revision());
            tell(**result);
        }
    }
    template <class Response>
    void ask(runtime::Task<Reply<Response>> task) {
        ask(std::move(task), [](const Response&) {});
    }

    // ---- Keys ----

    bool keys(const std::string& verb, Line& line) {
        if (verb == "put") {
            ask(coord().put(who_, script::take_put(line)), [this](const pb::PutResponse& response) {
                if (response.has_prev_kv()) answer_.fact("prev", script::text_of(response.prev_kv()));
            });
        } else if (verb == "get") {
            get(script::take_get(line));
        } else if (verb == "delete") {
            ask(coord().delete_range(who_, script::take_delete(line)), [this](const pb::DeleteRangeResponse& response) {
                answer_.fact("deleted", response.deleted());
                answer_.fact("prev", script::text_of_all(response.prev_kvs()));
            });
        } else if (verb == "txn") {
            ask(coord().txn(who_, script::take_txn(line)), [this](const pb::TxnResponse& response) {
                answer_.text = script::text_of(response);
                answer_.fact("succeeded", response.succeeded() ? "yes" : "no");
            });
        } else if (verb == "compact") {
            pb::CompactionRequest request;
            request.set_revision(line.take_number());
            request.set_physical(line.skip("physical"));
            ask(coord().compact(who_, request));
        } else {
            return false;
        }
        return true;
    }

    void get(script::Get get) {
        const bool versions = get.versions;
        ask(coord().range(who_, std::move(get.request)), [this, versions](const pb::RangeResponse& response) {
            answer_.text = script::text_of_all(response.kvs(), versions);
            answer_.fact("count", response.count());
            answer_.fact("more", response.more() ? "yes" : "no");
        });
    }

    // ---- Watches ----

    bool watches(const std::string& verb, Line& line) {
        if (verb == "watch") {
            const std::string name = line.take();
            if (!streams_.contains(name)) streams_[name] = coord().watch(who_);
            streams_[name]->request(take_watch(line));
        } else if (verb == "cancel") {
            pb::WatchRequest request;
            WatchStream& stream = *streams_.at(line.take());
            request.mutable_cancel_request()->set_watch_id(line.take_number());
            stream.request(request);
        } else if (verb == "progress") {
            pb::WatchRequest request;
            request.mutable_progress_request();
            streams_.at(line.take())->request(request);
        } else if (verb == "next") {
            answer_.text = next(*streams_.at(line.take()), 1h).value_or("silence");
        } else if (verb == "silent") {
            if (const auto message = next(*streams_.at(line.take()), 1s)) answer_.refused = *message;
        } else {
            return false;
        }
        return true;
    }

    static pb::WatchRequest take_watch(Line& line) {
        pb::WatchRequest request;
        pb::WatchCreateRequest& create = *request.mutable_create_request();
        const script::Keys keys = script::take_keys(line);
        create.set_key(keys.key);
        create.set_range_end(keys.range_end);
        for (;;) {
            if (line.skip("at")) {
                create.set_start_revision(line.take_number());
            } else if (line.skip("prev")) {
                create.set_prev_kv(true);
            } else if (line.skip("noput")) {
                create.add_filters(pb::WatchCreateRequest::NOPUT);
            } else if (line.skip("nodelete")) {
                create.add_filters(pb::WatchCreateRequest::NODELETE);
            } else if (line.skip("progress")) {
                create.set_progress_notify(true);
            } else if (line.skip("fragment")) {
                create.set_fragment(true);
            } else if (line.skip("id")) {
                create.set_watch_id(line.take_number());
            } else {
                return request;
            }
        }
    }

    /// The next message as a client reads it; nothing if none comes in that time.
    std::optional<std::string> next(WatchStream& stream, Duration within) {
        auto message = run(fixture_->reactor, runtime::with_deadline(fixture_->reactor.now() + within, stream.next()));
        if (!message) return std::nullopt;
        std::string octets = message->head.SerializeAsString();
        for (const Bytes& event : message->events) octets.append(event.view());
        pb::WatchResponse response;
        if (!response.ParseFromString(octets)) return "no message";
        return script::text_of(response);
    }

    // ---- Leases ----

    bool leases(const std::string& verb, Line& line) {
        if (verb == "leases") {
            ask(coord().lease_leases(who_, {}), [this](const pb::LeaseLeasesResponse& response) {
                for (const auto& lease : response.leases())
                    script::append_word(answer_.text, std::to_string(lease.id()));
                if (response.leases().empty()) answer_.text = "nothing";
            });
            return true;
        }
        if (verb != "lease") return false;
        const std::string what = line.take();
        const int64_t id = line.take_number();
        if (what == "grant") {
            grant(id, line);
        } else if (what == "revoke") {
            pb::LeaseRevokeRequest request;
            request.set_id(id);
            ask(coord().lease_revoke(who_, request));
        } else if (what == "keep") {
            pb::LeaseKeepAliveRequest request;
            request.set_id(id);
            ask(coord().lease_keep_alive(who_, request),
                [this](const pb::LeaseKeepAliveResponse& response) { answer_.fact("ttl", response.ttl()); });
        } else if (what == "left") {
            left(id);
        } else {
            script::complain("no request: lease " + what);
        }
        return true;
    }

    void grant(int64_t id, Line& line) {
        pb::LeaseGrantRequest request;
        request.set_id(id);
        if (!line.skip("ttl")) script::complain("a ttl is missing");
        request.set_ttl(line.take_number());
        ask(coord().lease_grant(who_, request),
            [this](const pb::LeaseGrantResponse& response) { answer_.fact("ttl", response.ttl()); });
    }

    void left(int64_t id) {
        pb::LeaseTimeToLiveRequest request;
        request.set_id(id);
        request.set_keys(true);
        ask(coord().lease_time_to_live(who_, request), [this](const pb::LeaseTimeToLiveResponse& response) {
            answer_.fact("ttl", response.ttl());
            answer_.fact("granted", response.grantedttl());
            std::string keys;
            for (const std::string& key : response.keys()) script::append_word(keys, key);
            answer_.fact("keys", keys.empty() ? "none" : keys);
        });
    }

    // ---- Users ----

    bool users(const std::string& verb, Line& line) {
        if (verb == "login") {
            login(line);
        } else if (verb == "auth") {
            const std::string what = line.take();
            if (what != "enable" && what != "disable") script::complain("no request: auth " + what);
            what == "enable" ? ask(coord().auth_enable(who_)) : ask(coord().auth_disable(who_));
        } else if (verb == "user") {
            const std::string what = line.take();
            const std::string name = line.take();
            user(what, name, line);
        } else if (verb == "role") {
            const std::string what = line.take();
            const std::string name = line.take();
            role(what, name, line);
        } else {
            return false;
        }
        return true;
    }

    void login(Line& line) {
        pb::AuthenticateRequest request;
        const std::string name = line.take();
        request.set_name(name);
        request.set_password(line.take());
        ask(coord().authenticate(request),
            [&](const pb::AuthenticateResponse& response) { users_[name].token = response.token(); });
    }

    void user(const std::string& what, const std::string& name, Line& line) {
        if (what == "add") {
            pb::AuthUserAddRequest request;
            request.set_name(name);
            request.set_password(line.take());
            ask(coord().user_add(who_, request));
        } else if (what == "delete") {
            pb::AuthUserDeleteRequest request;
            request.set_name(name);
            ask(coord().user_delete(who_, request));
        } else if (what == "password") {
            pb::AuthUserChangePasswordRequest request;
            request.set_name(name);
            request.set_password(line.take());
            ask(coord().user_change_password(who_, request));
        } else if (what == "grant") {
            pb::AuthUserGrantRoleRequest request;
            request.set_user(name);
            request.set_role(line.take());
            ask(coord().user_grant_role(who_, request));
        } else if (what == "revoke") {
            pb::AuthUserRevokeRoleRequest request;
            request.set_name(name);
            request.set_role(line.take());
            ask(coord().user_revoke_role(who_, request));
        } else {
            script::complain("no request: user " + what);
        }
    }

    void role(const std::string& what, const std::string& name, Line& line) {
        if (what == "add") {
            pb::AuthRoleAddRequest request;
            request.set_name(name);
            ask(coord().role_add(who_, request));
        } else if (what == "delete") {
            pb::AuthRoleDeleteRequest request;
            request.set_role(name);
            ask(coord().role_delete(who_, request));
        } else if (what == "permit") {
            pb::AuthRoleGrantPermissionRequest request;
            request.set_name(name);
            static const std::map<std::string, authpb::Permission::Type> types = {
                {"read", authpb::Permission::READ},
                {"write", authpb::Permission::WRITE},
                {"readwrite", authpb::Permission::READWRITE}};
            request.mutable_perm()->set_permtype(types.at(line.take()));
            const script::Keys keys = script::take_keys(line);
            request.mutable_perm()->set_key(keys.key);
            request.mutable_perm()->set_range_end(keys.range_end);
            ask(coord().role_grant_permission(who_, request));
        } else if (what == "forbid") {
            pb::AuthRoleRevokePermissionRequest request;
            request.set_role(name);
            const script::Keys keys = script::take_keys(line);
            request.set_key(keys.key);
            request.set_range_end(keys.range_end);
            ask(coord().role_revoke_permission(who_, request));
        } else {
            script::complain("no request: role " + what);
        }
    }

    // ---- The world ----

    bool world(const std::string& verb, Line& line) {
        if (verb == "pass") {
            fixture_->reactor.run_for(duration_of(line.take()));
        } else if (verb == "leader") {
            const std::string what = line.take();
            if (what != "lost" && what != "new") script::complain("no leader is " + what);
            what == "lost" ? fixture_->replica.lose_leader() : fixture_->replica.lead(++epoch_);
        } else if (verb == "alarms" || verb == "alarm") {
            pb::AlarmRequest request;
            request.set_action(pb::AlarmRequest::GET);
            if (verb == "alarm") {
                if (!line.skip("clear") || !line.skip("nospace")) script::complain("only nospace can be cleared");
                request.set_action(pb::AlarmRequest::DEACTIVATE);
                request.set_alarm(pb::NOSPACE);
                request.set_memberid(1);
            }
            ask(coord().alarm(who_, request), [this](const pb::AlarmResponse& response) {
                for (const auto& alarm : response.alarms())
                    script::append_word(answer_.text, alarm.alarm() == pb::NOSPACE ? "nospace" : "corrupt");
                if (response.alarms().empty()) answer_.text = "nothing";
            });
        } else {
            return false;
        }
        return true;
    }

    CoordOptions options_ = CoordFixture::fast_options();
    std::unique_ptr<CoordFixture> fixture_;
    std::map<std::string, std::unique_ptr<WatchStream>> streams_;  // Gone before the fixture.
    std::map<std::string, Credentials> users_;                     // Who has logged in.
    Credentials who_;                                              // Of the present line.
    Answer answer_;
    uint64_t epoch_ = 1;
};

}  // namespace

Result<void> play(std::string_view text) {
    Player player;
    size_t number = 0;
    while (!text.empty()) {
        ++number;
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::string_view said = trimmed(line.substr(0, line.find('#')));
        std::string wrong;
        try {
            wrong = player.line(said);
        } catch (const std::logic_error& error) {
            wrong = error.what();
        }
        if (!wrong.empty())
            return fail(Code::Invalid, std::to_string(number) + ": " + std::string(said) + ": " + wrong);
    }
    return {};
}

namespace {

// The language must notice what is wrong, or the stories prove nothing.
TEST(CoordScript, ReportsWhatDoesNotComeOfALine) {
    const auto wrong = [](std::string_view script) {
        const Result<void> played = play(script);
        return played ? std::string("nothing") : played.error().what;
    };
    EXPECT_EQ(wrong("put a 1\nget a => a=2\n"), "2: get a => a=2: found: a=1");
    EXPECT_EQ(wrong("put a 1 => revision 3"), "1: put a 1 => revision 3: found: revision 2");
    EXPECT_EQ(wrong("get a => nothing | count 1"), "1: get a => nothing | count 1: found: count 0");
    EXPECT_EQ(wrong("put \"\" 1"), "1: put \"\" 1: found: refused EmptyKey");
    EXPECT_EQ(wrong("put a 1 => refused EmptyKey"), "1: put a 1 => refused EmptyKey: found: done");
    EXPECT_EQ(wrong("watch w a\nnext w => created 1"), "2: next w => created 1: found: created 0");
    EXPECT_EQ(wrong("watch w a\nsilent w"), "2: silent w: found: created 0");
    EXPECT_EQ(wrong("watch w a\nnext w\nsilent w"), "nothing");
}

TEST(CoordScript, RefusesWhatItDoesNotUnderstand) {
    for (const char* line : {"putt a 1", "put a", "put a 1 2", "option speed 9", "get a limit x", "as ann get a",
                             "next w", "txn if size a = 1", "txn then ( put a 1 )", "leader old"}) {
        EXPECT_FALSE(play(line).has_value()) << line;
    }
}

}  // namespace
}  // namespace polis::services
