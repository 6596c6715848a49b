// Reading a small table of ours from its file, without an entry of the relation cache.
//
// A new connection would first build that entry from four catalogs, as our tables have defaults, CHECKs and
// triggers: many times the cost of the row itself. So the few pages are read as CREATE DATABASE reads the
// pg_class of another database: through the shared buffers, under the table's lock, each row by the snapshot.
// Whatever is not a small, ordinary heap is left to scan.hpp.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/skey.h"
}

namespace trustpoint::pg {

// The first columns of the table: INT4OID, INT8OID or TEXTOID for all that is stored in the same way.
struct SmallTable {
  Oid schema, oid;
  const char* name;
  const Oid* columns;
  int column_count;
};

// Its rows as they are committed now, and this transaction's own, copied. The lock is gone again when it
// returns; the rows are palloc'ed, for the caller to give back: a query that waits through many changes would
// otherwise keep the whole table for each.
struct SmallTableRows {
  TupleDesc descriptor;
  HeapTuple* rows;
  int count;
};

// False: it cannot be read in this way. May ereport.
bool ReadSmallTable(const SmallTable& table, int keys, const ScanKeyData* key, SmallTableRows* result);
void FreeRows(SmallTableRows* rows);

}  // namespace trustpoint::pg
