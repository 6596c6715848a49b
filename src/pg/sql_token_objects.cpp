// tp_hsm_keys, tp_key_attributes, tp_public_key, tp_public_key_der: what the token holds, to be looked at.
#include <algorithm>

#include "pg/bytes_result.hpp"
#include "pg/journal.hpp"
#include "pg/result_row.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/token_catalog.hpp"
#include "pg/token_keys.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

bool IsSecretHalf(const hsm::ObjectInfo& object) {
  return object.object_class == "private key" || object.object_class == "secret key";
}

Datum AttributeList(const hsm::ObjectInfo& object) {
  const struct {
    const std::optional<bool>& value;
    const char* name;
  } flags[] = {{object.sensitive, "sensitive"},
               {object.extractable, "extractable"},
               {object.always_sensitive, "always_sensitive"},
               {object.never_extractable, "never_extractable"},
               {object.local, "local"},
               {object.modifiable, "modifiable"}};
  Datum set[lengthof(flags)];
  int count = 0;
  for (const auto& flag : flags)
    if (flag.value.value_or(false)) set[count++] = CStringGetTextDatum(flag.name);
  return PointerGetDatum(construct_array(set, count, TEXTOID, -1, false, TYPALIGN_INT));
}

// The ids that nobody may see yet, or any more: of transactions that have not ended, and the destroyed.
struct Hidden {
  const KeyId* trash;
  int trashed;
  const JournalEntry* entries;
  int pending;
};

Hidden ReadHidden() {
  Hidden hidden{};
  int* slots;
  hidden.trash = ReadTrash(&hidden.trashed);
  hidden.entries = JournalRead(&hidden.pending, &slots);
  return hidden;
}

bool Contains(const Hidden& hidden, const KeyId& id) {
  return std::find(hidden.trash, hidden.trash + hidden.trashed, id) != hidden.trash + hidden.trashed ||
         std::any_of(hidden.entries, hidden.entries + hidden.pending, [&](const JournalEntry& entry) {
           return entry.kind == JournalEntry::Kind::kMade && entry.id == id;
         });
}

void PutKey(FunctionCallInfo fcinfo, const hsm::ObjectInfo& object, const Hidden& hidden) {
  const KeyId id = ToKeyId(object.id);
  TokenKeyRow known;
  const bool has_row = id.size != 0 && ReadTokenKey(id, &known);
  if (!has_row && id.size != 0 && Contains(hidden, id)) return;
  const char* label = has_row ? known.label : object.label.c_str();
  const bool kek = object.kek || IsKeyringLabel(object.label, has_row);
  ResultRow row;
  row.TokenText(label);
  row.Value(CopyBytes(object.id));
  row.Text(object.type.c_str());
  if (object.bits != 0)
    row.Int(static_cast<int>(object.bits));
  else
    row.Null();
  row.TextOrNull(object.curve.c_str());
  row.Text(kek ? "kek" : object.usage.c_str());
  const std::optional<hsm::AesMode> recorded = has_row ? known.mode : std::nullopt;
  row.TextOrNull(recorded ? hsm::AesModeName(*recorded) : object.mode.c_str());
  row.Value(AttributeList(object));
  row.Bool(has_row);
  row.Put(fcinfo);
}

const KnownKey& KeyArgument(FunctionCallInfo fcinfo) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  RefreshTokenKeys(fcinfo);
  return FindTokenKey(label.view(), Operation::kAny);
}

}  // namespace

// tp_hsm_keys() RETURNS TABLE
TP_SQL_FUNCTION(tp_hsm_keys) {
  RefreshTokenKeys(fcinfo);
  Backend& backend = ThisBackend();
  RunWithKeys([&](Connection& connection) {
    connection.Run(Level::kLogin, [&](Session& session) {
      backend.objects = hsm::ListObjects(session);
      std::sort(backend.objects.begin(), backend.objects.end(),
                [](const hsm::ObjectInfo& a, const hsm::ObjectInfo& b) {
                  return std::tie(a.label, a.id) < std::tie(b.label, b.id);
                });
    });
  });
  const Hidden hidden = ReadHidden();
  InitMaterializedSRF(fcinfo, 0);
  for (std::size_t i = 0; i < backend.objects.size(); ++i)
    if (IsSecretHalf(backend.objects[i])) PutKey(fcinfo, backend.objects[i], hidden);
  return Datum{0};
}

// tp_key_attributes(label text) RETURNS TABLE
TP_SQL_FUNCTION(tp_key_attributes) {
  const KnownKey& known = KeyArgument(fcinfo);
  Backend& backend = ThisBackend();
  WithTokenKey(known, [&](Session& session, const hsm::TokenKey& key) {
    backend.attributes = hsm::ReadAttributes(session, key);
  });
  InitMaterializedSRF(fcinfo, 0);
  for (std::size_t i = 0; i < backend.attributes.size(); ++i) {
    const hsm::AttributeInfo& attribute = backend.attributes[i];
    ResultRow row;
    row.Text(attribute.object_class.c_str());
    row.Text(attribute.name.c_str());
    row.TokenText(attribute.value.c_str());
    row.Put(fcinfo);
  }
  return Datum{0};
}

// tp_public_key(label text) RETURNS text
TP_SQL_FUNCTION(tp_public_key) {
  const KnownKey& known = KeyArgument(fcinfo);
  Backend& backend = ThisBackend();
  WithTokenKey(known, [&](Session&, const hsm::TokenKey& key) { backend.text = key.RequirePublic().Pem(); });
  PG_RETURN_TEXT_P(cstring_to_text(backend.text.c_str()));
}

// tp_public_key_der(label text) RETURNS bytea
TP_SQL_FUNCTION(tp_public_key_der) {
  const KnownKey& known = KeyArgument(fcinfo);
  Backend& backend = ThisBackend();
  WithTokenKey(known, [&](Session&, const hsm::TokenKey& key) { backend.bytes = key.RequirePublic().Der(); });
  return CopyBytes(backend.bytes);
}

}  // namespace trustpoint::pg
