#include "base/log.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>

namespace polis::log {
namespace {

bool needs_quotes(std::string_view text) {
    return text.empty() || std::ranges::any_of(text, [](char letter) {
               return letter <= ' ' || letter == '"' || letter == '=' || letter == 0x7f;
           });
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char letter : text) {
        if (letter == '"' || letter == '\\') out += '\\';
        // A line is a line: outside text cannot forge another one.
        out += static_cast<unsigned char>(letter) < ' ' ? ' ' : letter;
    }
    return out + '"';
}

void write_to_stderr(Level level, std::string_view event, std::span<const Field> fields) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm utc{};
    gmtime_r(&now.tv_sec, &utc);
    char stamp[64];
    const size_t length = std::strftime(stamp, sizeof stamp, "%FT%T", &utc);
    std::snprintf(stamp + length, sizeof stamp - length, ".%06ldZ ", now.tv_nsec / 1000);
    std::string line = stamp;
    line += name_of(level);
    line += ' ';
    line += event;
    for (const Field& field : fields) {
        line += ' ';
        line += field.name();
        line += '=';
        const std::string text = field.text();
        line += needs_quotes(text) ? quoted(text) : text;
    }
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), stderr);
}

std::atomic<Sink> current_sink{&write_to_stderr};
std::atomic<Level> current_level{Level::Info};

}  // namespace

std::string Field::text() const {
    switch (kind_) {
        case Kind::None: return {};
        case Kind::Text: return std::string(text_);
        case Kind::Signed: return std::to_string(signed_);
        case Kind::Unsigned: return std::to_string(unsigned_);
        case Kind::Real: return std::to_string(real_);
        case Kind::Hex: {
            char digits[20];
            std::snprintf(digits, sizeof digits, "%lx", static_cast<unsigned long>(unsigned_));
            return digits;
        }
    }
    return {};
}

void set_sink(Sink sink) { current_sink.store(sink ? sink : &write_to_stderr); }
void set_level(Level level) { current_level.store(level); }
bool enabled(Level level) { return level >= current_level.load(std::memory_order_relaxed); }

Level level_named(std::string_view name) {
    for (const Level level : {Level::Debug, Level::Info, Level::Warn, Level::Error}) {
        if (name_of(level) == name) return level;
    }
    return Level::Off;
}

std::string_view name_of(Level level) {
    switch (level) {
        case Level::Debug: return "debug";
        case Level::Info: return "info";
        case Level::Warn: return "warn";
        case Level::Error: return "error";
        case Level::Off: return "off";
    }
    return "?";
}

void write(Level level, std::string_view event, std::span<const Field> fields) {
    if (enabled(level)) current_sink.load()(level, event, fields);
}

}  // namespace polis::log
