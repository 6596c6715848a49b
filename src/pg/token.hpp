// Operations on the token, from the PostgreSQL layer: start behind the gate, waits that can be cancelled,
// retries.
#pragma once

#include "base/error.hpp"
#include "pg/backend.hpp"
#include "pg/boundary.hpp"

namespace trustpoint::pg {

enum class Gate : bool {
  kForStart,  // only a start of the module takes it
  kHeld,      // the whole operation runs behind it, with all signals blocked: for what all processes share
};

namespace internal {

using Call = void (*)(void* body, pkcs11::Connection& connection);

// Runs call(body) again and again, with what it asks for in between, until it is done, or has failed for
// good: *failure says why. May ereport.
bool TryUntilDone(pkcs11::Level level, Gate gate, Call call, void* body, base::Failure* failure);
// Raises the failure.
void RunUntilDone(pkcs11::Level level, Gate gate, Call call, void* body);
// The session is kept until the transaction ends: its end may have something to undo.
void HoldSession();
bool StartAtEnd(Call call, void* body, base::Failure* failure) noexcept;

// The address of this instance tells how to call a body of its type.
template <class Body>
void CallBody(void* body, pkcs11::Connection& connection) {
  static_assert(std::is_trivially_destructible_v<Body>, "capture by reference");
  (*static_cast<Body*>(body))(connection);
}

}  // namespace internal

// Runs body(connection), which may ask for a start (kNeedStart) or for time (kBusy) and then runs again.
// level: how far a start must bring the connection for this body. A session that was opened for it is given
// back afterwards, unless tp_hsm_login() asked to keep one. May ereport; the body must not.
template <class Body>
void RunOnToken(pkcs11::Level level, Gate gate, Body&& body) {
  internal::RunUntilDone(level, gate, internal::CallBody<std::remove_reference_t<Body>>, &body);
}

// Logged in, for a start alone behind the gate; and a failure is left to the caller.
template <class Body>
bool TryOnToken(base::Failure* failure, Body&& body) {
  return internal::TryUntilDone(pkcs11::Level::kLogin, Gate::kForStart,
                                internal::CallBody<std::remove_reference_t<Body>>, &body, failure);
}

// The same for work with keys of the token: logged in, and the session is kept until the transaction ends, so
// that a query that signs many rows logs in once.
template <class Body>
void RunWithKeys(Body&& body) {
  internal::HoldSession();
  RunOnToken(pkcs11::Level::kLogin, Gate::kForStart, std::forward<Body>(body));
}

// The same, and a failure is left to the caller.
template <class Body>
bool TryWithKeys(base::Failure* failure, Body&& body) {
  internal::HoldSession();
  return TryOnToken(failure, std::forward<Body>(body));
}

// For the end of a transaction whose session was lost: logs in anew and runs body(connection), all behind the
// gate. Waits two seconds for that at most, and cannot ereport.
template <class Body>
bool StartAtEnd(base::Failure* failure, Body&& body) noexcept {
  return internal::StartAtEnd(internal::CallBody<std::remove_reference_t<Body>>, &body, failure);
}

}  // namespace trustpoint::pg
