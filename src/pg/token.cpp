#include "pg/token.hpp"

#include <csignal>

#include "pg/gate.hpp"
#include "pg/postgres.hpp"
#include "pg/settings.hpp"
#include "pg/wait.hpp"

extern "C" {
#include "pgstat.h"
}

namespace trustpoint::pg {
namespace {

using base::ErrorCode;
using base::Failure;

// Contain, shown as a wait for the token. No PostgreSQL call but the wait event, which cannot fail.
template <class Body>
bool ContainOnToken(Failure* failure, Body&& body) {
  pgstat_report_wait_start(WaitEvent(Wait::kToken));
  const bool done = base::Contain(failure, body);
  pgstat_report_wait_end();
  return done;
}

// A process that dies inside C_Login can destroy a SoftHSM token, and SIGQUIT is not in PostgreSQL's own
// mask.
template <class Body>
bool ContainUnkillable(Failure* failure, Body&& body) {
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const bool done = ContainOnToken(failure, body);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return done;
}

void TellOfMendedFiles(int count) {
  if (count == 0) return;
  ereport(LOG_SERVER_ONLY,
          (errmsg("SoftHSM had left %d token file(s) empty, which trustpoint restored from its copy", count),
           errdetail("A process was killed while it logged in."), errhidestmt(true), errhidecontext(true)));
}

}  // namespace

bool internal::TryUntilDone(pkcs11::Level level, Gate gate, Call call, void* body, Failure* failure) {
  Backend& backend = ThisBackend();
  pkcs11::Connection& connection = backend.connection;
  (void)WaitEvent(Wait::kToken);  // named here, where an ereport does no harm
  Run([&] {
    connection.Configure(backend.elsewhere ? *backend.elsewhere : CurrentConfig());
    connection.BeginOperation();
  });
  const auto start = [&] {
    TakeGate();
    const bool done = ContainUnkillable(failure, [&] { connection.Start(level); });
    DropGate();
    TellOfMendedFiles(connection.TakeMendedFiles());
    return done;
  };
  const auto work = [&] {
    if (gate == Gate::kForStart) return ContainOnToken(failure, [&] { call(body, connection); });
    TakeGate();
    const bool done = ContainUnkillable(failure, [&] { call(body, connection); });
    DropGate();
    return done;
  };

  // What fails is no reason to give up a session that is to stay: the connection drops what is broken.
  const auto leave = [&] {
    if (!backend.keep_session && !backend.hold_session) connection.Release();
  };
  bool starting = false;
  for (;;) {
    if (starting ? start() : work()) {
      if (!starting) break;
      starting = false;
    } else if (failure->code == ErrorCode::kNeedStart) {
      starting = true;
    } else if (failure->code == ErrorCode::kBusy) {
      Pause(failure->wait_ms);
    } else {
      leave();
      return false;
    }
  }
  leave();
  return true;
}

void internal::RunUntilDone(pkcs11::Level level, Gate gate, Call call, void* body) {
  Failure failure;
  if (!TryUntilDone(level, gate, call, body, &failure)) Raise(failure);
}

bool internal::StartAtEnd(Call call, void* body, Failure* failure) noexcept {
  if (!TakeGateAtEnd()) return false;
  pkcs11::Connection& connection = ExistingBackend()->connection;
  const bool done = ContainUnkillable(failure, [&] {
    connection.BeginOperation();
    connection.Start(pkcs11::Level::kLogin);
    call(body, connection);
  });
  DropGate();
  return done;
}

void internal::HoldSession() { ThisBackend().hold_session = true; }

}  // namespace trustpoint::pg
