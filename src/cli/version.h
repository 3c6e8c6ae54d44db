// The release's own version, as `polis --version` and logs show it.
#pragma once

namespace polis::cli {

constexpr char version[] = "0.1.0";

}  // namespace polis::cli
