#include "pg/rights.hpp"

#include "pg/catalog_scan.hpp"
#include "pg/text.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "utils/acl.h"
#include "utils/syscache.h"
}

namespace trustpoint::pg {
namespace {

// Columns of tp_dek_grant, as in the SQL script. regrole is stored as int4.
constexpr AttrNumber kGrantee = 1, kCapability = 2, kName = 3;
constexpr Oid kColumns[] = {INT4OID, TEXTOID, TEXTOID};

template <class Visit>
void ScanGrants(Visit visit) {
  ScanSmall({KnownTables().schema, GrantTable(), "tp_dek_grant", kColumns, lengthof(kColumns)}, nullptr, 0,
            nullptr, visit);
}

}  // namespace

Oid TablesOwner() {
  HeapTuple tuple =
      SearchSysCache2(RELNAMENSP, CStringGetDatum("tp_dek"), ObjectIdGetDatum(KnownTables().schema));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "no relation with oid %u", KnownTables().dek);
  const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
  ReleaseSysCache(tuple);
  return owner;
}

bool RoleIsOwner(Oid role) { return has_privs_of_role(role, TablesOwner()); }

void RequireOwner(const char* what) {
  if (!RoleIsOwner(GetUserId()))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("only the owner of the extension and superusers may %s", what)));
}

bool RoleHasGrantsOf(Oid role, Oid grantee) {
  return has_privs_of_role(role, grantee) && SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role));
}

const char* RoleLiteral(const char* role) { return quote_literal_cstr(quote_identifier(role)); }

void RequireKeysGrant() {
  const Oid role = GetUserId();
  // Before 1.5 of the SQL script EXECUTE alone decides.
  if (!OidIsValid(get_relation_constraint_oid(GrantTable(), "tp_dek_grant_right_check", true))) return;
  if (RoleMayUse(role, "keys", {})) return;
  const char* name = GetUserNameFromId(role, false);
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("role \"%s\" may not change keys", name),
                  errhint("Ask for: SELECT tp_grant(%s, 'keys');", RoleLiteral(name))));
}

bool RoleMayUse(Oid role, std::string_view capability, std::string_view dek_name) {
  if (RoleIsOwner(role)) return true;

  // EXECUTE on the function is not enough: a grant that is lost, by a restore without the roles or a
  // TRUNCATE, must close and not open.
  bool granted = false;
  ScanGrants([&](HeapTuple tuple, TupleDesc descriptor) {
    bool null;
    const Oid grantee = DatumGetObjectId(heap_getattr(tuple, kGrantee, descriptor, &null));
    if (TextColumn(tuple, descriptor, kCapability) != capability || !RoleHasGrantsOf(role, grantee))
      return true;
    const Utf8 name = ToUtf8(TextColumn(tuple, descriptor, kName));
    granted = name.view().empty() || name.view() == dek_name;
    return !granted;
  });
  return granted;
}

}  // namespace trustpoint::pg
