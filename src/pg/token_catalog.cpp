#include "pg/token_catalog.hpp"

#include "hsm/guard.hpp"
#include "pg/catalog.hpp"
#include "pg/rights.hpp"
#include "pg/scan.hpp"
#include "pg/text.hpp"

extern "C" {
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace trustpoint::pg {
namespace {

// Column numbers, as in the SQL script. A column is only ever added at the end.
namespace key {
constexpr AttrNumber kId = 1, kLabel = 2, kType = 3, kCurve = 5, kMode = 7, kBoundLabel = 8,
                     kTokenSerial = 10;
}
namespace trash {
constexpr AttrNumber kId = 1;
}
namespace grant {
constexpr AttrNumber kId = 1, kGrantee = 2, kOperation = 3;
}

constexpr const char* kOperationNames[] = {"sign",    "sign-digest",   "verify", "encrypt",
                                           "decrypt", "decrypt-pkcs1", "manage", ""};

TokenTables tables = {InvalidOid, InvalidOid, InvalidOid};
Oid kek_table = InvalidOid;
bool stale = false;
bool moved = true;
bool all_found = false;  // as in catalog.cpp

// Both only set the mark: they may run in the middle of anything.
extern "C" void TrustpointTokenRelationChanged(Datum, Oid relation) {
  if (relation == InvalidOid || relation == tables.key || relation == tables.trash ||
      relation == tables.grant || relation == kek_table)
    stale = moved = true;
}

extern "C" void TrustpointTokenRolesChanged(Datum, int, uint32) { stale = true; }

ScanKeyData BytesKey(AttrNumber column, const KeyId& id) {
  ScanKeyData key;
  ScanKeyInit(&key, column, BTEqualStrategyNumber, F_BYTEAEQ, TextKey(base::AsText(id.view())));
  return key;
}

Oid IndexOf(const char* name) { return get_relname_relid(name, KnownTables().schema); }

void FillKey(HeapTuple tuple, TupleDesc descriptor, TokenKeyRow* row) {
  *row = TokenKeyRow{};
  row->id = ToKeyId(base::AsBytes(TextColumn(tuple, descriptor, key::kId)));
  if (row->id.size == 0) RaiseMalformed("tp_token_key", "id");
  if (!CopyText(row->label, ToUtf8(TextColumn(tuple, descriptor, key::kLabel)).view()))
    RaiseMalformed("tp_token_key", "label");
  if (!CopyText(row->bound_label, ToUtf8(TextColumn(tuple, descriptor, key::kBoundLabel)).view()))
    RaiseMalformed("tp_token_key", "bound_label");

  if (!CopyText(row->token_serial, TextColumn(tuple, descriptor, key::kTokenSerial)))
    RaiseMalformed("tp_token_key", "token_serial");

  const std::string_view type = TextColumn(tuple, descriptor, key::kType);
  row->type = type == "RSA"  ? crypto::KeyType::kRsa
              : type == "EC" ? crypto::KeyType::kEc
                             : crypto::KeyType::kAes;
  if (row->type == crypto::KeyType::kEc) {
    const auto curve = crypto::CurveFromName(TextColumn(tuple, descriptor, key::kCurve));
    if (!curve) RaiseMalformed("tp_token_key", "curve");
    row->curve = *curve;
  }
  row->mode = hsm::AesModeFromName(TextColumn(tuple, descriptor, key::kMode));
}

}  // namespace

const char* OperationName(Operation operation) { return kOperationNames[static_cast<int>(operation)]; }

const TokenTables& FindTokenTables(FunctionCallInfo fcinfo) {
  FindTables(fcinfo);
  kek_table = KekTable();
  if (all_found && !moved) return tables;
  all_found = moved = false;
  tables.key = IndexOf("tp_token_key");
  tables.trash = IndexOf("tp_token_trash");
  tables.grant = IndexOf("tp_key_grant");
  if (!OidIsValid(tables.key) || !OidIsValid(tables.trash) || !OidIsValid(tables.grant))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("the tables of the token's keys are not there"),
                    errhint("Use ALTER EXTENSION trustpoint UPDATE.")));
  all_found = true;
  return tables;
}

