// Locks of a table that stay when the savepoint they were taken in is rolled back.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "storage/lock.h"
}

namespace trustpoint::pg {

// Waits for it; the transaction holds it to its end. May ereport.
void LockForTransaction(Oid table, LOCKMODE mode);

}  // namespace trustpoint::pg
