#include "pg/new_kek.hpp"

#include "hsm/guard.hpp"
#include "keyring/kek.hpp"
#include "pg/catalog.hpp"
#include "pg/text.hpp"
#include "pg/token.hpp"
#include "pg/token_catalog.hpp"
#include "pg/token_keys.hpp"
#include "pg/token_transaction.hpp"

namespace trustpoint::pg {
namespace {

using keyring::KekRow;
using pkcs11::Level;

// Until the transaction ends nobody else gives the label to a key. No key has a reserved one, so that the
// databases that set themselves up with the usual label do not wait for each other.
void ClaimLabel(FunctionCallInfo fcinfo, std::string_view label) {
  if (hsm::IsReservedLabel(label) || !HasTokenTables(fcinfo)) return;
  LockLabel(label);
  RefreshTokenKeys(fcinfo);
  RefuseTakenLabel(label);
}

}  // namespace

KekRow FindOrCreateKek(FunctionCallInfo fcinfo, std::string_view label) {
  ClaimLabel(fcinfo, label);
  KekRow kek;
  RunOnToken(Level::kLogin, Gate::kHeld, [&](pkcs11::Connection& connection) {
    connection.Run(Level::kLogin, [&](pkcs11::Session& session) {
      kek = keyring::FindOrCreateKek(session, label, connection.token().serial);
    });
  });
  return kek;
}

KekRow FindOrCreateNewKek(FunctionCallInfo fcinfo, std::string_view label) {
  const KekRow kek = FindOrCreateKek(fcinfo, label);
  KekRow known;
  if (ReadKek(kek.id, &known))
    ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
                    errmsg("the key \"%s\" in the token is a KEK of this database already",
                           ShownFromUtf8(kek.label)),
                    errhint("Choose another label.")));
  return kek;
}

}  // namespace trustpoint::pg