const TokenTables& KnownTokenTables() { return tables; }

bool HasTokenTables(FunctionCallInfo fcinfo) {
  FindTables(fcinfo);
  return OidIsValid(IndexOf("tp_token_key"));
}

bool TakeTokenStaleMark() {
  const bool was = stale;
  stale = false;
  return was;
}

void WatchTokenTables() {
  CacheRegisterRelcacheCallback(TrustpointTokenRelationChanged, 0);
  CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, TrustpointTokenRolesChanged, 0);
  CacheRegisterSyscacheCallback(AUTHOID, TrustpointTokenRolesChanged, 0);
  CacheRegisterSyscacheCallback(DATABASEOID, TrustpointTokenRolesChanged, 0);  // pg_database_owner
}

int ReadTokenKeys(std::string_view label, TokenKeyRow* row) {
  ScanKeyData scan_key;
  ScanKeyInit(&scan_key, key::kLabel, BTEqualStrategyNumber, F_TEXTEQ, TextKey(FromUtf8(label)));
  int count = 0;
  ScanTable(tables.key, IndexOf("tp_token_key_label_idx"), 1, &scan_key,
            [&](HeapTuple tuple, TupleDesc descriptor) {
              FillKey(tuple, descriptor, row);
              return ++count < 2;
            });
  return count;
}

bool ReadTokenKey(const KeyId& id, TokenKeyRow* row) {
  ScanKeyData scan_key = BytesKey(key::kId, id);
  bool found = false;
  ScanTable(tables.key, IndexOf("tp_token_key_pkey"), 1, &scan_key,
            [&](HeapTuple tuple, TupleDesc descriptor) {
              FillKey(tuple, descriptor, row);
              found = true;
              return false;
            });
  return found;
}

KeyId* ReadTrash(int* count) {
  int room = 16;
  auto* ids = static_cast<KeyId*>(palloc(room * sizeof(KeyId)));
  *count = 0;
  ScanTable(tables.trash, InvalidOid, 0, nullptr, [&](HeapTuple tuple, TupleDesc descriptor) {
    if (*count == room) {
      room *= 2;
      ids = static_cast<KeyId*>(repalloc(ids, room * sizeof(KeyId)));
    }
    ids[(*count)++] = ToKeyId(base::AsBytes(TextColumn(tuple, descriptor, trash::kId)));
    return true;
  });
  return ids;
}

bool IsTrash(const KeyId& id) {
  ScanKeyData scan_key = BytesKey(trash::kId, id);
  bool found = false;
  ScanTable(tables.trash, IndexOf("tp_token_trash_pkey"), 1, &scan_key, [&](HeapTuple, TupleDesc) {
    found = true;
    return false;
  });
  return found;
}

bool IsKeyringLabel(std::string_view label, bool has_row) {
  return hsm::IsReservedLabel(label) || (!has_row && IsKekLabel(label));
}

bool RoleMayOperate(Oid role, const KeyId& id, Operation operation) {
  if (RoleIsOwner(role)) return true;
  ScanKeyData scan_key = BytesKey(grant::kId, id);
  bool granted = false;
  ScanTable(tables.grant, IndexOf("tp_key_grant_pkey"), 1, &scan_key,
            [&](HeapTuple tuple, TupleDesc descriptor) {
              bool null;
              const Oid grantee = DatumGetObjectId(heap_getattr(tuple, grant::kGrantee, descriptor, &null));
              granted = (operation == Operation::kAny ||
                         TextColumn(tuple, descriptor, grant::kOperation) == OperationName(operation)) &&
                        RoleHasGrantsOf(role, grantee);
              return !granted;
            });
  return granted;
}

}  // namespace trustpoint::pg
