// tp_hsm_session, tp_hsm_login, tp_hsm_logout: the token session that a backend keeps.
#include <optional>

#include "pg/backend.hpp"
#include "pg/catalog.hpp"
#include "pg/postgres.hpp"
#include "pg/result_row.hpp"
#include "pg/rights.hpp"
#include "pg/token.hpp"
#include "pg/token_transaction.hpp"

namespace trustpoint::pg {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

constexpr struct {
  CK_FLAGS bit;
  const char* name;
} kSessionFlags[] = {{CKF_RW_SESSION, "rw_session"}, {CKF_SERIAL_SESSION, "serial_session"}};

struct StateNames {
  const char* state;
  const char* user_type;
};

StateNames NamesOf(CK_STATE state) {
  switch (state) {
    case CKS_RO_PUBLIC_SESSION:
    case CKS_RW_PUBLIC_SESSION:
      return {"public", "nobody"};
    case CKS_RO_USER_FUNCTIONS:
    case CKS_RW_USER_FUNCTIONS:
      return {"user functions", "user"};
    case CKS_RW_SO_FUNCTIONS:
      return {"so functions", "so"};
    default:
      return {"unknown", "unknown"};
  }
}

}  // namespace

// tp_hsm_session() RETURNS one row
TP_SQL_FUNCTION(tp_hsm_session) {
  const std::optional<CK_SESSION_INFO> session = ThisBackend().connection.SessionState();
  const bool open = session.has_value();
  const CK_SESSION_INFO info = session.value_or(CK_SESSION_INFO{});
  ResultRow row;
  row.Text(open ? NamesOf(info.state).state : "closed");
  row.Text(open ? NamesOf(info.state).user_type : "nobody");
  if (open)
    row.Bigint(info.slotID);
  else
    row.Null();
  row.Flags(info.flags, kSessionFlags);
  return row.Composite(fcinfo);
}

// tp_hsm_login() RETURNS void
TP_SQL_FUNCTION(tp_hsm_login) {
  FindTables(fcinfo);
  Backend& backend = ThisBackend();
  if (RoleIsOwner(GetUserId()))
    RunOnToken(Level::kModule, Gate::kHeld, [&](Connection&) { backend.pin_memo.Clear(); });
  RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
    connection.Run(Level::kLogin, [&](Session&) { backend.keep_session = true; });
  });
  PG_RETURN_VOID();
}

// tp_hsm_logout() RETURNS void
TP_SQL_FUNCTION(tp_hsm_logout) {
  if (Backend* backend = ExistingBackend()) {
    backend->keep_session = false;
    // What this transaction has done to keys is completed or undone in the session that it has, and at its
    // end that goes.
    if (!HasChangedKeys()) backend->connection.Release();
  }
  PG_RETURN_VOID();
}

}  // namespace trustpoint::pg
