#include "pg/catalog.hpp"

extern "C" {
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace trustpoint::pg {

Tables internal::tables = {InvalidOid, InvalidOid};
bool internal::moved = true;
std::uint64_t internal::changes = 0;  // how often rows may have changed

namespace {

using internal::changes;
using internal::moved;
using internal::tables;

// Found when they are first read: most connections only decrypt, and need neither.
Oid kek_table = InvalidOid, grant_table = InvalidOid;

// Both only count: they may run in the middle of anything.
extern "C" void TrustpointRelationChanged(Datum, Oid relation) {
  if (relation == InvalidOid || relation == tables.dek || relation == kek_table || relation == grant_table) {
    ++changes;
    moved = true;
  }
}

extern "C" void TrustpointRolesChanged(Datum, int, uint32) { ++changes; }

Oid Existing(const char* name) {
  const Oid table = get_relname_relid(name, tables.schema);
  if (!OidIsValid(table))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                    errmsg("the tables of trustpoint are not beside its functions"),
                    errhint("Use CREATE EXTENSION trustpoint; its functions cannot be copied elsewhere.")));
  return table;
}

}  // namespace

void internal::LookUpTables(FunctionCallInfo fcinfo) {
  moved = false;
  tables = {get_func_namespace(fcinfo->flinfo->fn_oid), InvalidOid};
  kek_table = grant_table = InvalidOid;
  tables.dek = Existing("tp_dek");
}

Oid KekTable() {
  if (!OidIsValid(kek_table)) kek_table = Existing("tp_kek");
  return kek_table;
}

Oid GrantTable() {
  if (!OidIsValid(grant_table)) grant_table = Existing("tp_dek_grant");
  return grant_table;
}

void WatchTables() {
  CacheRegisterRelcacheCallback(TrustpointRelationChanged, 0);
  CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, TrustpointRolesChanged, 0);
  CacheRegisterSyscacheCallback(AUTHOID, TrustpointRolesChanged, 0);
  CacheRegisterSyscacheCallback(DATABASEOID, TrustpointRolesChanged, 0);  // pg_database_owner
}

}  // namespace trustpoint::pg
