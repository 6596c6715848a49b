// One pass over a table of ours by the scan API, and its columns as plain data. See catalog.hpp for why.
#pragma once

#include <algorithm>
#include <string_view>

#include "base/bytes.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
}

namespace trustpoint::pg {

// In index order when there is an index. Visit(tuple, descriptor) returns false to end it.
template <class Visit>
void ScanTable(Oid table, Oid index, int keys, ScanKeyData* key, Visit visit) {
  Relation relation = table_open(table, AccessShareLock);
  SysScanDesc scan = systable_beginscan(relation, index, OidIsValid(index), nullptr, keys, key);
  for (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple); tuple = systable_getnext(scan))
    if (!visit(tuple, RelationGetDescr(relation))) break;
  systable_endscan(scan);
  table_close(relation, AccessShareLock);
}

// Empty for NULL.
inline std::string_view TextColumn(HeapTuple tuple, TupleDesc descriptor, AttrNumber column) {
  bool null;
  const Datum value = heap_getattr(tuple, column, descriptor, &null);
  if (null) return {};
  const text* t = DatumGetTextPP(value);
  return {VARDATA_ANY(t), static_cast<size_t>(VARSIZE_ANY_EXHDR(t))};
}

// False: NULL, or another size.
inline bool BytesColumn(HeapTuple tuple, TupleDesc descriptor, AttrNumber column, base::MutableBytes out) {
  const std::string_view bytes = TextColumn(tuple, descriptor, column);  // the same shape as text
  if (bytes.size() != out.size()) return false;
  base::Copy(out, base::AsBytes(bytes));
  return true;
}

template <size_t N>
bool CopyText(char (&target)[N], std::string_view source) {
  if (source.size() >= N) return false;
  std::copy(source.begin(), source.end(), target);
  target[source.size()] = '\0';
  return true;
}

inline Datum TextKey(std::string_view value) {
  return PointerGetDatum(cstring_to_text_with_len(value.data(), static_cast<int>(value.size())));
}

[[noreturn]] inline void RaiseMalformed(const char* table, const char* column) {
  ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("a row of %s is malformed", table),
                  errdetail("Column \"%s\" does not hold what trustpoint writes there.", column),
                  errhint("Restore the table from a backup.")));
  pg_unreachable();
}

}  // namespace trustpoint::pg
