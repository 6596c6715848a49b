#include "pg/token_keys.hpp"

#include "hsm/guard.hpp"
#include "pg/journal.hpp"
#include "pg/key_uri.hpp"
#include "pg/rights.hpp"
#include "pg/text.hpp"
#include "pg/token_catalog.hpp"
#include "pkcs11/uri.hpp"

extern "C" {
#include "utils/inval.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Level;

constexpr std::size_t kMostKnown = 1000;

[[noreturn]] void RaiseNoKey(std::string_view label) {
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                  errmsg("there is no key \"%s\" in the token", ShownFromUtf8(label)),
                  errhint("tp_hsm_keys() lists the keys.")));
  pg_unreachable();
}

[[noreturn]] void RaiseAmbiguous(std::string_view label) {
  ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
                  errmsg("more than one key has the label \"%s\"", ShownFromUtf8(label)),
                  errdetail("trustpoint does not guess which one is meant."),
                  errhint("Rename or remove the other one with the tools of the token.")));
  pg_unreachable();
}

[[noreturn]] void RaiseKeyring(std::string_view label, bool* is_key) {
  *is_key = true;
  ereport(
      ERROR,
      (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
       errmsg("\"%s\" is, or may become, a key of the keyring", ShownFromUtf8(label)),
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

// Only once everything is checked. name: what the caller called it by.
KnownKey* Remember(std::string_view name, const TokenKeyRow& row, bool has_row) {
  KnownKeys& keys = ThisBackend().known_keys;
  KnownKey* found = nullptr;
  Run([&] {
    if (keys.size() >= kMostKnown) keys.clear();  // a URI can be written in many ways
    KnownKey known;
    known.label = row.label;
    known.bound_label = row.bound_label;
    known.id = row.id;
    known.has_row = has_row;
    known.token_serial = row.token_serial;
    known.type = row.type;
    known.curve = row.curve;
    known.mode = row.mode;
    found = &keys.insert_or_assign(std::string(name), known).first->second;
  });
  return found;
}

// What the token says of a key that has no row.
TokenKeyRow Describe(const hsm::KeyRef& ref) {
  Backend& backend = ThisBackend();
  TokenKeyRow row{};
  RunWithKeys([&](pkcs11::Connection& connection) {
    connection.Run(Level::kLogin, [&](pkcs11::Session& session) {
      const hsm::TokenKey& key = backend.token_keys.Find(session, connection.epoch(), ref);
      snprintf(row.label, sizeof row.label, "%s", key.label.c_str());
      snprintf(row.bound_label, sizeof row.bound_label, "%s", key.label.c_str());
      row.id = ToKeyId(key.id);
      row.type = key.type;
      row.curve = key.curve;
      row.mode = key.mode;
    });
  });
  return row;
}

// A key without a row, by its label or id. It has no grants, so it is the owner's; nobody else learns from
// the token what it holds.
TokenKeyRow ReadForeign(std::string_view name, const hsm::KeyRef& ref, bool* is_key) {
  if (!RoleIsOwner(GetUserId())) RaiseNoKey(name);
  const TokenKeyRow found = Describe(ref);
  if (hsm::IsKekId(found.id.view()) || IsKeyringLabel(found.label, false)) RaiseKeyring(name, is_key);
  TokenKeyRow row;
  const bool has_id = found.id.size != 0;
  const bool elsewhere = ref.id.empty() && has_id && ReadTokenKey(found.id, &row);  // under another label
  if (elsewhere || (has_id && IsHidden(found.id))) RaiseNoKey(name);
  return found;
}

KnownKey* AdmitByLabel(std::string_view name, std::string_view label, bool* is_key) {
  TokenKeyRow row;
  const int count = ReadTokenKeys(label, &row);
  *is_key = count > 0;
  if (IsKeyringLabel(label, count > 0)) RaiseKeyring(label, is_key);
  if (count > 1) RaiseAmbiguous(label);
  if (count == 0) row = ReadForeign(name, {label, {}}, is_key);
  return Remember(name, row, count == 1);
}

// A label says nothing where two keys have it; an id does.
KnownKey* AdmitByUri(std::string_view name, bool* is_key) {
  KeyId id{};
  char label[sizeof TokenKeyRow::label] = "";
  Run([&] {
    const KeyUri uri = ParseKeyUri(name);
    id = uri.id;
    snprintf(label, sizeof label, "%s", uri.label.c_str());
  });
  if (id.size == 0) return AdmitByLabel(name, label, is_key);
  if (hsm::IsKekId(id.view())) RaiseKeyring(name, is_key);
  TokenKeyRow row;
  const bool has_row = ReadTokenKey(id, &row);
  if (!has_row) row = ReadForeign(name, {name, id.view()}, is_key);
  if (IsKeyringLabel(row.label, has_row)) RaiseKeyring(row.label, is_key);
  if (label[0] != '\0' && strcmp(row.label, label) != 0) RaiseNoKey(name);
  return Remember(name, row, has_row);
}

KnownKey* Admit(std::string_view name, bool* is_key) {
  return pkcs11::IsUri(name) ? AdmitByUri(name, is_key) : AdmitByLabel(name, name, is_key);
}

void CheckOperation(KnownKey* known, Operation operation) {
  const auto index = static_cast<std::size_t>(operation);
  const Oid role = GetUserId();
  if (known->allowed_role[index] == role) return;
  if (!RoleMayOperate(role, known->id, operation)) {
    const char* name = GetUserNameFromId(role, false);
    const char* what = operation == Operation::kAny ? "verify" : OperationName(operation);
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    operation == Operation::kAny
                        ? errmsg("role \"%s\" may not look at key \"%s\"", name, ShownFromUtf8(known->label))
                        : errmsg("role \"%s\" may not use key \"%s\" for \"%s\"", name,
                                 ShownFromUtf8(known->label), what),
                    errhint("Ask for: SELECT tp_grant_key(%s, %s, '{%s}');",
                            quote_literal_cstr(ShownFromUtf8(known->label)), RoleLiteral(name), what)));
  }
  known->allowed_role[index] = role;
}

}  // namespace

