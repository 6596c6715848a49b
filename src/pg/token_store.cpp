#include "pg/token_store.hpp"

#include <algorithm>

#include "hsm/guard.hpp"
#include "pg/backend.hpp"
#include "pg/leftovers.hpp"
#include "pg/text.hpp"
#include "pg/token_catalog.hpp"
#include "pg/token_keys.hpp"
#include "pg/write.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "tcop/utility.h"
}

namespace trustpoint::pg {
namespace {

Datum RoleName() { return PointerGetDatum(cstring_to_text(GetUserNameFromId(GetUserId(), false))); }

Datum TokenSerial() { return TextValue(ThisBackend().connection.token().serial); }

}  // namespace

void BeginTokenChange(FunctionCallInfo fcinfo, const char* function) {
  PreventCommandDuringRecovery(function);
  PreventCommandIfReadOnly(function);
  RefreshTokenKeys(fcinfo);
  // A token that is away is told before anything is written down.
  RunWithKeys(
      [](pkcs11::Connection& connection) { connection.Run(pkcs11::Level::kLogin, [](pkcs11::Session&) {}); });
  SettleLeftovers();
}

void InsertTokenKey(const NewRow& row) {
  Oid types[] = {BYTEAOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID};
  Datum values[] = {BytesValue(row.id.view()),
                    TextValue(row.label),
                    TextValue(row.type),
                    Int32GetDatum(static_cast<int32>(row.bits)),
                    TextValue(row.curve != nullptr ? row.curve : ""),
                    TextValue(row.usage),
                    TextValue(row.mode != nullptr ? row.mode : ""),
                    TextValue(row.bound_label),
                    RoleName(),
                    TokenSerial()};
  Execute(
      psprintf("INSERT INTO %s (id, label, type, bits, curve, usage, mode, bound_label, owner, token_serial)"
               " VALUES ($1, $2, $3, $4, nullif($5, ''), $6, nullif($7, ''), $8, $9, $10)",
               QualifiedName(KnownTokenTables().key)),
      10, types, values);
}

void RenameTokenKey(const KeyId& id, std::string_view label) {
  Oid types[] = {BYTEAOID, TEXTOID};
  Datum values[] = {BytesValue(id.view()), TextValue(label)};
  ExecuteOnRow("the key",
               psprintf("UPDATE %s SET label = $2 WHERE id = $1", QualifiedName(KnownTokenTables().key)), 2,
               types, values);
}

void MoveToTrash(const KeyId& id, std::string_view label, bool has_row) {
  Oid types[] = {BYTEAOID, TEXTOID, TEXTOID, TEXTOID};
  // The label is for people alone, and no text where other tools gave the key one that is none.
  Datum values[] = {BytesValue(id.view()), CStringGetTextDatum(ShownFromUtf8(label)), TokenSerial(),
                    RoleName()};
  if (has_row)
    ExecuteOnRow("the key", psprintf("DELETE FROM %s WHERE id = $1", QualifiedName(KnownTokenTables().key)),
                 1, types, values);
  Execute(
      psprintf(
          "INSERT INTO %s (id, label, token_serial, owner) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
          QualifiedName(KnownTokenTables().trash)),
      4, types, values);
}

void DeleteTrash(const KeyId& id) {
  Oid types[] = {BYTEAOID};
  Datum values[] = {BytesValue(id.view())};
  const char* table = QualifiedName(KnownTokenTables().trash);
  // Another transaction that is at it as well, and may be long, is not waited for.
  Execute(psprintf("DELETE FROM %s WHERE id IN (SELECT id FROM %s WHERE id = $1 FOR UPDATE SKIP LOCKED)",
                   table, table),
          1, types, values);
}

const char* DestroyedLabel(const KeyId& id) {
  constexpr std::string_view kPrefix = "destroyed ";
  const size_t bytes = std::min<size_t>(id.size, hsm::kKeyIdSize);
  char* label = static_cast<char*>(palloc0(kPrefix.size() + 2 * bytes + 1));
  memcpy(label, kPrefix.data(), kPrefix.size());
  (void)hex_encode(reinterpret_cast<const char*>(id.bytes), bytes, label + kPrefix.size());
  return label;
}

void GrantAllOperations(const KeyId& id, Oid role) {
  Oid types[] = {BYTEAOID, REGROLEOID, TEXTOID};
  for (int operation = 0; operation < static_cast<int>(Operation::kAny); ++operation) {
    Datum values[] = {BytesValue(id.view()), ObjectIdGetDatum(role),
                      TextValue(OperationName(static_cast<Operation>(operation)))};
    Execute(psprintf("INSERT INTO %s VALUES ($1, $2, $3)", QualifiedName(KnownTokenTables().grant)), 3, types,
            values);
  }
}

}  // namespace trustpoint::pg
