// PendingRequests: which proposal ends how.
#include "consensus/parts/pending_requests.h"

#include "base/ensure.h"

namespace polis::consensus {

void PendingRequests::cut_from(LogIndex index) {
    while (!appended_.empty() && appended_.back().position.index >= index) {
        cut_.push_back(appended_.back());
        appended_.pop_back();
    }
}

RequestId PendingRequests::take(const LogPosition& delivered, std::vector<RequestId>& rejected) {
    RequestId fulfilled = 0;
    if (!appended_.empty() && appended_.front().position.index <= delivered.index) {
        ENSURE(appended_.front().position == delivered);
        fulfilled = appended_.front().id;
        appended_.pop_front();
    }
    if (cut_.empty()) return fulfilled;
    std::erase_if(cut_, [&](const Slot& slot) {
        if (slot.position == delivered) {
            ENSURE(fulfilled == 0);
            fulfilled = slot.id;
            return true;
        }
        const bool ruled_out = slot.position.index == delivered.index || slot.position.ballot < delivered.ballot;
        if (ruled_out) rejected.push_back(slot.id);
        return ruled_out;
    });
    return fulfilled;
}

std::vector<RequestId> PendingRequests::jump_to(LogIndex index) {
    std::vector<RequestId> ids;
    while (!appended_.empty() && appended_.front().position.index <= index) {
        ids.push_back(appended_.front().id);
        appended_.pop_front();
    }
    std::erase_if(cut_, [&](const Slot& slot) {
        if (slot.position.index > index) return false;
        ids.push_back(slot.id);
        return true;
    });
    return ids;
}

void PendingRequests::add_to(Digest& digest) const {
    digest.add(appended_.size()).add(cut_.size());
    for (const Slot& slot : appended_) digest.add(slot.position).add(slot.id);
    for (const Slot& slot : cut_) digest.add(slot.position).add(slot.id);
}

}  // namespace polis::consensus