void RefreshTokenKeys(FunctionCallInfo fcinfo) {
  AcceptInvalidationMessages();
  FindTokenTables(fcinfo);
  Backend& backend = ThisBackend();
  for (int pass = 0; pass < 3 && TakeTokenStaleMark(); ++pass) {  // as RereadKeys
    backend.known_keys.clear();
    FindTokenTables(fcinfo);
  }
}

const KnownKey& FindTokenKey(std::string_view label, Operation operation) {
  bool is_key;
  return FindTokenKey(label, operation, &is_key);
}

const KnownKey& FindTokenKey(std::string_view label, Operation operation, bool* is_key) {
  KnownKeys& keys = ThisBackend().known_keys;
  const auto cached = keys.find(label);
  // What has no row is looked up again: nobody tells when a label becomes another key's, or the settings name
  // another token.
  KnownKey* known = cached != keys.end() && cached->second.has_row ? &cached->second : Admit(label, is_key);
  *is_key = true;
  CheckOperation(known, operation);
  return *known;
}

void RefuseKeyringLabel(std::string_view label, bool has_row) {
  bool is_key;
  if (IsKeyringLabel(label, has_row)) RaiseKeyring(label, &is_key);
}

void CheckNewKeyLabel(std::string_view label) {
  RefuseKeyringLabel(label, false);
  Run([&] { hsm::CheckNewLabel(label); });
  if (pkcs11::IsUri(label))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("not a label for a key"),
                    errhint("What begins with \"pkcs11:\" is the URI of a key.")));
}

void RefuseTakenLabel(std::string_view label) {
  TokenKeyRow row;
  if (ReadTokenKeys(label, &row) > 0)
    ereport(ERROR,
            (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("there is a key \"%s\" already", ShownFromUtf8(label)),
             errhint("Use another label, or tp_rename_key or tp_destroy_key for the other key.")));
}

}  // namespace trustpoint::pg
