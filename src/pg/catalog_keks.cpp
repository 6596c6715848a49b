// The rows of tp_kek, for catalog.hpp.
#include "pg/catalog.hpp"
#include "pg/catalog_scan.hpp"
#include "pg/text.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace trustpoint::pg {
namespace {

// Column numbers, as in the SQL script. A column is only ever added at the end.
constexpr AttrNumber kId = 1, kLabel = 2, kTokenSerial = 3, kUse = 4, kProbe = 5, kCreatedAt = 6;

// As it is in SQL_ASCII: there tp_setup once took a setting's bytes whatever they were.
std::string_view KekLabelColumn(HeapTuple tuple, TupleDesc descriptor) {
  const std::string_view label = TextColumn(tuple, descriptor, kLabel);
  return GetDatabaseEncoding() == PG_SQL_ASCII ? label : ToUtf8(label).view();
}

void FillKek(HeapTuple tuple, TupleDesc descriptor, keyring::KekRow* row) {
  *row = keyring::KekRow{};
  if (!BytesColumn(tuple, descriptor, kId, row->id)) RaiseMalformed("tp_kek", "id");
  if (!CopyText(row->label, KekLabelColumn(tuple, descriptor))) RaiseMalformed("tp_kek", "label");
  if (!CopyText(row->token_serial, TextColumn(tuple, descriptor, kTokenSerial)))
    RaiseMalformed("tp_kek", "token_serial");
  row->use =
      TextColumn(tuple, descriptor, kUse) == "wrap" ? keyring::KekUse::kWrap : keyring::KekUse::kEncrypt;
  if (!BytesColumn(tuple, descriptor, kProbe, row->probe)) RaiseMalformed("tp_kek", "probe");
}

// In no order.
template <class Visit>
void ScanKeks(Visit visit) {
  ScanByIndex(KekTable(), nullptr, 0, nullptr, visit);
}

}  // namespace

bool ReadKek(const keyring::KekId& id, keyring::KekRow* row) {
  bool found = false;
  ScanKeks([&](HeapTuple tuple, TupleDesc descriptor) {
    FillKek(tuple, descriptor, row);
    found = row->id == id;
    return !found;
  });
  return found;
}

bool IsKekLabel(std::string_view label) {
  bool found = false;
  ScanKeks([&](HeapTuple tuple, TupleDesc descriptor) {
    found = KekLabelColumn(tuple, descriptor) == label;
    return !found;
  });
  return found;
}

bool ReadNewestKek(keyring::KekRow* row) {
  bool found = false;
  TimestampTz newest = 0;
  ScanKeks([&](HeapTuple tuple, TupleDesc descriptor) {
    const TimestampTz created = CreatedAt(tuple, descriptor, kCreatedAt);
    if (found && created <= newest) return true;
    FillKek(tuple, descriptor, row);
    newest = created;
    found = true;
    return true;
  });
  return found;
}

}  // namespace trustpoint::pg
