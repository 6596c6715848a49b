#include "pg/wrapped_deks.hpp"

#include "keyring/kek.hpp"
#include "pg/catalog.hpp"
#include "pg/keys.hpp"
#include "pg/store.hpp"
#include "pg/text.hpp"
#include "pg/token.hpp"

namespace trustpoint::pg {

using keyring::DekRow;
using keyring::KekRow;
using pkcs11::Level;

WrappedDeks ReadWrappedDeks() {
  int count;
  DekRow* all = ReadAllDeks(&count);
  WrappedDeks deks = {0, all, static_cast<KekRow*>(palloc(sizeof(KekRow) * (count + 1))),
                      static_cast<DekRow*>(palloc(sizeof(DekRow) * (count + 1)))};
  for (int i = 0; i < count; ++i) {
    if (all[i].state == keyring::DekState::kDestroyed) continue;
    deks.rows[deks.count] = deks.changed[deks.count] = all[i];
    deks.keks[deks.count] = KekOf(all[i]);
    ++deks.count;
  }
  return deks;
}

int StoreWrappedDeks(const WrappedDeks& deks) {
  int changed = 0;
  for (int i = 0; i < deks.count; ++i) {
    if (deks.changed[i].wrapped == deks.rows[i].wrapped) continue;
    UpdateDekKey(deks.rows[i], deks.changed[i]);
    ++changed;
  }
  return changed;
}

KekRow FindOrCreateNewKek(std::string_view label) {
  KekRow kek;
  RunOnToken(Level::kLogin, Gate::kHeld, [&](pkcs11::Connection& connection) {
    connection.Run(Level::kLogin, [&](pkcs11::Session& session) {
      kek = keyring::FindOrCreateKek(session, label, connection.token().serial);
    });
  });
  KekRow known;
  if (ReadKek(kek.id, &known))
    ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
                    errmsg("the key \"%s\" in the token is a KEK of this database already",
                           ShownFromUtf8(kek.label)),
                    errhint("Choose another label.")));
  return kek;
}

}  // namespace trustpoint::pg
