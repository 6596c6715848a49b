#include "pg/transaction_lock.hpp"

extern "C" {
#include "storage/lmgr.h"
#include "utils/resowner.h"
}

namespace trustpoint::pg {

void LockForTransaction(Oid table, LOCKMODE mode) {
  const ResourceOwner owner = CurrentResourceOwner;
  PG_TRY();
  {
    CurrentResourceOwner = TopTransactionResourceOwner;
    LockRelationOid(table, mode);
  }
  PG_FINALLY();
  { CurrentResourceOwner = owner; }
  PG_END_TRY();
}

}  // namespace trustpoint::pg
