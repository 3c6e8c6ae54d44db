// StateReader: one way to read for code that serves both a command being applied and a client's read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "storage/kv/overlay.h"
#include "storage/kv/store.h"

namespace polis::services {

/// Reads of one state. REQUIRES: what it reads from outlives it and its cursors.
class StateReader {
public:
    virtual ~StateReader() = default;
    virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
    virtual std::unique_ptr<storage::Cursor> cursor(const storage::KeyRange& range) const = 0;
};

/// Reads from a Store, a View or an Overlay.
template <class Source>
class ReaderOf : public StateReader {
public:
    explicit ReaderOf(const Source& source) : source_(source) {}
    Result<std::optional<std::string>> get(std::string_view key) const override { return source_.get(key); }
    std::unique_ptr<storage::Cursor> cursor(const storage::KeyRange& range) const override {
        return source_.cursor(range);
    }

private:
    const Source& source_;
};

}  // namespace polis::services
