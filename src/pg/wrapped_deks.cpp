#include "pg/wrapped_deks.hpp"

#include "pg/catalog.hpp"
#include "pg/keys.hpp"
#include "pg/store.hpp"

namespace trustpoint::pg {

using keyring::DekRow;
using keyring::KekRow;

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

}  // namespace trustpoint::pg
