// From octets to a call of coord and back: what every unary method and every stream has in common.
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "gateways/etcd/backend.h"
#include "gateways/etcd/errors.h"
#include "rpc/server.h"

namespace polis::gateways {

/// The message's octets in a block of their own.
template <class Message>
Bytes encode(const Message& message) {
    std::string octets;
    message.SerializeToString(&octets);
    return Bytes::take(std::move(octets));
}

/// False if `octets` are no `Message`; then it may be partly filled.
template <class Message>
bool decode(std::string_view octets, Message& message) {
    return message.ParseFromArray(octets.data(), static_cast<int>(octets.size()));
}

template <class Message>
rpc::Outcome outcome_of(const Answer<Message>& answer) {
    if (!answer) return rpc::Outcome::of(answer.error());
    return rpc::Outcome::of(encode(*answer));
}

/// What a learner serves of unary calls: its status, and reads that need not be current.
template <class Request>
bool learner_may([[maybe_unused]] const Request& request) {
    if constexpr (std::same_as<Request, pb::RangeRequest>) {
        return request.serializable();
    } else {
        return std::same_as<Request, pb::StatusRequest>;
    }
}

/// Whether a method's request ends up in the log, where its size is limited. One that also waits for its turn among other clients is
/// not slow, however long it takes.
enum class Effect : uint8_t { Read, Write, WriteAndWait };

template <class Request, class Invoke>
runtime::Task<rpc::Outcome> serve_unary(Backend& backend, rpc::Call& call, Bytes octets, Effect effect, Invoke invoke) {
    const Instant began = backend.world.reactor.now();
    Request request;
    if (!decode(octets, request)) co_return rpc::Outcome::of(status_of(Complaint::UndecodableRequest));
    const Answer<Caller> caller = backend.admission.admit(call, CallKind::Unary, learner_may(request));
    if (!caller) co_return rpc::Outcome::of(caller.error());
    if (effect != Effect::Read && octets.size() > backend.options.request_bytes_max) {
        co_return rpc::Outcome::of(status_of(services::Refusal::RequestTooLarge));
    }
    auto task = invoke(backend, caller->credentials, std::move(request));
    auto result = co_await task;
    rpc::Outcome outcome = outcome_of(answer_of(std::move(result)));
    if (effect != Effect::WriteAndWait) {
        backend.slow_log.note({.method = call.method(),
                               .who = caller->credentials,
                               .code = outcome.status.code,
                               .request_bytes = octets.size(),
                               .response_bytes = outcome.message.size(),
                               .began = began,
                               .ended = backend.world.reactor.fresh_now()});
    }
    co_return outcome;
}

/// Registers a unary method. `invoke(backend, credentials, request)` gives a Task of a Reply or an Answer; it must not capture
/// (captures of a coroutine lambda die before it runs).
template <class Request, class Invoke>
void unary(rpc::Routes& routes, Backend& backend, std::string name, Effect effect, Invoke invoke) {
    static_assert(std::is_empty_v<Invoke>);
    routes.unary(std::move(name), [&backend, effect, invoke](rpc::Call& call, Bytes octets) {
        return serve_unary<Request>(backend, call, std::move(octets), effect, invoke);
    });
}

/// What Status and MemberList ask for while auth is enabled: some user, not root. Derived from coord's one gate: whoever it knows but
/// does not take for root is refused with PermissionDenied and nothing else.
inline services::Reply<void> permit_known(const Backend& backend, const services::Credentials& who) {
    services::Reply<void> permitted = backend.coord.permit_admin(who);
    if (!permitted && permitted.error() == services::Refusal::PermissionDenied) return {};
    return permitted;
}

/// The body of a stream: reads and writes the call until it is over. Its status is the call's.
using StreamBody = runtime::Task<rpc::Status> (*)(Backend& backend, rpc::Call& call, services::Credentials credentials);

/// Registers a stream. `learner_may`: a learner serves it too.
void stream(rpc::Routes& routes, Backend& backend, std::string name, bool learner_may, StreamBody body);

}  // namespace polis::gateways
