// Secret: text that must not be shown: no formatter, no comparison that leaks, wiped when it dies.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace polis::security {

/// A password, key or token. Logging or printing one does not compile, since nothing converts it to text but `reveal`, which
/// is easy to search for. Moves and copies leave no trace behind.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) { wipe(text); }
    Secret(const Secret& other) = default;
    Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { wipe(other.text_); }
    Secret& operator=(Secret other) noexcept {
        text_.swap(other.text_);
        return *this;
    }
    ~Secret() { wipe(text_); }

    /// Reads a file of at most `bytes_max`, without a line break at its end. Blocking. Errors: NotFound; Denied if others
    /// than its owner and group may read it; Invalid if empty or too long; Io.
    static Result<Secret> from_file(const std::string& path, size_t bytes_max = 64u << 10);

    /// The text, for the one place that needs it. Lives as long as this.
    std::string_view reveal() const { return text_; }
    bool empty() const { return text_.empty(); }

    /// In constant time for secrets of equal length.
    friend bool operator==(const Secret& a, const Secret& b);

private:
    static void wipe(std::string& text);

    std::string text_;
};

/// True if both are equal; the time it takes tells nothing but whether their lengths are.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace polis::security
