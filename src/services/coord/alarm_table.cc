#include "services/coord/alarm_table.h"

#include <string>

#include "services/coord/store_keys.h"

namespace polis::services {

namespace pb = ::etcdserverpb;

namespace {

std::string key_of(uint64_t member, pb::AlarmType alarm) {
    std::string stored = named_key(Table::Alarms, {});
    append_big_endian(stored, member);
    append_big_endian(stored, static_cast<uint64_t>(alarm));
    return stored;
}

void add(pb::AlarmResponse& response, uint64_t member, pb::AlarmType alarm) {
    auto& entry = *response.add_alarms();
    entry.set_memberid(member);
    entry.set_alarm(alarm);
}

}  // namespace

Result<void> AlarmTable::load(const StateReader& reader) {
    raised_.clear();
    const storage::KeyRange range = range_of(Table::Alarms);
    const auto cursor = reader.cursor(range);
    for (cursor->seek(range.first); cursor->valid(); cursor->next()) {
        const std::string_view stored = cursor->key();
        if (stored.size() != 17) return fail(Code::Corrupt, "an alarm's record is not what was written");
        const auto alarm = static_cast<int>(read_big_endian(stored.substr(9)));
        if (!pb::AlarmType_IsValid(alarm)) return fail(Code::Corrupt, "an alarm of unknown type is stored");
        raised_.emplace(static_cast<pb::AlarmType>(alarm), read_big_endian(stored.substr(1)));
    }
    return cursor->status();
}

bool AlarmTable::raised(pb::AlarmType alarm) const {
    const auto first = raised_.lower_bound({alarm, 0});
    return first != raised_.end() && first->first == alarm;
}

std::vector<pb::AlarmMember> AlarmTable::all() const {
    std::vector<pb::AlarmMember> all;
    for (const auto& [alarm, member] : raised_) {
        all.emplace_back().set_memberid(member);
        all.back().set_alarm(alarm);
    }
    return all;
}

pb::AlarmResponse AlarmTable::apply(storage::Overlay& state, const pb::AlarmRequest& request) {
    pb::AlarmResponse response;
    const uint64_t member = request.memberid();
    const pb::AlarmType alarm = request.alarm();
    switch (request.action()) {
        case pb::AlarmRequest::GET:
            for (const auto& [each, owner] : raised_)
                if (alarm == pb::NONE || each == alarm) add(response, owner, each);
            break;
        case pb::AlarmRequest::ACTIVATE:
            if (alarm == pb::NONE || !pb::AlarmType_IsValid(alarm)) break;
            if (raised_.emplace(alarm, member).second) state.put(key_of(member, alarm), {});
            add(response, member, alarm);
            break;
        case pb::AlarmRequest::DEACTIVATE:
            if (raised_.erase({alarm, member}) == 0) break;
            state.remove(key_of(member, alarm));
            add(response, member, alarm);
            break;
        default: break;
    }
    return response;
}

}  // namespace polis::services
