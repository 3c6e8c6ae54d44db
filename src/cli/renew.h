// polis init --renew: replaces certificates before they end.
#pragma once

#include "base/result.h"
#include "cli/renew_plan.h"

namespace polis::cli {

/// Makes the new certificates, puts them in the place of the old ones, all or none, and says what to do next. Errors: as find_renewals
/// and renewed; Denied, NoSpace, Io.
Result<void> renew(const RenewOptions& options);

}  // namespace polis::cli
