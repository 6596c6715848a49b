#include "pg/catalog.hpp"

#include <algorithm>
#include <optional>

#include "pg/scan.hpp"
#include "pg/small_table.hpp"
#include "keyring/cache.hpp"
#include "pg/text.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
}

namespace trustpoint::pg {

Tables internal::tables = {InvalidOid, InvalidOid};
bool internal::moved = true;
std::uint64_t internal::changes = 0;  // how often rows may have changed

namespace {

using internal::changes;
using internal::moved;
using internal::tables;

// Column numbers, as in the SQL script. A column is only ever added at the end.
namespace dek {
constexpr AttrNumber kId = 1, kName = 2, kPurpose = 3, kState = 4, kKekId = 5, kWrapped = 6, kCheckValue = 7,
                     kCreatedAt = 8;
}
namespace kek {
constexpr AttrNumber kId = 1, kLabel = 2, kTokenSerial = 3, kUse = 4, kProbe = 5, kCreatedAt = 6;
}
namespace grant {
constexpr AttrNumber kGrantee = 1, kCapability = 2, kName = 3;
}

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

// By the name of an index beside the tables, or nullptr.
template <class Visit>
void Scan(Oid table, const char* index_name, int keys, ScanKeyData* key, Visit visit) {
  const Oid index = index_name != nullptr ? get_relname_relid(index_name, tables.schema) : InvalidOid;
  ScanTable(table, index, keys, key, visit);
}

// What the first query of a connection reads. bytea is stored as text is, regrole as int4, timestamptz as
// int8.
constexpr Oid kDekColumns[] = {INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID};
constexpr Oid kGrantColumns[] = {INT4OID, TEXTOID, TEXTOID};

// The same of a table that has few rows in most databases.
template <class Visit>
void ScanSmall(const SmallTable& table, const char* index_name, int keys, ScanKeyData* key, Visit visit) {
  SmallTableRows found;
  if (!ReadSmallTable(table, keys, key, &found)) return Scan(table.oid, index_name, keys, key, visit);
  for (int i = 0; i < found.count; ++i)
    if (!visit(found.rows[i], found.descriptor)) break;
}

SmallTable DekTable() { return {tables.schema, tables.dek, "tp_dek", kDekColumns, lengthof(kDekColumns)}; }

template <class Visit>
void ScanDeks(const char* index_name, int keys, ScanKeyData* key, Visit visit) {
  ScanSmall(DekTable(), index_name, keys, key, visit);
}

// visit(tuple, descriptor), where there is such a row.
template <class Visit>
void FindDek(std::uint32_t id, Visit visit) {
  ScanKeyData key;
  ScanKeyInit(&key, dek::kId, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(static_cast<int32>(id)));
  ScanDeks("tp_dek_pkey", 1, &key, [&](HeapTuple tuple, TupleDesc descriptor) {
    visit(tuple, descriptor);
    return false;
  });
}

template <class Visit>
void ScanGrants(Visit visit) {
  if (!OidIsValid(grant_table)) grant_table = Existing("tp_dek_grant");
  ScanSmall({tables.schema, grant_table, "tp_dek_grant", kGrantColumns, lengthof(kGrantColumns)}, nullptr, 0,
            nullptr, visit);
}

constexpr struct {
  const char* name;
  keyring::DekState state;
} kStates[] = {{"active", keyring::DekState::kActive},
               {"retired", keyring::DekState::kRetired},
               {"disabled", keyring::DekState::kDisabled},
               {"destroyed", keyring::DekState::kDestroyed}};

std::optional<keyring::DekState> StateOf(HeapTuple tuple, TupleDesc descriptor) {
  const std::string_view state = TextColumn(tuple, descriptor, dek::kState);
  for (const auto& known : kStates)
    if (state == known.name) return known.state;
  return std::nullopt;
}

bool VouchesFor(const keyring::DekRow& opened, HeapTuple tuple, TupleDesc descriptor) {
  bool null;
  if (DatumGetUInt32(heap_getattr(tuple, dek::kId, descriptor, &null)) != opened.id) return false;
  const std::optional<keyring::DekState> state = StateOf(tuple, descriptor);
  base::Block<envelope::kWrappedSize> wrapped;
  return state && keyring::IsUsable(*state) && BytesColumn(tuple, descriptor, dek::kWrapped, wrapped) &&
         wrapped == opened.wrapped;
}

void FillDek(HeapTuple tuple, TupleDesc descriptor, keyring::DekRow* row) {
  *row = keyring::DekRow{};
  bool null;
  row->id = DatumGetUInt32(heap_getattr(tuple, dek::kId, descriptor, &null));

  const Utf8 name = ToUtf8(TextColumn(tuple, descriptor, dek::kName));
  if (!CopyText(row->name, name.view())) RaiseMalformed("tp_dek", "name");
  row->name_size = static_cast<std::uint8_t>(name.view().size());

  const std::optional<envelope::Purpose> purpose =
      envelope::PurposeFromName(TextColumn(tuple, descriptor, dek::kPurpose));
  if (!purpose) RaiseMalformed("tp_dek", "purpose");
  row->purpose = *purpose;

  const std::optional<keyring::DekState> state = StateOf(tuple, descriptor);
  if (!state) RaiseMalformed("tp_dek", "state");
  row->state = *state;

  if (!BytesColumn(tuple, descriptor, dek::kKekId, row->kek_id)) RaiseMalformed("tp_dek", "kek_id");
  if (!BytesColumn(tuple, descriptor, dek::kCheckValue, row->check_value))
    RaiseMalformed("tp_dek", "check_value");
  if (!BytesColumn(tuple, descriptor, dek::kWrapped, row->wrapped) &&
      row->state != keyring::DekState::kDestroyed)
    RaiseMalformed("tp_dek", "wrapped");
}

// As it is in SQL_ASCII: there tp_setup once took a setting's bytes whatever they were.
std::string_view KekLabelColumn(HeapTuple tuple, TupleDesc descriptor) {
  const std::string_view label = TextColumn(tuple, descriptor, kek::kLabel);
  return GetDatabaseEncoding() == PG_SQL_ASCII ? label : ToUtf8(label).view();
}

void FillKek(HeapTuple tuple, TupleDesc descriptor, keyring::KekRow* row) {
  *row = keyring::KekRow{};
  if (!BytesColumn(tuple, descriptor, kek::kId, row->id)) RaiseMalformed("tp_kek", "id");
  if (!CopyText(row->label, KekLabelColumn(tuple, descriptor))) RaiseMalformed("tp_kek", "label");
  if (!CopyText(row->token_serial, TextColumn(tuple, descriptor, kek::kTokenSerial)))
    RaiseMalformed("tp_kek", "token_serial");
  row->use =
      TextColumn(tuple, descriptor, kek::kUse) == "wrap" ? keyring::KekUse::kWrap : keyring::KekUse::kEncrypt;
  if (!BytesColumn(tuple, descriptor, kek::kProbe, row->probe)) RaiseMalformed("tp_kek", "probe");
}

TimestampTz CreatedAt(HeapTuple tuple, TupleDesc descriptor, AttrNumber column) {
  bool null;
  return DatumGetTimestampTz(heap_getattr(tuple, column, descriptor, &null));
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

void WatchTables() {
  CacheRegisterRelcacheCallback(TrustpointRelationChanged, 0);
  CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, TrustpointRolesChanged, 0);
  CacheRegisterSyscacheCallback(AUTHOID, TrustpointRolesChanged, 0);
  CacheRegisterSyscacheCallback(DATABASEOID, TrustpointRolesChanged, 0);  // pg_database_owner
}

bool ReadDek(std::uint32_t id, keyring::DekRow* row) {
  bool found = false;
  FindDek(id, [&](HeapTuple tuple, TupleDesc descriptor) {
    FillDek(tuple, descriptor, row);
    found = true;
  });
  return found;
}

bool IsVouchedFor(const keyring::DekRow& opened) {
  bool vouched = false;
  FindDek(opened.id,
          [&](HeapTuple tuple, TupleDesc descriptor) { vouched = VouchesFor(opened, tuple, descriptor); });
  return vouched;
}

int KeepUnvouched(keyring::DekRow* opened, int count) {
  if (count == 0) return 0;
  SmallTableRows table;
  const bool small = ReadSmallTable(DekTable(), 0, nullptr, &table);
  const auto vouched = [&](const keyring::DekRow& row) {
    if (!small) return IsVouchedFor(row);
    return std::any_of(table.rows, table.rows + table.count,
                       [&](HeapTuple tuple) { return VouchesFor(row, tuple, table.descriptor); });
  };
  return static_cast<int>(std::remove_if(opened, opened + count, vouched) - opened);
}

bool ReadActiveDek(envelope::Purpose purpose, std::string_view name, keyring::DekRow* row, bool* exists) {
  ScanKeyData key[2];
  ScanKeyInit(&key[0], dek::kName, BTEqualStrategyNumber, F_TEXTEQ, TextKey(FromUtf8(name)));
  ScanKeyInit(&key[1], dek::kPurpose, BTEqualStrategyNumber, F_TEXTEQ,
              TextKey(envelope::PurposeName(purpose)));
  bool found = false;
  TimestampTz newest = 0;
  *exists = false;
  ScanDeks("tp_dek_name_idx", 2, key, [&](HeapTuple tuple, TupleDesc descriptor) {
    *exists = true;
    keyring::DekRow candidate;
    FillDek(tuple, descriptor, &candidate);
    const TimestampTz created = CreatedAt(tuple, descriptor, dek::kCreatedAt);
    const bool newer = !found || created > newest || (created == newest && candidate.id > row->id);
    if (candidate.state == keyring::DekState::kActive && newer) {
      *row = candidate;
      newest = created;
      found = true;
    }
    return true;
  });
  return found;
}

int ReadUsableDeks(envelope::Purpose purpose, std::string_view name, keyring::DekRow* rows, int max,
                   bool* exists) {
  auto* created = static_cast<TimestampTz*>(palloc(max * sizeof(TimestampTz)));
  int count = 0;
  *exists = false;
  const auto take = [&](HeapTuple tuple, TupleDesc descriptor) {
    keyring::DekRow row;
    FillDek(tuple, descriptor, &row);
    if (row.purpose != purpose) return true;
    *exists = true;
    if (!keyring::IsUsable(row.state)) return true;
    const TimestampTz at = CreatedAt(tuple, descriptor, dek::kCreatedAt);
    int place = count;
    for (; place > 0; --place) {
      const bool newer = at > created[place - 1] || (at == created[place - 1] && row.id > rows[place - 1].id);
      if (!newer) break;
      if (place == max) continue;  // the oldest falls off the end
      rows[place] = rows[place - 1];
      created[place] = created[place - 1];
    }
    if (place == max) return true;
    rows[place] = row;
    created[place] = at;
    if (count < max) ++count;
    return true;
  };
  if (name.empty()) {
    ScanDeks(nullptr, 0, nullptr, take);
  } else {
    ScanKeyData key;
    ScanKeyInit(&key, dek::kName, BTEqualStrategyNumber, F_TEXTEQ, TextKey(FromUtf8(name)));
    ScanDeks("tp_dek_name_idx", 1, &key, take);
  }
  pfree(created);
  return count;
}

keyring::DekRow* ReadAllDeks(int* count) {
  int room = 16;
  auto* rows = static_cast<keyring::DekRow*>(palloc(room * sizeof(keyring::DekRow)));
  *count = 0;
  ScanDeks(nullptr, 0, nullptr, [&](HeapTuple tuple, TupleDesc descriptor) {
    if (*count == room) {
      room *= 2;
      rows = static_cast<keyring::DekRow*>(repalloc(rows, room * sizeof(keyring::DekRow)));
    }
    FillDek(tuple, descriptor, &rows[(*count)++]);
    return true;
  });
  return rows;
}

bool ReadKek(const keyring::KekId& id, keyring::KekRow* row) {
  bool found = false;
  Scan(KekTable(), nullptr, 0, nullptr, [&](HeapTuple tuple, TupleDesc descriptor) {
    FillKek(tuple, descriptor, row);
    found = row->id == id;
    return !found;
  });
  return found;
}

bool IsKekLabel(std::string_view label) {
  bool found = false;
  Scan(KekTable(), nullptr, 0, nullptr, [&](HeapTuple tuple, TupleDesc descriptor) {
    found = KekLabelColumn(tuple, descriptor) == label;
    return !found;
  });
  return found;
}

bool ReadNewestKek(keyring::KekRow* row) {
  bool found = false;
  TimestampTz newest = 0;
  Scan(KekTable(), nullptr, 0, nullptr, [&](HeapTuple tuple, TupleDesc descriptor) {
    const TimestampTz created = CreatedAt(tuple, descriptor, kek::kCreatedAt);
    if (found && created <= newest) return true;
    FillKek(tuple, descriptor, row);
    newest = created;
    found = true;
    return true;
  });
  return found;
}

Oid TablesOwner() {
  HeapTuple tuple = SearchSysCache2(RELNAMENSP, CStringGetDatum("tp_dek"), ObjectIdGetDatum(tables.schema));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "no relation with oid %u", tables.dek);
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

const char* RoleLiteral(const char* role) { return quote_literal_cstr(quote_identifier(role)); }

void RequireKeysGrant() {
  const Oid role = GetUserId();
  // Before 1.5 of the SQL script EXECUTE alone decides.
  if (!OidIsValid(grant_table)) grant_table = Existing("tp_dek_grant");
  if (!OidIsValid(get_relation_constraint_oid(grant_table, "tp_dek_grant_right_check", true))) return;
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
    const Oid grantee = DatumGetObjectId(heap_getattr(tuple, grant::kGrantee, descriptor, &null));
    if (TextColumn(tuple, descriptor, grant::kCapability) != capability || !has_privs_of_role(role, grantee))
      return true;
    const Utf8 name = ToUtf8(TextColumn(tuple, descriptor, grant::kName));
    granted = name.view().empty() || name.view() == dek_name;
    return !granted;
  });
  return granted;
}

const char* StateName(keyring::DekState state) {
  for (const auto& known : kStates)
    if (known.state == state) return known.name;
  return "";
}

}  // namespace trustpoint::pg
