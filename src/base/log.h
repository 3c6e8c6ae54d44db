// Structured logs: a fixed event name, then named values. Sinks are set up by the node; tests capture.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/id.h"

namespace polis::log {

/// Error: someone must act (and a simulated run fails). Warn: odd, handled. Info: once in a while, of interest to
/// operators. Debug: anything per request.
enum class Level : uint8_t { Debug, Info, Warn, Error, Off };

/// One named value, formatted only if the line is written. Text is kept by reference for the duration of the call. Secrets
/// have no conversion to it (security/secret.h): logging one does not compile.
class Field {
public:
    Field() = default;
    Field(std::string_view name, std::string_view text) : name_(name), text_(text), kind_(Kind::Text) {}
    Field(std::string_view name, const char* text) : Field(name, std::string_view(text)) {}
    Field(std::string_view name, const std::string& text) : Field(name, std::string_view(text)) {}
    Field(std::string_view name, std::same_as<bool> auto value) : Field(name, value ? "true" : "false") {}
    Field(std::string_view name, std::signed_integral auto value) : name_(name), signed_(value), kind_(Kind::Signed) {}
    Field(std::string_view name, std::unsigned_integral auto value)
        requires(!std::same_as<decltype(value), bool>)
        : name_(name), unsigned_(value), kind_(Kind::Unsigned) {}
    Field(std::string_view name, std::floating_point auto value) : name_(name), real_(value), kind_(Kind::Real) {}
    Field(std::string_view name, NodeId id) : name_(name), unsigned_(number_of(id)), kind_(Kind::Hex) {}
    Field(std::string_view name, LogIndex index) : Field(name, index.value) {}
    Field(std::string_view name, GroupId id) : Field(name, number_of(id)) {}

    bool empty() const { return kind_ == Kind::None; }
    std::string_view name() const { return name_; }
    bool is_number() const { return kind_ != Kind::Text && kind_ != Kind::Hex; }
    std::string text() const;

private:
    enum class Kind : uint8_t { None, Text, Signed, Unsigned, Hex, Real };

    std::string_view name_;
    std::string_view text_;
    union {
        int64_t signed_;
        uint64_t unsigned_ = 0;
        double real_;
    };
    Kind kind_ = Kind::None;
};

/// Receives every line at or above the level, from any thread. `fields` holds no empty one.
using Sink = void (*)(Level level, std::string_view event, std::span<const Field> fields);

/// The default sink writes `time level event key=value ...` to standard error. Null restores it.
void set_sink(Sink sink);
void set_level(Level level);
/// "debug", "info", "warn", "error"; anything else gives Off.
Level level_named(std::string_view name);
std::string_view name_of(Level level);
bool enabled(Level level);

void write(Level level, std::string_view event, std::span<const Field> fields);

/// `log::warn("vote_rejected", {"term", term}, {"from", peer});`: an event name, then up to eight values.
#define POLIS_LOG_FUNCTION_(function, level)                                                                    \
    inline void function(std::string_view event, const Field& a = {}, const Field& b = {}, const Field& c = {}, \
                         const Field& d = {}, const Field& e = {}, const Field& f = {}, const Field& g = {},    \
                         const Field& h = {}) {                                                                 \
        if (!enabled(level)) return;                                                                            \
        const Field fields[] = {a, b, c, d, e, f, g, h};                                                        \
        size_t count = 0;                                                                                       \
        while (count < 8 && !fields[count].empty()) ++count;                                                    \
        write(level, event, {fields, count});                                                                   \
    }
POLIS_LOG_FUNCTION_(debug, Level::Debug)
POLIS_LOG_FUNCTION_(info, Level::Info)
POLIS_LOG_FUNCTION_(warn, Level::Warn)
POLIS_LOG_FUNCTION_(error, Level::Error)
#undef POLIS_LOG_FUNCTION_

}  // namespace polis::log
