#include "pg/store.hpp"

#include "pg/catalog.hpp"
#include "pg/text.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
}

namespace trustpoint::pg {
namespace {

const char* QualifiedName(Oid table) {
  return quote_qualified_identifier(get_namespace_name(KnownTables().schema), get_rel_name(table));
}

// One statement on tables of ours, named in full, as their owner and with a search_path that nobody else can
// write to. An error restores user and settings with the (sub)transaction.
void Execute(const char* statement, int count, Oid* types, Datum* values) {
  Oid user;
  int security;
  GetUserIdAndSecContext(&user, &security);
  const int nest_level = NewGUCNestLevel();
  SetUserIdAndSecContext(TablesOwner(), security | SECURITY_LOCAL_USERID_CHANGE);
  (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                          true, 0, false);
  SPI_connect();
  if (SPI_execute_with_args(statement, count, types, values, nullptr, false, 0) < 0)
    elog(ERROR, "could not write to the tables of trustpoint");
  SPI_finish();
  AtEOXact_GUC(true, nest_level);
  SetUserIdAndSecContext(user, security);
}

Datum TextValue(std::string_view utf8) {
  const std::string_view text = FromUtf8(utf8);
  return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

Datum BytesValue(base::Bytes bytes) {
  return PointerGetDatum(
      cstring_to_text_with_len(reinterpret_cast<const char*>(bytes.data()), static_cast<int>(bytes.size())));
}

}  // namespace

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
