// Access: what one caller may do with keys. The gate that every read, event and nested operation passes.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "services/coord/interval_set.h"
#include "services/coord/refused.h"

namespace polis::services {

/// What the roles of one user add up to.
struct Permissions {
    IntervalSet read;
    IntervalSet write;
};

/// One caller's rights at one revision of users and roles. A value; cheap to copy.
class Access {
public:
    /// Authentication is off, or the caller has the root role.
    static Access everything() { return {}; }
    /// Whatever is asked, the answer is `why`.
    static Access nothing(Refusal why) {
        Access access;
        access.why_not_ = why;
        return access;
    }
    /// REQUIRES: not null.
    static Access of(std::shared_ptr<const Permissions> permissions) {
        Access access;
        access.permissions_ = std::move(permissions);
        return access;
    }

    Allowed read(const Interval& interval) const { return check(&Permissions::read, interval); }
    Allowed write(const Interval& interval) const { return check(&Permissions::write, interval); }

    /// Whether an event on `key` may be shown. Cheaper than read() of one key.
    bool shows(std::string_view key) const {
        if (why_not_) return false;
        return !permissions_ || permissions_->read.contains(key);
    }
    /// Whether the caller is somebody at all: for what needs no particular permission.
    Allowed identified() const {
        if (why_not_) return refuse(*why_not_);
        return {};
    }
    bool unlimited() const { return !why_not_ && !permissions_; }

private:
    Allowed check(IntervalSet Permissions::* set, const Interval& interval) const {
        if (why_not_) return refuse(*why_not_);
        if (!permissions_ || ((*permissions_).*set).covers(interval)) return {};
        return refuse(Refusal::PermissionDenied);
    }

    std::optional<Refusal> why_not_;
    std::shared_ptr<const Permissions> permissions_;  // Null: everything, unless why_not_ is set.
};

}  // namespace polis::services
