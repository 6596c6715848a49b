#include "pg/token_keys.hpp"

#include "hsm/guard.hpp"
#include "pg/catalog.hpp"
#include "pg/journal.hpp"
#include "pg/text.hpp"
#include "pg/token_catalog.hpp"

extern "C" {
#include "utils/inval.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Level;

// In the database's encoding, for messages.
const char* Shown(std::string_view utf8) {
  const std::string_view text = FromUtf8(utf8);
  return Printable(pnstrdup(text.data(), text.size()));
}

[[noreturn]] void RaiseNoKey(std::string_view label) {
  ereport(ERROR,
          (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no key \"%s\" in the token", Shown(label)),
           errhint("tp_hsm_keys() lists the keys.")));
  pg_unreachable();
}

[[noreturn]] void RaiseAmbiguous(std::string_view label) {
  ereport(ERROR,
          (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("more than one key has the label \"%s\"", Shown(label)),
           errdetail("trustpoint does not guess which one is meant."),
           errhint("Rename or remove the other one with the tools of the token.")));
  pg_unreachable();
}

[[noreturn]] void RaiseKeyring(std::string_view label) {
  ereport(
      ERROR,
      (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
       errmsg("\"%s\" is, or may become, a key of the keyring", Shown(label)),
       errdetail(
           "The keys that protect data keys, and labels that start with \"trustpoint-\", are out of reach "
           "of the functions for keys of the token."),
       errhint("Use another label.")));
  pg_unreachable();
}

// Of a transaction that has not ended, or is destroyed and still there.
bool IsHidden(const KeyId& id) {
  if (IsTrash(id)) return true;
  int count;
  int* slots;
  const JournalEntry* entries = JournalRead(&count, &slots);
  for (int i = 0; i < count; ++i)
    if (entries[i].kind == JournalEntry::Kind::kMade && entries[i].id == id) return true;
  return false;
}

// A key without a row has no grants.
KnownKey* AdmitForeign(std::string_view label) {
  Backend& backend = ThisBackend();
  KnownKey* found = nullptr;
  KeyId id{};
  bool keyring = false;
  RunWithKeys([&](pkcs11::Connection& connection) {
    connection.Run(Level::kLogin, [&](pkcs11::Session& session) {
      const hsm::TokenKey& key = backend.token_keys.Find(session, connection.epoch(), {label, {}});
      id = ToKeyId(key.id);
      keyring = hsm::IsKekId(key.id);
      KnownKey known;
      known.label = known.bound_label = std::string(label);
      known.id = id;
      known.type = key.type;
      known.curve = key.curve;
      known.mode = key.mode;
      found = &backend.known_keys.insert_or_assign(known.label, known).first->second;
    });
  });
  TokenKeyRow row;
  const bool elsewhere = id.size != 0 && ReadTokenKey(id, &row);  // its row has another label
  if (keyring || elsewhere || (id.size != 0 && IsHidden(id))) {
    backend.known_keys.clear();
    if (keyring) RaiseKeyring(label);
    RaiseNoKey(label);
  }
  return found;
}

KnownKey* Admit(std::string_view label) {
  RefuseKeyringLabel(label);
  TokenKeyRow row;
  const int count = ReadTokenKeys(label, &row);
  if (count > 1) RaiseAmbiguous(label);
  if (count == 0) {
    if (!RoleIsOwner(GetUserId())) RaiseNoKey(label);  // nobody else learns from the token what it holds
    return AdmitForeign(label);
  }
  KnownKey* found = nullptr;
  Run([&] {
    KnownKey known;
    known.label = row.label;
    known.bound_label = row.bound_label;
    known.id = row.id;
    known.has_row = true;
    known.type = row.type;
    known.curve = row.curve;
    known.mode = row.mode;
    found = &ThisBackend().known_keys.insert_or_assign(known.label, known).first->second;
  });
  return found;
}

void CheckOperation(KnownKey* known, Operation operation) {
  const auto index = static_cast<std::size_t>(operation);
  const Oid role = GetUserId();
  if (known->allowed_role[index] == role) return;
  if (!RoleMayOperate(role, known->id, operation)) {
    const char* name = GetUserNameFromId(role, false);
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("role \"%s\" may not %s with key \"%s\"", name, OperationName(operation),
                           Shown(known->label)),
                    errhint("Ask for: SELECT tp_grant_key('%s', '%s', '{%s}');", Shown(known->label), name,
                            operation == Operation::kAny ? "verify" : OperationName(operation))));
  }
  known->allowed_role[index] = role;
}

}  // namespace

void RefreshTokenKeys(FunctionCallInfo fcinfo) {
  AcceptInvalidationMessages();
  FindTokenTables(fcinfo);
  Backend& backend = ThisBackend();
  while (TakeTokenStaleMark()) {
    backend.known_keys.clear();
    FindTokenTables(fcinfo);
  }
}

const KnownKey& FindTokenKey(std::string_view label, Operation operation) {
  KnownKeys& keys = ThisBackend().known_keys;
  const auto cached = keys.find(label);
  KnownKey* known = cached != keys.end() ? &cached->second : Admit(label);
  CheckOperation(known, operation);
  return *known;
}

void RefuseKeyringLabel(std::string_view label) {
  if (IsKeyringLabel(label)) RaiseKeyring(label);
}

void RefuseTakenLabel(std::string_view label) {
  TokenKeyRow row;
  if (ReadTokenKeys(label, &row) > 0)
    ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("there is a key \"%s\" already", Shown(label)),
                    errhint("Use another label, or tp_rename_key or tp_destroy_key for the other key.")));
}

}  // namespace trustpoint::pg
