// CoordModel: coord's replicated state machine: keys, leases, users and alarms, changed by commands in log order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/api.h"
#include "services/coord/access.h"
#include "services/coord/alarm_table.h"
#include "services/coord/auth_table.h"
#include "services/coord/command.h"
#include "services/coord/lease_table.h"
#include "services/coord/mvcc.h"
#include "services/coord/options.h"

namespace polis::services {

/// What a batch of commands did, told once it can be seen in the store.
struct Effects {
    std::vector<Change> changes;  // In the order of their revisions, of which none is left out.
    std::vector<int64_t> leases_granted;
    std::vector<int64_t> leases_removed;
    struct Token {
        std::string token;
        std::string user;
    };
    std::vector<Token> tokens;               // Newly given out.
    std::vector<std::string> users_changed;  // Their tokens are void.
    bool tokens_void = false;                // All of them.
    bool auth_changed = false;               // Users, roles or permissions.
    bool compacted = false;                  // The compacted revision rose, or a compaction ended.
};

/// Who wants to know what commands did: the shell.
class EffectsListener {
public:
    virtual ~EffectsListener() = default;
    /// A command is about to be applied.
    virtual void on_command(const cluster::Envelope& envelope) = 0;
    virtual void on_effects(Effects effects) = 0;
    /// The whole state was replaced (a snapshot came from another node): whatever was derived from it is void.
    virtual void on_loaded() = 0;
};

/// See cluster::Model. Lives on its replica's reactor, as do its readers.
class CoordModel : public cluster::Model {
public:
    explicit CoordModel(size_t cache_bytes) : mvcc_(cache_bytes) {}

    Result<void> load(const storage::Store& store) override;
    cluster::Applied apply(LogIndex index, const cluster::Envelope& envelope, storage::Overlay& state) override;
    void end_batch(storage::Overlay& state) override;
    void committed(LogIndex index) override;

    /// At most one; null to stop. REQUIRES: it lives until then.
    void listen(EffectsListener* listener) { listener_ = listener; }

    Mvcc& mvcc() { return mvcc_; }
    const Mvcc& mvcc() const { return mvcc_; }
    const LeaseTable& leases() const { return leases_; }
    const AlarmTable& alarms() const { return alarms_; }
    const AuthTable& auth() const { return auth_; }

    struct Counters {
        uint64_t puts = 0, deletes = 0, txns = 0;
    };
    const Counters& counters() const { return counters_; }

private:
    struct Context;

    Bytes execute(Context& context, CommandKind kind, const Bytes& request);
    Bytes put(Context& context, const Bytes& request);
    Bytes delete_range(Context& context, std::string_view request);
    Bytes txn(Context& context, std::string_view request);
    Bytes compact(Context& context, std::string_view request, bool by_leader);
    Bytes step_compaction(Context& context, std::string_view request);
    Bytes lease_grant(Context& context, std::string_view request);
    Bytes lease_revoke(Context& context, std::string_view request, bool by_leader);
    Bytes lease_checkpoint(Context& context, std::string_view request);
    Bytes alarm(Context& context, std::string_view request, bool by_node);
    Bytes auth(Context& context, CommandKind kind, std::string_view request);
    Bytes authenticate(const Context& context, std::string_view request);
    /// The changes of users and roles; absent if `kind` is none of them or the request is no encoding.
    std::optional<Allowed> change_users(Context& context, CommandKind kind, std::string_view request);
    std::optional<Allowed> change_roles(Context& context, CommandKind kind, std::string_view request);
    Bytes list_users() const;
    Bytes list_roles() const;
    template <class Response>
    Bytes answer(Response response) const;
    /// Whether an alarm stands against a command that costs `quota_cost`.
    Allowed check_alarms(int64_t quota_cost) const;

    Mvcc mvcc_;
    LeaseTable leases_;
    AlarmTable alarms_;
    AuthTable auth_;
    Counters counters_;
    Effects effects_;
    EffectsListener* listener_ = nullptr;
};

}  // namespace polis::services
