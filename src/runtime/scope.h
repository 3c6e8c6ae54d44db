// Scope: a stretch of work that can be cancelled as a whole. Every waiting coroutine is registered in one.
#pragma once

#include "base/list.h"
#include "base/result.h"

namespace polis::runtime {

class Scope;

/// Something a coroutine is suspended on. Lives in the coroutine's frame; registered in the scope for as long as
/// the coroutine sleeps.
class Wait : public Linked<Wait> {
public:
    virtual ~Wait() = default;

    /// The scope was cancelled: make the coroutine resume soon (never inline). Called at most once, on the
    /// reactor. A wait that cannot be cut short (a disk operation) ignores it and ends in its own time.
    virtual void cancel() = 0;
};

/// A node in the tree of cancellation. Lives on one reactor; not thread-safe.
///
/// Invariant: once cancelled it stays so; a coroutine that waits in a cancelled scope gets `error()` at once.
class Scope : public Linked<Scope> {
public:
    Scope() = default;
    /// A scope inside `parent`, cancelled with it. REQUIRES: `parent` outlives it.
    explicit Scope(Scope& parent);
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    bool canceled() const { return canceled_; }

    /// What every wait inside ends with once cancelled: Canceled, or Timeout for a deadline.
    Error error() const;

    /// Cancels everything inside, once; later calls change nothing.
    void cancel(Code why = Code::Canceled);

    void add(Wait& wait) { waits_.push_back(wait); }

private:
    List<Wait, Wait> waits_;
    List<Scope, Scope> children_;
    bool canceled_ = false;
    Code why_ = Code::Canceled;
};

}  // namespace polis::runtime
