// tp_hsm_change_pin: the PIN of the token, from one file to the one in another.
#include "pg/audit.hpp"
#include "pg/catalog.hpp"
#include "pg/rights.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/token.hpp"

extern "C" {
#include "tcop/utility.h"
}

namespace trustpoint::pg {

// tp_hsm_change_pin(new_pin_file text) RETURNS void
TP_SQL_FUNCTION(tp_hsm_change_pin) {
  constexpr std::string_view kFile = "new_pin_file";
  const Utf8 path = TextArgument(fcinfo, 0, "new_pin_file");
  PreventCommandIfReadOnly("tp_hsm_change_pin()");
  FindTables(fcinfo);
  if (!RoleIsOwner(GetUserId()))
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("only the owner of the extension and superusers may change the PIN of the token")));
  if (path.size == 0 || path.data[0] != '/')
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("not the absolute path of a file"),
                    errhint("Write the new PIN into a file of mode 0600 and give its path.")));
  RunOnToken(pkcs11::Level::kLogin, Gate::kHeld, [&](pkcs11::Connection& connection) {
    const pkcs11::Pin pin = pkcs11::ReadPin(std::string(path.view()), kFile);
    connection.Run(pkcs11::Level::kLogin,
                   [&](pkcs11::Session& session) { connection.ChangePin(session, pin, kFile); });
  });
  AuditKey("change_pin", nullptr, 0);
  ereport(
      NOTICE,
      (errmsg("the token has a new PIN, and no backend sends the old one any more"),
       errhint(
           "Put the new file in place of the one of trustpoint.pin_file, or set trustpoint.pin_file to it "
           "and reload.")));
  PG_RETURN_VOID();
}

}  // namespace trustpoint::pg
