// Passes over the tables beside our functions, by way of an index or of the file.
#pragma once

#include "pg/catalog.hpp"
#include "pg/scan.hpp"
#include "pg/small_table.hpp"

extern "C" {
#include "catalog/pg_type_d.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
}

namespace trustpoint::pg {

// By the name of an index beside the tables, or nullptr.
template <class Visit>
void ScanByIndex(Oid table, const char* index_name, int keys, ScanKeyData* key, Visit visit) {
  const Oid index = index_name != nullptr ? get_relname_relid(index_name, KnownTables().schema) : InvalidOid;
  ScanTable(table, index, keys, key, visit);
}

// The same of a table that has few rows in most databases.
template <class Visit>
void ScanSmall(const SmallTable& table, const char* index_name, int keys, ScanKeyData* key, Visit visit) {
  SmallTableRows found;
  if (!ReadSmallTable(table, keys, key, &found)) return ScanByIndex(table.oid, index_name, keys, key, visit);
  for (int i = 0; i < found.count; ++i)
    if (!visit(found.rows[i], found.descriptor)) break;
  FreeRows(&found);
}

inline TimestampTz CreatedAt(HeapTuple tuple, TupleDesc descriptor, AttrNumber column) {
  bool null;
  return DatumGetTimestampTz(heap_getattr(tuple, column, descriptor, &null));
}

}  // namespace trustpoint::pg
