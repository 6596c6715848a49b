#include "pg/store.hpp"

#include "pg/catalog.hpp"
#include "pg/write.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
}

namespace trustpoint::pg {
void BeginKeyChange(FunctionCallInfo fcinfo, const char* function) {
  PreventCommandDuringRecovery(function);
  PreventCommandIfReadOnly(function);
  LockRelationOid(FindTables(fcinfo).dek, ShareUpdateExclusiveLock);
}

void InsertKek(const keyring::KekRow& row) {
  Oid types[] = {BYTEAOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID};
  Datum values[] = {BytesValue(row.id), TextValue(row.label), TextValue(row.token_serial),
                    TextValue(row.use == keyring::KekUse::kWrap ? "wrap" : "encrypt"), BytesValue(row.probe)};
  Execute(psprintf("INSERT INTO %s (id, label, token_serial, use, probe) VALUES ($1, $2, $3, $4, $5)",
                   QualifiedName(KnownTables().kek)),
          5, types, values);
}

void InsertDek(const keyring::DekRow& row) {
  Oid types[] = {INT4OID, TEXTOID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID};
  Datum values[] = {Int32GetDatum(static_cast<int32>(row.id)),
                    TextValue(row.name_view()),
                    TextValue(envelope::PurposeName(row.purpose)),
                    BytesValue(row.kek_id),
                    BytesValue(row.wrapped),
                    BytesValue(row.check_value)};
  const char* table = QualifiedName(KnownTables().dek);
  Execute(psprintf("INSERT INTO %s (id, name, purpose, state, kek_id, wrapped, check_value, created_at)"
                   " SELECT $1, $2, $3, 'active', $4, $5, $6,"
                   " greatest(clock_timestamp(), max(created_at) + interval '1 us')"
                   " FROM %s WHERE name = $2 AND purpose = $3",
                   table, table),
          6, types, values);
}

void RetireDeks(envelope::Purpose purpose, std::string_view name) {
  Oid types[] = {TEXTOID, TEXTOID};
  Datum values[] = {TextValue(name), TextValue(envelope::PurposeName(purpose))};
  Execute(psprintf("UPDATE %s SET state = 'retired', state_changed_at = clock_timestamp()"
                   " WHERE name = $1 AND purpose = $2 AND state = 'active'",
                   QualifiedName(KnownTables().dek)),
          2, types, values);
}

}  // namespace trustpoint::pg
