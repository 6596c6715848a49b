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

// Runs call(body) again and again, with what it asks for in between, until it is done. May ereport.
void RunUntilDone(pkcs11::Level level, Gate gate, Call call, void* body);

}  // namespace internal

// Runs body(connection), which may ask for a start (kNeedStart) or for time (kBusy) and then runs again.
// level: how far a start must bring the connection for this body. A session that was opened for it is given
// back afterwards, unless tp_hsm_login() asked to keep one. May ereport; the body must not.
template <class Body>
void RunOnToken(pkcs11::Level level, Gate gate, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  static_assert(std::is_trivially_destructible_v<Plain>, "capture by reference");
  internal::RunUntilDone(
      level, gate, [](void* b, pkcs11::Connection& connection) { (*static_cast<Plain*>(b))(connection); },
      &body);
}

}  // namespace trustpoint::pg
