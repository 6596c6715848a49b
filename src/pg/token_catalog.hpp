// Reading the tables of the token's keys, as catalog.hpp reads those of DEKs.
#pragma once

#include <optional>
#include <string_view>

#include "crypto/algorithm.hpp"
#include "hsm/token_key.hpp"
#include "pg/known_keys.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

const char* OperationName(Operation operation);  // "sign-digest"

struct TokenTables {
  Oid key, trash, grant;
};

// Finds them on first use, and again after a change. May ereport, as everything here.
const TokenTables& FindTokenTables(FunctionCallInfo fcinfo);
const TokenTables& KnownTokenTables();
// False where the library is newer than the extension's SQL, and that of version 1.0.
bool HasTokenTables(FunctionCallInfo fcinfo);

// True once after any of the tables, tp_kek or the roles may have changed.
bool TakeTokenStaleMark();
// Registers the callbacks that set the mark; from _PG_init.
void WatchTokenTables();

struct TokenKeyRow {
  KeyId id;
  char label[256], bound_label[256];  // UTF-8
  crypto::KeyType type;
  crypto::Curve curve;  // of kEc only
  std::optional<hsm::AesMode> mode;
  char token_serial[17];
};
static_assert(std::is_trivially_destructible_v<TokenKeyRow>);

// How many rows have the label, 2 for more; *row is one of them.
int ReadTokenKeys(std::string_view label, TokenKeyRow* row);
bool ReadTokenKey(const KeyId& id, TokenKeyRow* row);
// The keys that are destroyed, palloc'ed.
KeyId* ReadTrash(int* count);
bool IsTrash(const KeyId& id);

// Whether the label names a key of the keyring: reserved, or in tp_kek. A row of tp_token_key names its key
// by id, so that a KEK of the same label does not take it away.
bool IsKeyringLabel(std::string_view label, bool has_row);
// Whether a role owns the extension, or holds a grant for the operation.
bool RoleMayOperate(Oid role, const KeyId& id, Operation operation);

}  // namespace trustpoint::pg
